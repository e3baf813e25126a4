"""per-source= and max= of a listener that speaks TLS: clients count before they shake hands, and until they have gone."""
import contextlib
import os
import signal

import pytest

import proc
from clients import connect
from limited_clients import KINDS, start
from tls_clients import CUT_OFF, TlsClient, below, exchange_tls

pytestmark = pytest.mark.parametrize("kind", KINDS)
HERE = "tls://127.0.0.1:0"


def is_served(daemon):
    try:
        return exchange_tls(daemon.endpoint, b"me") == b"me"
    except (*CUT_OFF, BrokenPipeError):
        return False


def test_a_source_counts_until_its_client_has_gone(preforkd, pair, kind):
    daemon = start(preforkd, kind, f"{pair} per-source=1", where=HERE, workers=2)
    with TlsClient(daemon.endpoint) as first:
        first.sendall(b"a")
        assert first.recv() == b"a"
        assert not is_served(daemon)
        first.end()
        assert first.recv() == b""
    assert proc.eventually(lambda: is_served(daemon)), "the place was not given back"


def test_who_has_not_shaken_hands_counts_as_well(preforkd, pair, kind):
    daemon = start(preforkd, kind, f"{pair} per-source=1", where=HERE, workers=2)
    with connect(below(daemon.endpoint)):
        daemon.wait_log("got connection from")
        assert not is_served(daemon)
    assert proc.eventually(lambda: is_served(daemon)), "the place was not given back"


def test_a_handshake_that_fails_gives_its_place_back(preforkd, pair, kind):
    daemon = start(preforkd, kind, f"{pair} per-source=1 linger=off", where=HERE, workers=1)
    for _ in range(3):
        with contextlib.suppress(OSError), connect(below(daemon.endpoint)) as client:  # the one before may count still
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert proc.eventually(lambda: is_served(daemon)), "the place was not given back"


def test_a_killed_worker_gives_back_what_it_held(preforkd, pair, kind):
    daemon = start(preforkd, kind, f"{pair} per-source=1", where=HERE, workers=1)
    with TlsClient(daemon.endpoint) as client:
        client.sendall(b"a")
        assert client.recv() == b"a"
        daemon.expect("killed by SIGKILL")
        os.kill(daemon.workers()[0], signal.SIGKILL)
        with pytest.raises(CUT_OFF):
            client.recv()
    assert proc.eventually(lambda: is_served(daemon), timeout=10)


def test_more_than_max_wait_in_the_queue(preforkd, pair, kind):
    daemon = start(preforkd, kind, f"{pair} max=1", where=HERE, workers=2)
    with TlsClient(daemon.endpoint) as first:
        first.sendall(b"a")
        assert first.recv() == b"a"
        with TlsClient(daemon.endpoint, handshake=False) as next_one:
            first.end()
            assert first.recv() == b""
            next_one.handshake()
            next_one.sendall(b"b")
            assert next_one.recv() == b"b"
