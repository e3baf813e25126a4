"""tls://: files at a start, at a reload and at an upgrade."""
import os
import shutil
import socket
import ssl

import pytest

import proc
from activation import Passing, listening
from clients import exchange
from test_bad_input import CONFIGURATION, USAGE, is_one_sentence
from test_upgrade import NEXT, Installed
from tls_authority import openssl
from tls_clients import TlsClient, exchange_tls, read_to_end_tls, trusting
from tls_service import in_file, lose_nobody_over_changes, put, serial_of

HERE = "tls://127.0.0.1:0"


# --- a start ------------------------------------------------------------------------------------------------------------

def test_what_cannot_be_used_is_answered_in_a_sentence(run_preforkd, authority, pair, rsa_pair, tmp_path):
    names = {}
    for name, text in {"empty": "", "cut": open(pair.certificate).read()[:300], "text": "certificate\n",
                       "binary": "\x00\x01", "bad": open(pair.certificate).read().replace("\nM", "\n!", 1)}.items():
        names[name] = tmp_path / name
        names[name].write_text(text)
    openssl("pkey", "-in", pair.key, "-aes128", "-passout", "pass:x", "-out", tmp_path / "locked")
    openssl("req", "-x509", "-nodes", "-newkey", "rsa:1024", "-subj", "/CN=x", "-keyout", tmp_path / "weak-key",
            "-out", tmp_path / "weak")
    os.mkfifo(tmp_path / "fifo")
    cases = [(f"certificate={names['empty']} key={pair.key}", f"certificate={names['empty']}: no certificate in it; expected PEM"),
             (f"certificate={names['text']} key={pair.key}", "no certificate in it"),
             (f"certificate={names['binary']} key={pair.key}", "no certificate in it"),
             (f"certificate={names['cut']} key={pair.key}", "not a valid certificate: "),
             (f"certificate={names['bad']} key={pair.key}", "not a valid certificate: "),
             (f"certificate={pair.key} key={pair.key}", f"certificate={pair.key}: no certificate in it"),
             (f"certificate={pair.certificate} key={pair.certificate}", f"key={pair.certificate}: no private key in it"),
             (f"certificate={pair.certificate} key={names['empty']}", "no private key in it"),
             (f"certificate={pair.certificate} key={rsa_pair.key}", f"key={rsa_pair.key}: is not the key of certificate={pair.certificate}"),
             (f"certificate={pair.certificate} key={tmp_path}/locked", "has a passphrase"),
             (f"certificate={tmp_path}/weak key={tmp_path}/weak-key", "key too small"),
             (f"certificate={tmp_path} key={pair.key}", "Is a directory"),
             (f"certificate={tmp_path}/fifo key={pair.key}", "it is a FIFO"),
             (f"certificate=/none key={pair.key}", "certificate=/none: open: No such file or directory"),
             (f"{pair} ciphers=NONE-OF-THESE", "names no cipher that OpenSSL has"),
             (f"{pair} ocsp={pair.certificate}", f"ocsp={pair.certificate}: no answer of an OCSP server; expected DER"),
             (f"{pair} client-ca={pair.key}", f"client-ca={pair.key}: no certificate in it"),
             (f"{pair} client-ca={authority.certificate} crl={authority.certificate}", "no revocation list in it")]
    for keys, words in cases:
        for more in ([], ["--check-config"]):
            told = run_preforkd("-l", f"{HERE} {keys}", *more)
            is_one_sentence(told, CONFIGURATION, [f"--listen {HERE}: ", words])


@pytest.mark.others
@pytest.mark.root
@pytest.mark.programs("setpriv")
def test_what_may_not_be_read_is_77_and_names_who_has_to(run_preforkd, own):
    os.chmod(own.key, 0o600)
    told = run_preforkd("--check-config", "-l", f"{HERE} {own}",
                        wrap=["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"])
    is_one_sentence(told, 77, ["Permission denied", "the daemon's user has to be able to read it"])


def test_a_section_whose_file_is_none_is_named_with_its_line(run_preforkd, own, tmp_path):
    os.unlink(own.key)
    (tmp_path / "conf").write_text(f"workers = 1\n[{HERE}]\ncertificate = {own.certificate}\nkey = {own.key}\n")
    for more in ([], ["--check-config"]):
        told = run_preforkd("--config", str(tmp_path / "conf"), *more)
        is_one_sentence(told, CONFIGURATION, [f"{tmp_path}/conf:2: listen {HERE}: key={own.key}: open: No such file"])


