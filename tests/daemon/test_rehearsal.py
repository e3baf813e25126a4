"""What an image does before it is trusted with an upgrade, and what becomes of all that it has started."""
import contextlib
import os
from signal import SIGINT, SIGKILL, SIGSTOP, SIGTERM, SIGUSR2

import pytest

import proc
from clients import exchange, refused
from test_upgrade import NEXT, installed  # noqa: F401
from tracer import held


def left_by(service, directory):
    """Whom the script has started and noted: they must be gone, and their end is said in one line."""
    pids = [int(line) for line in (directory / "pids").read_text().split()]
    line = service.daemon.wait_log("had left running")
    assert pids and all(f"(pid {pid})" in line["processes"] for pid in pids), line
    return pids


@pytest.mark.parametrize("script", [
    "sleep 1000 & echo $! > {}/pids; wait",
    "sleep 1000 & echo $! > {}/pids; exit 0",
    "setsid sleep 1000 & echo $! > {}/pids; exit 1",
    # In a session of its own, whose leader has gone: reached by no group and no parent that is known.
    "setsid sh -c 'sleep 1000 & echo $! > {}/pids'; exit 1",
    # Deaf to SIGTERM.
    "trap '' TERM; sleep 1000 & echo $! > {}/pids; exit 1",
])
def test_nothing_that_a_failed_image_had_started_is_left_and_the_port_is_free(installed, preforkd, tmp_path, script):
    service = installed("--boot-timeout", "2s")
    daemon = service.daemon
    daemon.expect("upgrade failed")
    service.install_script(script.format(tmp_path) + "\n")
    assert service.upgrade()["message"].startswith("upgrade failed, nothing has changed: ")
    assert all(proc.wait_gone(pid, 5) for pid in left_by(service, tmp_path))
    assert exchange(daemon.endpoint) == b"connected\n"
    assert daemon.stop(SIGTERM) == 0
    again = preforkd(listen=daemon.endpoint)
    assert not again.log.find("Address already in use") and exchange(again.endpoint) == b"connected\n"


def test_what_a_good_image_leaves_running_is_ended_before_it_takes_over(installed, tmp_path):
    service = installed()
    service.install_script(f'[ $$ = {service.daemon.pid} ] || setsid sleep 1000 & echo $! >> {tmp_path}/pids\n'
                           f'exec {NEXT} "$@"\n')
    service.daemon.signal(SIGUSR2)
    service.daemon.wait_log("upgraded")
    pid = int((tmp_path / "pids").read_text().split()[0])
    assert f"(pid {pid})" in service.daemon.wait_log("had left running")["processes"]
    assert proc.stat(pid) is None
    service.daemon.wait_workers(2)
    assert exchange(service.daemon.endpoint) == b"connected\n"


def test_an_upgrade_that_succeeds_leaves_nothing_to_be_ended(installed):
    service = installed()
    service.install(NEXT)
    assert service.upgrade()["message"].startswith("upgraded")
    assert not service.daemon.log.find("had left running")


@pytest.mark.parametrize("signo", [SIGTERM, SIGINT])
def test_a_stop_during_a_rehearsal_ends_all_of_it(installed, tmp_path, signo):
    fifo = tmp_path / "started"
    os.mkfifo(fifo)
    service = installed()
    service.install_script(f"setsid sleep 1000 & echo $! > {tmp_path}/pids; echo > {fifo}; wait\n")
    service.daemon.signal(SIGUSR2)
    fifo.read_text()  # waits for the script
    assert service.daemon.stop(signo) == 0
    assert all(proc.stat(pid) is None for pid in left_by(service, tmp_path))
    assert refused(service.daemon.endpoint)


def test_a_master_that_is_killed_takes_its_rehearsal_along(installed, tmp_path):
    fifo = tmp_path / "started"
    os.mkfifo(fifo)
    service = installed()
    service.daemon.expect("the master is gone")
    service.install_script(f"setsid sleep 1000 & echo $! > {tmp_path}/pids; echo > {fifo}; wait\n")
    service.daemon.signal(SIGUSR2)
    fifo.read_text()
    service.daemon.signal(SIGKILL)
    service.daemon.wait_exit()
    assert all(proc.wait_gone(pid, 5) for pid in left_by(service, tmp_path))


def test_a_worker_that_dies_during_a_rehearsal_does_not_take_it_along(installed, tmp_path):
    fifo = tmp_path / "go"
    os.mkfifo(fifo)
    service = installed()
    daemon = service.daemon
    daemon.expect("killed by SIGKILL")
    service.install_script(f'[ $$ = {daemon.pid} ] || read line < {fifo}\nexec {NEXT} "$@"\n')
    first = daemon.workers()[0]
    daemon.signal(SIGUSR2)
    with open(fifo, "w") as go:  # waits for the script
        os.kill(first, SIGKILL)
        daemon.wait_log("killed by SIGKILL")
        go.write("now\n")
    daemon.wait_log("upgraded")


def stopped_keeper(service, directory):
    """An upgrade whose rehearsal has told who its parent is, and that it starts something."""
    fifo = directory / "keeper"
    os.mkfifo(fifo)
    service.daemon.expect("upgrade failed", "keeper of the rehearsal was stopped")
    service.install_script(f"setsid sleep 1000 & echo $! > {directory}/pids; echo $PPID > {fifo}\nwait\n")
    service.daemon.signal(SIGUSR2)
    keeper = int(fifo.read_text())
    os.kill(keeper, SIGSTOP)
    return keeper, [int(line) for line in (directory / "pids").read_text().split()]


# The second does not even go on when it is told to.
@pytest.mark.parametrize("hold, by_force", [(lambda pid: contextlib.nullcontext(), False), (held, True)])
def test_a_keeper_that_was_stopped_does_not_block_the_next_upgrade(installed, tmp_path, hold, by_force):
    service = installed("--boot-timeout", "1s")
    daemon = service.daemon
    keeper, left = stopped_keeper(service, tmp_path)
    with hold(keeper):
        assert "--boot-timeout" in daemon.wait_log("upgrade failed")["cause"]
        service.install(NEXT)
        assert service.upgrade()["message"].startswith("upgraded")
    if by_force:
        assert daemon.wait_log("the upgrade waits")["keeper_pid"] == keeper
    forced = daemon.log.find("keeper of the rehearsal was stopped")
    assert [line["keeper_pid"] for line in forced] == [keeper] * by_force
    assert all(proc.stat(pid) is None for pid in (keeper, *left))


def test_an_image_that_stops_its_keeper_and_ends_does_not_block_the_next_upgrade(installed):
    service = installed("--boot-timeout", "1s")
    service.daemon.expect("upgrade failed")
    service.install_script("kill -STOP $PPID; exit 3\n")
    assert "--boot-timeout" in service.upgrade()["cause"]
    service.install(NEXT)
    assert service.upgrade()["message"].startswith("upgraded")


@pytest.mark.parametrize("signo", [SIGTERM, SIGINT])
def test_a_stop_ends_a_rehearsal_whose_keeper_was_stopped(installed, tmp_path, signo):
    service = installed()
    keeper, left = stopped_keeper(service, tmp_path)
    assert service.daemon.stop(signo) == 0
    assert all(proc.stat(pid) is None for pid in (keeper, *left))
