"""tls://: what a handler sees of a client that speaks TLS, in every model and over every kind of socket."""
import hashlib
import os
import signal
import ssl

import pytest

import proc
from activation import Passing, listening
from clients import connect, read_to_end
from tls_clients import CUT_OFF, TlsClient, below, exchange_tls, read_to_end_tls, trusting

SERVICES = [("tls_coroutine", model) for model in ("async", "serial", "thread", "fork")] + \
    [("tls_blocking", model) for model in ("serial", "thread", "fork")]
MANY_BYTES = os.urandom(1 << 20)
HERE = "tls://127.0.0.1:0"


@pytest.fixture(params=SERVICES, ids="-".join)
def service(request, preforkd, trouble, pair):
    """Starts a daemon whose handler does what the client's first line says; `keys`: behind its endpoint."""
    name, model = request.param
    return lambda keys="", *arguments, where=HERE, **how: preforkd(
        "--handler", trouble(name), "--model", model, *arguments, listen=f"{where} {pair} {keys}", **how)


def serves_others_meanwhile(daemon):
    """Whether one client can be waited for while another is served."""
    return "--model serial" not in proc.title(daemon.pid)


# --- bytes ----------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("transport", ["tls", "tls+unix", "tls+unix abstract", "tls+fd"])
def test_bytes_come_back_as_they_went_however_many(service, tmp_path, authority, transport):
    if transport == "tls+fd":
        with listening() as passed:
            daemon = service(where="tls+fd://web", **Passing(passed, names=["web"]).arguments())
    else:
        daemon = service(where={"tls": HERE, "tls+unix": f"tls+unix://{tmp_path}/s"}.get(
            transport, f"tls+unix://@{tmp_path.name}-{os.getpid()}"))
    assert daemon.endpoint.startswith("tls+unix://" if "unix" in transport else "tls://127.0.0.1:")
    context = trusting(authority)
    for word in (b"echo\n", b"lines\n"):
        assert exchange_tls(daemon.endpoint, word + b"one\ntwo\n", context) == b"one\ntwo\n"
    with TlsClient(daemon.endpoint, context) as client:
        assert client.swap(b"echo\n" + MANY_BYTES) == MANY_BYTES
        assert client.ends()
    lines = b"".join(b"%0999d\n" % number for number in range(1000))
    with TlsClient(daemon.endpoint, context) as client:
        assert client.swap(b"lines\n" + lines) == lines


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_that_has_ended_its_output_reads_all_that_is_left(service, version):
    daemon = service()
    for fin in (False, True):
        with TlsClient(daemon.endpoint, trusting(version=version)) as client:
            client.sendall(b"echo\n" + MANY_BYTES[:50_000])
            client.end(fin)
            assert read_to_end_tls(client) == MANY_BYTES[:50_000]
            assert client.ends()
    daemon.wait_log("read to the end", count=2)
    assert [line["cause"] for line in daemon.log.find("read to the end")] == ["in good order"] * 2


@pytest.mark.parametrize("size", [10, 40_000])
def test_parts_arrive_as_one_and_in_one_record_where_they_fit(service, size):
    daemon = service(workers=1)
    with TlsClient(daemon.endpoint) as client:
        client.sendall(b"parts\n%05dabc" % size)
        assert len(client.recv()) == min(size + 6, 1 << 14)
        read_to_end_tls(client)
        client.end()
    assert exchange_tls(daemon.endpoint, b"parts\n%05dabc" % size) == b"abc" + b"x" * size + b"end"
    daemon.wait_log("read to the end", count=2)


def test_the_last_bytes_come_before_a_proper_end(service):
    daemon = service(workers=1)
    for size in (1, 100, 1 << 20):
        with TlsClient(daemon.endpoint) as client:
            client.sendall(b"last %d\n" % size)
            assert read_to_end_tls(client) == b"x" * size
            client.sendall(b"behind it")
            client.end()
            assert client.ends()
    daemon.wait_log("read to the end", count=3)
    assert [(line["cause"], line["bytes"]) for line in daemon.log.find("read to the end")] == [("in good order", 9)] * 3


def test_a_handler_that_has_ended_its_output_reads_on(service):
    daemon = service()
    with TlsClient(daemon.endpoint) as client:
        client.sendall(b"half\n")
        assert read_to_end_tls(client) == b"half\n"
        client.sendall(MANY_BYTES)
        client.end()
        assert client.ends()
    line = daemon.wait_log("read to the end")
    assert (line["cause"], line["bytes"]) == ("in good order", len(MANY_BYTES))


def test_a_record_of_one_byte_is_one_byte(service):
    daemon = service()
    with TlsClient(daemon.endpoint) as client:
        client.sendall(b"echo\n" + MANY_BYTES[:3000], record=1)
        client.end()
        assert read_to_end_tls(client) == MANY_BYTES[:3000]


def test_bytes_that_come_one_by_one_make_records(service):
    daemon = service()
    with TlsClient(daemon.endpoint) as client:
        client.tls.write(b"echo\nslow")
        for byte in client.unsent():
            client.socket.sendall(bytes([byte]))
        client.end()
        assert read_to_end_tls(client) == b"slow"


