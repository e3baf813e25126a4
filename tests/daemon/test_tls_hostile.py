"""tls://: clients that mean no good, or speak something else."""
import os
import socket
import ssl
import struct
import subprocess

import pytest

import proc
from clients import address_of, connect, read_to_end
from openssl_client import OpensslClient
from tls_clients import CUT_OFF, TlsClient, below, exchange_tls, read_to_end_tls, trusting

SERVICES = [("tls_coroutine", model) for model in ("async", "serial", "thread", "fork")] + \
    [("tls_blocking", model) for model in ("serial", "thread", "fork")]
HERE = "tls://127.0.0.1:0"


@pytest.fixture(params=SERVICES, ids="-".join)
def service(request, preforkd, trouble, pair):
    name, model = request.param
    return lambda keys="", *arguments, **how: preforkd("--handler", trouble(name), "--model", model, *arguments, workers=1,
                                                       listen=f"{HERE} {pair} {keys}", **how)


def hello_of(endpoint, **how):
    """What a client would send first."""
    with TlsClient(endpoint, handshake=False, **how) as client:
        with pytest.raises(ssl.SSLWantReadError):
            client.tls.do_handshake()
        return client.unsent()


def assert_unharmed(daemon, worker):
    """The worker lives, has nothing to do, serves; and no line of the log was worth a client of this kind."""
    assert exchange_tls(daemon.endpoint, b"echo\nnext") == b"next"
    assert daemon.workers() == [worker]
    everybody = [worker, *proc.children(worker)]
    assert proc.eventually(lambda: all(found is None or found.state in "SZ" for _ in range(20)
                                       for found in map(proc.stat, everybody))), "it keeps the CPU busy"
    lines = daemon.log.find(lambda line: "connection from" not in line["message"] and "read to the end" not in line["message"])
    assert len(lines) < 10, lines


JUNK = {"http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "random": bytes(range(251)) * 40, "zeros": bytes(10_000),
        "one byte": b"\x16", "nothing": b"", "a long record": b"\x16\x03\x01\xff\xff" + bytes(70_000),
        "an empty record": b"\x16\x03\x01\0\0", "many empty records": b"\x16\x03\x01\0\0" * 10_000,
        "alerts": b"\x15\x03\x03\0\x02\x01\x5a" * 10_000, "data": b"\x17\x03\x03\0\x10" + bytes(16),
        "SSL 2": b"\x80\x2e\x01\0\x02\0\x15\0\0\0\x10" + bytes(37), "ccs": b"\x14\x03\x03\0\x01\x01" * 10_000,
        "a long hello": b"\x16\x03\x01\x40\0\x01\xff\xff\xff" + bytes(0x4000 - 4) + (b"\x16\x03\x01\x40\0" + bytes(0x4000)) * 20}


@pytest.mark.parametrize("how", ["fin", "reset"])
def test_what_is_no_handshake_is_the_end_of_its_connection_alone(service, how):
    daemon = service()
    worker, = daemon.workers()
    hello = hello_of(daemon.endpoint)
    for junk in (*JUNK.values(), hello[:-1], hello, hello + bytes(1000), hello * 3):
        with connect(below(daemon.endpoint)) as client:
            try:
                client.sendall(junk)
                if how == "fin":
                    client.shutdown(socket.SHUT_WR)
                    read_to_end(client)
            except TimeoutError:
                raise
            except OSError:  # a reset, perhaps before our end: ENOTCONN
                continue
            if how == "reset":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert_unharmed(daemon, worker)


def test_who_asks_the_operator_is_told_each_reason_once(preforkd, pair):
    daemon = preforkd("--log-level", "debug", listen=f"{HERE} {pair}", workers=1)
    for junk, cause in ((JUNK["http"], "http request"), (JUNK["SSL 2"], ""), (b"", "")):
        after = daemon.log.mark()
        with connect(below(daemon.endpoint)) as client:
            client.sendall(junk)
            client.shutdown(socket.SHUT_WR)
            read_to_end(client)
            name = "%s:%d" % client.getsockname()
        line = daemon.wait_log("TLS handshake with", after=after)
        assert line["level"] == "debug" and line["peer"] == name and cause in line["cause"] != ""
        assert line["listener"] == daemon.endpoint
        assert len(daemon.log.find("TLS handshake with", after)) == 1


def test_its_outcome_is_told(preforkd, pair):
    daemon = preforkd("--log-connections", "end", listen=f"{HERE} {pair} handshake-timeout=100ms", workers=1)
    for junk in (JUNK["http"], None):
        after = daemon.log.mark()
        with connect(below(daemon.endpoint)) as client:
            if junk:
                client.sendall(junk)
            read_to_end(client)
        line = daemon.wait_log("ended after", after=after)
        assert line["outcome"] == "tls_handshake" and line["listener"] == daemon.endpoint, line


