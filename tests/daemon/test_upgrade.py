"""USR2: another image in the place of the running one, with its process id, sockets and workers."""
import ctypes
import json
import os
import re
import shutil
import socket
import sys
from signal import SIGCONT, SIGHUP, SIGKILL, SIGSTOP, SIGTERM, SIGUSR2

import pytest

import daemon_process
import proc
from test_autoscale import slow_clients
from clients import Load, connect, exchange, read_exactly, read_to_end
from control import deaths, endpoint_in

NEXT = daemon_process.BUILD / "tests" / "preforkd_next"


class Installed:
    """A daemon that runs from a file of its own, which the test replaces."""

    def __init__(self, preforkd, directory, *arguments, source=daemon_process.PREFORKD, **how):
        self.file = directory / "bin" / "preforkd"
        self.file.parent.mkdir()
        self.install(source)
        self.daemon = preforkd(*arguments, executable=str(self.file), **how)

    def install(self, source):
        """In one step, as a package manager does."""
        new = self.file.with_suffix(".new")
        shutil.copy(source, new)
        new.rename(self.file)

    def install_script(self, text):
        new = self.file.with_suffix(".new")
        new.write_text("#!/bin/sh\n" + text)
        new.chmod(0o755)
        new.rename(self.file)

    def upgrade(self):
        """Asks for it, and gives the line that says how it went."""
        after = self.daemon.log.mark()
        self.daemon.signal(SIGUSR2)
        return self.daemon.wait_log(
            lambda entry: entry["message"].startswith("upgraded") or entry["message"].startswith("upgrade failed"), after=after)

    def running(self):
        """The file that the master executes."""
        return os.readlink(f"/proc/{self.daemon.pid}/exe")


class Opens:
    """How often a file is opened, as inotify tells."""
    OPEN, CLOSE = 0x20, 0x18  # with the closings between them, openings are not taken for one

    def __init__(self, file):
        libc = ctypes.CDLL(None)
        self._inotify = libc.inotify_init1(os.O_NONBLOCK)
        assert libc.inotify_add_watch(self._inotify, os.fsencode(file), self.OPEN | self.CLOSE) > 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self._inotify)

    def count(self):
        events = os.read(self._inotify, 65536)  # 16 bytes each: a watched file has no name behind
        masks = [int.from_bytes(events[at + 4:at + 8], sys.byteorder) for at in range(0, len(events), 16)]
        return sum(mask == self.OPEN for mask in masks)


@pytest.fixture
def installed(preforkd, tmp_path):
    return lambda *arguments, **how: Installed(preforkd, tmp_path, *arguments, **how)


def test_another_version_takes_over_and_the_first_comes_back(installed):
    service = installed()
    daemon, pid, before = service.daemon, service.daemon.pid, service.daemon.workers()
    for source, version in ((NEXT, "99.0.0"), (daemon_process.PREFORKD, None), (NEXT, "99.0.0")):
        service.install(source)
        line = service.upgrade()
        assert line["message"].startswith("upgraded") and version in (None, line["version"])
        assert daemon.pid == pid and service.running() == str(service.file)
        daemon.wait_workers(2)
        assert not set(before) & set(daemon.workers())
        before = daemon.workers()
        assert exchange(daemon.endpoint) == b"connected\n"


def test_no_client_is_refused_or_cut_while_the_service_upgrades_under_load(installed):
    request = b"x" * 3000
    service = installed("--handler", "echo", "--log-connections", "no")
    with Load(service.daemon.endpoint, clients=4, request=request, expected=request) as load:
        for source in (NEXT, daemon_process.PREFORKD) * 3:
            load.wait_for_answers(20)
            service.install(source)
            assert service.upgrade()["message"].startswith("upgraded")
        load.wait_for_answers(20)
    assert set(load.outcomes) == {"whole"}, load.broken


def test_a_connection_of_the_old_image_is_served_to_its_end(installed):
    service = installed("--handler", "echo")
    client = connect(service.daemon.endpoint)
    client.sendall(b"before")
    assert read_exactly(client, 6) == b"before"
    service.install(NEXT)
    assert service.upgrade()["message"].startswith("upgraded")
    client.sendall(b"after")
    client.shutdown(socket.SHUT_WR)
    assert read_to_end(client) == b"after"
    service.daemon.wait_workers(2)


