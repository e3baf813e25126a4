"""tls:// with those who really speak it: openssl s_client, curl, socat, gnutls-cli, HAProxy; and with those who look for
what is weak: sslscan, testssl.sh."""
import json
import os
import subprocess
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from clients import port_of
from test_proxy_senders import haproxy
from tls_clients import below, exchange_tls
from tls_peers import s_server

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


# --- scanners ------------------------------------------------------------------------------------------------------------

@pytest.fixture
def scanned(preforkd, authority):
    """The port of a daemon as it is by default, with a key of each kind, which is good for longer than warnings reach."""
    pairs = [authority.issue(f"scanned-{kind}", "localhost", kind=kind, days=80) for kind in ("ec", "rsa")]
    return port(preforkd("--handler", "echo", listen=f"{HERE} {pairs[0]} {pairs[1]}"))


def flaws_by_sslscan(port, directory):
    output_of("sslscan", f"--xml={directory / 'scan.xml'}", f"127.0.0.1:{port}")
    seen = ElementTree.parse(directory / "scan.xml").getroot().find("ssltest")
    versions = {f"{each.get('type')} {each.get('version')}" for each in seen.iter("protocol") if each.get("enabled") == "1"}
    assert versions & {"tls 1.0", "tls 1.2", "tls 1.3"}, "it has talked with the server"
    return [*(version for version in sorted(versions) if version not in ("tls 1.2", "tls 1.3")),
            *(f"{each.get('cipher')} is {each.get('strength')}" for each in seen.iter("cipher")
              if each.get("strength") not in ("strong", "acceptable")),
            *(f"heartbleed with {each.get('sslversion')}" for each in seen.iter("heartbleed") if each.get("vulnerable") != "0"),
            *("compression" for each in seen.iter("compression") if each.get("supported") != "0"),
            *("renegotiation" for each in seen.iter("renegotiation") if each.get("supported") != "0"),
            *("a weak key" for each in seen.iter("pk") if each.get("error") != "false" or int(each.get("bits")) < 128)]


@pytest.mark.programs("sslscan")
def test_sslscan_finds_nothing(scanned, tmp_path):
    assert flaws_by_sslscan(scanned, tmp_path) == []


@pytest.mark.programs("sslscan")
def test_sslscan_finds_what_is_old(pair, tmp_path):
    with s_server(SimpleNamespace(pem=pair.certificate, key=pair.key), "-tls1", "-cipher", "ALL:@SECLEVEL=0") as (endpoint, _):
        assert "tls 1.0" in flaws_by_sslscan(endpoint.rpartition(":")[2], tmp_path)


# What testssl.sh says here of something else than the server.
NOT_OURS = {
    "engine_problem": "of the openssl(1) that it runs: it has no GOST",
    "service": "what is echoed is no HTTP, so what is of HTTP alone is not looked for",
    "sessionresumption_ticket": "with nothing to send that openssl(1) may leave before it has seen the ticket",
    "cert_revocation": "the authority of the tests publishes no list, and answers nobody",
}


@pytest.mark.programs("testssl")
def test_testssl_finds_nothing(scanned, authority, tmp_path):
    """Protocols, what the server prefers and shows, and all vulnerabilities that have a name."""
    report = tmp_path / "report.json"
    scan = subprocess.run(["testssl", "--quiet", "--warnings", "batch", "--color", "0", "--nodns", "none", "--add-ca",
                           authority.certificate, "--ip", "127.0.0.1", "--jsonfile", report, "-p", "-S", "-U", f"localhost:{scanned}"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
    assert scan.returncode < 100, scan  # else it has not come to its end; below, it counts what NOT_OURS names, too
    said = json.loads(report.read_text())
    looked_at = {each["id"] for each in said if each["severity"] == "OK"}
    assert looked_at >= {"SSLv3", "TLS1_3", "heartbleed", "ROBOT", "secure_renego", "CRIME_TLS", "LUCKY13", "RC4"}
    assert [each for each in said if each["severity"] not in ("OK", "INFO") and each["id"].split()[0] not in NOT_OURS] == []
