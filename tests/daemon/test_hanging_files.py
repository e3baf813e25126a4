"""A file that does not answer, as on a file server that is gone, keeps no master from its signals and its workers."""
import fcntl
import os
import signal
from signal import SIGHUP, SIGINT, SIGKILL, SIGTERM, SIGUSR1, SIGUSR2

import pytest

import proc
from clients import exchange
from configured import LISTEN, Configured, configured  # noqa: F401
from test_upgrade import NEXT, Installed

F_SETLEASE = 1024


class Hanging:
    """Opening the file blocks whoever does it, whatever else it is: a lease that is not given back.
    (open(2) then waits for /proc/sys/fs/lease-break-time, 45 s.  Source: fcntl(2), Leases.)"""

    def __init__(self, file):
        self._before = signal.signal(signal.SIGIO, signal.SIG_IGN)  # asks us to give it back
        self._fd = os.open(file, os.O_RDWR)

    def __enter__(self):
        fcntl.fcntl(self._fd, F_SETLEASE, fcntl.F_WRLCK)
        return self

    def __exit__(self, *_):
        os.close(self._fd)
        signal.signal(signal.SIGIO, self._before)


def children(daemon):
    """Those that are no workers: these have a process group of their own."""
    return [pid for pid in proc.children(daemon.pid)
            if (found := proc.stat(pid)) and found.group == daemon.pid and found.state != "Z"]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "preforkd.conf"


def test_a_reload_waits_for_it_in_a_child_and_fails_in_time(configured, file):
    service = configured(LISTEN, "boot-timeout = 700ms")
    daemon = service.daemon
    daemon.expect("reload failed", "killed by SIGKILL")
    with Hanging(file):
        after = daemon.log.mark()
        daemon.signal(SIGHUP)
        assert proc.eventually(lambda: children(daemon))
        victim = daemon.workers()[0]
        os.kill(victim, SIGKILL)
        assert proc.eventually(lambda: victim not in daemon.workers() and len(daemon.workers()) == 2 + len(children(daemon)))
        cause = daemon.wait_log("reload failed", after=after)["cause"]
        assert f"--config {file}" in cause and "--boot-timeout 700ms" in cause
    assert proc.eventually(lambda: not children(daemon))
    assert exchange(daemon.endpoint) == b"connected\n"
    assert service.reload(LISTEN, "greeting = two")["message"].startswith("reloaded")
    assert exchange(daemon.endpoint) == b"two\n"


@pytest.mark.parametrize("signo", [SIGTERM, SIGINT])
def test_a_stop_does_not_wait_for_it(configured, file, signo):
    service = configured(LISTEN, "boot-timeout = 10m")
    daemon = service.daemon
    with Hanging(file):
        daemon.signal(SIGHUP)
        assert proc.eventually(lambda: children(daemon))
        left = children(daemon)
        assert daemon.stop(signo) == 0
        assert all(proc.wait_gone(pid, 5) for pid in left)


@pytest.mark.parametrize("signo", [SIGTERM, SIGINT])
def test_a_start_that_waits_for_it_can_be_stopped(preforkd, file, signo):
    file.write_text("greeting = one\n")
    with Hanging(file):
        daemon = preforkd("--config", str(file), wait=False)
        assert proc.eventually(lambda: children(daemon))
        daemon.signal(signo)
        assert daemon.wait_exit() == -signo
    assert daemon.log.text() == ""


def test_a_log_file_that_the_settings_name_may_hang_too(configured, tmp_path):
    place = tmp_path / "place"
    place.write_text("")
    service = configured(LISTEN, "boot-timeout = 700ms")
    service.daemon.expect("reload failed")
    with Hanging(place):
        assert f"--log-file {place}" in service.reload(LISTEN, f"log-file = {place}")["cause"]
    assert exchange(service.daemon.endpoint) == b"connected\n"


def test_a_log_file_that_hangs_is_not_opened_again(preforkd, tmp_path):
    file = tmp_path / "own.log"
    daemon = preforkd("--log-file", str(file), "--boot-timeout", "700ms")
    old = tmp_path / "own.log.1"
    file.rename(old)
    file.write_text("")
    with Hanging(file):
        daemon.signal(SIGUSR1)
        assert proc.eventually(lambda: children(daemon))
        assert exchange(daemon.endpoint) == b"connected\n"
        assert proc.eventually(lambda: "was not reopened" in old.read_text())
    daemon.signal(SIGUSR1)
    assert proc.eventually(lambda: "log file reopened" in file.read_text())


def test_an_upgrade_fails_in_its_rehearsal(preforkd, tmp_path, file):
    file.write_text("boot-timeout = 700ms\n")
    service = Installed(preforkd, tmp_path, "--config", str(file))
    service.daemon.expect("upgrade failed")
    with Hanging(file):
        service.install(NEXT)
        assert service.upgrade()["message"].startswith("upgrade failed, everything stays as it was")
    assert exchange(service.daemon.endpoint) == b"connected\n"


@pytest.mark.parametrize("make, kind", [
    (os.mkfifo, "FIFO"),
    (lambda path: os.symlink("/dev/zero", path), "device"),
    (lambda path: os.symlink("/dev/tty", path), "device"),
])
def test_a_configuration_that_is_no_file_is_refused(run_preforkd, configured, file, make, kind):
    service = configured(LISTEN)
    service.daemon.expect("reload failed")
    file.unlink()
    make(file)
    after = service.daemon.log.mark()
    service.daemon.signal(SIGHUP)
    cause = service.daemon.wait_log("reload failed", after=after)["cause"]
    assert str(file) in cause and kind in cause
    for task in ([], ["--check-config"], ["--print-config"]):
        done = run_preforkd("--config", str(file), *task)
        assert done.returncode == 78 and f"it is a {kind}" in done.stderr, done
    assert exchange(service.daemon.endpoint) == b"connected\n"
