"""proxy= behind those who really announce clients: HAProxy, nginx, curl; dnsdist for datagrams."""
import contextlib
import os
import socket
import subprocess

import pytest

import proc
from clients import connect, port_of
from datagram_clients import Client
from datagram_clients import address_of as datagram_address_of

TELLS = ("--", "/bin/sh", "-c", 'echo "$REMOTE_ADDR $REMOTE_PORT at $SERVER_PORT by $PROXY_BALANCER $PROXY_AUTHORITY"; cat')


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def running(*command):
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as peer:
        try:
            yield peer
        finally:
            peer.terminate()


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def announced(port):
    """What a client that comes over `port` is told, and what it is."""
    with connect(f"tcp://127.0.0.1:{port}") as client:
        name = client.getsockname()
        client.sendall(b"whole\n")
        with client.makefile() as answer:
            told, echoed = answer.readline(), answer.readline()
    assert echoed == "whole\n"
    return told, f"{name[0]} {name[1]} at {port} by 127.0.0.1:"


@pytest.fixture(params=["proxy=127.0.0.1", "proxy=unix"])
def daemon(request, preforkd, tmp_path):
    place = "tcp://127.0.0.1:0" if request.param == "proxy=127.0.0.1" else f"unix://{tmp_path}/s"
    return preforkd(*TELLS, listen=f"{place} {request.param}")


def server_of(daemon):
    return f"127.0.0.1:{port_of(daemon.endpoint)}" if daemon.endpoint.startswith("tcp") else \
        "unix@" + daemon.endpoint.removeprefix("unix://")


@contextlib.contextmanager
def haproxy(tmp_path, server, more=""):
    """HAProxy before `server`, with `more` lines about them: its port, once it listens."""
    port = free_port()
    config = tmp_path / "haproxy.cfg"
    config.write_text(f"""
        defaults
            mode tcp
            timeout connect 5s
            timeout client 9s
            timeout server 9s
        listen balancer
            bind 127.0.0.1:{port}
            {more}
            server us {server} inter 50ms
""")
    with running("haproxy", "-db", "-f", config):
        assert proc.eventually(lambda: accepts(port))
        yield port


@pytest.mark.programs("haproxy")
@pytest.mark.parametrize("how", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id,authority"])
def test_clients_of_haproxy(daemon, tmp_path, how):
    with haproxy(tmp_path, f"{server_of(daemon)} {how} check", "unique-id-format %pid") as port:
        for _ in range(3):
            told, expected = announced(port)
            if daemon.endpoint.startswith("tcp"):
                assert told.startswith(expected), told
            else:
                assert told.startswith(expected.split(" by ")[0]), told
    assert not daemon.log.find("without a valid PROXY header")


def nginx(directory, server):
    """While it runs: one with that one server of streams."""
    config = directory / "nginx.conf"
    config.write_text(f"""
        load_module /usr/lib/nginx/modules/ngx_stream_module.so;
        daemon off;
        user root;
        pid {directory}/nginx.pid;
        error_log {directory}/nginx.log;
        events {{}}
        stream {{ server {{ {server} }} }}
        """)
    return running("nginx", "-p", directory, "-c", config)


@pytest.mark.programs("nginx")
@pytest.mark.skipif(not os.path.exists("/usr/lib/nginx/modules/ngx_stream_module.so"), reason="nginx has no stream module")
def test_clients_of_nginx(daemon, tmp_path):
    port = free_port()
    server = server_of(daemon).replace("unix@", "unix:")
    with nginx(tmp_path, f"listen 127.0.0.1:{port}; proxy_pass {server}; proxy_protocol on;"):
        assert proc.eventually(lambda: accepts(port))
        told, expected = announced(port)
        assert told.startswith(expected.split(" by ")[0]), told


@pytest.mark.programs("curl")
def test_curl_announces_itself(preforkd):
    daemon = preforkd("--", "/bin/sh", "-c", r'printf "HTTP/1.0 200 OK\r\n\r\n$REMOTE_ADDR by $PROXY_BALANCER"',
                      listen="tcp://127.0.0.1:0 proxy=127.0.0.1 linger=1s")
    told = subprocess.run(["curl", "-sS", "--haproxy-protocol", f"http://127.0.0.1:{port_of(daemon.endpoint)}/"],
                          capture_output=True, text=True, timeout=20)
    assert told.stdout.startswith("127.0.0.1 by 127.0.0.1:"), told


QUERY = b"\x12\x34\x01\0\0\1\0\0\0\0\0\0" + b"\7example\3org\0" + b"\0\1\0\1"  # of example.org, an address


@pytest.mark.programs("dnsdist")
def test_clients_of_dnsdist(preforkd, trouble, tmp_path):
    daemon = preforkd("--handler", trouble("name_server"), listen="udp://127.0.0.1:0 proxy=127.0.0.1")
    port = free_port()
    server = "%s:%d" % datagram_address_of(daemon.endpoint)[1]
    config = tmp_path / "dnsdist.conf"
    config.write_text(f"""
        setLocal("127.0.0.1:{port}")
        newServer({{address="{server}", useProxyProtocol=true}})
        """)
    with running("dnsdist", "--supervised", "--disable-syslog", "-C", config):
        assert proc.eventually(lambda: accepts(port))
        with Client(f"udp://127.0.0.1:{port}") as client:
            client.socket.bind(("127.0.0.1", 0))
            answer = client.ask(QUERY)
            name = "%s:%d" % client.socket.getsockname()
    assert answer[:2] == QUERY[:2] and answer[2] & 0x80 and answer[12:] == QUERY[12:]
    line = daemon.wait_log(f"got datagram from {name}")
    assert line["balancer"].startswith("127.0.0.1:")
    checks = [line for line in daemon.log.find("got datagram from") if line["peer"] != name]
    assert checks and not any("balancer" in line for line in checks), "its own checks are its own"
    assert not daemon.log.find("without a valid PROXY header")
