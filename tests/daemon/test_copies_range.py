"""--run pool --workers MIN..MAX: as many copies as clients in the queue ask for; what their work asks for: pool_sizing_test."""
import contextlib

from clients import connect, read_exactly
from control import status
from copies import AT_ONCE, copies_of, script

# One client at a time, for as long as that stays.
ONE_BY_ONE = """
import socket
queue = socket.socket(fileno=3)
while True:
    client, _ = queue.accept()
    with client:
        client.sendall(b"x")
        client.recv(1)
"""


@contextlib.contextmanager
def held(daemon, count):
    """Clients that are served, each by a copy of its own, as many as there are."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(daemon.endpoint)) for _ in range(count)]
        yield clients


def test_the_pool_grows_while_clients_wait(controlled, tmp_path):
    daemon = controlled(*AT_ONCE, "--", script(tmp_path, ONE_BY_ONE), workers="1..6")
    assert len(copies_of(daemon)) == 1
    with held(daemon, 5) as clients:
        for client in clients:
            client.settimeout(20)
            assert read_exactly(client, 1) == b"x"
        assert 5 <= len(copies_of(daemon)) <= 6
        grown = [line["by"] for line in daemon.log.find("clients wait in the queue")]
        assert grown[0] == 1 and sum(grown) == len(copies_of(daemon)) - 1
        report = status(daemon.control)
        assert (report["workers_min"], report["workers_max"], report["workers_wanted"]) == (1, 6, len(copies_of(daemon)))


def test_it_grows_no_further_than_it_may(preforkd, tmp_path):
    daemon = preforkd(*AT_ONCE, "--", script(tmp_path, ONE_BY_ONE), workers="1..2")
    with held(daemon, 3) as clients:
        assert [read_exactly(client, 1) for client in clients[:2]] == [b"x", b"x"]
        clients[2].settimeout(3)
        with contextlib.suppress(TimeoutError):
            clients[2].recv(1)
            raise AssertionError("a third copy serves")
        assert len(copies_of(daemon)) == 2


def test_a_reload_keeps_the_size(configured, tmp_path):
    lines = ["listen = tcp://127.0.0.1:0", "run = pool", "ready = alive:0", "workers = 1..4"]
    service = configured(*lines, arguments=("--", script(tmp_path, ONE_BY_ONE)), workers=None)
    with held(service.daemon, 3) as clients:
        for client in clients:
            client.settimeout(20)
            assert read_exactly(client, 1) == b"x"
        before = set(copies_of(service.daemon))
        service.reload(*lines)
        assert len(set(copies_of(service.daemon)) - before) >= 3
