"""--request-timeout: a client that is served for too long is cut off, however busy it is."""
import socket
import time

import pytest

import proc
from clients import connect, exchange, read_to_end

PROGRAMS = {"async": ["--handler", "discard"],
            "serial": ["--handler", "discard", "--model", "serial"],
            "thread": ["--handler", "discard", "--model", "thread"],
            "fork": ["--handler", "discard", "--model", "fork"],
            "program": ["--", "/bin/cat"]}


def is_cut_off(client, patience=20):
    """Whether the other side ends the connection although this one goes on sending."""
    client.settimeout(0.02)
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            client.sendall(b"x")
            if not client.recv(100):
                return True
        except socket.timeout:
            continue
        except OSError:
            return True
    return False


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("arguments", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_a_client_that_never_ends_is_cut_off_and_named(preforkd, arguments, workers):
    daemon = preforkd("--request-timeout", "300ms", *arguments, workers=workers)
    with connect(daemon.endpoint) as client:
        name = "%s:%d" % client.getsockname()
        began = time.monotonic()
        assert is_cut_off(client)
        assert time.monotonic() - began > 0.25
    line = daemon.wait_log("--request-timeout")
    assert line["peer"] == name and line["level"] == "notice"
    assert proc.eventually(lambda: exchange(daemon.endpoint, b"", 1) is not None), "the next one is served"
    assert len(daemon.log.find("--request-timeout")) == 1


def test_a_program_that_ignores_the_request_to_end_is_killed(preforkd):
    daemon = preforkd("--request-timeout", "200ms", "--", "/bin/sh", "-c", "trap '' TERM; echo deaf; read x; read y",
                      workers=1)
    daemon.expect("killing it", "killed by SIGKILL")
    with connect(daemon.endpoint) as client:
        assert read_to_end(client) == b"deaf\n"
    daemon.wait_log("killed by SIGKILL")


def test_without_it_a_client_may_stay(preforkd):
    daemon = preforkd("--handler", "echo", workers=1)
    with connect(daemon.endpoint) as client:
        assert not is_cut_off(client, patience=0.5)
