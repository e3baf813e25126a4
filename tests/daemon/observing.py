"""Looking at a daemon as a scraper, a browser and a balancer do."""
import http.client
import json
import re
import socket

import pytest

import proc

PATIENCE = 20.0


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self):
        self.sock = connect(f"unix://{self._path}")


def connect(endpoint):
    if endpoint.startswith("unix://"):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(PATIENCE)
        client.connect(endpoint.removeprefix("unix://"))
        return client
    host, port = endpoint.removeprefix("tcp://").rsplit(":", 1)
    return socket.create_connection((host.strip("[]"), int(port)), PATIENCE)


def connection_to(endpoint):
    """Of HTTP; asks several times over one connection."""
    if endpoint.startswith("unix://"):
        return _UnixConnection(endpoint.removeprefix("unix://"))
    host, port = endpoint.removeprefix("tcp://").rsplit(":", 1)
    return http.client.HTTPConnection(host.strip("[]"), int(port), timeout=PATIENCE)


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.text = response.read().decode()

    def json(self):
        return json.loads(self.text)


def get(endpoint, path, method="GET", **headers):
    connection = connection_to(endpoint)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        return Answer(connection.getresponse())
    finally:
        connection.close()


def ask_agent(endpoint):
    with connect(endpoint) as client, client.makefile() as answer:
        return answer.read()


SAMPLE = re.compile(r'^([a-z_]+)(?:\{(.*)\})? (\S+)$')


def metrics(endpoint):
    """Each sample by its name and labels, as they are written: `preforkd_workers{state="idle"}`."""
    found = {}
    for line in get(endpoint, "/metrics").text.splitlines():
        if not line.startswith("#"):
            name, labels, value = SAMPLE.match(line).groups()
            found[f"{name}{{{labels}}}" if labels else name] = float(value)
    return found


def observer_of(daemon):
    """Its pid; None: there is none."""
    for pid in proc.children(daemon.pid):
        if (found := proc.stat(pid)) and found.state not in "ZX" and found.comm.endswith("-look"):
            return pid
    return None


def wait_observer(daemon, other_than=None):
    found = proc.eventually(lambda: (pid := observer_of(daemon)) and pid != other_than and pid)
    assert found, daemon.log.text()
    return found


def observed_at(daemon, what="observed over HTTP at"):
    return daemon.wait_log(what)["endpoint"]


def starter(start, directory):
    """What starts a daemon as `start` does, with --observe at a Unix socket, `.observed`."""
    def start_observed(*arguments, **how):
        endpoint = f"unix://{directory}/observe"
        daemon = start("--observe", endpoint, *arguments, **how)
        daemon.observed = endpoint
        return daemon
    return start_observed


@pytest.fixture
def observed(preforkd, tmp_path):
    return starter(preforkd, tmp_path)