def test_why_workers_leave_is_known_after_an_upgrade(preforkd, tmp_path):
    control = endpoint_in(tmp_path)
    service = Installed(preforkd, tmp_path, "--handler", "echo", "--control", control, "--stop-timeout", "4s", workers=1)
    service.daemon.expect("connections were cut")
    client = connect(service.daemon.endpoint)
    client.sendall(b"x")
    assert read_exactly(client, 1) == b"x"
    reloaded, = service.daemon.workers()
    service.daemon.signal(SIGHUP)
    service.daemon.wait_log("reloaded")
    upgraded, = set(service.daemon.workers()) - {reloaded}
    service.install(NEXT)
    assert service.upgrade()["message"].startswith("upgraded")
    assert service.daemon.wait_log("connections were cut")["connections"] == 1
    ordered_by = {reloaded: "master: reload", upgraded: "master: upgrade"}
    assert proc.eventually(lambda: {each["pid"]: each["ordered_by"] for each in deaths(control)} == ordered_by, 10)


@pytest.mark.parametrize("script, cause", [
    ("kill -SEGV $$\n", "killed by SIGSEGV"),
    ("exit 0\n", "exited with code 0"),
    ("exit 3\n", "exited with code 3"),
])
def test_an_image_that_is_none_fails_in_its_rehearsal_and_nothing_has_happened(installed, script, cause):
    service = installed()
    service.daemon.expect("upgrade failed")
    before, running = service.daemon.workers(), service.running()
    service.install_script(script)
    line = service.upgrade()
    assert line["message"].startswith("upgrade failed, nothing has changed: ") and cause in line["cause"]
    assert "without a verdict: install a preforkd that starts there" in line["cause"]
    assert service.daemon.workers() == before
    assert service.running().removesuffix(" (deleted)") == running
    assert exchange(service.daemon.endpoint) == b"connected\n"


def test_an_image_that_is_not_there_is_named(installed):
    service = installed()
    service.daemon.expect("upgrade failed")
    service.file.unlink()
    cause = service.upgrade()["cause"]
    assert str(service.file) in cause and "install the new version there" in cause
    assert exchange(service.daemon.endpoint) == b"connected\n"
    service.install(NEXT)
    assert service.upgrade()["message"].startswith("upgraded")


@pytest.mark.parametrize("mode, remedy", [(0o755, "built for this machine"), (0o644, "chmod +x")])
def test_an_image_that_cannot_be_executed_is_answered_with_what_to_do(installed, mode, remedy):
    service = installed()
    service.daemon.expect("upgrade failed")
    new = service.file.with_suffix(".new")
    new.write_bytes(b"\x7fELF of another machine")
    new.chmod(mode)
    new.rename(service.file)
    cause = service.upgrade()["cause"]
    assert str(service.file) in cause and remedy in cause
    assert exchange(service.daemon.endpoint) == b"connected\n"


def test_a_directory_in_the_image_s_place_is_called_one(installed):
    service = installed()
    service.daemon.expect("upgrade failed")
    service.file.unlink()
    service.file.mkdir()
    cause = service.upgrade()["cause"]
    assert f"{service.file} is a directory" in cause and "chmod" not in cause


def test_a_rehearsal_that_hangs_is_killed(installed):
    service = installed("--boot-timeout", "500ms")
    service.daemon.expect("upgrade failed")
    service.install_script("exec sleep 1000\n")
    assert "--boot-timeout" in service.upgrade()["cause"]
    assert exchange(service.daemon.endpoint) == b"connected\n"


def test_bad_settings_fail_the_rehearsal(installed, tmp_path):
    file = tmp_path / "preforkd.conf"
    file.write_text("greeting = one\n")
    service = installed("--config", str(file))
    service.daemon.expect("upgrade failed")
    file.write_text("greetin = two\n")
    assert "unknown option" in service.upgrade()["cause"]
    assert exchange(service.daemon.endpoint) == b"one\n"


