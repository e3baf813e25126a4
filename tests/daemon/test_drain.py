"""A client that waits for nothing but its own next idea does not hold up who has to leave; a request that has begun does."""
import time
from signal import SIGTERM

import pytest

import proc
from clients import connect, read_exactly, read_to_end
from configured import LISTEN
from tls_clients import TlsClient

CELLS = [("keep_alive_coroutine", model) for model in ("async", "serial", "thread", "fork")] + \
        [("keep_alive", model) for model in ("serial", "thread", "fork")]
IN_EVERY_CELL = pytest.mark.parametrize("handler, model", CELLS, ids=[f"{model}-{handler}" for handler, model in CELLS])


def ask(client, word):
    client.sendall(word + b"\n")
    answer = b""
    while not answer.endswith(b"\n"):
        answer += client.recv(1)
    return answer


def left(daemon):
    """How long the daemon takes to stop, whose --stop-timeout is 30 s."""
    began = time.monotonic()
    assert daemon.stop(SIGTERM) == 0
    return time.monotonic() - began


@pytest.mark.parametrize("workers", [0, 1])
@IN_EVERY_CELL
def test_an_idle_client_does_not_hold_up_a_stop(preforkd, trouble, handler, model, workers):
    daemon = preforkd("--handler", trouble(handler), "--model", model, workers=workers)
    with connect(daemon.endpoint) as client:
        assert ask(client, b"one") == b"one serving\n"
        assert ask(client, b"two") == b"two serving\n"
        assert left(daemon) < 5
        assert read_to_end(client) == b"", "an orderly end"


@IN_EVERY_CELL
def test_a_client_that_has_not_sent_anything_does_not_either(preforkd, trouble, handler, model):
    daemon = preforkd("--handler", trouble(handler), "--model", model, workers=1)
    with connect(daemon.endpoint) as client:
        daemon.wait_log("got connection from")
        assert left(daemon) < 5
        assert read_to_end(client) == b""


@IN_EVERY_CELL
def test_a_request_that_has_begun_is_answered(preforkd, trouble, handler, model):
    daemon = preforkd("--handler", trouble(handler), "--model", model, workers=1)
    with connect(daemon.endpoint) as client:
        assert ask(client, b"one") == b"one serving\n"
        client.sendall(b"half")
        daemon.signal(SIGTERM)
        daemon.wait_log("stdout: told to drain")
        assert ask(client, b"-way") == b"half-way draining\n"
        assert read_to_end(client) == b""
    assert daemon.wait_exit() == 0


@IN_EVERY_CELL
def test_a_client_that_speaks_tls_is_told_the_end(preforkd, trouble, pair, handler, model):
    daemon = preforkd("--handler", trouble(handler), "--model", model, workers=1,
                      listen=f"tls://127.0.0.1:0 certificate={pair.certificate} key={pair.key}")
    with TlsClient(daemon.endpoint) as client:
        assert ask(client, b"one") == b"one serving\n"
        assert left(daemon) < 5
        assert client.recv() == b"", "a close_notify"


@IN_EVERY_CELL
def test_many_idle_clients_leave_with_the_generation_that_a_reload_replaces(configured, trouble, handler, model):
    lines = [LISTEN, f"handler = {trouble(handler)}", f"model = {model}", "workers = 2"]
    service = configured(*lines, workers=None)
    daemon, before = service.daemon, service.daemon.workers()
    clients = [connect(daemon.endpoint) for _ in range(1 if model == "serial" else 20)]
    for client in clients:
        assert ask(client, b"one") == b"one serving\n"
    assert service.reload(*lines)["message"].startswith("reloaded")
    for client in clients:
        assert read_to_end(client) == b""
        client.close()
    assert proc.eventually(lambda: not set(before) & set(daemon.workers()))


def test_a_pipelined_request_is_answered_before_the_end(preforkd, trouble):
    daemon = preforkd("--handler", trouble("keep_alive_coroutine"), workers=1)
    with connect(daemon.endpoint) as client:
        client.sendall(b"one\ntwo\nthr")
        assert read_exactly(client, 24) == b"one serving\ntwo serving\n"
        daemon.signal(SIGTERM)
        daemon.wait_log("stdout: told to drain")
        client.sendall(b"ee\n")
        assert read_to_end(client) == b"three draining\n"
    assert daemon.wait_exit() == 0


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("model", ["serial", "thread", "fork"])
def test_a_handler_that_waits_for_nothing_sees_that_it_should_end(preforkd, trouble, model, workers):
    daemon = preforkd("--handler", trouble("computing"), "--model", model, workers=workers)
    with connect(daemon.endpoint) as client:
        assert read_exactly(client, 6) == b"begun\n"
        daemon.signal(SIGTERM)
        assert read_to_end(client) == b"told\n"
    assert daemon.wait_exit() == 0
