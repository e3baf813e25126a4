"""proxy=: what is no PROXY header is none, line by line; and who else takes which of these for one."""
import contextlib
import os
import re
import select
import socket
import subprocess

import pytest

import proc
import proxy_negatives
from clients import connect, port_of, read_to_end
from proxy_sender import LINE, binary, tlv
from test_proxy_senders import accepts, free_port, nginx, running

# Of the versions in Debian 12.  All others they close, as preforkd does with each.
TAKEN_BY_HAPROXY = {
    "01.2.3.4", "1.2.3", "256.1.1.1", "::ffff:192.0.2.1", "the port 065", "the port 65536", "the port of no digits",
    "TLS in four bytes", "TLS whose version is longer than it"}
TAKEN_BY_NGINX = {
    "TCP4 of IPv6", "TCP6 of IPv4", "TCP4 to IPv6", "TCP6 to IPv4", "01.2.3.4", "1.2.3", "256.1.1.1", "1.2.3.4.", "1::2::3",
    "1:2:3:4:5:6:7:8:9", "::ffff:192.0.2.1", "no addresses but of their letters", "the port 065", "UNKNOWNX",
    *(f"command {command}" for command in range(2, 16)), *(f"family {family}" for family in range(4, 16)),
    *(f"protocol {protocol}" for protocol in range(3, 16)), "of a datagram, on a stream", "a TLV of one byte", "a TLV of two bytes",
    "a TLV that is longer than the rest", "a wrong checksum", "a checksum of three bytes", "two checksums", "TLS in four bytes",
    "TLS whose version is longer than it"}


def is_served(port, header):
    with connect(f"tcp://127.0.0.1:{port}") as client:
        with contextlib.suppress(OSError):  # it may be closed by then
            client.sendall(header)
            # HAProxy drops who has ended before it has reached its server; what may yet become a header gets no answer.
            if not select.select([client], [], [], 1)[0]:
                client.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            return b"taken" in read_to_end(client)
    return False


def served(port):
    """Those of the list, once it is sure that headers which are some are taken."""
    for header in (LINE, binary(), binary(tlvs=tlv(4, b"x"))):
        assert is_served(port, header)
    return [name for name, header in proxy_negatives.ALL.items() if is_served(port, header)]


def test_none_is_taken(preforkd):
    daemon = preforkd("--greeting", "taken", listen="tcp://127.0.0.1:0 proxy=127.0.0.1")
    daemon.expect("without a valid PROXY header")
    assert served(port_of(daemon.endpoint)) == []


def test_none_is_taken_before_a_handshake(preforkd, pair):
    """There, too, nothing but a header may come first, and no byte of what follows one is lost."""
    daemon = preforkd("--greeting", "taken", listen=f"tls://127.0.0.1:0 {pair} proxy=127.0.0.1")
    daemon.expect("without a valid PROXY header")
    for name, header in proxy_negatives.ALL.items():
        with connect(daemon.endpoint.replace("tls", "tcp")) as client:
            with contextlib.suppress(OSError):
                client.sendall(header)
                client.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                assert read_to_end(client) == b"", name


def version_of(program, argument):
    told = subprocess.run([program, argument], capture_output=True, text=True)
    return re.search(r"(\d+\.\d+)\.", told.stdout + told.stderr).group(1)


@pytest.mark.programs("haproxy")
def test_what_haproxy_takes(preforkd, tmp_path):
    if version_of("haproxy", "-v") != "2.6":
        pytest.skip("another version of HAProxy than the list is of")
    greeting = preforkd("--greeting", "taken")
    port, config = free_port(), tmp_path / "haproxy.cfg"
    config.write_text(f"""
        defaults
            mode tcp
            timeout connect 5s
            timeout client 9s
            timeout server 9s
        listen announced
            bind 127.0.0.1:{port} accept-proxy
            server us 127.0.0.1:{port_of(greeting.endpoint)}
""")
    with running("haproxy", "-db", "-f", config):
        assert proc.eventually(lambda: accepts(port))
        assert set(served(port)) == TAKEN_BY_HAPROXY


@pytest.mark.programs("nginx")
@pytest.mark.skipif(not os.path.exists("/usr/lib/nginx/modules/ngx_stream_module.so"), reason="nginx has no stream module")
def test_what_nginx_takes(tmp_path):
    if version_of("nginx", "-v") != "1.22":
        pytest.skip("another version of nginx than the list is of")
    port = free_port()
    with nginx(tmp_path, f"listen 127.0.0.1:{port} proxy_protocol; return taken;"):
        assert proc.eventually(lambda: accepts(port))
        assert set(served(port)) == TAKEN_BY_NGINX
