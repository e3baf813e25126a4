"""--model fork: one bounded child for each client, which holds nothing but its client."""
import os
import signal
import socket

import pytest

import proc
from clients import connect, echo, exchange, read_exactly, read_to_end


def children_of(daemon):
    return [child for worker in daemon.workers() for child in proc.children(worker)]


def child_of(client, daemon):
    """The process that serves `client`, which has been answered once."""
    for child in children_of(daemon):
        held = proc.socket_connected_to([child], client.getsockname())
        if held:
            held.close()
            return child
    raise AssertionError("no child holds this connection")


def served(daemon, endpoint=None):
    """A client that knows that its child is there."""
    client = connect(endpoint or daemon.endpoint)
    echo(client, b"hello")
    return client


def sockets_of(pid):
    links = {}
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            links[int(number)] = os.readlink(f"/proc/{pid}/fd/{number}")
        except FileNotFoundError:
            pass
    return {link for link in links.values() if link.startswith("socket:")}


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_each_client_has_a_child_of_its_own(preforkd, workers, tmp_path):
    daemon = preforkd("--model", "fork", "--handler", "echo", workers=workers,
                      listen=("tcp://127.0.0.1:0", f"unix://{tmp_path}/socket"))
    for endpoint in daemon.endpoints:
        payload = os.urandom(150_000)
        assert [exchange(endpoint, payload) for _ in range(3)] == [payload] * 3
    if workers:
        with served(daemon) as one, served(daemon) as other:
            assert child_of(one, daemon) != child_of(other, daemon)


def test_a_child_holds_its_client_and_neither_listeners_nor_siblings(preforkd):
    daemon = preforkd("--model", "fork", "--handler", "echo", workers=1)
    [worker] = daemon.workers()
    with served(daemon), served(daemon):
        for child in children_of(daemon):
            assert len(sockets_of(child)) == 1
            assert sockets_of(child) <= sockets_of(worker)  # kept there for the lingering close
        one, other = children_of(daemon)
        assert not sockets_of(one) & sockets_of(other)


def test_at_the_limit_the_client_waits_and_the_worker_goes_on_reaping(preforkd):
    daemon = preforkd("--model", "fork", "--handler", "echo", "--connections", "3", workers=1)
    clients = [served(daemon) for _ in range(3)]
    with connect(daemon.endpoint) as late:
        late.sendall(b"late")
        assert len(children_of(daemon)) == 3
        clients.pop(0).close()
        assert read_exactly(late, 4) == b"late"
        assert proc.eventually(lambda: len(children_of(daemon)) == 3)
        assert not [stat for worker in daemon.workers() for stat in proc.zombies(worker)]
    for client in clients:
        client.close()
    assert proc.eventually(lambda: not children_of(daemon))


def test_sixty_clients_of_forty_are_all_served(preforkd):
    daemon = preforkd("--model", "fork", "--handler", "echo", workers=1)
    clients = [connect(daemon.endpoint) for _ in range(60)]
    assert proc.eventually(lambda: len(children_of(daemon)) == 40)
    for client in clients:
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
    for client in clients:
        assert read_to_end(client) == b"hello"
        client.close()


def test_a_child_is_reaped_though_nobody_else_comes(preforkd):
    daemon = preforkd("--model", "fork", "--handler", "echo")
    with served(daemon) as client:
        child = child_of(client, daemon)
    assert proc.eventually(lambda: proc.stat(child) is None)


def test_a_client_that_does_not_close_holds_no_child(preforkd):
    daemon = preforkd("--model", "fork", "--handler", "greet", "--connections", "1", workers=1)
    with connect(daemon.endpoint) as lingering:
        assert read_to_end(lingering) == b"connected\n"
        assert exchange(daemon.endpoint) == b"connected\n"


def test_a_child_that_crashes_is_logged_with_its_peer_and_harms_nobody(preforkd):
    daemon = preforkd("--model", "fork", "--handler", "echo", workers=1)
    daemon.expect("SIGSEGV", "stack of")
    with served(daemon) as victim, served(daemon) as bystander:
        peer = "%s:%d" % victim.getsockname()
        os.kill(child_of(victim, daemon), signal.SIGSEGV)
        assert read_to_end(victim) == b""
        entry = daemon.wait_log("killed by SIGSEGV")
        assert entry["level"] == "warning" and entry["peer"] == peer
        echo(bystander, b"still")