def test_a_handshake_that_drips_ends_with_its_deadline(service):
    """Who sends a byte whenever one is awaited is never silent."""
    daemon = service("handshake-timeout=300ms")
    worker, = daemon.workers()
    with connect(below(daemon.endpoint)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(b"\x16\x03\x01\x40\0\x01\0\xff\0")
        client.setblocking(False)
        sent = 0
        for sent in range(100_000):
            try:
                client.send(b"\0")
                if client.recv(1) == b"":
                    break
            except BlockingIOError:
                continue
            except ConnectionError:
                break
        assert sent < 99_999
    assert_unharmed(daemon, worker)


# --- behind the handshake -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("junk", [bytes(100), b"\x17\x03\x03\0\x30" + bytes(48), b"\x17\x03\x03\0\0", JUNK["http"],
                                  b"\x15\x03\x03\0\x02\x02\x28"], ids=["zeros", "forged", "empty", "http", "alert"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_stream_that_somebody_has_tampered_with_is_an_error_and_no_end(service, version, junk):
    daemon = service("eof=lax")
    worker, = daemon.workers()
    with TlsClient(daemon.endpoint, trusting(version=version)) as client:
        client.sendall(b"echo\nhello")
        assert client.recv() == b"hello"
        client.socket.sendall(junk)
        client.socket.shutdown(socket.SHUT_WR)
        with pytest.raises(CUT_OFF):
            assert client.recv() != b"", "it was no proper end"
    assert daemon.wait_log("read to the end")["cause"] == os.strerror(71)
    assert_unharmed(daemon, worker)


def test_a_client_that_renegotiates_is_served_without(service):
    daemon = service()
    worker, = daemon.workers()
    name = "%s:%d" % address_of(below(daemon.endpoint))[1]
    with subprocess.Popen(["openssl", "s_client", "-connect", name, "-tls1_2", "-legacy_renegotiation"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
        client.stdin.write(b"R\n")
        client.stdin.flush()
        assert b"no renegotiation" in client.communicate(timeout=20)[0]
    assert_unharmed(daemon, worker)


def test_a_flood_of_key_updates_ends_the_connection(service):
    daemon = service()
    worker, = daemon.workers()
    for asks in (False, True):
        with OpensslClient(daemon.endpoint) as client:
            client.sendall(b"echo\nhello")
            assert client.recv() == b"hello"
            assert any(not client.update_key(asks) for _ in range(1000)) or \
                proc.eventually(lambda: not client.update_key(asks), timeout=10), "what lingers is closed, too"
    daemon.wait_log("read to the end", count=2)
    assert {line["cause"] for line in daemon.log.find("read to the end")} == {os.strerror(71)}
    assert_unharmed(daemon, worker)


@pytest.mark.parametrize("asks", [False, True])
def test_a_client_may_change_its_key_now_and_then(service, asks):
    daemon = service()
    with OpensslClient(daemon.endpoint) as client:
        client.sendall(b"echo\n")
        for _ in range(50):
            assert client.update_key(asks)
            client.sendall(b"hello")
            assert client.recv() == b"hello"
        client.end()
        assert client.recv() == b""
    assert daemon.wait_log("read to the end")["cause"] == "in good order"


def test_a_client_may_change_its_key_behind_the_end_of_our_output(service):
    daemon = service()
    with OpensslClient(daemon.endpoint) as client:
        client.sendall(b"half\n")
        assert client.recv() == b"half\n" and client.recv() == b""
        assert client.update_key(asks_for_one_back=True)
        client.sendall(b"hello")
        client.end()
    line = daemon.wait_log("read to the end")
    assert (line["cause"], line["bytes"]) == ("in good order", 5)


def test_a_client_that_does_not_read_is_left_after_the_idle_timeout(service):
    daemon = service("", "--idle-timeout", "300ms")
    worker, = daemon.workers()
    with TlsClient(daemon.endpoint) as client:
        client.socket.settimeout(0.1)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with pytest.raises(OSError):
            client.sendall(b"echo\n" + bytes(32 << 20))
        client.socket.settimeout(10)
        assert exchange_tls(daemon.endpoint, b"echo\nnext") == b"next"
    assert_unharmed(daemon, worker)


@pytest.mark.parametrize("model", ["async", "thread", "fork"])
def test_many_silent_clients_go_with_their_deadline_and_leave_nothing(preforkd, pair, model):
    daemon = preforkd("--model", model, listen=f"{HERE} {pair} handshake-timeout=300ms", workers=1)
    daemon.expect("all workers are full")
    worker, = daemon.workers()
    before = proc.open_descriptors(worker)
    silent = [connect(below(daemon.endpoint)) for _ in range(200)]
    assert exchange_tls(daemon.endpoint) == b"connected\n"
    for client in silent:
        with client:
            assert read_to_end(client) == b""
    assert proc.eventually(lambda: proc.open_descriptors(worker) <= before + 2 and not proc.children(worker)), \
        proc.descriptors(worker)
    assert not daemon.log.find("TLS")
