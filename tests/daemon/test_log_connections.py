"""--log-connections: a line when a connection begins, and one when it ends, with its duration, bytes and outcome."""
import os
import signal
import socket
import struct

import pytest

import proc
from clients import connect, echo, exchange, read_to_end

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
                               "5 bytes received, 5 sent")
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
        assert line["message"].endswith(f" ms: {outcome}")


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
def test_a_client_that_the_handler_refuses_is_named_so(preforkd, trouble, model):
    daemon = preforkd("--handler", trouble("refusing"), "--model", model, "--log-connections", "end")
    with connect(daemon.endpoint) as client:
        name = name_of(client)
        assert read_to_end(client) == b""
    assert ending(daemon, name)["outcome"] == "refused"


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
