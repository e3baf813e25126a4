"""tls:// before -- PROGRAM: a relay, of which neither the program nor its client has to know."""
import hashlib
import os
import signal
import ssl
import subprocess

import pytest

import daemon_process
import proc
from activation import Passing, listening
from clients import connect
from test_program import environment_of, programs_of, script
from tls_clients import CUT_OFF, TlsClient, below, exchange_tls, read_to_end_tls, trusting

HERE = "tls://127.0.0.1:0"
MANY_BYTES = os.urandom(1 << 20)
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture
def serve(preforkd, pair):
    """Starts a daemon with `program` behind TLS."""
    return lambda *program, keys="", options=(), where=HERE, **how: preforkd(
        *options, "--", *program, listen=f"{where} {pair} {keys}", **how)


def stays_idle(daemon):
    """Whether its workers do as good as nothing for a second."""
    def used():
        return sum(proc.stat(worker).cpu_seconds for worker in daemon.workers())
    before = used()
    return not proc.eventually(lambda: used() > before + 0.1, timeout=1)


# --- bytes, and either end --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("version", VERSIONS)
def test_bytes_come_back_as_they_went_however_many(serve, authority, workers, version):
    daemon = serve("cat", workers=workers)
    for payload in (b"hello", MANY_BYTES, b"x" * 16384):
        with TlsClient(daemon.endpoint, trusting(authority, version)) as client:
            assert client.swap(payload) == payload
            assert client.ends(), "and nothing is left open"


@pytest.mark.parametrize("where", ["file", "abstract"])
def test_a_unix_socket_is_as_good(serve, tmp_path, where):
    path = f"{tmp_path}/s" if where == "file" else f"@{tmp_path.name}-{os.getpid()}"
    daemon = serve("sh", "-c", "echo $PROTO $SSL_PROTOCOL $UNIXREMOTEPID; cat", where=f"tls+unix://{path}")
    assert exchange_tls(daemon.endpoint, b"hello") == b"UNIX TLSv1.3 %d\nhello" % os.getpid()


def test_so_is_one_that_is_passed(serve, authority):
    with listening() as passed:
        daemon = serve("sh", "-c", "echo $PROTO $SSL_PROTOCOL; cat", where="tls+fd://web",
                       **Passing(passed, names=["web"]).arguments())
    assert exchange_tls(daemon.endpoint, b"hello", trusting(authority)) == b"SSL TLSv1.3\nhello"


def test_a_program_that_reads_to_the_end_hears_of_it(serve):
    assert exchange_tls(serve("wc", "-c").endpoint, MANY_BYTES[:300_000]).split() == [b"300000"]


def test_a_program_that_ends_first_leaves_its_client_a_whole_answer(serve):
    daemon = serve("head", "-c", "1000000", "/dev/zero")
    with TlsClient(daemon.endpoint) as client:
        assert read_to_end_tls(client) == bytes(1_000_000)
        assert client.ends()


def test_a_program_may_end_its_output_and_read_on(serve, tmp_path):
    end = "import socket; socket.socket(fileno=0).shutdown(socket.SHUT_WR)"
    daemon = serve(script(tmp_path, f"python3 -c '{end}'; cat >{tmp_path}/part; mv {tmp_path}/part {tmp_path}/heard"))
    with TlsClient(daemon.endpoint) as client:
        assert client.recv() == b"", "the end of the output comes before ours"
        client.sendall(MANY_BYTES)
        client.end()
        assert proc.eventually(lambda: (tmp_path / "heard").exists())
    assert (tmp_path / "heard").read_bytes() == MANY_BYTES


def test_who_answers_in_the_background_keeps_the_connection(serve):
    daemon = serve("sh", "-c", "exec 3<&0; (read line <&3; echo late $line) & exit 0", options=("--log-level", "debug"))
    with TlsClient(daemon.endpoint) as client:
        daemon.wait_log(lambda entry: entry["message"].startswith("program ") and "code 0" in entry["message"])
        client.sendall(b"answer\n")
        assert read_to_end_tls(client) == b"late answer\n"


