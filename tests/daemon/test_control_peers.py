"""Peers of the control socket that are broken or hostile: they delay nobody, and those that listen are answered."""
import contextlib
import json
import os
import resource
import signal
import socket

import pytest

from clients import exchange
from control import connect, status


def part_of_a_line(control, hold):
    for _ in range(6):
        hold(connect(control)).sendall(b'{"command":"sta')


def silence(control, hold):
    for _ in range(6):
        hold(connect(control))


def a_thousand_connections(control, hold):
    """Of which some are gone again by the time they are accepted, and some ask."""
    for number in range(1000):
        client = hold(socket.socket(socket.AF_UNIX))
        client.connect(control.removeprefix("unix://"))  # without a timeout, with which a full queue is an error
        if number % 3 == 0:
            client.close()
            continue
        if number % 3 == 1:
            client.send(b"status\n", socket.MSG_NOSIGNAL)


def asking_without_reading(control, hold):
    deaf = hold(connect(control))
    deaf.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            deaf.send(b"status\n" * 1000)  # the answers to these are megabytes


def a_line_without_end(control, hold):
    endless = hold(connect(control))
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        endless.sendall(b"x" * 5_000_000)


def empty_lines(control, hold):
    """As many answers as lines, read by nobody."""
    client = hold(connect(control))
    client.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            client.send(b"\n" * 10_000)


def half_closed_in_the_middle(control, hold):
    for _ in range(6):
        client = hold(connect(control))
        client.sendall(b"sta")
        client.shutdown(socket.SHUT_WR)


@pytest.fixture
def many_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("misbehave", [part_of_a_line, silence, a_thousand_connections, asking_without_reading,
                                       a_line_without_end, empty_lines, half_closed_in_the_middle],
                         ids=lambda misbehave: misbehave.__name__)
def test_a_peer_that_misbehaves_delays_nobody(controlled, ctl, many_descriptors, misbehave):
    daemon = controlled(workers=2)
    daemon.expect("killed by SIGKILL")
    exchange(daemon.endpoint)
    with contextlib.ExitStack() as stack:
        misbehave(daemon.control, stack.enter_context)
        assert ctl("status").returncode == 0
        victim = daemon.workers()[0]
        os.kill(victim, signal.SIGKILL)
        daemon.wait_log(f"(pid {victim}) killed")
        daemon.wait_workers(2)
        assert exchange(daemon.endpoint) == b"connected\n"
        assert ctl("status").returncode == 0
    assert status(daemon.control)["phase"] == "running"


def test_a_line_without_end_is_refused(controlled):
    daemon = controlled()
    with connect(daemon.control) as client:
        client.sendall(b"x" * 500_000)  # more than the kernel holds for a daemon that does not read it
        client.shutdown(socket.SHUT_WR)
        line, end = client.makefile().readlines(), client.recv(1)
    assert len(line) == 1 and "at most 4096 bytes" in json.loads(line[0])["error"] and end == b""


@pytest.mark.parametrize("line", [
    b"dance", b"{", b'{"command":"dance"}', b"workers 0", b"workers 2000", b"", b"   ", b"status\0", b"\0" * 4000,
    b"\x00\xff\x1b[2J", b"\xc3\x28 \xf0\x9f", b'{"command":"\xff\xfe"}', b'{"command":"status\\u0000"}',
    b"[" * 4000, b'{"command":' + b"[" * 4000, b'{"a":' * 600 + b"1" + b"}" * 600, b'{"command":"status","command":7}',
    b'{"command":"workers","workers":1e308}', b'{"command":"workers","workers":99999999999999999999}',
    b"{" + b",".join(b'"%d":1' % number for number in range(400)) + b"}",
], ids=lambda line: line[:12].decode("latin-1").encode("unicode_escape").decode() + f"_{len(line)}")
def test_what_cannot_be_understood_is_answered_with_a_sentence(controlled, line):
    daemon = controlled(workers=1)
    with connect(daemon.control) as client:
        client.sendall(line + b"\nready\n")
        answers = client.makefile("rb")
        answer = json.loads(answers.readline().decode())  # which is UTF-8, whatever was sent
        assert answer["ok"] is False and answer["error"]
        assert json.loads(answers.readline()) == {"ok": True, "message": "ready"}, "the peer may go on"
