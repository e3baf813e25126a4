"""Asking the daemon over its control socket, as `nc -U` and scripts do."""
import json
import socket

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
