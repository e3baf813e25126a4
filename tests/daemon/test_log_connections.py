"""--log-connections: a line when a connection begins, and one when it ends, with its duration, bytes, outcome and wait."""
import contextlib
import os
import select
import signal
import socket
import struct
import time

import pytest

import proc
from clients import connect, echo, exchange, read_exactly, read_to_end
from proxy_sender import LINE, SOURCE

MODELS = ["async", "serial", "thread", "fork"]
EACH_THAT_ECHOES = pytest.mark.parametrize(
    "served", [*(["--handler", "echo", "--model", model] for model in MODELS), ["--", "cat"]], ids=[*MODELS, "program"])
BEGINS, ENDS = "got connection from", " ended after "


def ending(daemon, client_name):
    return daemon.wait_log(lambda entry: ENDS in entry["message"] and entry["peer"] == client_name)


def name_of(client):
    return "%s:%d" % client.getsockname()


@pytest.mark.parametrize("model", MODELS)
def test_the_end_tells_duration_bytes_and_outcome(preforkd, model):
    daemon = preforkd("--handler", "echo", "--model", model, "--log-connections", "end")
    with connect(daemon.endpoint) as client:
        name = name_of(client)
        echo(client, b"hello")
        assert not daemon.log.find(ENDS)
        client.shutdown(socket.SHUT_WR)
        read_to_end(client)
    line = ending(daemon, name)
    assert (line["received_bytes"], line["sent_bytes"], line["outcome"]) == (5, 5, "ok")
    assert 0 < line["duration_ms"] < 60_000 and line["listener"] == daemon.endpoint
    assert line["message"] == (f"connection from {name} ended after {line['duration_ms']} ms: ok, "
                               f"5 bytes received, 5 sent, {line['accept_wait_ms']} ms in the accept queue")
    assert not daemon.log.find(BEGINS) and len(daemon.log.find(ENDS)) == 1


@pytest.mark.parametrize("wanted, begins, ends", [("both", 1, 1), ("begin", 1, 0), ("yes", 1, 0), ("end", 0, 1), ("no", 0, 0)])
def test_each_value_prints_what_it_says(preforkd, wanted, begins, ends):
    daemon = preforkd("--log-connections", wanted)
    exchange(daemon.endpoint)
    assert daemon.stop() == 0
    assert (len(daemon.log.find(BEGINS)), len(daemon.log.find(ENDS))) == (begins, ends)


def test_of_a_program_the_bytes_are_unknown(preforkd):
    daemon = preforkd("--log-connections", "end", "--", "sh", "-c", "read code; echo hello; exit $code")
    for code, outcome in ((0, "ok"), (3, "error")):
        with connect(daemon.endpoint) as client:
            name = name_of(client)
            client.sendall(b"%d\n" % code)
            read_to_end(client)
        line = ending(daemon, name)
        assert line["outcome"] == outcome and not {"received_bytes", "sent_bytes"} & line.keys()
        assert line["message"].endswith(f" ms: {outcome}, {line['accept_wait_ms']} ms in the accept queue")


# --- the wait in the accept queue -------------------------------------------------------------------------------------

WAIT_S = 0.3
SHORTEST_MS = 1000 * WAIT_S - 10  # the kernel counts in steps, which end when they like


@contextlib.contextmanager
def accepting_nobody(daemon):
    """Stops its workers, and first the master, which would replace them."""
    stopped = daemon.workers()
    proc.stop_all(daemon.pid, stopped)
    try:
        yield
    finally:
        for pid in (*stopped, daemon.pid):
            os.kill(pid, signal.SIGCONT)


@EACH_THAT_ECHOES
def test_the_end_tells_how_long_each_client_has_waited_in_the_queue(preforkd, served):
    """Each, although the kernel is asked for the histogram only now and then."""
    daemon = preforkd("--log-connections", "end", *served, workers=1)
    with accepting_nobody(daemon):
        clients = [connect(daemon.endpoint) for _ in range(3)]
        connected = time.monotonic()
        for client in clients:
            client.sendall(b"hello")
        assert not select.select(clients, [], [], WAIT_S)[0], "nobody is served"
        go_on = time.monotonic()
    for client in clients:
        name = name_of(client)
        assert read_exactly(client, 5) == b"hello"
        client.close()
        line = ending(daemon, name)
        ended = time.monotonic()
        assert SHORTEST_MS <= line["accept_wait_ms"] <= 1000 * (ended - connected) + 20
        assert line["duration_ms"] <= 1000 * (ended - go_on), "that is no part of it"
        assert line["message"].endswith(f", {line['accept_wait_ms']} ms in the accept queue")


def test_who_waits_for_a_busy_worker_waits_in_the_queue(preforkd):
    daemon = preforkd("--handler", "echo", "--model", "serial", "--log-connections", "end", workers=1)
    with connect(daemon.endpoint) as first, connect(daemon.endpoint) as second:
        names = name_of(first), name_of(second)
        connected = time.monotonic()
        while time.monotonic() - connected < WAIT_S:
            echo(first)
        first.close()
        echo(second)
    waited = [ending(daemon, name)["accept_wait_ms"] for name in names]
    assert waited[0] < waited[1] and waited[1] >= SHORTEST_MS


