"""Examples whose clients exist already: what those see beyond what the examples' README shows."""
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

import daemon_process
from built_handlers import build_once
from clients import connect, port_of, read_exactly, read_to_end
from tls_clients import below

BROWSER_SOCKET = Path(__file__).with_name("browser_socket.js")
LIBRARIES = {"database": ["sqlite3"]}  # by the names that pkg-config has for them
EXAMPLES = Path(__file__).parents[2] / "packaging/examples"
LINES_AT_MOST = 100


@pytest.fixture(scope="session")
def example(prefix, tmp_path_factory):
    base = tmp_path_factory.getbasetemp()
    return lambda name: build_once(base, f"example-{name}", EXAMPLES / name / f"{name}.cpp", prefix,
                                   flags=("--cflags", "--libs", *LIBRARIES.get(name, [])))


def curl(*arguments):
    done = subprocess.run(["curl", "--silent", "--show-error", "--max-time", "60", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_each_is_short():
    examples = [path for path in EXAMPLES.iterdir() if path.is_dir()]
    assert len(examples) >= 6
    for example in examples:
        code = [file for file in example.rglob("*.?pp") if not file.name.endswith("_test.cpp")]
        lines = sum(len(file.read_text().splitlines()) for file in code)
        assert 0 < lines < LINES_AT_MOST, example


@pytest.mark.programs("curl")
@pytest.mark.parametrize("model", ["async", "thread", "fork"])
def test_http_keeps_connections_over_tls(preforkd, example, authority, pair, model):
    daemon = preforkd("--model", model, executable=example("http"), listen=f"tls://127.0.0.1:0 {pair}")
    host = f"localhost:{port_of(below(daemon.endpoint))}"
    to_it = ["--cacert", authority.certificate, "--connect-to", f"::127.0.0.1:{port_of(below(daemon.endpoint))}"]
    told = curl(*to_it, "--write-out", "%{num_connects}\n", f"https://{host}/one", f"https://{host}/two")
    assert told.split() == ["/one", "1", "/two", "0"]
    assert curl(*to_it, "--data", "x" * 60_000, f"https://{host}/") == "x" * 60_000


@pytest.mark.programs("curl")
def test_http_refuses_a_body_that_is_too_long(preforkd, example, tmp_path):
    body = tmp_path / "body"
    body.write_bytes(b"x" * ((1 << 20) + 1))
    daemon = preforkd(executable=example("http"))
    url = f"http://127.0.0.1:{port_of(below(daemon.endpoint))}/"
    assert curl("--data-binary", f"@{body}", "--output", "/dev/null", "--write-out", "%{http_code}", url) == "413"


def test_http_lets_an_idle_client_go_at_a_stop(preforkd, example):
    daemon = preforkd(executable=example("http"), workers=1)
    with connect(daemon.endpoint) as client:
        client.sendall(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        while not answer.endswith(b"/a\n"):
            answer += read_exactly(client, 1)
        assert b"Connection: close" not in answer
        began = time.monotonic()
        assert daemon.stop() == 0
        assert read_to_end(client) == b""
        assert time.monotonic() - began < 15, "--stop-timeout is 30 s"


@pytest.mark.localhost
def test_websockets_are_secret_over_tls(preforkd, example, authority, pair):
    pytest.importorskip("websockets", reason="python3-websockets is not installed")
    daemon = preforkd(executable=example("websocket"), listen=f"tls://127.0.0.1:0 {pair}")
    asked = subprocess.run([sys.executable, EXAMPLES / "websocket/ask.py", f"wss://localhost:{port_of(below(daemon.endpoint))}", "x" * 100_000],
                           capture_output=True, text=True, timeout=60, env=os.environ | {"SSL_CERT_FILE": str(authority.certificate)})
    assert asked.stdout.strip() == "X" * 100_000, asked.stderr


def browser_socket(*arguments, **environment):
    """What browser_socket.js prints; Debian's modules are not where a node from elsewhere looks for them."""
    environment = os.environ | {"NODE_PATH": "/usr/share/nodejs"} | environment
    has_one = subprocess.run(["node", "-e", "globalThis.WebSocket ?? require('ws')"], capture_output=True, env=environment)
    if has_one.returncode != 0:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("node has no WebSocket: node-ws is not installed")
    done = subprocess.run(["node", BROWSER_SOCKET, *arguments], capture_output=True, text=True, timeout=60, env=environment)
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.programs("node")
@pytest.mark.parametrize("model", ["async", "thread", "fork"])
def test_a_browsers_websocket_is_answered_until_it_closes(preforkd, example, model):
    daemon = preforkd("--model", model, executable=example("websocket"))
    long = "long " * 20_000
    assert browser_socket(f"ws://127.0.0.1:{port_of(daemon.endpoint)}/", "hello", "", long) == \
        ["HELLO", "", long.upper(), "41ff42", "closed with 1000"]


@pytest.mark.localhost
@pytest.mark.programs("node")
def test_a_browsers_websocket_is_secret_over_tls(preforkd, example, authority, pair):
    daemon = preforkd(executable=example("websocket"), listen=f"tls://127.0.0.1:0 {pair}")
    where = f"wss://localhost:{port_of(below(daemon.endpoint))}/"
    assert browser_socket(where, "hello", NODE_EXTRA_CA_CERTS=str(authority.certificate)) == ["HELLO", "41ff42", "closed with 1000"]


@pytest.mark.localhost
@pytest.mark.programs("curl")
def test_a_browsers_tls_goes_through_the_proxy(preforkd, example, authority, pair):
    behind = preforkd(executable=example("http"), listen=f"tls://127.0.0.1:0 {pair}")
    proxy = preforkd(executable=example("proxy"))
    host = f"localhost:{port_of(below(behind.endpoint))}"
    through = ["--proxy", f"http://127.0.0.1:{port_of(proxy.endpoint)}", "--cacert", authority.certificate]
    assert curl(*through, f"https://{host}/a", f"https://{host}/b") == "/a\n/b\n"
    assert curl(*through, "--data", "x" * 60_000, f"https://{host}/") == "x" * 60_000


def test_the_proxy_says_that_it_cannot_connect(preforkd, example):
    proxy = preforkd(executable=example("proxy"))
    with connect(proxy.endpoint) as client:
        client.sendall(b"CONNECT 127.0.0.1:1 HTTP/1.1\r\n\r\n")
        assert read_to_end(client).startswith(b"HTTP/1.1 502 ")
    assert "connect to tcp://127.0.0.1:1: Connection refused" in proxy.wait_log("connect to")["message"]


# --- A database ------------------------------------------------------------------------------------------------------

def netcat(daemon, text):
    return subprocess.run(["nc", "-N", "127.0.0.1", str(port_of(daemon.endpoint))], input=text, capture_output=True, text=True,
                          check=True, timeout=60).stdout


@pytest.fixture
def texts(preforkd, example, tmp_path):
    file = tmp_path / "texts.db"
    return file, lambda *arguments, **how: preforkd("--database", file, *arguments, executable=example("database"), **how)


@pytest.mark.sqlite
@pytest.mark.programs("nc", "sqlite3")
@pytest.mark.parametrize("model", ["async", "serial", "thread"])
def test_all_workers_use_one_database(texts, model):
    file, start = texts
    daemon = start("--model", model, workers=4)
    for number in range(20):
        assert netcat(daemon, f"put n{number} {number} and more\n") == "ok\n"
    assert [netcat(daemon, f"get n{number}\n") for number in range(20)] == [f"{number} and more\n" for number in range(20)]
    assert netcat(daemon, "put n1 '); DROP TABLE texts; --\nget n1\nget nobody\nwhat?\n").splitlines() == \
        ["ok", "'); DROP TABLE texts; --", "", "put NAME TEXT, or get NAME"]
    assert daemon.stop() == 0
    assert netcat(start(workers=1), "get n7\n") == "7 and more\n"
    read = subprocess.run(["sqlite3", file, "SELECT count(*) FROM texts"], capture_output=True, text=True)
    assert read.stdout == "20\n", read.stderr


@pytest.mark.sqlite
def test_a_worker_goes_on_while_its_database_blocks(texts):
    file, start = texts
    daemon = start(workers=1)
    with sqlite3.connect(file, isolation_level=None) as other, connect(daemon.endpoint) as client:
        other.execute("BEGIN EXCLUSIVE")
        client.sendall(b"put a text\n")
        for _ in range(3):
            with connect(daemon.endpoint) as second:
                second.sendall(b"what?\n")
                assert read_exactly(second, 4) == b"put "
        other.execute("COMMIT")
        assert read_exactly(client, 3) == b"ok\n"


@pytest.mark.sqlite
@pytest.mark.parametrize("arguments, sentence", [
    (["--database", "/nowhere/texts.db"], "database: unable to open database file"),
    (["--model", "fork"], "a child must not use its parent's connection to an SQLite database")])
def test_a_database_that_cannot_be_opened_and_a_child_are_refused(example, tmp_path, arguments, sentence):
    done = subprocess.run([example("database"), "--check-config", *arguments], capture_output=True, text=True, timeout=20,
                          env=daemon_process.clean_environment(), cwd=tmp_path)
    assert done.returncode == 78 and sentence in done.stderr, done.stderr
