"""Handlers that hang, and what only looks so: --worker-timeout."""
import os
import shutil
import signal
import time

import pytest

import proc
from clients import connect, exchange, read_exactly, read_to_end, say

pytestmark = pytest.mark.programs("cmake", "g++", "pkg-config")

TIMEOUT = 1  # seconds
HUNG = ("hangs in its handler", "stack of", "killed by SIGABRT", "workers exit early")


def start(preforkd, library, *arguments, timeout="1s", workers=2, **how):
    return preforkd("--handler", library, "--worker-timeout", timeout, *arguments, workers=workers, **how)


def stack(daemon, pid):
    return [entry for entry in daemon.log.find("stack of") if entry["pid"] == pid]


@pytest.mark.parametrize("model", ["serial", "thread"])
@pytest.mark.parametrize("word, function", [("spin", "spin_for_ever"), ("block", "block_for_ever")])
def test_a_hung_worker_tells_its_stack_dies_and_is_replaced(preforkd, trouble, model, word, function):
    daemon = start(preforkd, trouble("blocking"), "--model", model)
    daemon.expect(*HUNG)
    with connect(daemon.endpoint) as client:
        began = time.monotonic()
        pid = say(client, word)
        line = daemon.wait_log("hangs in its handler")
        assert TIMEOUT * 0.9 < time.monotonic() - began
        assert line["worker_pid"] == pid and line["busy_seconds"] > TIMEOUT
        assert daemon.wait_log(f"(pid {pid}) killed by SIGABRT")
        assert read_to_end(client) == b""
    frames = stack(daemon, pid)
    functions = [frame["function"] for frame in frames]
    assert any(function in name for name in functions), functions
    assert any(name.startswith("_ZN7Trouble5serveE") for name in functions), functions
    assert all("+0x" in frame["where"] for frame in frames)
    assert [frame["frame"] for frame in frames] == list(range(len(frames)))
    assert pid not in daemon.wait_workers(2)
    assert exchange(daemon.endpoint, b"hello\n").startswith(b"hello ")


def test_a_handler_that_sleeps_hangs_although_its_master_asks_whether_it_lives(preforkd, trouble):
    daemon = start(preforkd, trouble("blocking"), "--model", "serial", timeout="2s", workers=1)
    daemon.expect(*HUNG)
    with connect(daemon.endpoint) as client:
        pid = say(client, "doze")
        assert daemon.wait_log(f"(pid {pid}) killed by SIGABRT")


def test_a_coroutine_that_does_not_let_go_of_its_thread_hangs(preforkd, trouble):
    daemon = start(preforkd, trouble("coroutine"), workers=1)
    daemon.expect(*HUNG)
    with connect(daemon.endpoint) as client:
        pid = say(client, "spin")
        daemon.wait_log(f"(pid {pid}) killed by SIGABRT")
    assert any("spin_for_ever" in frame["function"] for frame in stack(daemon, pid))
    assert exchange(daemon.endpoint, b"hello\n").startswith(b"hello ")


@pytest.mark.parametrize("user", [(), pytest.param(("--user", "12345"), marks=pytest.mark.root)], ids=["", "user"])
@pytest.mark.parametrize("model", ["async", "serial", "thread", "fork"])
def test_a_coroutine_that_waits_for_something_else_does_not_hang(preforkd, trouble, public, model, user):
    library = shutil.copy(trouble("coroutine"), public)
    daemon = start(preforkd, library, "--model", model, *user, workers=1)
    with connect(daemon.endpoint, timeout=20) as client:
        say(client, "wait")
        assert read_exactly(client, 7) == b"waited\n"


@pytest.mark.parametrize("arguments", [["--model", "serial"], ["--model", "thread"], ["--model", "fork"]],
                         ids=lambda words: words[-1])
def test_waiting_for_a_client_is_no_hang(preforkd, trouble, arguments):
    daemon = start(preforkd, trouble("blocking"), *arguments, timeout="300ms")
    with connect(daemon.endpoint) as client:
        first = say(client, "hello")
        client.settimeout(1.5)
        with pytest.raises(TimeoutError):
            client.recv(1)
        assert say(client, "again") == first


@pytest.mark.parametrize("arguments", [["--handler", "echo"], ["--", "/bin/cat"]], ids=["async", "program"])
def test_waiting_for_a_client_is_no_hang_for_coroutines_and_programs(preforkd, arguments):
    daemon = preforkd("--worker-timeout", "300ms", *arguments)
    with connect(daemon.endpoint) as client:
        client.settimeout(1.5)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"


def test_a_child_that_is_busy_for_long_is_no_hang_of_its_worker(preforkd, trouble):
    daemon = start(preforkd, trouble("blocking"), "--model", "fork", "--request-timeout", "2s", timeout="300ms",
                   workers=1)
    daemon.expect("killed by SIGKILL", "killing it")
    worker, = daemon.workers()
    with connect(daemon.endpoint) as client:
        say(client, "block")
        daemon.wait_log("--request-timeout")
        assert read_to_end(client) == b""
    assert daemon.workers() == [worker]


def test_handlers_may_take_their_time_without_a_timeout(preforkd, trouble):
    daemon = start(preforkd, trouble("blocking"), "--model", "serial", timeout="0", workers=1)
    daemon.expect("killed by SIGKILL")  # in the end, by the stop
    with connect(daemon.endpoint) as client:
        say(client, "block")
        client.settimeout(2)
        with pytest.raises(TimeoutError):
            client.recv(1)


def test_a_suspended_machine_is_no_hang(preforkd, trouble):
    """All of the daemon stands still for longer than the timeout, with a worker in its handler."""
    daemon = start(preforkd, trouble("blocking"), "--model", "serial", timeout="4s", workers=1)
    daemon.expect("was stopped")
    with connect(daemon.endpoint) as client:
        pid = say(client, "work")
        for each in (daemon.pid, pid):  # the master first: it must not see its worker stopped
            os.kill(each, signal.SIGSTOP)
        assert proc.eventually(lambda: proc.stat(pid).state == "T")
        time.sleep(6)  # what is tested is that this time does not count
        for each in (pid, daemon.pid):
            os.kill(each, signal.SIGCONT)
        assert say(client, "hello") == pid
    assert daemon.workers() == [pid]


def test_a_pool_at_rest_is_not_woken_by_looks(preforkd):
    daemon = preforkd("--worker-timeout", "400ms", workers=2)
    exchange(daemon.endpoint)
    assert proc.eventually(lambda: all(proc.stat(pid).state == "S" for pid in daemon.workers()))
    time.sleep(2.5)  # the lingering sweep of the exchange ends
    before = [proc.voluntary_switches(pid) for pid in daemon.workers()]
    time.sleep(1.5)  # several looks
    assert [proc.voluntary_switches(pid) for pid in daemon.workers()] == before
