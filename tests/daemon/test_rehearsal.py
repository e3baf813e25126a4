"""What an image does before it is trusted with an upgrade, and what becomes of all that it has started."""
import contextlib
import os
import sys
from signal import SIGINT, SIGKILL, SIGTERM, SIGUSR2

import pytest

import proc
from clients import exchange, refused
from test_upgrade import NEXT, installed  # noqa: F401
from tracer import held


def noted(directory):
    """Whom the script has started."""
    pids = [int(line) for line in (directory / "pids").read_text().split()]
    assert pids
    return pids


def all_gone(pids):
    return all(proc.wait_gone(pid, 5) for pid in pids)


@pytest.mark.parametrize("script", [
    "sleep 1000 & echo $! > {}/pids; wait",
    "sleep 1000 & echo $! > {}/pids; exit 0",
    "setsid sleep 1000 & echo $! > {}/pids; wait",
    # In a session of its own, whose leader has gone: reached by no group.
    "setsid sh -c 'sleep 1000 & echo $! > {}/pids'; sleep 1000",
    # Deaf to SIGTERM.
    "trap '' TERM; sleep 1000 & echo $! > {}/pids; exit 1",
])
def test_nothing_that_a_failed_image_had_started_is_left_and_the_port_is_free(installed, preforkd, tmp_path, script):
    service = installed("--boot-timeout", "2s")
    daemon = service.daemon
    daemon.expect("upgrade failed")
    service.install_script(script.format(tmp_path) + "\n")
    assert service.upgrade()["message"].startswith("upgrade failed, nothing has changed: ")
    assert all_gone(noted(tmp_path))
    assert exchange(daemon.endpoint) == b"connected\n"
    assert daemon.stop(SIGTERM) == 0
    again = preforkd(listen=daemon.endpoint)
    assert not again.log.find("Address already in use") and exchange(again.endpoint) == b"connected\n"


@pytest.mark.parametrize("script", [
    "setsid sh -c 'echo $$ > {0}/pids; exec sleep 1000' & until [ -s {0}/pids ]; do :; done; exit 1",
    "setsid sh -c 'sleep 1000 & echo $! > {0}/pids'; exit 1",
])
def test_what_outlives_a_foreign_image_in_a_session_of_its_own_holds_no_listener(installed, preforkd, tmp_path, script):
    service = installed("--leave-orphans", "yes")
    daemon = service.daemon
    daemon.expect("upgrade failed")
    service.install_script(script.format(tmp_path) + "\n")
    assert "exited with code 1" in service.upgrade()["cause"]
    left, = noted(tmp_path)
    try:
        service.install(NEXT)
        assert service.upgrade()["message"].startswith("upgraded")
        assert daemon.stop(SIGTERM) == 0
        again = preforkd(listen=daemon.endpoint)
        assert not again.log.find("Address already in use") and exchange(again.endpoint) == b"connected\n"
    finally:
        os.kill(left, SIGKILL)


def test_what_a_good_image_leaves_running_is_ended_before_it_takes_over(installed, tmp_path):
    service = installed()
    service.install_script(f'[ $$ = {service.daemon.pid} ] || setsid sleep 1000 & echo $! >> {tmp_path}/pids\n'
                           f'exec {NEXT} "$@"\n')
    assert service.upgrade()["message"].startswith("upgraded")
    assert all_gone(noted(tmp_path)[:1])
    service.daemon.wait_workers(2)
    assert exchange(service.daemon.endpoint) == b"connected\n"


@pytest.mark.parametrize("signo", [SIGTERM, SIGINT])
def test_a_stop_during_a_rehearsal_ends_all_of_it(installed, tmp_path, signo):
    fifo = tmp_path / "started"
    os.mkfifo(fifo)
    service = installed()
    service.install_script(f"echo $$ > {tmp_path}/pids; setsid sleep 1000 & echo $! >> {tmp_path}/pids\n"
                           f"echo > {fifo}; wait\n")
    service.daemon.signal(SIGUSR2)
    fifo.read_text()  # waits for the script
    assert service.daemon.stop(signo) == 0
    assert all_gone(noted(tmp_path))
    assert refused(service.daemon.endpoint)


