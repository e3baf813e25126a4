"""A master that is killed with SIGKILL: its workers notice, free the addresses, finish what runs, and go."""
import os
import signal
import socket
import time

import pytest

import proc
from clients import Load, connect, echo, exchange, read_exactly, read_to_end, refused, say
from daemon_process import LOOPBACK


def kill_master(daemon):
    """kill -9; returns the workers it had."""
    workers = daemon.workers()
    daemon.signal(signal.SIGKILL)
    assert daemon.wait_exit() == -signal.SIGKILL
    return workers


@pytest.mark.parametrize("model", ["async", "serial"])
def test_no_process_outlives_a_killed_master(preforkd, model):
    daemon = preforkd("--model", model, workers=4)
    daemon.expect("the master is gone")
    exchange(daemon.endpoint)
    workers = kill_master(daemon)
    assert len(workers) == 4
    assert all(proc.wait_gone(pid, 2) for pid in workers)


@pytest.mark.parametrize("model", ["serial", "thread", "fork"])
@pytest.mark.parametrize("word", ["block", "spin"])
def test_no_process_outlives_a_killed_master_although_a_handler_blocks(preforkd, trouble, model, word):
    """It has --stop-timeout; what hears of the end and cannot leave has the 2 s of a fast stop, too."""
    first = preforkd("--handler", trouble("blocking"), "--model", model, "--stop-timeout", "1s", workers=1)
    first.expect("the master is gone", "exiting although handlers", "has not ended when asked to",
                 "killed by SIGKILL")
    with connect(first.endpoint) as client:
        say(client, word)
        old = first.workers()
        old += proc.children(old[0])
        kill_master(first)
        second = preforkd(listen=first.endpoint)
        assert exchange(second.endpoint) == b"connected\n"
        assert all(proc.wait_gone(pid, 5) for pid in old)
    assert first.cut() == [1]


def test_the_stop_timeout_of_an_orphan_begins_when_the_master_dies_and_not_when_the_handler_hears_of_it(preforkd, trouble):
    daemon = preforkd("--handler", trouble("blocking"), "--model", "serial", "--stop-timeout", "2s", workers=1)
    daemon.expect("the master is gone")
    with connect(daemon.endpoint) as client:
        client.sendall(b"work\n" * 6)  # 300 ms each, then it waits for its client
        read_exactly(client, len(b"work"))
        worker, = kill_master(daemon)
        assert proc.wait_gone(worker, 3), "1.8 s and 2 s"
    assert daemon.cut() == [1]


@pytest.mark.parametrize("model", ["serial", "thread"])
@pytest.mark.parametrize("word, answer", [("rest", b"rested\n"), ("ring", b"rang\n")])
def test_a_handler_sees_no_signal_of_the_daemons(preforkd, trouble, model, word, answer):
    """Whatever happens to its master meanwhile: orders, a graceful stop, death."""
    daemon = preforkd("--handler", trouble("blocking"), "--model", model, workers=1)
    daemon.expect("the master is gone")
    with connect(daemon.endpoint) as client:
        worker = say(client, word)
        daemon.signal(signal.SIGTERM)
        assert proc.eventually(lambda: proc.is_pending(worker, signal.SIGQUIT) or refused(daemon.endpoint, 0.1))
        daemon.signal(signal.SIGKILL)
        assert proc.eventually(lambda: refused(daemon.endpoint))
        assert read_exactly(client, len(answer)) == answer
    assert daemon.wait_exit() == -signal.SIGKILL
    assert proc.wait_gone(worker, 5)


@pytest.mark.parametrize("model", ["serial", "thread", "fork"])
def test_without_a_master_a_graceful_stop_does_not_interrupt_a_handler(preforkd, trouble, model):
    daemon = preforkd("--handler", trouble("blocking"), "--model", model, workers=0)
    with connect(daemon.endpoint) as client:
        say(client, "rest")
        daemon.signal(signal.SIGTERM)
        assert read_exactly(client, 7) == b"rested\n"
    assert daemon.wait_exit() == 0


def test_a_masters_death_touches_no_file_that_has_taken_the_number_of_a_closed_listener(preforkd, trouble, tmp_path):
    daemon = preforkd("--handler", trouble("blocking"), "--model", "thread", workers=1)
    daemon.expect("the master is gone")
    with connect(daemon.endpoint) as client:
        worker = say(client, "hello")
        daemon.signal(signal.SIGTERM)
        assert proc.eventually(lambda: refused(daemon.endpoint)), "the drain has closed the listener"
        say(client, f"open {tmp_path}/file")
        daemon.signal(signal.SIGKILL)
        daemon.wait_log("the master is gone")
        for _ in range(15):
            assert say(client, "put") == worker
            assert read_exactly(client, 3) == b"10\n"
    assert (tmp_path / "file").read_text() == "0123456789" * 15
    assert daemon.wait_exit() == -signal.SIGKILL
    assert proc.wait_gone(worker, 5)


