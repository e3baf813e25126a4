"""proxy= over udp and unixgram: each datagram of a balancer begins with whom it is from."""
import socket

import pytest

import proc
from activation import Passing, listening
from configured import configured  # noqa: F401
from datagram_clients import Client
from proxy_sender import LINE, SIGNATURE, binary, telling, tlv

TRUSTED = "udp://127.0.0.1:0 proxy=127.0.0.0/8"
MODELS = ("async", "serial", "thread", "fork")
SERVICES = [(name, model) for name in ("announced_datagram", "announced_datagram_coroutine") for model in MODELS]
BAD = "without a valid PROXY header"


def header(*arguments, **how):
    return binary(*arguments, kind=socket.SOCK_DGRAM, **how)


@pytest.fixture(params=SERVICES, ids="-".join)
def service(request, preforkd, trouble):
    return telling(preforkd, trouble, request.param, TRUSTED)


def name_of(client):
    host, port = client.socket.getsockname()
    return f"udp://{host}:{port}"


def asked(client, data):
    """Who the handler says that its client is, and the payload that it got."""
    who, _, payload = client.ask(data).partition(b"\n")
    return who.decode(), payload


# --- who a client is --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("payload", [b"payload", b"", LINE, SIGNATURE, bytes(range(256)) * 100])
def test_a_client_is_whom_the_balancer_has_announced_and_the_balancer_is_answered(service, payload):
    daemon = service()
    with Client(daemon.endpoint) as client:
        client.socket.bind(("127.0.0.1", 0))
        assert asked(client, header() + payload) == (
            f"udp://192.0.2.1:56324 udp://198.51.100.2:443 by {name_of(client)} authority= alpn= id=", payload)
        port = client.socket.getsockname()[1]
    line = daemon.wait_log("got datagram from")
    assert (line["peer"], line["balancer"]) == ("192.0.2.1:56324", f"127.0.0.1:{port}")


def test_each_datagram_has_its_own_client(service):
    daemon = service()
    with Client(daemon.endpoint) as client:
        for number in range(1, 40):
            told, payload = asked(client, header((f"192.0.2.{number}", number)) + b"%d" % number)
            assert told.startswith(f"udp://192.0.2.{number}:{number} ") and payload == b"%d" % number
        told, _ = asked(client, header(("2001:db8::1", 1), ("2001:db8::2", 2)))
        assert told.startswith("udp://[2001:db8::1]:1 udp://[2001:db8::2]:2 ")


def test_a_handler_is_told_what_else_was_said(service):
    daemon = service()
    tls = tlv(0x20, b"\x07\0\0\0\0" + tlv(0x21, b"TLSv1.3") + tlv(0x22, b"client") + tlv(0x23, b"AES"))
    with Client(daemon.endpoint) as client:
        told, payload = asked(client, header(tlvs=tlv(1, b"doq") + tlv(2, b"example.com") + tlv(5, b"17") + tls) + b"x")
    assert told.endswith("authority=example.com alpn=doq id=17 tls=TLSv1.3,AES,client,verified") and payload == b"x"


def test_what_a_balancer_says_for_itself_is_its_own_datagram(service):
    daemon = service()
    with Client(daemon.endpoint) as client:
        client.socket.bind(("127.0.0.1", 0))
        for said in (header(command=0), binary(command=0), SIGNATURE + b"\x20\0\0\0", SIGNATURE + b"\x21\0\0\3abc"):
            assert asked(client, said + b"check") == (f"{name_of(client)} {daemon.endpoint}", b"check")
    assert "balancer" not in daemon.wait_log("got datagram from")


def test_whoever_is_not_named_is_not_listened_to(service):
    """Else anybody could say that it is anybody; what it sends is for the handler."""
    daemon = service("udp://127.0.0.1:0 proxy=192.0.2.0/24,::/0")
    with Client(daemon.endpoint) as client:
        client.socket.bind(("127.0.0.1", 0))
        assert asked(client, header() + b"x") == (f"{name_of(client)} {daemon.endpoint}", header() + b"x")


def test_whoever_may_send_to_a_unix_socket_may_announce(service, tmp_path):
    daemon = service(f"unixgram://{tmp_path}/s proxy=unix allow=192.0.2.0/24")
    daemon.expect(BAD)
    with Client(daemon.endpoint) as client:
        told, payload = asked(client, header() + b"payload")
        assert told.startswith("udp://192.0.2.1:56324 udp://198.51.100.2:443 by unixgram://@") and payload == b"payload"
        client.send(header(("192.0.3.1", 1)))
        assert daemon.wait_log("were not served: allow= and deny=")["total"] == 1
        client.send(b"nobody")
        daemon.wait_log(BAD)
        assert client.hears_nothing()