@pytest.mark.programs("git")
def test_git_is_cloned_from_as_without(serve, tmp_path, authority):
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-C", str(tmp_path / "served")]
    subprocess.run(["git", "init", "-q", str(tmp_path / "served")], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    daemon = serve("git", "daemon", "--inetd", "--export-all", f"--base-path={tmp_path}", str(tmp_path))
    proxy = script(tmp_path, f"exec {daemon_process.PREFORKCTL} send {daemon.endpoint} --servername localhost "
                             f"--ca {authority.certificate} -")
    subprocess.run(["git", "clone", "-q", "git://localhost/served", str(tmp_path / "cloned")], check=True, timeout=20,
                   env=os.environ | {"GIT_PROXY_COMMAND": proxy})
    assert (tmp_path / "cloned" / ".git").is_dir()


# --- what a program learns --------------------------------------------------------------------------------------------

def test_the_environment_speaks_of_the_session_and_of_no_other(serve, authority):
    inherited = {"SSL_CLIENT_S_DN": "CN=somebody", "SSL_CLIENT_VERIFY": "SUCCESS", "SSL_PROTOCOL": "TLSv9",
                 "SSL_PEER_CERT_HASH": "SHA256:00", "TLS_ALPN": "h9", "SSL_CERT_FILE": "/etc/ca.pem"}
    daemon = serve("env", keys="alpn=h2,x", env=inherited)
    told = environment_of(exchange_tls(daemon.endpoint, context=trusting(authority, alpn=["x"])))
    assert {name: told.get(name) for name in ("PROTO", "SSL_PROTOCOL", "SSL_TLS_SNI_SERVERNAME", "TLS_ALPN", "SSL_CLIENT_VERIFY")} == {
        "PROTO": "SSL", "SSL_PROTOCOL": "TLSv1.3", "SSL_TLS_SNI_SERVERNAME": "localhost", "TLS_ALPN": "x",
        "SSL_CLIENT_VERIFY": "NONE"}
    assert told["SSL_CIPHER"].startswith("TLS_") and told["TCPREMOTEIP"] == "127.0.0.1"
    assert told["SSL_CERT_FILE"] == "/etc/ca.pem", "that is no session's"
    assert not {"SSL_CLIENT_S_DN", "SSL_PEER_CERT_HASH", "SSL_PEER_CERT_SUBJECT"} & told.keys()


def test_the_socket_of_a_program_does_not_say_who_its_client_is(serve):
    """The manual says so: the environment does."""
    asked = "import socket; s = socket.socket(fileno=0); print(s.family.name, repr(s.getpeername()))"
    assert exchange_tls(serve("/usr/bin/python3", "-c", asked).endpoint) == b"AF_UNIX ''\n"


def test_the_environment_names_the_clients_certificate(serve, authority):
    alice = authority.issue("alice", common_name="alice")
    daemon = serve("env", keys=f"client-ca={authority.certificate}")
    told = environment_of(exchange_tls(daemon.endpoint, context=trusting(authority, pair=alice)))
    with open(alice.certificate, encoding="ascii") as file:
        digest = ssl.PEM_cert_to_DER_cert(file.read())
    assert (told["SSL_CLIENT_VERIFY"], told["SSL_CLIENT_S_DN"], told["SSL_PEER_CERT_SUBJECT"], told["SSL_PEER_CERT_HASH"]) == (
        "SUCCESS", "CN=alice", "CN=alice", "SHA256:" + hashlib.sha256(digest).hexdigest())


def test_the_log_knows_the_bytes_and_how_the_program_has_ended(serve):
    daemon = serve("sh", "-c", "cat; exit 3", options=("--log-connections", "end"))
    assert exchange_tls(daemon.endpoint, b"12345") == b"12345"
    line = daemon.wait_log("connection from")
    assert (line["outcome"], line["received_bytes"], line["sent_bytes"]) == ("error", 5, 5)
    assert line["message"].endswith(f", {line['accept_wait_ms']} ms in the accept queue")


# --- who is slow, or leaves -------------------------------------------------------------------------------------------

def test_no_program_is_started_for_who_does_not_shake_hands(serve, tmp_path):
    daemon = serve(script(tmp_path, f"touch {tmp_path}/started; cat"), keys="handshake-timeout=200ms",
                   options=("--log-connections", "end"))
    for first in (b"", b"GET / HTTP/1.0\r\n\r\n"):
        with connect(below(daemon.endpoint)) as client:
            client.sendall(first)
            try:
                while client.recv(100):
                    pass
            except ConnectionResetError:
                pass
        assert daemon.wait_log("connection from")["outcome"] == "tls_handshake"
    assert not (tmp_path / "started").exists()


def test_a_program_whose_client_leaves_ends_like_one_in_a_pipe(serve):
    daemon = serve("yes")
    with TlsClient(daemon.endpoint) as client:
        assert client.recv(4) == b"y\ny\n"
    assert proc.eventually(lambda: not programs_of(daemon))
    assert exchange_tls(serve("cat").endpoint, b"next") == b"next"


@pytest.mark.parametrize("program", [["yes"], ["sh", "-c", "while echo x; do sleep 0.05; done"]], ids=["busy", "quiet"])
def test_so_does_one_whose_client_has_ended_its_output_before(serve, program):
    daemon = serve(*program, keys="max=1", workers=1)
    for _ in range(2):
        with TlsClient(daemon.endpoint) as client:
            client.end()
            assert client.recv(2)
        assert proc.eventually(lambda: not programs_of(daemon)), "and its place is free"


def test_a_client_that_does_not_read_costs_no_cpu(serve):
    daemon = serve("yes")
    with TlsClient(daemon.endpoint) as client:
        client.recv(1)
        assert proc.eventually(lambda: proc.stat(programs_of(daemon)[0]).state == "S"), "the program waits for it"
        assert stays_idle(daemon)


def test_a_program_that_does_not_read_costs_no_cpu(serve):
    daemon = serve("sleep", "1000")
    with TlsClient(daemon.endpoint) as client:
        client.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            while True:
                client.sendall(bytes(1 << 14))
        assert stays_idle(daemon)
        os.kill(programs_of(daemon)[0], signal.SIGKILL)
        daemon.expect("killed by SIGKILL")
        client.socket.settimeout(10)
        assert client.recv() == b"", "and its end ends the connection"


def test_the_limit_counts_clients_and_the_next_one_waits(serve):
    daemon = serve("cat", options=("--connections", "1"), workers=1)
    with TlsClient(daemon.endpoint) as first:
        first.sendall(b"a")
        assert first.recv() == b"a"
        with connect(below(daemon.endpoint)):  # is not shaken hands with yet
            assert len(programs_of(daemon)) == 1
    assert exchange_tls(daemon.endpoint, b"b") == b"b"


# --- the end of the daemon --------------------------------------------------------------------------------------------

def test_a_graceful_stop_lets_programs_finish(serve):
    daemon = serve("cat")
    with TlsClient(daemon.endpoint) as client:
        client.sendall(b"before")
        assert client.recv() == b"before"
        daemon.signal(signal.SIGTERM)
        daemon.wait_log("stopping")
        client.sendall(b"after")
        assert client.recv() == b"after"
        client.end()
        assert client.recv() == b""
    assert daemon.wait_exit() == 0


def test_a_fast_stop_cuts_those_who_shake_hands_and_those_who_are_served(serve):
    daemon = serve("sh", "-c", "echo here; exec sleep 1000", workers=1)
    with connect(below(daemon.endpoint)) as silent, TlsClient(daemon.endpoint) as client:
        assert client.recv() == b"here\n"
        daemon.signal(signal.SIGINT)
        daemon.signal(signal.SIGINT)
        assert silent.recv(10) == b""
        try:
            assert client.recv() == b""
        except CUT_OFF:
            pass
    assert daemon.wait_exit() == 0
    assert sum(daemon.cut()) == 2


def test_a_killed_worker_leaves_an_answer_that_is_seen_to_be_cut_off(serve):
    daemon = serve("cat", workers=1)
    with TlsClient(daemon.endpoint) as client:
        client.sendall(b"a")
        assert client.recv() == b"a"
        daemon.expect("killed by SIGKILL")
        os.kill(daemon.workers()[0], signal.SIGKILL)
        with pytest.raises(CUT_OFF):
            client.recv()


def test_an_endpoint_with_a_handler_of_its_own_keeps_it(preforkd, pair):
    daemon = preforkd("--listen", f"{HERE} {pair} handler=greet", "--", "cat", listen=f"{HERE} {pair}")
    cat, greet = daemon.endpoints
    assert exchange_tls(cat, b"me") == b"me"
    assert exchange_tls(greet) == b"connected\n"
