"""`preforkctl send tls://`: whom it believes, what it says of whom it does not, and that an end is an end."""
import re
import socket
import ssl
import subprocess
import threading

import pytest

from activation import endpoint_of, listening
from daemon_process import PREFORKCTL, clean_environment
from test_preforkctl import talking  # noqa: F401: a fixture
from tls_peers import Authority, TlsServer, echo, openssl, s_server, server_context

pytestmark = [pytest.mark.localhost, pytest.mark.programs("openssl")]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def authority(files):
    return Authority(files)


@pytest.fixture(scope="module")
def localhost(authority):
    return authority.sign("localhost")


@pytest.fixture(scope="module")
def other(files):
    """An authority that nobody has told us of."""
    (files / "other").mkdir()
    return Authority(files / "other", "other")


@pytest.fixture
def send(preforkctl, authority):
    """Asks with the authority trusted; `ca=None`: with the system's."""
    def ask(endpoint, *arguments, ca=authority.pem, **how):
        return preforkctl("send", endpoint, *(("--ca", ca) if ca else ()), *arguments, **how)
    return ask


def is_refused(told, *words):
    lines = told.stderr.splitlines()
    return told.returncode == 1 and len(lines) == 1 and not [word for word in words if word not in lines[0]]


# --- who is believed --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_server_of_an_authority_that_is_named_is_believed(send, localhost, host):
    with TlsServer(server_context(localhost)) as server:
        told = send(server.endpoint.replace("localhost", host), "hello")
    assert (told.returncode, told.stdout, told.stderr, server.errors) == (0, "hello", "", [])
    assert server.asked_for == ["localhost" if host == "localhost" else None]  # an address is no name.  RFC 6066, 3


def test_without_one_the_systems_are_asked(localhost, authority):
    with TlsServer(server_context(localhost)) as server:
        def ask(file):
            return subprocess.run([PREFORKCTL, "send", server.endpoint, "hello"], capture_output=True, text=True,
                                  timeout=20, env=clean_environment({"SSL_CERT_FILE": str(file)}))
        assert ask(authority.pem).stdout == "hello"
        assert is_refused(ask("/dev/null"), "from an authority that is not trusted here", "--ca FILE")
    assert len(server.clients) == 1  # the second has never come to speak


def test_an_authority_that_is_named_is_the_only_one(other, localhost, authority):
    with TlsServer(server_context(localhost)) as server:
        told = subprocess.run([PREFORKCTL, "send", server.endpoint, "--ca", other.pem], capture_output=True, text=True,
                              timeout=20, env=clean_environment({"SSL_CERT_FILE": authority.pem}))
    assert is_refused(told, f"not from the authority in --ca {other.pem}")


def test_a_name_that_the_certificate_has_not_is_refused(send, authority):
    pair = authority.sign("named", "DNS:a.example", "DNS:b.example", "IP:192.0.2.1", subject="localhost")
    with TlsServer(server_context(pair)) as server:
        told = send(server.endpoint)
        assert is_refused(told, "its certificate is for a.example, b.example, 192.0.2.1, not for localhost",
                          "--servername")
        assert is_refused(send(server.endpoint.replace("localhost", "127.0.0.1")), "not for 127.0.0.1")
        assert send(server.endpoint, "hello", "--servername", "b.example").stdout == "hello"
        assert send(server.endpoint, "hello", "--servername", "192.0.2.1").stdout == "hello"
    assert server.asked_for == ["localhost", None, "b.example", None]


def test_a_subject_is_no_name(send, authority):
    with TlsServer(server_context(authority.sign("subject", "none", subject="localhost"))) as server:
        assert is_refused(send(server.endpoint), "is for no name, not for localhost")


def test_a_pattern_stands_for_one_label(send, authority):
    with TlsServer(server_context(authority.sign("pattern", "DNS:*.example.org"))) as server:
        assert send(server.endpoint, "hello", "--servername", "a.example.org").stdout == "hello"
        for name in ("a.b.example.org", "example.org"):
            assert is_refused(send(server.endpoint, "--servername", name), "is for *.example.org")


def test_one_that_has_expired_is_refused_with_the_day(send, authority):
    with TlsServer(server_context(authority.sign("expired", days=-1))) as server:
        assert is_refused(send(server.endpoint), "its certificate has expired on 20", "renewed")


def test_one_that_is_no_servers_is_refused(send, authority):
    with TlsServer(server_context(authority.sign("client-only", usage="clientAuth"))) as server:
        assert is_refused(send(server.endpoint), "is not for servers")


