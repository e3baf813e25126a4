"""preforkd::Stream in a shared object: what a connection promises holds for what is written for Boost.Asio, too."""
from signal import SIGINT

import pytest

import proc
from clients import connect, exchange, read_exactly, read_to_end
from control import status
from tls_clients import TlsClient, exchange_tls

MODELS = ("async", "serial", "thread", "fork")
LONG = b"x" * 300_000 + b"\n"


@pytest.mark.parametrize("model", MODELS)
def test_lines_come_back(preforkd, trouble, model):
    daemon = preforkd("--handler", trouble("asio_stream"), "--model", model)
    assert exchange(daemon.endpoint, b"one\ntwo\n" + LONG) == b"one\ntwo\n" + LONG


@pytest.mark.parametrize("model", MODELS)
def test_lines_come_back_over_tls(preforkd, trouble, pair, model):
    daemon = preforkd("--handler", trouble("asio_stream"), "--model", model, listen=f"tls://127.0.0.1:0 {pair}")
    assert exchange_tls(daemon.endpoint, b"one\ntwo\n") == b"one\ntwo\n"
    with TlsClient(daemon.endpoint) as client:
        assert client.swap(LONG * 2) == LONG * 2


def test_bytes_are_counted(controlled, trouble):
    daemon = controlled("--handler", trouble("asio_stream"), workers=1)
    assert exchange(daemon.endpoint, LONG) == LONG
    counted = lambda: (status(daemon.control)["received_bytes"], status(daemon.control)["sent_bytes"])  # noqa: E731
    assert proc.eventually(lambda: counted() == (len(LONG), len(LONG))), counted()


@pytest.mark.parametrize("model", MODELS)
def test_a_silent_client_is_given_up(preforkd, trouble, model):
    daemon = preforkd("--handler", trouble("asio_stream"), "--model", model, "--idle-timeout", "200ms")
    with connect(daemon.endpoint) as client:
        client.sendall(b"one\n")
        assert read_exactly(client, 4) == b"one\n"
        assert read_to_end(client) == b""


@pytest.mark.parametrize("model", MODELS)
def test_a_fast_stop_ends_what_waits(preforkd, trouble, model):
    daemon = preforkd("--handler", trouble("asio_stream"), "--model", model, workers=1)
    with connect(daemon.endpoint) as client:
        client.sendall(b"one\n")
        assert read_exactly(client, 4) == b"one\n"
        assert daemon.stop(SIGINT) == 0
        assert read_to_end(client) == b""
    assert daemon.cut() == [1]
