"""packaging/recipes: each with its real server, and clients that lose nothing while it reloads."""
import os
import re
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest

import proc
from clients import address_of, read_to_end
from copies import copies_of
from daemon_process import BUILD, LOOPBACK

RECIPES = Path(__file__).resolve().parents[2] / "packaging/recipes"
REQUEST = b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n"

programs = pytest.mark.programs


def fcgi_record(kind, body):
    return bytes([1, kind, 0, 1, *len(body).to_bytes(2, "big"), 0, 0]) + body


def fcgi_request():
    """As nginx's fastcgi_pass asks for apps/hello.php.  Source: the FastCGI specification, 3.3."""
    variables = {"SCRIPT_FILENAME": str(RECIPES / "apps/hello.php"), "REQUEST_METHOD": "GET", "SERVER_PROTOCOL": "HTTP/1.0",
                 "SCRIPT_NAME": "/hello.php", "REDIRECT_STATUS": "200"}
    params = b"".join(bytes([len(name), len(value)]) + name.encode() + value.encode() for name, value in variables.items())
    return fcgi_record(1, bytes([0, 1, 0, 0, 0, 0, 0, 0])) + fcgi_record(4, params) + fcgi_record(4, b"") + fcgi_record(5, b"")


class Browsers(threading.Thread):
    """Clients one after the other; `lost` are those that were accepted, or waited, and got no answer."""

    def __init__(self, endpoint, request=REQUEST):
        super().__init__(daemon=True)
        self.endpoint, self.request = endpoint, request
        self.lost, self.pids = [], set()
        self.answers = 0
        self.stop = threading.Event()

    def run(self):
        while not self.stop.is_set():
            self.ask()

    def ask(self):
        family, address = address_of(self.endpoint)
        with socket.socket(family, socket.SOCK_STREAM) as client:
            client.settimeout(20)
            try:
                client.connect(address)
                client.sendall(self.request)
                answer = read_to_end(client)
            except OSError as error:
                return self.lost.append(repr(error))
        if found := re.search(rb"hello from (\d+)\n", answer):
            self.pids.add(int(found[1]))
            self.answers += 1
        else:
            self.lost.append(answer)


def curl(endpoint):
    family, address = address_of(endpoint)
    where = ["--unix-socket", address, "http://localhost/"] if family == socket.AF_UNIX else [endpoint.replace("tcp://", "http://")]
    return subprocess.run(["curl", "-sS", *where], capture_output=True, text=True, timeout=20, check=True).stdout


def wait_for_answers(clients, more):
    goals = [client.answers + more for client in clients]
    assert proc.eventually(lambda: all(client.answers >= goal for client, goal in zip(clients, goals)), 30)


def served(preforkd, recipe, tmp_path, listen=LOOPBACK, env=None, **how):
    path = f"{BUILD}:{os.environ['PATH']}"
    return preforkd(executable=str(RECIPES / recipe), listen=None, env={"LISTEN": listen, "PATH": path} | (env or {}), **how)


def go_server(tmp_path):
    binary = tmp_path / "server"
    subprocess.run(["go", "build", "-o", str(binary), str(RECIPES / "apps/server.go")], check=True, timeout=300,
                   env=os.environ | {"GOCACHE": str(tmp_path / "cache"), "GO111MODULE": "off", "HOME": str(tmp_path)})
    return str(binary)


def nginx_config(tmp_path):
    """Which says where it listens, too."""
    config = tmp_path / "nginx.conf"
    text = (RECIPES / "apps/nginx.conf").read_text()
    config.write_text(text.replace("listen 127.0.0.1:8000;", f"listen unix:{tmp_path}/nginx.sock;"))
    return str(config)


@pytest.mark.parametrize("recipe", [
    pytest.param("python", marks=programs("python3", "curl")),
    pytest.param("gunicorn", marks=programs("gunicorn", "curl")),
    pytest.param("uvicorn", marks=programs("uvicorn", "curl")),
    pytest.param("node", marks=programs("node", "curl")),
    pytest.param("php-cgi", marks=programs("php-cgi")),
    pytest.param("starlet", marks=programs("plackup", "curl")),
    pytest.param("uwsgi", marks=programs("uwsgi", "curl")),
    pytest.param("go", marks=programs("go", "curl")),
    pytest.param("nginx", marks=programs("nginx", "curl")),
])
def test_a_recipe_serves_and_loses_nobody_while_it_reloads(preforkd, tmp_path, recipe):
    how = {}
    if recipe == "go":
        how["env"] = {"SERVER": go_server(tmp_path)}
    if recipe == "nginx":
        how["listen"] = f"unix://{tmp_path}/nginx.sock"
        how["env"] = {"CONFIG": nginx_config(tmp_path), "TMPDIR": str(tmp_path)}
    if recipe == "php-cgi":
        how["listen"] = f"unix://{tmp_path}/php.sock"
    daemon = served(preforkd, recipe, tmp_path, **how)
    request = fcgi_request() if recipe == "php-cgi" else REQUEST
    clients = [Browsers(daemon.endpoint, request) for _ in range(3)]
    for client in clients:
        client.start()
    for _ in range(2):
        wait_for_answers(clients, 10)
        assert proc.eventually(lambda: len(copies_of(daemon)) == 2), "those of before are reaped"
        before, after = copies_of(daemon), daemon.log.mark()
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("reloaded", after=after, timeout=30)
        assert all(proc.wait_gone(pid, 20) for pid in before), daemon.log.text()
    wait_for_answers(clients, 10)
    if recipe != "php-cgi":
        assert re.fullmatch(r"hello from \d+\n", curl(daemon.endpoint))
    for client in clients:
        client.stop.set()
    for client in clients:
        client.join(20)
    lost = [each for client in clients for each in client.lost]
    # Its 0.17 closes at TERM whom it has accepted and not heard yet; nobody else does.
    assert lost == [] or recipe == "uvicorn" and set(lost) <= {b"", repr(ConnectionResetError(104, "Connection reset by peer"))}, lost
    assert len(lost) <= 6
    assert len(set.union(*(client.pids for client in clients))) >= 3, "of several generations"


@programs("curl", "python3")
def test_curl_is_told_who_served_it(preforkd, tmp_path):
    daemon = served(preforkd, "python", tmp_path, workers=1)
    assert curl(daemon.endpoint) == f"hello from {copies_of(daemon)[0]}\n"