def test_a_master_that_is_killed_takes_its_rehearsal_along(installed, tmp_path):
    fifo = tmp_path / "started"
    os.mkfifo(fifo)
    service = installed()
    service.daemon.expect("the master is gone")
    service.install_script(f"echo $$ > {fifo}; exec sleep 1000\n")
    service.daemon.signal(SIGUSR2)
    rehearsal = int(fifo.read_text())
    service.daemon.signal(SIGKILL)
    service.daemon.wait_exit()
    assert proc.wait_gone(rehearsal, 5)


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


def stopped_rehearsal(service, directory):
    """An upgrade whose image has started something, and stops itself."""
    fifo = directory / "stopped"
    os.mkfifo(fifo)
    service.daemon.expect("upgrade failed")
    service.install_script(f"setsid sleep 1000 & echo $! > {directory}/pids; echo $$ > {fifo}\nkill -STOP $$\nwait\n")
    service.daemon.signal(SIGUSR2)
    rehearsal = int(fifo.read_text())
    assert proc.eventually(lambda: proc.stat(rehearsal).state == "T")
    return rehearsal, noted(directory)


# The second does not even go on when it is told to.
@pytest.mark.parametrize("hold", [lambda pid: contextlib.nullcontext(), held])
def test_a_rehearsal_that_was_stopped_does_not_block_the_next_upgrade(installed, tmp_path, hold):
    service = installed("--boot-timeout", "1s")
    daemon = service.daemon
    rehearsal, left = stopped_rehearsal(service, tmp_path)
    with hold(rehearsal):
        assert "--boot-timeout" in daemon.wait_log("upgrade failed")["cause"]
        service.install(NEXT)
        assert service.upgrade()["message"].startswith("upgraded")
    assert all_gone((rehearsal, *left))


@pytest.mark.parametrize("signo", [SIGTERM, SIGINT])
def test_a_stop_ends_a_rehearsal_that_was_stopped(installed, tmp_path, signo):
    service = installed()
    rehearsal, left = stopped_rehearsal(service, tmp_path)
    assert service.daemon.stop(signo) == 0
    assert all_gone((rehearsal, *left))


SPEAKER = """exec {python} - <<'end'
import os, socket
channel = socket.socket(fileno=int(os.environ["_PREFORKD_HANDOVER"]))
channel.setblocking(True)
open("{directory}/held", "w").write(" ".join(os.readlink(f"/proc/self/fd/{{fd}}") for fd in range(3, 50)
                                             if os.path.exists(f"/proc/self/fd/{{fd}}")))
{says}
end
"""


def install_speaker(service, directory, says):
    """A program that is no preforkd, and knows how one speaks."""
    service.daemon.expect("upgrade failed")
    service.install_script(SPEAKER.format(python=sys.executable, directory=directory, says=says))


def test_an_image_that_says_no_hello_is_given_nothing_and_not_believed(installed, tmp_path):
    service = installed()
    install_speaker(service, tmp_path, 'channel.send(b"passed")')
    assert service.upgrade()["message"] == "upgrade failed, nothing has changed: passed"
    assert (tmp_path / "held").read_text().count("socket:") == 1, "the channel alone"
    assert exchange(service.daemon.endpoint) == b"connected\n"


def test_an_image_that_understands_other_formats_only_is_refused_with_a_way(installed, tmp_path):
    service = installed()
    install_speaker(service, tmp_path, 'channel.send(b"preforkd reads 8 to 9"); channel.recv(1)')
    assert "reads handovers of the formats 8 to 9, and this version writes 1 to 7: upgrade to a version between" in \
        service.upgrade()["cause"]
    assert exchange(service.daemon.endpoint) == b"connected\n"


@pytest.mark.parametrize("then, cause", [
    ("while True: channel.recv(1 << 16)", "did not end within --boot-timeout"),
    ("os._exit(0)", "exited with code 0 without a verdict"),
    ("channel.close(); os._exit(3)", "exited with code 3 without a verdict"),
    (r'channel.send(b"no\n\x1b[2Jgood")', "no"),
])
def test_an_image_that_says_hello_and_then_misbehaves_changes_nothing(installed, tmp_path, then, cause):
    service = installed("--boot-timeout", "1s")
    install_speaker(service, tmp_path, f'channel.send(b"preforkd reads 1 to 3")\n{then}')
    assert cause in service.upgrade()["cause"]
    service.install(NEXT)
    assert service.upgrade()["message"].startswith("upgraded")
    assert exchange(service.daemon.endpoint) == b"connected\n"
