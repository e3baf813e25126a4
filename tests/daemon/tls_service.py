"""A service with TLS: its files, which a test replaces, and clients while it changes."""
import os
import shutil
import signal
import threading

import pytest

import daemon_process
from clients import PATIENCE
from test_upgrade import NEXT
from tls_authority import openssl
from tls_clients import TlsClient, exchange_tls, trusting


@pytest.fixture
def own(pair, tmp_path):
    """A copy of a pair, for a test that replaces it."""
    copy = pair._replace(certificate=str(tmp_path / "certificate.pem"), key=str(tmp_path / "key.pem"))
    put(pair, copy)
    return copy


def put(source, place):
    """In one step each, as a tool for certificates does."""
    for old, new in zip(place, source):
        shutil.copy(new, old + ".new")
        os.rename(old + ".new", old)


def serial_of(endpoint, **how):
    """Of the certificate that is shown."""
    with TlsClient(endpoint, **how) as client:
        der = client.tls.getpeercert(binary_form=True)
    return openssl("x509", "-inform", "DER", "-noout", "-serial", input=der)


def in_file(pair):
    return openssl("x509", "-in", pair.certificate, "-noout", "-serial")


class TlsLoad(threading.Thread):
    """Clients that come one after the other, until the `with` ends."""

    def __init__(self, endpoint, request):
        super().__init__(daemon=True)
        self._endpoint, self._request = endpoint, request
        self._context, self._changed, self._ended = trusting(), threading.Condition(), threading.Event()
        self.whole, self.broken = 0, []

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self.join()

    def run(self):
        while not self._ended.is_set():
            try:
                answer = exchange_tls(self._endpoint, self._request, self._context)
                wrong = None if answer == self._request else answer
            except Exception as error:  # what it is, is what is wrong
                wrong = repr(error)
            with self._changed:
                self.whole += wrong is None
                self.broken += [] if wrong is None else [wrong]
                self._changed.notify_all()

    def wait_for_answers(self, more):
        with self._changed:
            goal = self.whole + more
            assert self._changed.wait_for(lambda: self.whole >= goal or self.broken, 2 * PATIENCE)
            assert not self.broken


def lose_nobody_over_changes(service):
    """Two upgrades and two reloads, while clients come: an Installed one."""
    daemon = service.daemon
    with TlsLoad(daemon.endpoint, b"x" * 30_000) as load:
        for source in (NEXT, daemon_process.PREFORKD):
            load.wait_for_answers(10)
            service.install(source)
            assert service.upgrade()["message"].startswith("upgraded")
            load.wait_for_answers(10)
            after = daemon.log.mark()
            daemon.signal(signal.SIGHUP)
            daemon.wait_log("reloaded", after=after)
        load.wait_for_answers(10)
    assert not load.broken