def test_a_chain_is_followed_to_what_is_trusted(send, authority, files):
    (files / "between").mkdir(exist_ok=True)
    between = Authority(files / "between", "between", above=authority)
    pair = between.sign("below")  # its file has that of `between` as well
    with TlsServer(server_context(pair)) as server:
        for trusted in (authority.pem, between.pem, str(pair.pem)):
            assert send(server.endpoint, "hello", ca=trusted).stdout == "hello"


@pytest.mark.parametrize("arguments, works", [((), False), (("--ca", "localhost.pem"), True), (("--insecure",), True)])
def test_what_preforkctl_has_made_is_trusted_where_that_is_said(preforkctl, tmp_path, arguments, works):
    preforkctl("certificate", "localhost", cwd=tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "localhost.pem", tmp_path / "localhost.key")
    with TlsServer(context) as server:
        told = preforkctl("send", server.endpoint, "hello", *arguments, cwd=tmp_path)
    assert told.stdout == "hello" if works else is_refused(told, "self-signed, and not trusted here", "--ca FILE")


def test_insecure_believes_anything(send, other):
    with TlsServer(server_context(other.sign("wrong", "DNS:b.example", days=-1))) as server:
        told = send(server.endpoint, "hello", "--insecure", "--verbose", ca=None)
    assert told.stdout == "hello" and "for b.example, not to be trusted" in told.stderr


# --- what it shows of itself --------------------------------------------------------------------------------------------

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_certificate_is_shown_to_a_server_that_asks(send, authority, localhost, version):
    client = authority.sign("alice", "email:alice@example.org", usage="clientAuth")
    with TlsServer(server_context(localhost, client_authority=authority.pem, version=version)) as server:
        told = send(server.endpoint, "hello", "--cert", client.pem, "--key", client.key)
        assert (told.stdout, told.stderr) == ("hello", "")
        client.pem.write_text(client.pem.read_text() + client.key.read_text())
        assert send(server.endpoint, "hello", "--cert", client.pem).stdout == "hello"
    assert [each["subject"] for each in server.clients] == [((("commonName", "alice"),),)] * 2


@pytest.mark.parametrize("version", VERSIONS)
def test_a_server_that_wants_one_is_named_its_remedy(send, authority, localhost, version):
    with TlsServer(server_context(localhost, client_authority=authority.pem, version=version)) as server:
        assert is_refused(send(server.endpoint, "hello"), "certificate", "--cert")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_certificate_that_is_not_accepted_is_named(send, authority, localhost, other, version):
    client = other.sign("mallory", usage="clientAuth")
    with TlsServer(server_context(localhost, client_authority=authority.pem, version=version)) as server:
        assert is_refused(send(server.endpoint, "hello", "--cert", client.pem, "--key", client.key), "not accept --cert")


def test_a_server_that_is_not_believed_sees_no_certificate(send, authority, other):
    client = authority.sign("bob", usage="clientAuth")
    server_pair = other.sign("impostor")
    with TlsServer(server_context(server_pair, client_authority=authority.pem)) as server:
        assert is_refused(send(server.endpoint, "hello", "--cert", client.pem, "--key", client.key), "not from the authority")
    assert server.clients == [] and "UNKNOWN_CA" in server.errors[0]


def test_protocols_are_offered(send, localhost):
    with TlsServer(server_context(localhost, alpn=["h2", "http/1.1"])) as server:
        assert ", http/1.1; certificate of CN=localhost" in send(server.endpoint, "--alpn", "x,http/1.1", "-v").stderr
        assert ", no ALPN; certificate of" in send(server.endpoint, "--alpn", "x", "-v").stderr
        send(server.endpoint)
    assert server.alpn == ["http/1.1", None, None]


def test_a_server_that_speaks_none_of_them_is_told(send, localhost):
    with s_server(localhost, "-alpn", "h2") as (endpoint, _):
        assert is_refused(send(endpoint, "--alpn", "x,y"), "it speaks none of --alpn x,y")


# --- the conversation ---------------------------------------------------------------------------------------------------


def test_a_server_may_answer_behind_the_end_of_the_question(send, localhost):
    def answer_at_the_end(client):
        question = b""
        while data := client.recv(1 << 16):
            question += data
        client.sendall(question[::-1])
    with TlsServer(server_context(localhost), answer_at_the_end) as server:
        assert send(server.endpoint, "hello").stdout == "olleh"
    assert server.errors == []


