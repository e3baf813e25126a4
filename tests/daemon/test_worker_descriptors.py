"""What a worker holds: what its model needs, and nothing of its master or its siblings."""
from collections import Counter
from pathlib import Path

import pytest

import proc
from clients import connect, echo

pytestmark = pytest.mark.root  # may look into workers, which nobody else of their user may

# Beside standard input, what it prints, the log, its listeners and its channel.
LOOP = {"signalfd": 1, "eventpoll": 1}
LIFELINE = {"eventfd": 2}  # wakes its thread; what takes a listener's place
HELD = {
    "async": Counter(LOOP) + Counter(LIFELINE) + Counter(eventfd=1, timerfd=1),
    "serial": Counter(LOOP) + Counter(LIFELINE) + Counter(eventfd=1, timerfd=1),
    "thread": Counter(LOOP) + Counter(LIFELINE) + Counter(eventfd=2),
    "fork": Counter(LOOP),
    "program": Counter(LOOP) + Counter(signalfd=1),
}


def anonymous(held):
    """How many of each kind: an epoll set, an event..."""
    prefix = "anon_inode:["
    return Counter(what[len(prefix):-1] for what in held.values() if what.startswith(prefix))


def sockets(held):
    return {what for what in held.values() if what.startswith("socket:")}


def sequenced_packet_sockets():
    """As channels are.  Source: proc(5), /proc/net/unix."""
    lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    return {f"socket:[{line[6]}]" for line in lines if int(line[4], 16) == 5}


@pytest.mark.parametrize("model", HELD)
def test_a_worker_holds_what_its_model_needs_and_nothing_of_others(controlled, model):
    service = ("--", "/bin/cat") if model == "program" else ("--handler", "echo", "--model", model)
    daemon = controlled(*service, workers=3)
    of_master = sockets(proc.descriptors(daemon.pid))
    channels = set()
    for pid in daemon.workers():
        held = proc.descriptors(pid)
        listeners = sockets(held) & of_master
        assert len(listeners) == len(daemon.endpoints), "no control socket"
        (channel,) = sockets(held) - listeners
        assert channel in sequenced_packet_sockets()
        channels.add(channel)
        assert anonymous(held) == HELD[model], held
        others = {what for what in held.values() if not what.startswith(("anon_inode:", "socket:"))}
        pipes = {what for what in others if what.startswith("pipe:")}
        assert {held[1], held[2]} < pipes and len(pipes) == 3, "what it prints, what it logs, and its reports"
        assert others - pipes == {"/dev/null"}, "no file"
        assert proc.descriptors(daemon.pid)[2] == daemon.log.path
    assert len(channels) == 3, "each its own"


@pytest.mark.parametrize("service", [("--handler", "echo", "--model", "fork"), ("--", "/bin/cat")])
def test_who_serves_one_client_holds_that_connection_and_no_socket_else(controlled, service):
    daemon = controlled(*service, workers=1)
    with connect(daemon.endpoint) as client:
        echo(client)
        (worker,) = daemon.workers()
        (child,) = proc.children(worker)
        held = proc.descriptors(child)
        (connection,) = sockets(held)
        assert connection not in sockets(proc.descriptors(daemon.pid)) | sequenced_packet_sockets()
        assert "signalfd" not in anonymous(held), "the worker's"
