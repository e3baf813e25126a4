"""A reader and a writer of one connection at once, and a read that something else is faster than, out of tree."""
import signal

import pytest

from clients import connect, read_exactly, read_to_end
from tls_clients import TlsClient

SAID = b"later\n" + b"tick\n" * 3
IN_EVERY_MODEL = pytest.mark.parametrize("model", ["async", "serial", "thread", "fork"])


@IN_EVERY_MODEL
def test_the_reader_keeps_its_timeout_when_the_writer_has_ended(preforkd, trouble, model):
    daemon = preforkd("--handler", trouble("two_sides"), "--model", model, "--idle-timeout", "300ms")
    with connect(daemon.endpoint) as client:
        assert read_to_end(client) == SAID


@IN_EVERY_MODEL
def test_a_fast_stop_ends_the_reader_when_the_writer_has_ended(preforkd, trouble, model):
    daemon = preforkd("--handler", trouble("two_sides"), "--model", model, "--idle-timeout", "0", workers=1)
    with connect(daemon.endpoint) as client:
        assert read_exactly(client, len(SAID)) == SAID
        assert daemon.stop(signal.SIGINT) == 0
        assert read_to_end(client) == b""
    daemon.cut()


def end_the_reader(daemon, client):
    """While the writer waits, since this client takes no more."""
    assert client.recv(1) == b"x"
    client.sendall(b"more")
    daemon.wait_log("the reader has ended: more")


@IN_EVERY_MODEL
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_the_writer_keeps_its_timeout_when_the_reader_has_ended(preforkd, trouble, pair, model, tls):
    daemon = preforkd("--handler", trouble("writing_much"), "--model", model, "--idle-timeout", "1s", workers=1,
                      listen=f"tls://127.0.0.1:0 {pair}" if tls else "tcp://127.0.0.1:0")
    with TlsClient(daemon.endpoint) if tls else connect(daemon.endpoint) as client:
        end_the_reader(daemon, client)
        assert daemon.wait_log("the writer has ended:")["error"] == "Connection timed out"


@IN_EVERY_MODEL
def test_a_fast_stop_ends_the_writer_when_the_reader_has_ended(preforkd, trouble, model):
    daemon = preforkd("--handler", trouble("writing_much"), "--model", model, "--idle-timeout", "0", workers=1)
    with connect(daemon.endpoint) as client:
        end_the_reader(daemon, client)
        assert daemon.stop(signal.SIGINT) == 0
    daemon.cut()
    assert daemon.log.find("the writer has ended: Operation canceled")
