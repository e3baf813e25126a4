"""--workers MIN..MAX: as many workers as are needed."""
import contextlib
import signal
import time

import pytest

import proc
from clients import connect, exchange, read_exactly
from test_hang import say

needs_compiler = pytest.mark.programs("cmake", "g++", "pkg-config")


@contextlib.contextmanager
def slow_clients(daemon, count):
    """Clients that hold their connections and are all served."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(daemon.endpoint)) for _ in range(count)]
        for client in clients:
            client.sendall(b"x")
        for client in clients:
            assert read_exactly(client, 1) == b"x"
        yield clients


def test_twenty_slow_clients_are_served_at_once_by_serial_workers(preforkd):
    daemon = preforkd("--handler", "echo", "--model", "serial", workers="1..32")
    assert len(daemon.workers()) == 1
    began = time.monotonic()
    with slow_clients(daemon, 20) as clients:
        took = time.monotonic() - began
        assert 20 <= len(daemon.workers()) <= 32
        began = time.monotonic()
        for client in clients:
            client.sendall(b"y")
            assert read_exactly(client, 1) == b"y"
    grown = daemon.log.find("pool grows")
    assert grown[0]["by"] == 1 and sum(line["by"] for line in grown) == grown[-1]["workers"] - 1
    assert took < 5, "they were served while others were held"


@needs_compiler
def test_handlers_that_block_make_the_pool_grow_too(preforkd, trouble):
    daemon = preforkd("--handler", trouble("blocking"), "--model", "serial", workers="1..16")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(daemon.endpoint)) for _ in range(8)]
        pids = {say(client, "hello") for client in clients}
    assert len(pids) == 8


@needs_compiler
def test_handlers_that_compute_make_the_pool_grow_too(preforkd, trouble):
    """They never wait for their clients, so that nobody but the kernel's queue tells of the demand."""
    daemon = preforkd("--handler", trouble("blocking"), "--model", "serial", workers="1..8")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(daemon.endpoint)) for _ in range(4)]
        for client in clients:
            client.sendall(b"work\n")
        pids = {int(client.recv(100).split()[1]) for client in clients}
    assert len(pids) > 1


def test_it_says_once_that_it_may_not_grow_any_more(preforkd):
    daemon = preforkd("--handler", "echo", "--model", "serial", workers="1..3")
    daemon.expect("all workers are full")
    with slow_clients(daemon, 3):
        with connect(daemon.endpoint) as fourth:
            fourth.sendall(b"x")
            line = daemon.wait_log("all workers are full")
            assert line["workers"] == 3 and line["level"] == "warning"
            with connect(daemon.endpoint) as fifth:
                fifth.sendall(b"x")
                fifth.settimeout(1.5)
                with pytest.raises(TimeoutError):
                    fifth.recv(1)
    assert len(daemon.log.find("all workers are full")) == 1
    assert len(daemon.workers()) == 3


def test_more_spare_workers_may_be_kept(preforkd):
    daemon = preforkd("--handler", "echo", "--model", "serial", "--spare", "3..5", workers="1..10")
    daemon.wait_workers(3)
    with slow_clients(daemon, 4):
        daemon.wait_workers(7)


def test_ttin_and_ttou_move_the_least_number(preforkd):
    daemon = preforkd(workers="1..3")
    daemon.signal(signal.SIGTTIN)
    daemon.wait_workers(2)
    line = daemon.wait_log("pool size changed")
    assert (line["min_workers"], line["max_workers"]) == (2, 3)
    daemon.signal(signal.SIGTTIN)
    daemon.wait_workers(3)
    daemon.signal(signal.SIGTTIN)
    daemon.wait_log("at its limit")


def test_a_pool_at_rest_wakes_nobody(preforkd):
    daemon = preforkd("--worker-timeout", "0", workers="2..8")
    assert proc.eventually(lambda: all(proc.stat(pid).state == "S" for pid in [daemon.pid, *daemon.workers()]))
    everybody = [daemon.pid, *daemon.workers()]
    before = [proc.voluntary_switches(pid) for pid in everybody]
    time.sleep(2)  # nothing must happen, and of that there is no event
    assert [proc.voluntary_switches(pid) for pid in everybody] == before


def test_a_reload_starts_as_many_as_are_needed(preforkd):
    daemon = preforkd("--handler", "echo", "--model", "serial", workers="1..16")
    with slow_clients(daemon, 6):
        old = set(daemon.workers())
        daemon.signal(signal.SIGHUP)
        assert proc.eventually(lambda: len(set(daemon.workers()) - old) >= 6, 10)
    assert exchange(daemon.endpoint, b"hello") == b"hello"


@pytest.mark.parametrize("arguments, sentence", [
    (["--spare", "1..3", "--workers", "4"], "--spare: needs a pool that may grow"),
    (["--spare", "1..3"], "--spare: needs a pool that may grow"),
    (["--spare", "1..9", "--workers", "1..8"], "--spare: expected MIN..MAX from 1..1 to 8..8"),
    (["--spare", "3..1", "--workers", "1..8"], "--spare: MIN is above MAX"),
])
def test_contradictions_are_one_sentence(run_preforkd, arguments, sentence):
    done = run_preforkd("--check-config", *arguments)
    assert done.returncode in (64, 78) and sentence in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