def test_the_wait_for_a_header_is_none_in_the_queue(preforkd):
    daemon = preforkd("--handler", "echo", "--log-connections", "end", listen="tcp://127.0.0.1:0 proxy=127.0.0.1", workers=1)
    for waits_in_queue in (False, True):
        after = daemon.log.mark()
        with accepting_nobody(daemon) if waits_in_queue else contextlib.nullcontext():
            client = connect(daemon.endpoint)
            assert not select.select([client], [], [], WAIT_S)[0]
        with client:
            client.sendall(LINE)
            echo(client)
        line = daemon.wait_log(ENDS, after=after)
        assert line["peer"] == "%s:%d" % SOURCE
        assert (line["accept_wait_ms"] >= SHORTEST_MS) == waits_in_queue


def test_a_child_that_is_killed_leaves_the_wait_to_the_worker(preforkd):
    daemon = preforkd("--handler", "echo", "--model", "fork", "--log-connections", "end", workers=1)
    daemon.expect("killed by SIGKILL")
    with accepting_nobody(daemon):
        client = connect(daemon.endpoint)
        assert not select.select([client], [], [], WAIT_S)[0]
    with client:
        echo(client)
        worker, = daemon.workers()
        os.kill(proc.children(worker)[0], signal.SIGKILL)
        line = ending(daemon, name_of(client))
    assert line["accept_wait_ms"] >= SHORTEST_MS and line["pid"] == worker


@EACH_THAT_ECHOES
def test_of_a_unix_socket_the_wait_is_unknown(preforkd, served, tmp_path):
    daemon = preforkd("--log-connections", "end", *served, listen=f"unix://{tmp_path}/s", workers=1)
    with connect(daemon.endpoint) as client:
        echo(client)
    line = daemon.wait_log(ENDS)
    assert "accept_wait_ms" not in line and "queue" not in line["message"]


# --- how it ends ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("model", MODELS)
def test_a_silent_client_ends_by_the_idle_timeout(preforkd, model):
    daemon = preforkd("--handler", "echo", "--model", model, "--log-connections", "end", "--idle-timeout", "100ms")
    with connect(daemon.endpoint) as client:
        assert ending(daemon, name_of(client))["outcome"] == "idle_timeout"


@EACH_THAT_ECHOES
def test_a_slow_client_ends_by_the_request_timeout(preforkd, served):
    daemon = preforkd("--log-connections", "end", "--request-timeout", "200ms", *served)
    with connect(daemon.endpoint) as client:
        assert ending(daemon, name_of(client))["outcome"] == "request_timeout"


@EACH_THAT_ECHOES
def test_a_fast_stop_cuts(preforkd, served):
    daemon = preforkd("--log-connections", "end", *served, workers=1)
    with connect(daemon.endpoint) as client:
        echo(client)
        daemon.signal(signal.SIGINT)
        assert ending(daemon, name_of(client))["outcome"] == "cut"
        assert daemon.wait_exit() == 0
    daemon.cut()


@pytest.mark.parametrize("model", MODELS)
def test_a_connection_that_breaks_is_an_error(preforkd, model):
    daemon = preforkd("--handler", "echo", "--model", model, "--log-connections", "end")
    with connect(daemon.endpoint) as client:
        name = name_of(client)
        echo(client)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # the close is a reset
    assert ending(daemon, name)["outcome"] == "error"


@pytest.mark.parametrize("model", ["thread", "fork"])
def test_a_handler_that_throws_is_an_error(preforkd, trouble, model):
    daemon = preforkd("--handler", trouble("blocking"), "--model", model, "--log-connections", "end")
    daemon.expect("as told")
    with connect(daemon.endpoint) as client:
        name = name_of(client)
        client.sendall(b"throw\n")
        read_to_end(client)
    line = ending(daemon, name)
    assert line["outcome"] == "error" and line["received_bytes"] == 6


def test_a_child_that_is_killed_leaves_its_end_to_the_worker(preforkd):
    daemon = preforkd("--handler", "echo", "--model", "fork", "--log-connections", "end", workers=1)
    daemon.expect("killed by SIGKILL")
    with connect(daemon.endpoint) as client:
        echo(client)
        worker, = daemon.workers()
        child, = proc.children(worker)
        os.kill(child, signal.SIGKILL)
        line = ending(daemon, name_of(client))
    assert (line["outcome"], line["pid"]) == ("error", worker) and "sent_bytes" not in line


@pytest.mark.parametrize("model", MODELS)
def test_a_client_whom_verify_turns_away_is_named_so(preforkd, trouble, model):
    daemon = preforkd("--handler", trouble("refusing"), "--model", model, "--log-connections", "end")
    with connect(daemon.endpoint) as client:
        name = name_of(client)
        assert read_to_end(client) == b""
    assert ending(daemon, name)["outcome"] == "unverified"


def test_a_datagram_has_no_end(preforkd):
    daemon = preforkd("--handler", "echo", "--log-connections", "both", listen="udp://127.0.0.1:0", workers=1)
    host, _, port = daemon.endpoint.removeprefix("udp://").rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        client.sendto(b"x", (host, int(port)))
        assert client.recv(10) == b"x"
    assert daemon.stop() == 0
    assert len(daemon.log.find("got datagram from")) == 1 and not daemon.log.find(ENDS)
    assert daemon.log.find("requests served: 1,") and not daemon.log.find("connections served")
