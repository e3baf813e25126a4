"""Signals that reach workers from somebody else than their master: an operator, or systemd with KillMode=control-group."""
import contextlib
import os
import signal
import socket

import pytest

import proc
from clients import Load, connect, echo, exchange, read_to_end, say


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGQUIT])
@pytest.mark.parametrize("model", ["async", "serial", "thread", "fork"])
def test_a_worker_told_to_end_is_replaced_and_finishes_its_client(preforkd, model, signo):
    daemon = preforkd("--handler", "echo", "--model", model, workers=1)
    with connect(daemon.endpoint) as client:
        echo(client, b"before ")
        old, = daemon.workers()
        os.kill(old, signo)
        assert proc.eventually(lambda: set(daemon.workers()) - {old} or None), "another serves meanwhile"
        client.sendall(b"after")
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b"after"
    assert proc.wait_gone(old, 5)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("model", ["serial", "thread", "fork"])
def test_what_a_handler_executes_has_ordinary_signals(preforkd, trouble, model, workers):
    daemon = preforkd("--handler", trouble("blocking"), "--model", model, workers=workers)
    with connect(daemon.endpoint) as client:
        client.sendall(b"signals\n")
        lines = client.makefile()
        assert lines.readline().startswith("signals ")
        blocked, ignored = (int(word, 16) for word in lines.readline().split())
    ours = {signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD}
    assert not [signo for signo in ours if (blocked | ignored) >> (signo - 1) & 1]


def test_the_second_time_it_does_not_wait_for_its_client(preforkd):
    daemon = preforkd("--handler", "echo", workers=1)
    daemon.expect("exited with code 0")  # a warning, unless its successor was there first
    with connect(daemon.endpoint) as client:
        echo(client)
        old, = daemon.workers()
        os.kill(old, signal.SIGTERM)
        daemon.wait_log("requesting a replacement")
        os.kill(old, signal.SIGTERM)
        assert read_to_end(client) == b""
    assert proc.wait_gone(old, 5)


@pytest.mark.parametrize("model", ["async", "serial", "thread"])
def test_a_stop_of_the_whole_control_group_loses_nobody(preforkd, model):
    daemon = preforkd("--model", model, workers=4)
    with Load(daemon.endpoint, clients=4) as load:
        load.wait_for_answers(100)
        for pid in [daemon.pid, *daemon.workers()]:
            with contextlib.suppress(ProcessLookupError):  # told by its master before, and quicker than we are
                os.kill(pid, signal.SIGTERM)
        assert daemon.wait_exit() == 0
    assert not load.broken, load.broken


@pytest.mark.parametrize("model", ["serial", "thread", "fork"])
def test_without_a_master_no_orphan_of_a_handler_stays(preforkd, trouble, model):
    daemon = preforkd("--handler", trouble("blocking"), "--model", model, workers=0)
    with connect(daemon.endpoint) as client:
        say(client, "run true &")  # the shell leaves it
        client.shutdown(socket.SHUT_WR)
        read_to_end(client)
    assert proc.eventually(lambda: not proc.children(daemon.pid))
    exchange(daemon.endpoint, b"bye\n")
