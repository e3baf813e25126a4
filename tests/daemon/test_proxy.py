"""proxy=: a balancer announces its clients, and nobody else does."""
import contextlib
import signal
import socket

import pytest

import proc
from clients import connect, read_exactly, read_to_end
from proxy_sender import LINE, SIGNATURE, binary, telling, tlv

TRUSTED = "tcp://127.0.0.1:0 proxy=127.0.0.0/8"
SERVICES = [("announced_coroutine", model) for model in ("async", "serial", "thread", "fork")] + \
    [("announced_blocking", model) for model in ("serial", "thread", "fork")]


@pytest.fixture(params=SERVICES, ids="-".join)
def service(request, preforkd, trouble):
    return telling(preforkd, trouble, request.param, TRUSTED)


def line_of(client):
    line = b""
    while not line.endswith(b"\n"):
        line += read_exactly(client, 1)
    return line.decode().strip()


def is_closed(client):
    """By a reset where something was left unread."""
    try:
        return read_to_end(client) == b""
    except ConnectionResetError:
        return True


def name_of(client):
    host, port = client.getsockname()
    return f"tcp://{host}:{port}"


# --- who a client is --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("header", [LINE, binary()], ids=["line", "binary"])
def test_a_client_is_whom_the_balancer_has_announced(service, header):
    daemon = service()
    with connect(daemon.endpoint) as client:
        client.sendall(header + b"payload\n")
        assert line_of(client) == "tcp://192.0.2.1:56324 tcp://198.51.100.2:443 " \
            f"by {name_of(client)} authority= alpn= id="
        assert line_of(client) == "payload", "all of it, and nothing else"
        client.sendall(b"more\n")
        assert line_of(client) == "more"
        port = client.getsockname()[1]
    line = daemon.wait_log("got connection from")
    assert (line["peer"], line["balancer"]) == ("192.0.2.1:56324", f"127.0.0.1:{port}")


@pytest.mark.parametrize("header", [LINE, binary(("2001:db8::1", 1), ("2001:db8::2", 2), tlv(4, b"x" * 100))],
                         ids=["line", "binary"])
def test_a_header_may_come_byte_by_byte(service, header):
    daemon = service()
    with connect(daemon.endpoint) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in header:
            client.sendall(bytes([byte]))
        assert line_of(client).startswith(("tcp://192.0.2.1:56324 ", "tcp://[2001:db8::1]:1 "))
        client.sendall(b"after\n")
        assert line_of(client) == "after"


def test_what_a_balancer_says_for_itself_is_its_own_connection(service):
    daemon = service()
    for header in (b"PROXY UNKNOWN\r\n", binary(command=0), SIGNATURE + b"\x20\0\0\0"):
        with connect(daemon.endpoint) as client:
            client.sendall(header)
            assert line_of(client) == f"{name_of(client)} {daemon.endpoint}"


def test_whoever_is_not_named_is_not_listened_to(service):
    """Else anybody could say that it is anybody; what it sends is for the handler."""
    daemon = service("tcp://127.0.0.1:0 proxy=192.0.2.0/24,::/0")
    with connect(daemon.endpoint) as client:
        client.sendall(LINE)
        assert line_of(client) == f"{name_of(client)} {daemon.endpoint}"
        assert line_of(client) == LINE.decode().strip()


def test_a_handler_is_told_what_else_was_said(service):
    daemon = service()
    tls = tlv(0x20, b"\x07\0\0\0\0" + tlv(0x21, b"TLSv1.3") + tlv(0x22, b"client") + tlv(0x23, b"AES"))
    with connect(daemon.endpoint) as client:
        client.sendall(binary(tlvs=tlv(1, b"h2") + tlv(2, b"example.com") + tlv(5, b"17") + tls))
        assert line_of(client).endswith("authority=example.com alpn=h2 id=17 tls=TLSv1.3,AES,client,verified")


def test_a_unix_listener_believes_whoever_may_connect(service, tmp_path):
    daemon = service(f"unix://{tmp_path}/s proxy=unix")
    with connect(daemon.endpoint) as client:
        for byte in LINE:
            client.sendall(bytes([byte]))
        assert line_of(client).startswith("tcp://192.0.2.1:56324 tcp://198.51.100.2:443 by unix://")


def test_a_client_of_a_unix_socket_without_a_name_is_announced_all_the_same(service, tmp_path):
    daemon = service(f"unix://{tmp_path}/s proxy=unix")
    with connect(daemon.endpoint) as client:
        client.sendall(SIGNATURE + b"\x21\x31" + (216 + 5).to_bytes(2, "big") + bytes(216) + tlv(1, b"h2"))
        assert line_of(client) == "unix://unnamed unix://unnamed by unix://unnamed authority= alpn=h2 id="


def test_an_urgent_byte_keeps_no_worker_busy(service, tmp_path):
    daemon = service(f"unix://{tmp_path}/s proxy=unix proxy-timeout=1h", workers=1)
    daemon.expect("without a valid PROXY header")
    for begun in (LINE[:5], b""):
        with connect(daemon.endpoint) as client:
            client.sendall(begun)
            client.send(b"x", socket.MSG_OOB)
            assert is_closed(client), "it would be woken for an hour"
    daemon.wait_log("urgent data")