def test_input_is_sent_while_it_lasts(talking, localhost, authority):  # noqa: F811
    with TlsServer(server_context(localhost)) as server:
        process = talking("send", server.endpoint, "--ca", authority.pem, "-")
        for line in (b"one\n", b"two\n"):
            process.stdin.write(line)
            process.stdin.flush()
            assert process.stdout.readline() == line
        assert process.communicate() == (b"", b"") and process.returncode == 0
    assert server.errors == []


@pytest.mark.parametrize("version", VERSIONS)
def test_a_large_file_comes_back_whole(talking, localhost, authority, tmp_path, version):  # noqa: F811
    data = bytes(range(256)) * 40_000
    (tmp_path / "data").write_bytes(data)
    with TlsServer(server_context(localhost, version=version)) as server, open(tmp_path / "data", "rb") as file:
        process = talking("send", server.endpoint, "--ca", authority.pem, "-", stdin=file)
        assert process.communicate() == (data, b"") and process.returncode == 0
    assert server.errors == []


def test_it_reads_while_a_server_does_not(talking, localhost, authority, tmp_path):  # noqa: F811
    data = bytes(range(256)) * 40_000
    (tmp_path / "data").write_bytes(data)

    def send_first(client):
        client.sendall(data)
        while client.recv(1 << 16):
            pass
    with TlsServer(server_context(localhost), send_first) as server, open(tmp_path / "data", "rb") as file:
        process = talking("send", server.endpoint, "--ca", authority.pem, "-", stdin=file)
        assert process.communicate() == (data, b"") and process.returncode == 0
    assert server.errors == []


def test_an_answer_that_is_cut_off_is_1(send, localhost):
    def cut(client):
        client.sendall(b"half of")
        client.unwrap = lambda: None
        socket.socket.shutdown(client, socket.SHUT_WR)
        while client.recv(1 << 16):
            pass
    with TlsServer(server_context(localhost), cut) as server:
        told = send(server.endpoint, "hello")
    assert told.stdout == "half of" and is_refused(told, server.endpoint, "cut off", "close_notify")


def test_whoever_has_heard_enough_takes_leave(send, localhost):
    with TlsServer(server_context(localhost), lambda client: (client.sendall(b"well met"), echo(client))) as server:
        assert send(server.endpoint, "--expect", "met").returncode == 0
        assert is_refused(send(server.endpoint, "--expect", "adieu"), "does not contain --expect")
    assert server.errors == []


def test_an_endless_answer_ends_with_the_timeout(send, localhost):
    def chatter(client):
        while True:
            client.sendall(b"x" * 100_000)
    with TlsServer(server_context(localhost), chatter) as server:
        assert is_refused(send(server.endpoint, "--timeout", "300ms"), "has not ended within --timeout 300ms")


def test_a_unix_socket_speaks_it_as_well(send, localhost, open_directory):
    with TlsServer(server_context(localhost), path=f"{open_directory}/s") as server:
        assert send(server.endpoint, "hello", "--servername", "localhost").stdout == "hello"
        assert send(server.endpoint, "hello", "--insecure", ca=None).stdout == "hello"
        unnamed = send(server.endpoint, "hello")
        assert unnamed.returncode == 64 and "--servername" in unnamed.stderr
    assert server.asked_for == ["localhost", None]


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_s_server_is_spoken_with(send, localhost, version):
    with s_server(localhost, "-rev", version) as (endpoint, _):
        told = send(endpoint, "hello\n", "--verbose")
        assert told.stdout == "olleh\n" and f"TLSv1.{version[-1]}" in told.stderr and told.returncode == 0


def test_new_keys_in_between_change_nothing(talking, localhost, authority):  # noqa: F811
    """KeyUpdate, with and without a request for ours: commands k and K of s_server."""
    with s_server(localhost, "-tls1_3") as (endpoint, server):
        process = talking("send", endpoint, "--ca", authority.pem, "-")

        def heard_by_server():
            """What it prints until it has what the client says now; it holds its own lines back until then."""
            process.stdin.write(b"and you?\n")
            process.stdin.flush()
            lines = []
            for line in server.stdout:
                if line == "and you?\n":
                    return lines
                lines.append(line)
            raise AssertionError(f"it has ended: {lines}")

        for command in ("k", "K", "k"):
            server.stdin.write("a line\n")
            assert process.stdout.readline() == b"a line\n"
            server.stdin.write(f"{command}\n")
            while "SSL_do_handshake -> 1\n" not in heard_by_server():
                assert process.poll() is None


# --- with preforkd -------------------------------------------------------------------------------------------------------


