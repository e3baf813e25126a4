"""`preforkctl send --proxy`: a client is announced, as a balancer does."""
import socket
import threading

import pytest

from activation import endpoint_of, listening
from clients import port_of, read_to_end
from test_proxy_senders import free_port, haproxy

TELLS = ("--", "/bin/sh", "-c", 'echo "$REMOTE_ADDR $REMOTE_PORT at $TCPLOCALIP:$TCPLOCALPORT by $PROXY_BALANCER"; cat')
SOURCES = {"192.0.2.1:1234": "192.0.2.1 1234", "[2001:db8::1]:65535": "2001:db8::1 65535"}


def send(preforkctl, endpoint, *more):
    told = preforkctl("send", endpoint, "the text", *more)
    assert told.returncode == 0, told
    return told.stdout


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_server_takes_the_client_for_whom_it_is_told(preforkd, preforkctl, version):
    daemon = preforkd(*TELLS, listen="tcp://127.0.0.1:0 proxy=127.0.0.1")
    for source, expected in SOURCES.items():
        at = f"127.0.0.1:{port_of(daemon.endpoint)}" if source[0] != "[" else f":::{port_of(daemon.endpoint)}"
        told = send(preforkctl, daemon.endpoint, "--proxy", version, "--proxy-source", source)
        assert told.startswith(f"{expected} at {at} by 127.0.0.1:") and told.endswith("\nthe text")
    told = send(preforkctl, daemon.endpoint, "--proxy", version)
    assert told.startswith("127.0.0.1 ") and told.endswith(" by \nthe text"), "nobody is announced"


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_over_a_unix_socket(preforkd, preforkctl, tmp_path, version):
    daemon = preforkd(*TELLS, listen=f"unix://{tmp_path}/s proxy=unix")
    told = send(preforkctl, daemon.endpoint, "--proxy", version, "--proxy-source", "192.0.2.1:1234")
    assert told.startswith("192.0.2.1 1234 at 0.0.0.0:0 by "), told
    assert send(preforkctl, daemon.endpoint, "--proxy", version).endswith("the text")


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_it_is_said_before_tls(preforkd, preforkctl, pair, authority, version):
    daemon = preforkd("--handler", "echo", listen=f"tls://127.0.0.1:0 proxy=127.0.0.1 {pair}")
    told = send(preforkctl, daemon.endpoint, "--servername", "localhost", "--ca", authority.certificate, "--proxy", version,
                "--proxy-source", "192.0.2.1:1234")
    assert told == "the text"
    assert daemon.wait_log("got connection from")["peer"] == "192.0.2.1:1234"


def port(daemon):
    return daemon.endpoint.rpartition(":")[2]


@pytest.mark.parametrize("where", ["udp", "unixgram"])
def test_a_datagram_has_it_in_itself(preforkd, preforkctl, tmp_path, where):
    daemon = preforkd("--handler", "echo", listen="udp://127.0.0.1:0 proxy=127.0.0.1" if where == "udp" else
                      f"unixgram://{tmp_path}/s proxy=unix")
    for source in SOURCES:
        assert send(preforkctl, daemon.endpoint, "--proxy", "v2", "--proxy-source", source) == "the text"
        daemon.wait_log(f"got datagram from {source} via ")
    assert send(preforkctl, daemon.endpoint, "--proxy", "v2") == "the text"


def test_a_text_that_does_not_fit_beside_it_is_refused(preforkctl):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        told = preforkctl("send", f"udp://127.0.0.1:{server.getsockname()[1]}", "-", "--proxy", "v2", "--proxy-source",
                          "192.0.2.1:1", input="x" * (65507 - 27))
    assert told.returncode == 64 and "at most 65479 do" in told.stderr, told


@pytest.mark.programs("haproxy")
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_haproxy_takes_it_too(preforkd, preforkctl, tmp_path, version):
    daemon = preforkd(*TELLS, listen="tcp://127.0.0.1:0 proxy=127.0.0.1")
    behind = free_port()
    with haproxy(tmp_path, f"127.0.0.1:{port(daemon)} send-proxy-v2", f"bind 127.0.0.1:{behind} accept-proxy"):
        for source, expected in SOURCES.items():
            told = send(preforkctl, f"tcp://127.0.0.1:{behind}", "--proxy", version, "--proxy-source", source)
            assert told.startswith(f"{expected} at "), told


def test_verbose_tells_whom_it_has_announced(preforkctl):
    with listening() as bound:
        received, endpoint = [], endpoint_of(bound)

        def serve():
            client, _ = bound.accept()
            with client:
                received.append(read_to_end(client))
        server = threading.Thread(target=serve)
        server.start()
        told = preforkctl("send", endpoint, "text", "-v", "--proxy", "v1", "--proxy-source", "192.0.2.1:1")
        server.join()
    assert received == [f"PROXY TCP4 192.0.2.1 127.0.0.1 1 {port_of(endpoint)}\r\ntext".encode()]
    assert "announced 192.0.2.1:1 by PROXY v1" in told.stderr