# --- headers that are none ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("bad, why", [(b"GET / HTTP/1.1\r\n\r\n", "it begins as none"), (LINE[:20], "ended before it"),
                                      (b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 65536\r\n", "an address or a port")])
def test_without_a_valid_header_a_connection_is_closed(service, bad, why):
    daemon = service(workers=1)
    daemon.expect("without a valid PROXY header")
    with connect(daemon.endpoint) as client:
        client.sendall(bad)
        with contextlib.suppress(OSError):  # it may have been closed already
            client.shutdown(socket.SHUT_WR)
        assert is_closed(client)
    assert why in daemon.wait_log("without a valid PROXY header")["cause"]
    with connect(daemon.endpoint) as client:
        client.sendall(LINE)
        assert line_of(client).startswith("tcp://192.0.2.1:56324 "), "and has cost the next one nothing"
    assert not [line for line in daemon.log.find("got connection from") if "192.0.2.1" not in line["peer"]]


def test_one_who_looks_whether_somebody_is_there_is_no_news(service):
    daemon = service()
    connect(daemon.endpoint).close()
    with connect(daemon.endpoint) as client:
        client.sendall(LINE)
        line_of(client)
    assert not daemon.log.find("without a valid PROXY header")


def test_a_header_that_does_not_come_is_waited_for_no_longer_than_its_timeout(service):
    daemon = service(TRUSTED + " proxy-timeout=100ms", workers=1)
    daemon.expect("without a valid PROXY header")
    with connect(daemon.endpoint) as silent, connect(daemon.endpoint) as slow:
        slow.sendall(LINE[:10])
        for client in (silent, slow):
            assert is_closed(client)
    assert "proxy-timeout=" in daemon.wait_log("without a valid PROXY header")["cause"]
    with connect(daemon.endpoint) as client:
        client.sendall(LINE)
        line_of(client)


def test_many_bad_headers_are_a_line_a_second(service):
    daemon = service(workers=1)
    daemon.expect("without a valid PROXY header")
    for _ in range(50):
        with connect(daemon.endpoint) as client:
            client.sendall(b"x")
            assert is_closed(client)
    daemon.wait_log("without a valid PROXY header")
    assert len(daemon.log.find("without a valid PROXY header")) < 25


# --- stopping meanwhile -----------------------------------------------------------------------------------------------

def test_a_client_whose_header_is_still_to_come_is_served_by_a_worker_that_leaves(service):
    daemon = service(TRUSTED + " proxy-timeout=30s", workers=1)
    worker, = daemon.workers()
    before = len(proc.descriptors(worker))
    with connect(daemon.endpoint) as client:
        client.sendall(LINE[:10])
        assert proc.eventually(lambda: len(proc.descriptors(worker)) > before), "it has been accepted"
        daemon.signal(signal.SIGTERM)
        daemon.wait_log("stopping")
        client.sendall(LINE[10:] + b"payload\n")
        assert line_of(client).startswith("tcp://192.0.2.1:56324 ")
        assert line_of(client) == "payload"
    assert daemon.wait_exit() == 0


def test_a_fast_stop_waits_for_no_header(service):
    daemon = service(TRUSTED + " proxy-timeout=30s", workers=1)
    daemon.expect("connection")
    with connect(daemon.endpoint) as client:
        client.sendall(LINE[:10])
        daemon.signal(signal.SIGINT)
        assert daemon.wait_exit() == 0
        assert is_closed(client)


# --- programs, embedding, what is written --------------------------------------------------------------------------------

def test_a_program_finds_its_client_in_its_environment(preforkd):
    daemon = preforkd("--", "/usr/bin/env", listen=TRUSTED, env={"PROXY_AUTHORITY": "forged", "PROXY_ALPN": "forged"})
    with connect(daemon.endpoint) as client:
        client.sendall(binary(tlvs=tlv(2, b"example.com") + tlv(5, b"a\0b") +
                              tlv(0x20, b"\x05\0\0\0\0" + tlv(0x21, b"TLSv1.2") + tlv(0x22, b"cn"))))
        told = dict(line.split("=", 1) for line in read_to_end(client).decode().splitlines())
        port = client.getsockname()[1]
    expected = {"PROTO": "TCP", "TCPREMOTEIP": "192.0.2.1", "TCPREMOTEPORT": "56324", "TCPLOCALIP": "198.51.100.2",
                "TCPLOCALPORT": "443", "REMOTE_ADDR": "192.0.2.1", "PROXY_BALANCER": f"127.0.0.1:{port}",
                "PROXY_AUTHORITY": "example.com", "PROXY_TLS_VERSION": "TLSv1.2", "PROXY_TLS_COMMON_NAME": "cn",
                "PROXY_TLS_VERIFIED": "yes"}
    assert {name: told.get(name) for name in expected} == expected
    assert "PROXY_ALPN" not in told and "PROXY_UNIQUE_ID" not in told


def test_a_program_is_not_started_for_what_is_announced_by_nobody(preforkd):
    daemon = preforkd("--", "/bin/sh", "-c", "echo started", listen=TRUSTED, workers=1)
    daemon.expect("without a valid PROXY header")
    with connect(daemon.endpoint) as client:
        client.sendall(b"x")
        assert is_closed(client)


@pytest.mark.parametrize("listen, words", [
    ("tcp://:0 proxy=example.com", ["proxy", "192.0.2.1,2001:db8::/32"]),
    ("tcp://:0 proxy=192.0.2.1/24", ["proxy"]),
    ("tcp://:0 proxy=unix", ["proxy=unix does not fit tcp"]),
    ("unix:///run/x proxy=10.0.0.0/8", ["use proxy=unix"]),
    ("tcp://:0 proxy-timeout=3s", ["proxy-timeout= needs proxy="]),
    ("tcp://:0 proxy=10.0.0.0/8 proxy-timeout=0", ["proxy-timeout", "3s"]),
])
def test_what_does_not_fit_is_refused(run_preforkd, listen, words):
    told = run_preforkd("-l", listen)
    assert told.returncode == 64 and all(word in told.stderr for word in words), told.stderr
