"""A file that does not answer, as on a file server that is gone, keeps no master from its signals and its workers."""
import ctypes
import os
from signal import SIGHUP, SIGINT, SIGKILL, SIGTERM, SIGUSR1

import pytest

import proc
from clients import exchange
from configured import LISTEN, Configured, configured  # noqa: F401
from test_upgrade import NEXT, Installed

_libc = ctypes.CDLL(None, use_errno=True)
_MNT_DETACH = 2


class Hanging:
    """Until the `with` ends, whatever touches a path in the directory waits for ever, O_NONBLOCK or not: a FUSE file
    system that nobody serves is mounted there."""

    def __init__(self, directory):
        self._directory = os.fsencode(directory)

    def __enter__(self):
        try:
            self._server = os.open("/dev/fuse", os.O_RDWR)
        except OSError as error:
            pytest.skip(f"no /dev/fuse: {error}")
        options = f"fd={self._server},rootmode=40000,user_id=0,group_id=0"
        if _libc.mount(b"gone", self._directory, b"fuse", 0, options.encode()) != 0:
            os.close(self._server)
            pytest.skip(f"may not mount: {os.strerror(ctypes.get_errno())}")
        return self

    def __exit__(self, *_):
        _libc.umount2(self._directory, _MNT_DETACH)
        os.close(self._server)


pytestmark = pytest.mark.root


def children(daemon):
    """Those that are no workers: these have a process group of their own."""
    return [pid for pid in proc.children(daemon.pid)
            if (found := proc.stat(pid)) and found.group == daemon.pid and found.state != "Z"]


@pytest.fixture
def place(tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    return place


def test_a_reload_waits_for_its_settings_in_a_child_and_fails_in_time(preforkd, place):
    service = Configured(preforkd, place / "preforkd.conf", [LISTEN, "boot-timeout = 700ms"])
    daemon = service.daemon
    daemon.expect("reload failed", "killed by SIGKILL")
    with Hanging(place):
        after = daemon.log.mark()
        daemon.signal(SIGHUP)
        assert proc.eventually(lambda: children(daemon))
        victim = daemon.workers()[0]
        os.kill(victim, SIGKILL)
        daemon.wait_log("killed by SIGKILL", after=after)
        assert exchange(daemon.endpoint) == b"connected\n"
        cause = daemon.wait_log("reload failed", after=after)["cause"]
        assert f"--config {place}/preforkd.conf" in cause and "--boot-timeout 700ms" in cause
        assert proc.eventually(lambda: not children(daemon))
    daemon.wait_workers(2)
    assert service.reload(LISTEN, "greeting = two")["message"].startswith("reloaded")
    assert proc.eventually(lambda: exchange(daemon.endpoint) == b"two\n")


@pytest.mark.parametrize("signo", [SIGTERM, SIGINT])
def test_a_stop_does_not_wait_for_it(preforkd, place, signo):
    daemon = Configured(preforkd, place / "preforkd.conf", [LISTEN, "boot-timeout = 10m"]).daemon
    with Hanging(place):
        daemon.signal(SIGHUP)
        assert proc.eventually(lambda: children(daemon))
        left = children(daemon)
        assert daemon.stop(signo) == 0
        assert all(proc.wait_gone(pid, 5) for pid in left)


@pytest.mark.parametrize("signo", [SIGTERM, SIGINT])
def test_a_start_that_waits_for_it_can_be_stopped(preforkd, place, signo):
    with Hanging(place):
        daemon = preforkd("--config", str(place / "preforkd.conf"), wait=False)
        assert proc.eventually(lambda: children(daemon))
        daemon.signal(signo)
        assert daemon.wait_exit() == -signo
    assert daemon.log.text() == ""


@pytest.mark.parametrize("option", ["log-file", "chdir"])
def test_what_the_settings_name_may_hang_too(configured, place, option):
    service = configured(LISTEN, "boot-timeout = 700ms")
    service.daemon.expect("reload failed")
    with Hanging(place):
        assert f"--{option} {place}/x: no answer" in service.reload(LISTEN, f"{option} = {place}/x")["cause"]
        assert exchange(service.daemon.endpoint) == b"connected\n"


@pytest.mark.parametrize("key", ["certificate", "key", "client-ca", "ticket-keys", "deny"])
def test_so_may_what_a_listener_needs(configured, pair, place, key):
    """The master never opens it: meanwhile it serves, and replaces a worker."""
    tls = {"certificate": pair.certificate, "key": pair.key} | ({} if key == "deny" else {key: f"{place}/x"})
    keys = " ".join(f"{name}={file}" for name, file in tls.items()) + (f" deny=@{place}/x" if key == "deny" else "")
    plain = f"{LISTEN} handler=greet"
    service = configured(plain, "boot-timeout = 700ms")
    daemon = service.daemon
    daemon.expect("reload failed", "killed by SIGKILL")
    with Hanging(place):
        service.write(plain, f"listen = tls://127.0.0.1:0 {keys}")
        after = daemon.log.mark()
        daemon.signal(SIGHUP)
        assert proc.eventually(lambda: children(daemon))
        os.kill(daemon.workers()[0], SIGKILL)
        daemon.wait_log("killed by SIGKILL", after=after)
        assert exchange(daemon.endpoint) == b"connected\n"
        cause = daemon.wait_log("reload failed", after=after, timeout=30)["cause"]
        assert f"{place}/x" in cause and "no answer" in cause, cause
    assert service.reload(plain)["message"].startswith("reloaded")


def test_a_log_file_that_hangs_is_not_opened_again(preforkd, place):
    file = place / "own.log"
    daemon = preforkd("--log-file", str(file), "--boot-timeout", "700ms")
    with open(file) as log, Hanging(place):
        daemon.signal(SIGUSR1)
        assert proc.eventually(lambda: children(daemon))
        assert exchange(daemon.endpoint) == b"connected\n"
        assert proc.eventually(lambda: "was not reopened" in log.read())
    daemon.signal(SIGUSR1)
    assert proc.eventually(lambda: "log file reopened" in file.read_text())


def test_an_upgrade_fails_in_its_rehearsal(preforkd, tmp_path, place):
    file = place / "preforkd.conf"
    file.write_text("boot-timeout = 700ms\n")
    service = Installed(preforkd, tmp_path, "--config", str(file))
    service.daemon.expect("upgrade failed")
    service.install(NEXT)
    with Hanging(place):
        assert service.upgrade()["message"].startswith("upgrade failed, nothing has changed")
        assert exchange(service.daemon.endpoint) == b"connected\n"


@pytest.mark.parametrize("make, kind", [
    (os.mkfifo, "FIFO"),
    (lambda path: os.symlink("/dev/zero", path), "device"),
])
def test_a_configuration_that_is_no_file_is_refused(run_preforkd, configured, tmp_path, make, kind):
    service = configured(LISTEN)
    service.daemon.expect("reload failed")
    file = tmp_path / "preforkd.conf"
    file.unlink()
    make(file)
    after = service.daemon.log.mark()
    service.daemon.signal(SIGHUP)
    assert f"it is a {kind}" in service.daemon.wait_log("reload failed", after=after)["cause"]
    for task in ([], ["--check-config"], ["--print-config"]):
        done = run_preforkd("--config", str(file), *task)
        assert done.returncode == 78 and f"it is a {kind}" in done.stderr, done
    assert exchange(service.daemon.endpoint) == b"connected\n"