def test_a_pool_at_rest_costs_no_wake_up_of_the_thread_that_watches(preforkd):
    daemon = preforkd("--model", "serial", workers=1)
    exchange(daemon.endpoint)
    worker, = daemon.workers()
    tasks = [int(task) for task in os.listdir(f"/proc/{worker}/task")]
    watching, = set(tasks) - {worker}
    assert proc.eventually(lambda: proc.stat(watching).state == "S"), "it waits"
    before = proc.voluntary_switches(watching)
    for _ in range(20):
        assert exchange(daemon.endpoint) == b"connected\n"
    assert proc.voluntary_switches(watching) == before


def test_what_a_handler_has_started_ends_with_its_orphaned_worker(preforkd, trouble):
    daemon = preforkd("--handler", trouble("blocking"), "--model", "serial", "--stop-timeout", "500ms", workers=1)
    daemon.expect("the master is gone")
    with connect(daemon.endpoint) as client:
        say(client, "run sleep 1000")
        worker, = daemon.workers()
        started = proc.eventually(lambda: proc.children(worker))
        kill_master(daemon)
        assert all(proc.wait_gone(pid, 5) for pid in [worker, *started])
    assert daemon.cut() == [1]


@pytest.mark.parametrize("kind", ["tcp", "unix", "abstract", "udp", "unixgram"])
def test_a_new_master_can_bind_at_once(preforkd, tmp_path, kind):
    """Although the old workers have the address for a moment longer."""
    path = f"{tmp_path}/s"
    listen = {"tcp": LOOPBACK, "unix": f"unix://{path}", "abstract": f"unix://@{path}", "udp": "udp://127.0.0.1:0",
              "unixgram": f"unixgram://{path}"}[kind]
    first = preforkd(listen=listen, workers=4)
    first.expect("the master is gone")
    held = proc.sockets_of(first.workers()[0])
    old = kill_master(first)
    second = preforkd(listen=first.endpoint, wait=False)
    second.wait_log("retrying")
    for copy in held:
        copy.close()
    second.wait_ready()
    if kind in ("tcp", "unix", "abstract"):
        assert exchange(second.endpoint) == b"connected\n"
    assert all(proc.wait_gone(pid, 2) for pid in old)


def test_a_new_master_can_bind_while_old_workers_finish_their_clients(preforkd):
    first = preforkd("--handler", "echo", workers=2)
    first.expect("the master is gone")
    clients = [connect(first.endpoint) for _ in range(6)]
    for client in clients:
        echo(client)
    kill_master(first)
    second = preforkd(listen=first.endpoint)
    for client in clients:
        client.sendall(b"still here")
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b"still here"
        client.close()
    assert exchange(second.endpoint) == b"connected\n"


def test_a_new_master_can_bind_while_an_old_worker_does_not_run_its_loop(preforkd):
    """Its only worker is stopped in the middle of a handler; the listener is closed as soon as it runs again."""
    first = preforkd("--handler", "chargen", workers=1)
    first.expect("the master is gone")
    with connect(first.endpoint) as client:
        read_exactly(client, 74)
        worker = first.workers()[0]
        proc.stop_all(first.pid, [worker])
        kill_master(first)
        os.kill(worker, signal.SIGCONT)
        assert proc.eventually(lambda: refused(first.endpoint))
        read_exactly(client, 74 * 100)


def test_orphaned_workers_wait_for_clients_no_longer_than_the_stop_timeout(preforkd):
    daemon = preforkd("--handler", "echo", "--stop-timeout", "500ms", workers=2)
    daemon.expect("the master is gone")
    with connect(daemon.endpoint) as client:
        echo(client)
        began = time.monotonic()
        workers = kill_master(daemon)
        assert all(proc.wait_gone(pid, 5) for pid in workers)
        assert time.monotonic() - began > 0.4
    assert daemon.cut() == [1], "said by the worker: no master can"


def test_a_killed_master_under_load_breaks_no_accepted_connection(preforkd):
    daemon = preforkd(workers=3)
    daemon.expect("the master is gone")
    with Load(daemon.endpoint, clients=6) as load:
        load.wait_for_answers(200)
        workers = kill_master(daemon)
        assert all(proc.wait_gone(pid, 3) for pid in workers)
    assert load.outcomes["stalled"] == load.outcomes["short"] == 0, load.broken


def test_a_killed_master_leaves_a_stale_unix_socket_that_the_next_one_replaces(preforkd, tmp_path):
    endpoint = f"unix://{tmp_path}/s"
    first = preforkd(listen=endpoint)
    first.expect("the master is gone")
    workers = kill_master(first)
    assert all(proc.wait_gone(pid, 2) for pid in workers)
    assert (tmp_path / "s").exists()
    second = preforkd(listen=endpoint)
    assert exchange(endpoint) == b"connected\n"
    assert second.stop() == 0
    assert not (tmp_path / "s").exists()


def test_a_master_killed_during_start_up_leaves_nobody(preforkd):
    for attempt in range(10):
        daemon = preforkd(workers=4, wait=False)
        daemon.expect("the master is gone")
        time.sleep(attempt * 0.003)  # spreads the attempts over the start; nothing waits for it
        daemon.process.send_signal(signal.SIGKILL)
        daemon.wait_exit()
        assert proc.eventually(lambda: not daemon.family()), attempt