# --- whom the rules are about -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("model", MODELS)
def test_rules_and_limits_are_about_whom_the_balancer_announces(preforkd, model):
    daemon = preforkd("--handler", "echo", "--model", model, workers=1,
                      listen=TRUSTED + " deny=192.0.2.77 replies-per-source=1/s")
    with Client(daemon.endpoint) as client:
        for number in range(1, 20):  # more than one source may have
            assert client.ask(header((f"192.0.2.{number}", 1)) + b"x") == b"x"
        client.send(header(("192.0.2.77", 1)) + b"denied")
        daemon.wait_log("were not served: allow= and deny=")
        for _ in range(20):
            client.send(header(("192.0.2.1", 1)) + b"often")
        daemon.wait_log(lambda line: "replies-per-source=" in line.get("reason", ""))
        assert client.ask(header(("192.0.2.20", 1)) + b"y") in (b"y", b"often")


def test_a_reply_is_as_long_as_what_follows_the_header_at_most(preforkd):
    daemon = preforkd(listen=TRUSTED)
    with Client(daemon.endpoint) as client:
        assert client.ask(header() + b"abc") == b"con", "or a client would have the balancer send it more"


# --- headers that are none --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("bad, why", [
    (b"", "it begins as none of version 2"), (b"GET / HTTP/1.1\r\n\r\n", "it begins as none of version 2"),
    (LINE, "it begins as none of version 2"), (b"PROXY UNKNOWN\r\n", "it begins as none of version 2"),
    (binary(), "its transport protocol is not that of its listener"), (header()[:20], "it is cut, and a datagram is whole"),
    (SIGNATURE, "it is cut, and a datagram is whole"), (header(tlvs=b"x"), "a TLV is longer than what is left"),
    (header(tlvs=tlv(3, b"1234")), "its checksum is wrong"), (SIGNATURE + b"\x31\x12\0\0", "its version is not 2")])
def test_a_datagram_without_a_valid_header_is_dropped(service, bad, why):
    daemon = service(workers=1)
    daemon.expect(BAD)
    with Client(daemon.endpoint) as client:
        client.socket.bind(("127.0.0.1", 0))
        client.send(bad)
        line = daemon.wait_log(BAD)
        assert why in line["cause"] and line["total"] == 1 and line["level"] == "warning"
        assert f"udp://{line['peer']}" == name_of(client)
        assert asked(client, header() + b"next")[1] == b"next", "it has cost the next one nothing"
    assert len(daemon.log.find("got datagram from")) == 1


@pytest.mark.parametrize("model", MODELS)
def test_many_bad_headers_are_a_line_a_second_with_their_number(preforkd, model):
    daemon = preforkd("--handler", "echo", "--model", model, listen=TRUSTED, workers=1)
    daemon.expect(BAD)
    with Client(daemon.endpoint) as client:
        for _ in range(100):
            client.send(b"x")
            assert client.ask(header() + b"y") == b"y"
        daemon.wait_log(lambda line: BAD in line["message"] and line["total"] == 100)
    assert len(daemon.log.find(BAD)) < 25


# --- what is written --------------------------------------------------------------------------------------------------

def test_a_reload_takes_up_who_announces_and_gives_it_up(configured):
    lines = ["handler = echo", "workers = 1", "[udp://127.0.0.1:0]"]
    service = configured(*lines)
    for more, heard in ((["proxy = 127.0.0.1"], b"x"), ([], header() + b"x")):
        before = service.daemon.workers()
        assert service.reload(*lines, *more)["message"].startswith("reloaded")
        assert all(proc.wait_gone(pid, 10) for pid in before)
        with Client(service.daemon.endpoint) as client:
            assert client.ask(header() + b"x") == heard


@pytest.mark.parametrize("listen, words", [
    ("udp://:0 proxy=unix", ["proxy=unix does not fit udp"]),
    ("unixgram:///run/x proxy=10.0.0.0/8", ["use proxy=unix"]),
    ("udp://:0 proxy=10.0.0.0/8 proxy-timeout=3s", ["proxy-timeout= does not fit udp"]),
    ("unixgram:///run/x deny=10.0.0.0/8", ["deny= does not fit unixgram", "unless proxy=unix"]),
    ("unixgram:///run/x proxy=unix allow=1000", ["allow: only clients of a Unix socket (unix://)"]),
])
def test_what_does_not_fit_is_refused(run_preforkd, listen, words):
    told = run_preforkd("-l", listen)
    assert told.returncode == 64 and all(word in told.stderr for word in words), told.stderr


def test_a_passed_socket_for_datagrams_knows_no_time_for_headers(run_preforkd):
    with listening(kind=socket.SOCK_DGRAM) as passed:
        told = run_preforkd("--listen", "fd://web proxy=127.0.0.1 proxy-timeout=1s", "--handler", "echo",
                            **Passing(passed, names=["web"]).arguments())
    assert told.returncode == 78 and "proxy-timeout= is for streams" in told.stderr, told
