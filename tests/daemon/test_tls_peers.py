"""tls:// with those who really speak it: openssl s_client, curl, socat, gnutls-cli, HAProxy."""
import os
import subprocess

import pytest

from clients import port_of
from test_proxy_senders import haproxy
from tls_clients import below, exchange_tls

HERE = "tls://127.0.0.1:0"
MANY_BYTES = os.urandom(1 << 18)


@pytest.fixture(params=["async", "serial", "thread", "fork"])
def echo(request, preforkd, pair):
    return preforkd("--handler", "echo", "--model", request.param, listen=f"{HERE} {pair}")


def output_of(*command, data=b"", code=0):
    done = subprocess.run(list(map(str, command)), input=data, capture_output=True, timeout=60)
    assert done.returncode == code, done
    return done.stdout


def port(daemon):
    return port_of(below(daemon.endpoint))


def test_openssl(echo, authority, tmp_path):
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port(echo)}", "-servername", "localhost", "-CAfile", authority.certificate,
               "-verify_return_error", "-verify_hostname", "localhost"]
    for version in ("-tls1_2", "-tls1_3"):
        with subprocess.Popen([*command, "-quiet", "-no_ign_eof", version], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) as client:
            client.stdin.write(b"hello\n")
            client.stdin.flush()
            assert client.stdout.readline() == b"hello\n"
            client.stdin.close()
            assert client.wait(20) == 0
    session = tmp_path / "session"
    assert b"New, TLSv1.2" in output_of(*command, "-tls1_2", "-sess_out", session)
    assert b"Reused, TLSv1.2" in output_of(*command, "-tls1_2", "-sess_in", session)


@pytest.mark.programs("curl")
def test_curl(preforkd, pair, authority):
    answer = "HTTP/1.0 200 OK\r\n\r\nhello"
    daemon = preforkd("--greeting", answer, listen=f"{HERE} {pair} alpn=http/1.1")
    told = output_of("curl", "-sSv", "--cacert", authority.certificate, "--connect-to", f"localhost:443:127.0.0.1:{port(daemon)}",
                     "https://localhost/")
    assert told == b"hello\n"


@pytest.mark.programs("socat")
def test_socat(echo, authority):
    """It ends its output by a close_notify, and reads on."""
    told = output_of("socat", "-t10", "-", f"OPENSSL:127.0.0.1:{port(echo)},cafile={authority.certificate},commonname=localhost",
                     data=MANY_BYTES)
    assert told == MANY_BYTES


@pytest.mark.programs("gnutls-cli")
def test_gnutls(echo, authority):
    for priority in ("NORMAL:-VERS-ALL:+VERS-TLS1.2", "NORMAL:-VERS-ALL:+VERS-TLS1.3"):
        told = output_of("gnutls-cli", "--logfile=/dev/null", f"--x509cafile={authority.certificate}", f"--priority={priority}",
                         "--verify-hostname=localhost", "--sni-hostname=localhost", f"--port={port(echo)}", "127.0.0.1",
                         data=b"hello\n")
        assert told.endswith(b"hello\n"), told
    again = output_of("gnutls-cli", "--resume", "--waitresumption", f"--x509cafile={authority.certificate}", "--verify-hostname=localhost",
                      "--sni-hostname=localhost", f"--port={port(echo)}", "127.0.0.1", data=b"hello\n")
    assert b"This is a resumed session" in again


@pytest.mark.programs("haproxy")
def test_haproxy_passes_its_clients_on_and_announces_them(preforkd, pair, tmp_path):
    """TLS is ours; HAProxy looks at nothing but the first packet."""
    daemon = preforkd(listen=f"{HERE} {pair} proxy=127.0.0.1")
    checked = "send-proxy-v2 check check-ssl verify none sni str(localhost)"
    with haproxy(tmp_path, f"127.0.0.1:{port(daemon)} {checked}") as balancer:
        for _ in range(3):
            assert exchange_tls(f"tcp://127.0.0.1:{balancer}") == b"connected\n"
