"""Workers that somebody has stopped with SIGSTOP."""
import os
import signal
import time

import pytest

import proc
from clients import connect, exchange, read_to_end


def stop(daemon, pid):
    mark = daemon.log.mark()
    os.kill(pid, signal.SIGSTOP)
    line = daemon.wait_log("was stopped", after=mark)
    assert line["worker_pid"] == pid and line["signal"] == "STOP"


def test_a_stopped_worker_is_noticed_and_replaced(preforkd):
    daemon = preforkd(workers=2)
    daemon.expect("was stopped")
    first = daemon.workers()[0]
    stop(daemon, first)
    daemon.wait_workers(3)
    assert exchange(daemon.endpoint) == b"connected\n"
    os.kill(first, signal.SIGCONT)
    daemon.wait_log("worker goes on")
    left = daemon.wait_workers(2)
    assert len(left) == 2
    assert not daemon.log.find("killed by"), "nobody was killed"


def test_the_status_line_does_not_count_a_stopped_worker_as_idle(preforkd, notify):
    daemon = preforkd(workers=2, env=notify.environment)
    daemon.expect("was stopped", "killed by SIGKILL")  # a stop waits for it in vain
    stop(daemon, daemon.workers()[0])
    said = []
    while not said or not said[-1].startswith("2 workers: 2 idle, 0 busy, 1 stopped;"):
        message = notify.next()
        assert message is not None, said
        said.append(message.get("STATUS", ""))


@pytest.mark.parametrize("model", ["async", "serial"])
def test_a_client_whose_wake_up_a_stopped_worker_took_is_served(preforkd, model):
    """The kernel wakes the one that has slept longest: with two workers, one of two clients is a stopped one's.

    The last of them has nobody behind it whose wake-up would serve it, too: without the master's looks it would lose
    its patience."""
    daemon = preforkd("--model", model, workers=2)
    daemon.expect("was stopped")
    for _ in range(4):
        daemon.wait_workers(2)
        victim = daemon.workers()[0]
        exchange(daemon.endpoint)  # nobody is stopped in the middle of something
        assert proc.eventually(lambda: all(found and found.state == "S" for found in map(proc.stat, daemon.workers())))
        mark = daemon.log.mark()
        os.kill(victim, signal.SIGSTOP)
        for _ in range(4):
            assert exchange(daemon.endpoint) == b"connected\n"
        daemon.wait_log("was stopped", after=mark)
        os.kill(victim, signal.SIGCONT)
        daemon.wait_log("worker goes on", after=mark)


def test_one_that_stays_stopped_is_killed(preforkd):
    daemon = preforkd("--worker-timeout", "1s", workers=1)
    daemon.expect("was stopped", "stopped for too long", "killed by SIGKILL")
    pid, = daemon.workers()
    began = time.monotonic()
    stop(daemon, pid)
    daemon.wait_log(f"(pid {pid}) killed by SIGKILL")
    assert time.monotonic() - began > 0.9
    assert exchange(daemon.endpoint) == b"connected\n"


def test_without_a_timeout_it_is_killed_after_two_seconds(preforkd):
    daemon = preforkd("--worker-timeout", "0", workers=1)
    daemon.expect("was stopped", "stopped for too long", "killed by SIGKILL")
    pid, = daemon.workers()
    began = time.monotonic()
    stop(daemon, pid)
    daemon.wait_log(f"(pid {pid}) killed by SIGKILL")
    assert time.monotonic() - began > 1.9


def test_a_client_of_a_stopped_worker_is_served_when_it_goes_on(preforkd):
    daemon = preforkd("--handler", "echo", workers=2)
    daemon.expect("was stopped")
    with connect(daemon.endpoint) as client:
        client.sendall(b"one")
        assert client.recv(3) == b"one"
        busy = next(pid for pid in daemon.workers() if proc.socket_connected_to([pid], client.getsockname()))
        stop(daemon, busy)
        client.sendall(b"two")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(3)
        os.kill(busy, signal.SIGCONT)
        client.settimeout(10)
        assert client.recv(3) == b"two"
        client.shutdown(1)
        assert read_to_end(client) == b""