# --- ends that are none, and clients that do not end ----------------------------------------------------------------------

@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("eof, cause", [("strict", os.strerror(103)), ("lax", "in good order")])
def test_a_stream_that_is_cut_off_has_ended_only_with_lax(service, eof, cause, version):
    daemon = service(f"eof={eof}")
    with TlsClient(daemon.endpoint, trusting(version=version)) as client:
        client.sendall(b"echo\nhello")
        assert client.recv() == b"hello"
        client.socket.shutdown(1)
        assert daemon.wait_log("read to the end")["cause"] == cause


def test_a_silent_client_is_left_after_the_idle_timeout(service):
    daemon = service("", "--idle-timeout", "200ms", workers=1)
    with TlsClient(daemon.endpoint) as client:
        client.sendall(b"echo\n")
        assert read_to_end_tls(client) == b""
    assert daemon.wait_log("read to the end")["cause"] == os.strerror(110)


def test_a_client_that_is_served_for_too_long_is_cut_off_without_an_end(service):
    daemon = service("", "--request-timeout", "300ms", workers=1)
    with TlsClient(daemon.endpoint) as client:
        client.sendall(b"echo\nhello")
        assert client.recv() == b"hello"
        with pytest.raises(CUT_OFF):
            client.recv()
    daemon.wait_log("--request-timeout")
    assert exchange_tls(daemon.endpoint, b"echo\nnext") == b"next"


def test_a_handshake_has_one_deadline_and_keeps_nobody_else_waiting_who_need_not(service):
    daemon = service("handshake-timeout=500ms", workers=1)
    with connect(below(daemon.endpoint)) as silent, TlsClient(daemon.endpoint, handshake=False) as slow:
        with pytest.raises(ssl.SSLWantReadError):
            slow.tls.do_handshake()
        slow.socket.sendall(slow.unsent()[:20])
        assert exchange_tls(daemon.endpoint, b"echo\nnext") == b"next", "one that serves one at a time does so then"
        if serves_others_meanwhile(daemon):
            silent.setblocking(False)
            with pytest.raises(BlockingIOError):
                silent.recv(1)
            silent.settimeout(10)
        for client in (silent, slow.socket):
            assert read_to_end(client) == b""


def test_a_graceful_stop_lets_a_handshake_come_to_its_end_and_a_fast_one_does_not(service):
    for signo in (signal.SIGTERM, signal.SIGINT):
        daemon = service(workers=1)
        daemon.expect("connection")
        worker, = daemon.workers()
        before = len(proc.descriptors(worker))
        with TlsClient(daemon.endpoint, handshake=False) as client:
            assert proc.eventually(lambda: len(proc.descriptors(worker)) > before), "it has been accepted"
            daemon.signal(signo)
            daemon.wait_log("stopping")
            if signo == signal.SIGTERM:
                client.handshake()
                client.sendall(b"echo\nhello")
                client.end()
                assert read_to_end_tls(client) == b"hello"
            else:
                assert read_to_end(client.socket) == b""
            assert daemon.wait_exit() == 0


# --- what a handler may know ----------------------------------------------------------------------------------------------

def told_by(daemon, context=None, **how):
    return exchange_tls(daemon.endpoint, b"tell\n", context, **how).decode().strip()


def test_a_handler_is_told_what_was_agreed_on(service, authority):
    daemon = service(f"alpn=h2,http/1.1 client-ca={authority.certificate} client-cert=optional")
    alice = authority.issue("alice", "alice.example", "email:alice@example.com", common_name="Alice")
    assert told_by(daemon, trusting(alpn=["http/1.1"])) == \
        "TLSv1.3 TLS_AES_256_GCM_SHA384 name=localhost alpn=http/1.1 full not verified"
    assert told_by(daemon, trusting(version=ssl.TLSVersion.TLSv1_2), name=None) == \
        "TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384 name= alpn= full not verified"
    told = told_by(daemon, trusting(pair=alice))
    assert " subject=CN=Alice cn=Alice names=DNS:alice.example;email:alice@example.com; sha256=" in told
    with open(alice.certificate) as file:
        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(file.read())).hexdigest()
    assert told.endswith(f"sha256={digest} verified")


def test_its_socket_is_not_given_away(service):
    daemon = service()
    assert b"of a TLS connection: its socket has what OpenSSL makes of the bytes" in exchange_tls(daemon.endpoint, b"socket\n")


# --- everywhere -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("workers", [0, 3])
def test_any_number_of_workers_serves(service, workers):
    daemon = service(workers=workers)
    for _ in range(5):
        assert exchange_tls(daemon.endpoint, b"echo\nhello") == b"hello"
    assert daemon.stop() == 0


@pytest.mark.strict
def test_the_strict_sandbox_is_no_hindrance(service):
    daemon = service("", "--sandbox", "strict")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        assert exchange_tls(daemon.endpoint, b"echo\nhello", trusting(version=version)) == b"hello"
    assert exchange_tls(daemon.endpoint, b"tell\n", trusting(alpn=["x"])).startswith(b"TLSv1.3 ")
