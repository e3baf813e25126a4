"""Every operation ends when Asio cancels it, in handlers compiled out of tree, and what is read then is not lost."""
import pytest

from clients import connect, silent
from tls_clients import TlsClient

IN_EVERY_MODEL = pytest.mark.parametrize("model", ["async", "serial", "thread", "fork"])
READS = ("read_some", "read_some(span)", "read_exactly", "peek", "read_until", "read_line", "next_request", "stream")


def line_from(client):
    line = b""
    while not line.endswith(b"\n"):
        line += client.recv(1)
    return line.decode()


@IN_EVERY_MODEL
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_read_that_is_canceled_ends_and_the_next_one_gets_what_comes(preforkd, trouble, pair, model, tls):
    daemon = preforkd("--handler", trouble("canceling"), "--model", model, "--idle-timeout", "0",
                      listen=f"tls://127.0.0.1:0 {pair}" if tls else "tcp://127.0.0.1:0")
    with TlsClient(daemon.endpoint) if tls else connect(daemon.endpoint) as client:
        for read in READS * 2:
            client.sendall(read.encode() + b"\n")
            assert line_from(client) == f"{read} was canceled\n"


@IN_EVERY_MODEL
def test_a_piece_of_what_a_canceled_read_wanted_is_kept(preforkd, trouble, model):
    daemon = preforkd("--handler", trouble("canceling"), "--model", model, "--idle-timeout", "0")
    with connect(daemon.endpoint) as client:
        for read in ("read_exactly", "peek", "read_until", "read_line"):
            client.sendall(read.encode() + b"\nread_")
            assert line_from(client) == f"{read} was canceled\n"
            client.sendall(b"some\n")
            assert line_from(client) == "read_some was canceled\n"


@IN_EVERY_MODEL
@pytest.mark.parametrize("write", ["write", "write_last", "write(parts)"])
def test_a_write_that_is_canceled_ends_and_nothing_is_written_behind_its_part(preforkd, trouble, model, write):
    daemon = preforkd("--handler", trouble("canceling"), "--model", model, "--idle-timeout", "0", workers=1)
    with connect(daemon.endpoint) as client:
        client.sendall(write.encode() + b"\n")
        assert daemon.wait_log("behind it:")["error"] == "Operation canceled"
        came = 0
        while some := client.recv(1 << 20):
            assert some == b"x" * len(some)
            came += len(some)
        assert came < 64 << 20


@IN_EVERY_MODEL
def test_an_attempt_to_connect_that_is_canceled_ends(preforkd, trouble, model):
    daemon = preforkd("--handler", trouble("canceling"), "--model", model)
    with silent() as nobody, connect(daemon.endpoint) as client:
        client.sendall(nobody.encode() + b"\n")
        assert line_from(client) == f"{nobody} was canceled\n"