def test_datagrams_get_a_child_each_too(preforkd):
    daemon = preforkd("--model", "fork", "--handler", "echo", "--log-level", "debug", listen="udp://127.0.0.1:0")
    port = int(daemon.endpoint.rpartition(":")[2])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        client.connect(("127.0.0.1", port))
        for payload in (b"hello", b"", os.urandom(60_000)):
            client.send(payload)
            assert client.recv(65_536) == payload
    daemon.wait_log(lambda entry: entry["message"].startswith("child "), count=3)


# --- stopping and dying ---------------------------------------------------------------------------------------------


def test_a_graceful_stop_lets_children_finish(preforkd):
    daemon = preforkd("--model", "fork", "--handler", "echo")
    with served(daemon) as client:
        daemon.signal(signal.SIGTERM)
        daemon.wait_log("stopping")
        client.sendall(b"after")
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b"after"
    assert daemon.wait_exit() == 0


@pytest.mark.parametrize("workers", [0, 1])
def test_a_fast_stop_ends_children_that_wait_for_their_clients(preforkd, workers):
    daemon = preforkd("--model", "fork", "--handler", "echo", workers=workers)
    with served(daemon) as client:
        daemon.signal(signal.SIGINT)
        assert read_to_end(client) == b""
        assert daemon.wait_exit(3) == 0
    assert daemon.cut() == [1]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_child_that_is_stuck_is_killed_when_the_stop_timeout_is_over(preforkd, workers):
    daemon = preforkd("--model", "fork", "--handler", "echo", "--stop-timeout", "100ms", workers=workers)
    daemon.expect("has not ended when asked to", "killed by SIGKILL")
    with served(daemon) as client:
        parents = daemon.workers() if workers else [daemon.pid]
        [stuck] = [child for parent in parents for child in proc.children(parent)]
        os.kill(stuck, signal.SIGSTOP)
        assert daemon.stop() == 0
        assert proc.wait_gone(stuck, 1)
        client.close()
    assert daemon.cut() == [1]


@pytest.mark.parametrize("stuck", [False, True])
def test_the_children_of_a_killed_worker_end_soon(preforkd, stuck):
    daemon = preforkd("--model", "fork", "--handler", "echo", workers=1)
    daemon.expect("killed by SIGKILL")
    with served(daemon) as client:
        child = child_of(client, daemon)
        if stuck:
            os.kill(child, signal.SIGSTOP)
        os.kill(daemon.workers()[0], signal.SIGKILL)
        assert proc.wait_gone(child, 4)
    daemon.wait_workers(1)
    assert exchange(daemon.endpoint, b"again") == b"again"


def test_the_children_of_a_dead_master_finish_within_the_stop_timeout(preforkd):
    daemon = preforkd("--model", "fork", "--handler", "echo", "--stop-timeout", "200ms", workers=1)
    daemon.expect("the master is gone")
    with served(daemon) as client:
        [worker], child = daemon.workers(), child_of(client, daemon)
        os.kill(daemon.pid, signal.SIGKILL)
        daemon.wait_exit()
        assert proc.wait_gone(worker, 5) and proc.wait_gone(child, 1)
    assert daemon.cut() == [1]


def test_a_child_finds_its_code_side_by_side(preforkd):
    """Page faults are what a fork costs: 25 to 28 a child with child_path.ld, by where that lies and what runs beside it, 37 without (GCC 12)."""
    daemon = preforkd("--model", "fork", "--handler", "greet", listen="tcp://127.0.0.1:0 linger=off", workers=1)
    worker, = daemon.workers()

    def faults_of(clients):
        for _ in range(clients):
            exchange(daemon.endpoint)
        assert proc.eventually(lambda: not proc.children(worker))
        return proc.faults_of_children(worker)

    start = faults_of(20)  # what is a worker's first
    assert 10 < (faults_of(100) - start) / 100 < 31