@pytest.mark.parametrize("keys, words", [
    ("", "tls needs certificate=FILE and key=FILE"),
    ("certificate=x", "it has 1 and 0"),
    ("certificate=x key=y key=z", "it has 1 and 2"),
    ("certificate= key=y", "certificate: expected a file"),
    ("certificate=x key=y client-cert=require", "client-cert= needs client-ca="),
    ("certificate=x key=y client-cert=optional", "client-cert= needs client-ca="),
    ("certificate=x key=y client-ca=z client-cert=maybe", "client-cert: expected require or optional"),
    ("certificate=x key=y crl=z", "crl= needs client-ca="),
    ("certificate=x key=y tls-min=1.1", "tls-min: expected 1.2 or 1.3"),
    ("certificate=x key=y tickets=17", "tickets: expected a number from 0 to 16"),
    ("certificate=x key=y alpn=", "alpn: expected names of protocols"),
    ("certificate=x key=y alpn=h2,,x", "alpn: expected names of protocols"),
    ("certificate=x key=y handshake-timeout=0", "handshake-timeout: expected a duration"),
    ("certificate=x key=y eof=never", "eof: expected strict or lax"),
    ("certificate=x key=y rcvbuf=4M", "rcvbuf= does not fit tls"),
    ("certificate=x key=y deny=192.0.2.0/24 refuse-with=no", "refuse-with= does not fit TLS, whose clients"),
])
def test_what_does_not_fit_is_refused(run_preforkd, keys, words):
    told = run_preforkd("-l", f"{HERE} {keys}")
    is_one_sentence(told, USAGE, [words])


@pytest.mark.parametrize("endpoint, words", [
    ("tls://127.0.0.1", "has no port"), ("tls+udp://:7", "unknown scheme"), ("tls+unixgram:///x", "unknown scheme"),
    ("tls:///run/x", "port"), ("tcp://:7", "certificate= does not fit tcp, only tls; "),
    ("udp://:7", "certificate= does not fit udp, only tls; "), ("fd://web", "certificate= does not fit fd, only tls; ")])
def test_an_endpoint_that_is_none_of_tls_is_refused(run_preforkd, endpoint, words):
    told = run_preforkd("-l", f"{endpoint} certificate=x key=y")
    is_one_sentence(told, USAGE, [words, endpoint])


def test_a_datagram_socket_that_is_passed_is_not_served(run_preforkd, pair):
    with listening(kind=socket.SOCK_DGRAM) as passed:
        told = run_preforkd("--listen", f"tls+fd://web {pair}", **Passing(passed, names=["web"]).arguments())
    assert told.returncode == 78 and "TLS needs a stream" in told.stderr, told


def test_a_certificate_that_has_expired_or_will_soon_is_served_with_a_warning(preforkd, authority):
    for days, words in ((-1, "has expired; renew it and reload"), (2, "expires in 1 day; renew it and reload"),
                        (10, "expires in 9 days; renew it and reload")):
        pair = authority.issue(f"days{days}", "localhost", days=days)
        daemon = preforkd(listen=f"{HERE} {pair}")
        daemon.expect("expire")
        line = daemon.wait_log("renew it and reload")
        assert line["level"] == "warning" and f"certificate={pair.certificate} {words}" in line["message"]
        assert exchange_tls(daemon.endpoint) == b"connected\n"
    daemon = preforkd(listen=f"{HERE} {authority.issue('days16', 'localhost', days=16)}")
    assert not daemon.log.find("expire")


# --- a reload -----------------------------------------------------------------------------------------------------------

def test_a_reload_serves_the_new_certificate_and_connections_live_on(configured, authority, own):
    line = f"listen = {HERE} {own}"
    service = configured(line, "handler = echo")
    new = authority.issue("renewed", "localhost")
    with TlsClient(service.daemon.endpoint, trusting(authority)) as client:
        client.sendall(b"before")
        assert client.recv() == b"before"
        old = serial_of(service.daemon.endpoint)
        put(new, own)
        assert service.reload(line, "handler = echo")["message"].startswith("reloaded")
        assert old != in_file(new)
        assert proc.eventually(lambda: serial_of(service.daemon.endpoint) == in_file(new)), "those of before have left"
        client.sendall(b"after")
        client.end()
        assert read_to_end_tls(client) == b"after"


def test_what_is_bad_changes_nothing(configured, authority, pair, rsa_pair, own):
    line = f"listen = {HERE} {own}"
    service = configured(line)
    daemon = service.daemon
    daemon.expect("reload failed", "has expired")
    for new, words in ((pair._replace(key=rsa_pair.key), f"key={own.key}: is not the key of certificate={own.certificate}"),
                       (pair._replace(certificate=pair.key), f"certificate={own.certificate}: no certificate in it"),
                       (authority.issue("late", "localhost", days=-1), f"certificate={own.certificate} has expired")):
        put(new, own)
        assert words in service.reload(line)["cause"]
        assert serial_of(daemon.endpoint) == in_file(pair)
    os.unlink(own.key)
    assert f"key={own.key}: open: No such file" in service.reload(line)["cause"]
    os.mkfifo(own.key)
    assert f"key={own.key}: it is a FIFO" in service.reload(line)["cause"]
    assert serial_of(daemon.endpoint) == in_file(pair)
    os.unlink(own.key)
    put(rsa_pair, own)
    assert service.reload(line)["message"].startswith("reloaded")
    assert proc.eventually(lambda: serial_of(daemon.endpoint) == in_file(rsa_pair))


