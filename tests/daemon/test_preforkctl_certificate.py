"""`preforkctl certificate`: a self-signed pair for a first try, and for machines that know each other."""
import os
import re
import resource
import signal
import socket
import ssl
import subprocess
import threading

import pytest

from daemon_process import PREFORKCTL


@pytest.fixture
def certificate(preforkctl, tmp_path):
    """Runs it in tmp_path."""
    return lambda *arguments, **how: preforkctl("certificate", *arguments, cwd=tmp_path, **how)


def openssl(*arguments):
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, timeout=20)
    return done.returncode, done.stdout + done.stderr


def names_in(directory):
    return sorted(path.name for path in directory.iterdir())


def is_refused(told, *words):
    return (told.returncode == 1 and not told.stdout and len(told.stderr.splitlines()) == 1
            and all(word in told.stderr for word in words))


def test_a_pair_is_made_and_its_use_is_told(certificate, tmp_path):
    told = certificate("localhost")
    assert (told.returncode, told.stderr) == (0, "") and names_in(tmp_path) == ["localhost.key", "localhost.pem"]
    pair = {ending: f"{tmp_path}/localhost.{ending}" for ending in ("pem", "key")}
    assert f"--listen 'tls://:8443 certificate={pair['pem']} key={pair['key']}'" in told.stdout
    assert re.match(r"localhost\.pem +certificate for localhost, 127\.0\.0\.1, ::1, until 20\d\d-\d\d-\d\d\n"
                    r"localhost\.key +its key", told.stdout)
    assert os.stat(pair["key"]).st_mode & 0o7777 == 0o600
    assert os.stat(pair["pem"]).st_mode & 0o7777 == 0o644 & ~current_umask()


def current_umask():
    os.umask(mask := os.umask(0o077))
    return mask


def test_nobody_else_may_read_a_key_whatever_the_umask(certificate, tmp_path):
    before = os.umask(0)
    try:
        assert certificate("localhost").returncode == 0
    finally:
        os.umask(before)
    assert os.stat(tmp_path / "localhost.key").st_mode & 0o7777 == 0o600


@pytest.mark.programs("openssl")
@pytest.mark.parametrize("check", [("-verify_hostname", "localhost"), ("-verify_ip", "127.0.0.1"), ("-verify_ip", "::1"),
                                   ("-verify_hostname", "any.example.org"), ("-verify_ip", "2001:db8::5")])
def test_openssl_accepts_it_for_each_of_its_names(certificate, tmp_path, check):
    certificate("localhost", "*.example.org", "2001:db8::5")
    pem = tmp_path / "localhost.pem"
    code, said = openssl("verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", pem, *check, pem)
    assert code == 0, said


@pytest.mark.programs("openssl")
def test_it_is_a_servers_and_nothing_else(certificate, tmp_path):
    certificate("a.example", "--days", "30")
    pem = tmp_path / "a.example.pem"
    _, text = openssl("x509", "-in", pem, "-noout", "-text")
    for line in ("X509v3 Basic Constraints: critical\n CA:FALSE", "X509v3 Key Usage: critical\n Digital Signature\n",
                 "X509v3 Extended Key Usage: \n TLS Web Server Authentication\n",
                 "X509v3 Subject Alternative Name: \n DNS:a.example\n", "ASN1 OID: prime256v1"):
        assert line in re.sub(r"\n +", "\n ", text), line
    assert openssl("verify", "-CAfile", pem, "-verify_hostname", "b.example", pem)[0] != 0
    assert openssl("verify", "-CAfile", pem, "-purpose", "sslclient", pem)[0] != 0
    day = 24 * 3600
    assert openssl("x509", "-in", pem, "-noout", "-checkend", 30 * day - 60)[0] == 0
    assert openssl("x509", "-in", pem, "-noout", "-checkend", 30 * day + 60)[0] == 1
    assert openssl("verify", "-CAfile", pem, "-attime", int(os.stat(pem).st_mtime) - 3500, pem)[0] == 0


@pytest.mark.programs("openssl")
def test_no_two_have_the_same_number(certificate, tmp_path):
    serials = set()
    for name in ("a", "b", "c"):
        certificate(name)
        serials.add(openssl("x509", "-in", tmp_path / f"{name}.pem", "-noout", "-serial")[1])
    assert len(serials) == 3 and all(re.fullmatch(r"serial=[4-7][0-9A-F]{31}\n", each) for each in serials)


@pytest.mark.programs("openssl")
def test_a_name_that_is_too_long_for_a_subject_is_an_alternative_name(certificate, tmp_path):
    name = f"{'a' * 60}.{'b' * 60}.example"
    assert certificate(name, "--out", "long").returncode == 0
    assert openssl("verify", "-CAfile", tmp_path / "long.pem", "-verify_hostname", name, tmp_path / "long.pem")[0] == 0


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_client_that_trusts_it_connects(certificate, tmp_path, host):
    certificate("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "localhost.pem", tmp_path / "localhost.key")
    client_context = ssl.create_default_context(cafile=tmp_path / "localhost.pem")
    client_context.verify_flags |= ssl.VERIFY_X509_STRICT
    ours, theirs = socket.socketpair()
    with ours, theirs:
        server = threading.Thread(target=lambda: context.wrap_socket(theirs, server_side=True).sendall(b"hello"))
        server.start()
        with client_context.wrap_socket(ours, server_hostname=host) as client:
            assert client.recv(5) == b"hello"
            assert (("DNS", "localhost") in client.getpeercert()["subjectAltName"])
        server.join()


@pytest.mark.parametrize("there", ["localhost.pem", "localhost.key"])
@pytest.mark.parametrize("is_link", [False, True])
def test_no_file_is_overwritten_and_none_is_left_alone(certificate, tmp_path, there, is_link):
    if is_link:
        (tmp_path / there).symlink_to(tmp_path / "elsewhere")
    else:
        (tmp_path / there).write_text("precious")
    assert is_refused(certificate("localhost"), there, "--out PREFIX")
    assert names_in(tmp_path) == [there]
    assert is_link or (tmp_path / there).read_text() == "precious"
    assert certificate("localhost", "--out", "other").returncode == 0
    assert names_in(tmp_path) == sorted([there, "other.key", "other.pem"])


def test_a_disk_that_fills_up_keeps_neither_file(certificate, tmp_path):
    def no_space_for_both():
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    assert is_refused(certificate("localhost", preexec_fn=no_space_for_both), "write localhost.pem: File too large")
    assert names_in(tmp_path) == []


def test_a_directory_that_is_not_there_is_named(certificate):
    assert is_refused(certificate("localhost", "--out", "none/x"), "create none/x.key: No such file or directory")


def test_without_openssl_it_is_said_what_to_install(certificate, tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libssl.so.3").touch()
    told = subprocess.run([PREFORKCTL, "certificate", "localhost"], cwd=tmp_path, capture_output=True, text=True,
                          env=os.environ | {"LD_LIBRARY_PATH": str(tmp_path / "lib")}, timeout=20)
    assert is_refused(told, "libssl3") and names_in(tmp_path) == ["lib"]


@pytest.mark.parametrize("arguments", [(), ("https://localhost",), ("localhost:443",), ("a", "--days", "0"),
                                       ("a", "--days", "soon"), ("a", "--json"), ("a", "--out", "")])
def test_a_wrong_command_is_64(certificate, tmp_path, arguments):
    told = certificate(*arguments)
    assert told.returncode == 64 and len(told.stderr.splitlines()) == 1 and not told.stdout
    assert names_in(tmp_path) == []