def test_an_image_that_passes_and_then_cannot_start_gives_way_to_the_one_before(installed, tmp_path):
    file = tmp_path / "preforkd.conf"
    file.write_text("greeting = one\n")
    service = installed("--config", str(file))
    daemon, before = service.daemon, service.daemon.workers()
    daemon.expect("upgrade failed")
    # The rehearsal is a child; only the upgrade itself has the master's process id.
    service.install_script(f'[ $$ = {daemon.pid} ] && exec {NEXT} --no-such-option\nexec {NEXT} "$@"\n')
    file.write_text("greeting = two\n")
    line = service.upgrade()
    assert line["message"].startswith("upgrade failed, version ") and "--no-such-option" in line["cause"]
    assert daemon.workers() == before and exchange(daemon.endpoint) == b"one\n"
    os.kill(before[0], SIGKILL)
    daemon.expect("killed by SIGKILL")
    assert proc.eventually(lambda: before[0] not in daemon.workers() and len(daemon.workers()) == 2)
    service.install(NEXT)
    assert service.upgrade()["message"].startswith("upgraded")
    assert proc.eventually(lambda: exchange(daemon.endpoint) == b"two\n")


@pytest.mark.root
def test_workers_that_cannot_start_after_the_exec_bring_the_image_before_back(installed, tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    service = installed()
    daemon, before = service.daemon, service.daemon.workers()
    daemon.expect("upgrade failed", "reload failed", "cannot start", "exited with code", "exit early", "SIGKILL")
    service.install_script(
        f'[ $$ = {daemon.pid} ] && exec {NEXT} "$@" --user nobody --chdir {closed}\nexec {NEXT} "$@"\n')
    line = service.upgrade()
    assert line["message"].startswith("upgrade failed, version ") and "chdir" in line["cause"]
    daemon.wait_workers(2)
    assert daemon.workers() == before and exchange(daemon.endpoint) == b"connected\n"
    assert daemon.stop(SIGTERM) == 0


def test_the_new_image_reads_its_settings_once(installed, tmp_path):
    file = tmp_path / "preforkd.conf"
    file.write_text("greeting = one\n")
    service = installed("--config", str(file))
    file.write_text("greeting = two\n")
    with Opens(file) as opens:
        assert service.upgrade()["message"].startswith("upgraded")
        assert opens.count() == 2, "by the rehearsal, and by the image that takes over"
    assert proc.eventually(lambda: exchange(service.daemon.endpoint) == b"two\n")


def test_the_new_image_counts_on_where_the_one_before_stopped(installed, notify):
    service = installed("--model", "serial", env=notify.environment)
    for _ in range(5):
        exchange(service.daemon.endpoint)
    assert service.upgrade()["message"].startswith("upgraded")
    service.daemon.wait_workers(2)
    notify.wait("RELOADING", "1")
    notify.wait("READY", "1")
    served = int(re.search(r"(\d+) served", notify.received[-1][1]["STATUS"])[1])
    assert served == 5


def test_workers_that_die_between_the_images_are_noticed(installed):
    service = installed(workers=4)
    service.daemon.expect("killed by SIGKILL", "exit early")
    service.install(NEXT)
    service.daemon.signal(SIGUSR2)
    for worker in service.daemon.workers()[:2]:
        try:
            os.kill(worker, SIGKILL)
        except ProcessLookupError:
            pass
    service.daemon.wait_log("upgraded")
    service.daemon.wait_workers(4)
    assert exchange(service.daemon.endpoint) == b"connected\n"


def test_descriptors_do_not_grow_with_upgrades(installed):
    service = installed()
    service.upgrade()
    service.daemon.wait_workers(2)
    at_rest = proc.open_descriptors(service.daemon.pid)
    for _ in range(5):
        assert service.upgrade()["message"].startswith("upgraded")
    service.daemon.wait_workers(2)
    assert proc.eventually(lambda: proc.open_descriptors(service.daemon.pid) <= at_rest)


def test_unix_sockets_are_handed_over_and_removed_at_the_end(installed, tmp_path):
    path = tmp_path / "x.sock"
    service = installed(listen=f"unix://{path}")
    service.install(NEXT)
    assert service.upgrade()["message"].startswith("upgraded")
    assert exchange(f"unix://{path}") == b"connected\n"
    assert service.daemon.stop(SIGTERM) == 0
    assert not path.exists()


def test_preforkctl_upgrade_returns_when_the_outcome_is_known(installed, preforkctl, tmp_path):
    control = f"unix://{tmp_path}/control.sock"
    service = installed("--control", control)
    service.daemon.expect("upgrade failed")
    service.install(NEXT)
    done = preforkctl("upgrade", "--control", control)
    assert done.returncode == 0 and "99.0.0" in done.stdout + done.stderr, done
    status = json.loads(preforkctl("status", "--json", "--control", control).stdout)
    assert status["version"] == "99.0.0" and status["uptime_ms"] > 0
    service.install_script(f'[ $$ = {service.daemon.pid} ] && exec {NEXT} --no-such-option\nexec {NEXT} "$@"\n')
    failed = preforkctl("upgrade", "--control", control)
    assert failed.returncode == 1 and "--no-such-option" in failed.stderr
    service.install_script("exit 0\n")
    failed = preforkctl("upgrade", "--control", control)
    assert failed.returncode == 1 and "exited with code 0" in failed.stderr
    assert exchange(service.daemon.endpoint) == b"connected\n"


def test_a_stop_at_once_after_an_upgrade_was_asked_for_stops_and_says_so(installed):
    service = installed()
    service.install(NEXT)
    service.daemon.signal(SIGSTOP)  # it finds both signals when it goes on
    service.daemon.signal(SIGUSR2)
    service.daemon.signal(SIGTERM)
    service.daemon.signal(SIGCONT)
    assert service.daemon.wait_exit() == 0
    line, = service.daemon.log.find("upgrade failed")
    assert line["cause"] == "the service is stopping" and line["level"] == "notice"


def test_an_upgrade_that_is_asked_for_during_a_stop_is_answered(installed):
    service = installed("--handler", "echo")
    with connect(service.daemon.endpoint) as client:
        client.sendall(b"x")
        read_exactly(client, 1)
        service.daemon.signal(SIGTERM)
        service.daemon.wait_log("stopping")
        service.daemon.signal(SIGUSR2)
        service.daemon.wait_log("no upgrade: the service is stopping")
    assert service.daemon.wait_exit() == 0


def test_a_new_image_knows_of_a_worker_that_is_stopped(installed):
    """There and back: an older image hands it over, too."""
    service = installed("--handler", "echo", "--stop-timeout", "0")
    daemon = service.daemon
    daemon.expect("was stopped")
    with connect(daemon.endpoint) as client:
        client.sendall(b"x")
        read_exactly(client, 1)
        busy = next(pid for pid in daemon.workers() if proc.socket_connected_to([pid], client.getsockname()))
        os.kill(busy, SIGSTOP)
        assert daemon.wait_log("was stopped")["worker_pid"] == busy
        for source in NEXT, daemon_process.PREFORKD:
            service.install(source)
            assert service.upgrade()["message"].startswith("upgraded")
        os.kill(busy, SIGCONT)
        assert daemon.wait_log("continues")["worker_pid"] == busy
        client.sendall(b"y")
        assert read_exactly(client, 1) == b"y"


@pytest.mark.parametrize("back", [False, True])
def test_a_pool_that_has_grown_stays_as_large_as_demanded(installed, back):
    service = installed("--handler", "echo", "--model", "serial", "--spare", "1..2", workers="1..8")
    daemon = service.daemon
    with slow_clients(daemon, 5) as clients:
        assert proc.eventually(lambda: len(daemon.workers()) == daemon.log.find("pool grows")[-1]["workers"])
        size = len(daemon.workers())
        for source in (NEXT, daemon_process.PREFORKD) if back else (NEXT,):
            before = set(daemon.workers())
            service.install(source)
            assert service.upgrade()["message"].startswith("upgraded")
            assert len(set(daemon.workers()) - before) == size > 5, daemon.log.text()
            assert exchange(daemon.endpoint, b"new") == b"new"
        for client in clients:
            client.sendall(b"y")
            assert read_exactly(client, 1) == b"y"
