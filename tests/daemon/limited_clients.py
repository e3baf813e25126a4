"""Clients of a listener that limits them: each has a source of its own, and is served, told something, or reset."""
import socket

import proc
from clients import PATIENCE, address_of, echo, read_to_end

GREEDY, POLITE = "127.0.0.2", "127.0.0.1"

# How a daemon that echoes is started, by what serves a client.
KINDS = {"async": ["--handler", "echo", "--model", "async"], "serial": ["--handler", "echo", "--model", "serial"],
         "thread": ["--handler", "echo", "--model", "thread"], "fork": ["--handler", "echo", "--model", "fork"],
         "program": ["--", "cat"]}


def start(preforkd, kind, keys, where="tcp://127.0.0.1:0", options=(), **how):
    return preforkd(*options, *KINDS[kind], listen=f"{where} {keys}", **how)


def dial(endpoint, source=None):
    family, address = address_of(endpoint)
    client = socket.socket(family, socket.SOCK_STREAM)
    client.settimeout(PATIENCE)
    if source:
        client.bind((source, 0))
    client.connect(address)
    return client


def hold(endpoint, source=None, first=b""):
    """A client that is being served; None: it was refused."""
    client = None
    try:
        client = dial(endpoint, source)
        client.sendall(first)
        echo(client)
        return client
    except (ConnectionResetError, BrokenPipeError, AssertionError):
        if client:
            client.close()
        return None


def hold_once_there_is_place(endpoint, source=None, first=b""):
    """The place of one who has gone is free when its worker has seen that."""
    client = proc.eventually(lambda: hold(endpoint, source, first))
    assert client, "the place was not given back"
    return client


def hears(endpoint, source=None):
    """All that a client hears who says nothing; None: it was reset."""
    try:
        with dial(endpoint, source) as client:
            return read_to_end(client)
    except ConnectionResetError:  # which may come before connect() has returned
        return None