def test_what_certificate_prints_serves_and_asks(preforkd, preforkctl, tmp_path):
    printed = preforkctl("certificate", "localhost", cwd=tmp_path).stdout
    listen, = re.findall(r"--listen '(tls://:8443 .*)'", printed)
    asking, = re.findall(r"^ask the server: preforkctl (send tls://localhost:8443 --ca .*)$", printed, re.MULTILINE)
    daemon = preforkd("--handler", "echo", listen=listen.replace(":8443", "127.0.0.1:0"))
    told = preforkctl(*asking.replace("8443", daemon.endpoint.rpartition(":")[2]).split(), "hello")
    assert (told.returncode, told.stdout, told.stderr) == (0, "hello", "")


def test_preforkd_and_its_client_prove_who_they_are(preforkd, send, authority, localhost, other):
    listen = (f"tls://127.0.0.1:0 certificate={localhost.pem} key={localhost.key} client-ca={authority.pem} "
              "client-cert=require")
    endpoint = preforkd("--handler", "echo", listen=listen).endpoint
    for signer, words in ((authority, ()), (other, ("not accept --cert",))):
        pair = signer.sign("carol", usage="clientAuth")
        told = send(endpoint, "hello", "--cert", pair.pem, "--key", pair.key)
        assert is_refused(told, *words) if words else told.stdout == "hello"
    assert is_refused(send(endpoint, "hello"), "certificate", "--cert and --key")


# --- what is no TLS, or not the right one -------------------------------------------------------------------------------


@pytest.mark.parametrize("handler", ["greet", "echo"])
def test_a_server_without_tls_is_told_apart(preforkd, send, handler):
    endpoint = preforkd("--handler", handler).endpoint
    told = send(endpoint.replace("tcp://", "tls://"))
    assert is_refused(told, "it does not speak TLS", endpoint)


def test_one_that_closes_is_told_apart(send):
    with listening() as bound:
        endpoint = endpoint_of(bound)

        def close():
            client, _ = bound.accept()
            with client:
                client.shutdown(socket.SHUT_WR)
                while client.recv(1 << 16):
                    pass
        server = threading.Thread(target=close)
        server.start()
        told = send(endpoint.replace("tcp://", "tls://"))
        server.join()
    assert is_refused(told, "TLS handshake: it has ended the connection", endpoint)


def test_a_silent_one_is_waited_for_until_the_timeout(send):
    with listening() as bound:
        told = send(endpoint_of(bound).replace("tcp://", "tls://"), "--timeout", "300ms")
    assert is_refused(told, "no TLS handshake within --timeout 300ms")


def test_a_server_with_tls_is_no_healthy_one_without(send, localhost):
    with TlsServer(server_context(localhost)) as server:
        told = send(server.endpoint.replace("tls://", "tcp://"), "--expect", "hello", ca=None)
    assert told.returncode == 1 and len(told.stderr.splitlines()) == 1


def test_one_that_speaks_old_tls_alone_is_refused(send, localhost):
    with s_server(localhost, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0") as (endpoint, _):
        assert is_refused(send(endpoint), "no TLS of version 1.2 or later")


def test_a_refused_connection_names_what_was_asked_for(send):
    with listening() as bound:
        endpoint = endpoint_of(bound).replace("tcp://", "tls://")
    assert is_refused(send(endpoint), f"connect {endpoint}: Connection refused")


# --- files --------------------------------------------------------------------------------------------------------------


def test_a_file_that_cannot_be_used_is_named(send, localhost, other, tmp_path):
    (tmp_path / "empty").touch()
    openssl("pkcs8", "-topk8", "-in", localhost.key, "-passout", "pass:secret", "-out", tmp_path / "locked")
    stranger = other.sign("stranger")
    for arguments, words in [
            (("--cert", "none"), "--cert none: No such file or directory"), (("--cert", "empty"), "--cert empty: no certificate"),
            (("--cert", localhost.pem), "no private key in it"),
            (("--cert", localhost.pem, "--key", "locked"), "--key locked: its key has a passphrase"),
            (("--cert", localhost.pem, "--key", stranger.key), f"is not the key of --cert {localhost.pem}")]:
        assert is_refused(send("tls://localhost:1", *arguments, cwd=tmp_path), words)
    assert is_refused(send("tls://localhost:1", ca=str(tmp_path)), f"--ca {tmp_path}: ")


def test_without_openssl_it_is_said_what_to_install(tmp_path):
    (tmp_path / "libssl.so.3").touch()
    told = subprocess.run([PREFORKCTL, "send", "tls://localhost:1"], capture_output=True, text=True, timeout=20,
                          env=clean_environment({"LD_LIBRARY_PATH": str(tmp_path)}))
    assert is_refused(told, "libssl3")