@pytest.mark.root
@pytest.mark.parametrize("bad", ["no PEM", "not its key's", "too large"])
def test_nothing_of_a_key_that_was_refused_is_left_in_memory(configured, pair, own, bad):
    """Of two lines: OpenSSL's own buffers hold one at a time."""
    line = f"listen = {HERE} {own}"
    service = configured(line)
    daemon = service.daemon
    daemon.expect("reload failed")
    secret = "\n".join(os.urandom(24).hex() for _ in range(2000))
    text = {"no PEM": secret, "too large": secret * 200,
            "not its key's": openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256").decode() + secret}[bad]
    with open(own.key, "w", encoding="ascii") as file:
        file.write(text)
    assert f"key={own.key}: " in service.reload(line)["cause"]
    assert not memory_holds(daemon.pid, secret[100:160].encode())
    put(pair, own)
    assert memory_holds(daemon.pid, own.key.encode()), "the search finds what is there"


def memory_holds(pid, wanted):
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            places, access, *_ = line.split()
            begin, end = (int(place, 16) for place in places.split("-"))
            if not access.startswith("rw"):
                continue
            memory.seek(begin)
            try:
                if wanted in memory.read(end - begin):
                    return True
            except OSError:  # of a device
                pass
    return False


def test_one_that_had_expired_may_be_exchanged_for_one_that_has(configured, authority, own):
    """What is served is no worse than before."""
    put(authority.issue("late1", "localhost", days=-2), own)
    line = f"listen = {HERE} {own}"
    service = configured(line)
    service.daemon.expect("has expired")
    new = authority.issue("late2", "localhost", days=-1)
    put(new, own)
    assert service.reload(line)["message"].startswith("reloaded")
    assert proc.eventually(lambda: serial_of(service.daemon.endpoint) == in_file(new))


def test_a_listener_takes_up_tls_and_gives_it_up(configured, pair):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    plain, with_tls = f"listen = tcp://127.0.0.1:{port}", f"listen = tls://127.0.0.1:{port} {pair}"
    service = configured(plain)
    for line, ask in ((with_tls, exchange_tls), (plain, exchange), (with_tls, exchange_tls)):
        before = set(service.daemon.workers())
        assert service.reload(line)["message"].startswith("reloaded")
        assert proc.eventually(lambda: not before & set(service.daemon.workers())), "those of before have left"
        assert ask(f"tcp://127.0.0.1:{port}") == b"connected\n"


def test_no_session_outlives_a_change_of_whom_to_believe(configured, authority, own, trouble, tmp_path):
    alice = authority.issue("alice3", "alice.example")
    believed = tmp_path / "believed.pem"
    shutil.copy(authority.certificate, believed)
    lines = [f"listen = {HERE} {own} client-ca={believed}", f"handler = {trouble('tls_coroutine')}"]
    service = configured(*lines)
    context = trusting(pair=alice)

    def tell(session=None):
        with TlsClient(service.daemon.endpoint, context, session=session) as client:
            client.sendall(b"tell\n")
            client.end()
            return read_to_end_tls(client).decode(), client.tls.session
    first, session = tell()
    assert first.endswith(" verified\n") and " resumed " in tell(session)[0]
    openssl("req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-subj", "/CN=other", "-keyout",
            tmp_path / "other-key", "-out", believed)
    before = set(service.daemon.workers())
    assert service.reload(*lines)["message"].startswith("reloaded")
    assert proc.eventually(lambda: not before & set(service.daemon.workers())), "those of before have left"
    with pytest.raises((ssl.SSLError, ConnectionResetError, BrokenPipeError)):
        assert tell(session)[0] != ""
        raise ssl.SSLError("turned away")


# --- an upgrade ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("model", ["async", "fork"])
def test_no_client_is_lost_while_the_service_reloads_and_upgrades(preforkd, authority, own, tmp_path, model):
    service = Installed(preforkd, tmp_path, "--handler", "echo", "--model", model, "--log-connections", "no",
                        listen=f"{HERE} {own}")
    lose_nobody_over_changes(service)


def test_an_upgrade_reads_the_files_anew_and_serves_old_connections_to_their_end(preforkd, authority, own, tmp_path):
    service = Installed(preforkd, tmp_path, "--handler", "echo", listen=f"{HERE} {own}")
    endpoint = service.daemon.endpoint
    with TlsClient(endpoint) as client:
        client.sendall(b"before")
        assert client.recv() == b"before"
        new = authority.issue("renewed2", "localhost")
        put(new, own)
        service.install(NEXT)
        assert service.upgrade()["message"].startswith("upgraded")
        assert proc.eventually(lambda: serial_of(endpoint) == in_file(new))
        client.sendall(b"after")
        client.end()
        assert read_to_end_tls(client) == b"after"
