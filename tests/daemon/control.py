"""Asking the daemon over its control socket, as `nc -U` and scripts do."""
import json
import socket

import pytest

import proc

PATIENCE = 20.0


def endpoint_in(directory):
    return f"unix://{directory}/control.sock"


def connect(endpoint):
    path = endpoint.removeprefix("unix://")
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(PATIENCE)
    client.connect("\0" + path[1:] if path.startswith("@") else path)
    return client


def ask(endpoint, line):
    """The answer, as an object, to one line."""
    with connect(endpoint) as client:
        client.sendall(line.encode() + b"\n")
        return json.loads(client.makefile().readline())


def status(endpoint):
    answer = ask(endpoint, "status")
    assert answer["ok"], answer
    return answer["status"]


def deaths(endpoint):
    answer = ask(endpoint, "deaths")
    assert answer["ok"], answer
    return answer["deaths"]


@pytest.fixture
def controlled(preforkd, tmp_path):
    """Starts a daemon with a control socket."""
    def start(*arguments, **how):
        daemon = preforkd("--control", endpoint_in(tmp_path), *arguments, **how)
        daemon.control = endpoint_in(tmp_path)
        return daemon
    return start


@pytest.fixture
def ctl(preforkctl, tmp_path):
    def run(*arguments, **how):
        return preforkctl(*arguments, "--control", endpoint_in(tmp_path), **how)
    return run


def counted(daemon):
    """Status once the workers have counted who has gone: that is after the client's end."""
    seen = proc.eventually(lambda: (now := status(daemon.control))["connections"] == 0 and now)
    assert seen, status(daemon.control)
    return seen
