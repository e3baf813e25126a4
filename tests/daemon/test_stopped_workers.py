"""Workers that somebody has stopped with SIGSTOP."""
import contextlib
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
    daemon.wait_log("continues")
    left = daemon.wait_workers(2)
    assert len(left) == 2
    assert not daemon.log.find("killed by"), "nobody was killed"


def test_the_status_line_does_not_count_a_stopped_worker_as_idle(preforkd, notify):
    daemon = preforkd(workers=2, env=notify.environment)
    daemon.expect("was stopped", "killed by SIGKILL")  # a stop waits for it in vain
    stop(daemon, daemon.workers()[0])
    said = []
    while not said or not said[-1].startswith("2 workers: 2 idle, 0 with clients, 1 stopped;"):
        message = notify.next()
        assert message is not None, said
        said.append(message.get("STATUS", ""))


@contextlib.contextmanager
def run_only_while_we_wait(daemon):
    """Its workers share our CPU, and whatever wakes them does not make them run before we sleep."""
    before, workers = os.sched_getaffinity(0), daemon.workers()
    for pid in (0, *workers):
        os.sched_setaffinity(pid, {min(before)})
    for pid in workers:
        os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
        daemon.expect("killed by SIGKILL")
        for pid in workers:  # they would take long to leave a busy machine, and to be idle no more takes a privilege
            os.kill(pid, signal.SIGKILL)
        assert all(proc.wait_gone(pid, 10) for pid in workers)


@pytest.mark.parametrize("model", ["async", "serial"])
def test_a_client_whose_wake_up_a_stopped_worker_took_is_served(preforkd, model):
    """Stopped between the wake-up and the accept, a worker keeps the wake-up: its sibling sleeps beside the client until
    the master has it look.  (In epoll_wait(2) a stopped worker is not chosen at all.)"""
    daemon = preforkd("--model", model, workers=2)
    daemon.expect("was stopped")
    with run_only_while_we_wait(daemon):
        mark = daemon.log.mark()
        exchange(daemon.endpoint)
        victim = daemon.wait_log("got connection from", after=mark)["pid"]  # the next in turn, too
        assert proc.eventually(lambda: all(found and found.state == "S" for found in map(proc.stat, daemon.workers())))
        os.kill(daemon.pid, signal.SIGSTOP)
        assert proc.eventually(lambda: proc.stat(daemon.pid).state == "T")
        mark = daemon.log.mark()
        with connect(daemon.endpoint) as client:
            os.kill(victim, signal.SIGSTOP)
            assert proc.eventually(lambda: proc.stat(victim).state == "T")
            os.kill(daemon.pid, signal.SIGCONT)
            assert read_to_end(client) == b"connected\n"
        assert exchange(daemon.endpoint) == b"connected\n"
        daemon.wait_log("was stopped", after=mark)


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
