"""What status counts of listeners, workers and the service: each number moves by exactly what was done."""
import contextlib
import os
import signal
import socket
import time

import pytest

import proc
from clients import address_of, connect, echo, exchange, read_to_end, serve_behind_another
from control import ask, status
from counting import comes_to, deaths_come_to, ends_come_to, kill, listener, reset, times
from datagram_clients import Client as DatagramClient, ask as ask_datagram
from test_request_timeout import is_cut_off

MODELS = ["async", "serial", "thread", "fork"]
EACH = [["--handler", "echo", "--model", model] for model in MODELS] + [["--", "/bin/cat"]]
IDS = [*MODELS, "program"]


# --- how connections end --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", EACH, ids=IDS)
def test_connections_that_end_well_and_those_that_break(controlled, arguments):
    daemon = controlled(*arguments, workers=1)
    for _ in range(3):
        assert exchange(daemon.endpoint, b"hello") == b"hello"
    ends_come_to(daemon, ok=3)
    client = connect(daemon.endpoint)
    echo(client)
    reset(client)
    ends_come_to(daemon, ok=3, error=1)


@pytest.mark.parametrize("model", MODELS)
def test_clients_that_are_waited_for_in_vain(controlled, model):
    daemon = controlled("--handler", "echo", "--model", model, "--idle-timeout", "200ms", workers=1)
    for _ in range(2):
        with connect(daemon.endpoint) as client:
            assert read_to_end(client) == b""
    ends_come_to(daemon, idle_timeout=2)


@pytest.mark.parametrize("arguments", [["--handler", "discard", "--model", model] for model in MODELS] + [["--", "/bin/cat"]],
                         ids=IDS)
def test_clients_that_take_too_long(controlled, arguments):
    daemon = controlled("--request-timeout", "300ms", *arguments, workers=1)
    with connect(daemon.endpoint) as client:
        assert is_cut_off(client)
    ends_come_to(daemon, request_timeout=1)


@pytest.mark.parametrize("arguments", EACH, ids=IDS)
def test_clients_that_a_reload_does_not_wait_for(controlled, arguments):
    daemon = controlled("--reload-timeout", "300ms", *arguments, workers=1)
    daemon.expect("connections were cut", "1 connection was cut")
    with connect(daemon.endpoint) as client:
        echo(client)
        assert ask(daemon.control, "reload")["ok"]
        read_to_end(client)
    ends_come_to(daemon, cut=1)


@pytest.mark.parametrize("model", ["async", "thread"])
def test_clients_of_a_worker_that_dies(controlled, model):
    daemon = controlled("--handler", "echo", "--model", model, workers=1)
    with connect(daemon.endpoint) as client:
        echo(client)
        kill(daemon)
        ends_come_to(daemon, cut=1)


def test_clients_that_are_refused(controlled, tmp_path):
    daemon = controlled("--handler", "echo", listen=("tcp://127.0.0.1:0 per-source=1", "tcp://127.0.0.1:0"), workers=1)
    with connect(daemon.endpoint) as client:
        echo(client)
        with contextlib.suppress(ConnectionResetError), connect(daemon.endpoint) as another:
            assert read_to_end(another) == b""
    ends_come_to(daemon, ok=1, refused=1)
    ends_come_to(daemon, number=1)


def test_clients_whom_the_handler_does_not_verify(controlled, trouble):
    """Not beside those whom the rules of the listener refuse: another has to be asked why."""
    daemon = controlled("--handler", trouble("refusing"), workers=1, listen=("tcp://127.0.0.1:0", "tcp://127.0.0.1:0 deny=127.0.0.0/8"))
    with connect(daemon.endpoint) as client:
        assert read_to_end(client) == b""
    with contextlib.suppress(ConnectionResetError), connect(daemon.endpoints[1]) as client:
        assert read_to_end(client) == b""
    ends_come_to(daemon, unverified=1)
    ends_come_to(daemon, number=1, refused=1)


def test_handshakes_that_fail(controlled, pair):
    daemon = controlled("--handler", "echo", listen=f"tls://127.0.0.1:0 {pair}", workers=1)
    with connect(daemon.endpoint.replace("tls://", "tcp://")) as client, contextlib.suppress(ConnectionResetError):
        client.sendall(b"this is no handshake\n" * 10)
        read_to_end(client)
    ends_come_to(daemon, tls_handshake=1)


# --- what else is counted of a listener ------------------------------------------------------------------------------


def test_each_listener_counts_for_itself(controlled, tmp_path):
    daemon = controlled("--handler", "echo", workers=2,
                        listen=("tcp://127.0.0.1:0", f"unix://{tmp_path}/s", "udp://127.0.0.1:0"))
    for _ in range(3):
        exchange(daemon.endpoints[0], b"12345")
    exchange(daemon.endpoints[1], b"123")
    assert ask_datagram(daemon.endpoints[2], b"1234567") == b"1234567"
    for number, connections, size in ((0, 3, 15), (1, 1, 3), (2, 1, 7)):
        ends_come_to(daemon, number, ok=connections)
        seen = listener(daemon, number)
        assert (seen["received_bytes"], seen["sent_bytes"]) == (size, size)
        assert times(seen["duration"]) == (0 if number == 2 else connections)


@pytest.mark.parametrize("model", MODELS)
def test_datagrams_are_counted_in_every_model(controlled, model):
    daemon = controlled("--handler", "echo", "--model", model, workers=1, listen="udp://127.0.0.1:0")
    for text in (b"one", b"three"):
        assert ask_datagram(daemon.endpoint, text) == text
    ends_come_to(daemon, ok=2)


def test_the_most_that_were_open_at_once(controlled):
    daemon = controlled("--handler", "echo", workers=1)
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            echo(stack.enter_context(connect(daemon.endpoint)))
        comes_to(lambda: listener(daemon), (5, 5), lambda seen: (seen["connections"], seen["connections_most"]))
    comes_to(lambda: listener(daemon), (0, 5), lambda seen: (seen["connections"], seen["connections_most"]))


def test_the_most_outlives_the_worker_a_reload_and_an_upgrade(controlled):
    daemon = controlled("--handler", "echo", workers=2)
    daemon.expect("killed by SIGKILL")
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            echo(stack.enter_context(connect(daemon.endpoint)))
        comes_to(lambda: listener(daemon), 5, lambda seen: seen["connections"])
    comes_to(lambda: listener(daemon), (0, True), lambda seen: (seen["connections"], seen["connections_most"] >= 5))
    most = listener(daemon)["connections_most"]

    def has_it_still(how):
        seen = listener(daemon)
        assert (seen["connections"], seen["connections_most"]) == (0, most), how
    for pid in daemon.workers():
        os.kill(pid, signal.SIGKILL)
        assert proc.wait_gone(pid, 5)
    has_it_still("killed")
    before = daemon.workers()
    assert ask(daemon.control, "reload")["ok"]
    assert all(proc.wait_gone(pid, 5) for pid in before)
    has_it_still("reloaded")
    before = daemon.workers()
    daemon.signal(signal.SIGUSR2)
    daemon.wait_log("upgraded")
    assert all(proc.wait_gone(pid, 5) for pid in before)
    has_it_still("upgraded")


@pytest.mark.parametrize("arguments", EACH, ids=IDS)
def test_a_connection_counts_with_the_time_that_it_took(controlled, arguments):
    daemon = controlled(*arguments, workers=1)
    began = time.monotonic()
    with connect(daemon.endpoint) as client:
        echo(client)
        accepted = time.monotonic()
        while time.monotonic() - accepted < 0.3:
            echo(client)
    ends_come_to(daemon, ok=1)
    took_us = (time.monotonic() - began) * 1e6
    seen = listener(daemon)["duration"]
    assert times(seen) == 1 and 300_000 <= seen["sum_us"] <= took_us
    bounds = status(daemon.control)["histogram_bounds_us"]
    place = seen["buckets"].index(1)
    assert len(bounds) == 14 and bounds[0] == 100 and bounds[-1] == 60_000_000 and len(seen["buckets"]) == 15
    assert bounds[place - 1] < seen["sum_us"] <= bounds[place]


def test_the_time_in_the_accept_queue_is_told(controlled):
    daemon = controlled("--handler", "echo", "--model", "serial", workers=1)
    waited_us = serve_behind_another(daemon.endpoint, 0.3) * 1e6
    ends_come_to(daemon, ok=2)
    seen = listener(daemon)["accept_wait"]
    assert times(seen) == 2 and sum(seen["buckets"][:6]) == 1, "the first has not waited"
    assert 299_000 <= seen["sum_us"] <= waited_us + 20_000


def test_clients_that_find_the_queue_full_are_dropped(controlled):
    daemon = controlled("--handler", "echo", "--model", "serial", "--backlog", "1", workers=1)
    assert listener(daemon)["dropped"] == 0
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(connect(daemon.endpoint))
        echo(first)
        for _ in range(2):  # a queue of one holds two
            stack.enter_context(connect(daemon.endpoint))
        family, address = address_of(daemon.endpoint)
        began = time.monotonic()
        lost = stack.enter_context(socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
        lost.connect_ex(address)
        dropped = proc.eventually(lambda: listener(daemon)["dropped"])
        assert 1 <= dropped <= 1 + (time.monotonic() - began), "it tries again after a second, and after two"


def test_accept_errors_are_counted_by_name(controlled):
    daemon = controlled("--handler", "echo", workers=1)
    daemon.expect("Too many open files")
    from test_limits import starve  # noqa: PLC0415
    import resource  # noqa: PLC0415
    worker, = daemon.workers()
    before = starve(worker)
    with connect(daemon.endpoint) as client:
        comes_to(lambda: status(daemon.control)["accept_errors"].get("EMFILE", 0) > 0, True)
        resource.prlimit(worker, resource.RLIMIT_NOFILE, before)
        echo(client)


def test_listeners_behind_the_64th_are_counted_together(controlled, tmp_path):
    daemon = controlled("--handler", "echo", workers=1, listen=[f"unix://{tmp_path}/{n}" for n in range(67)])
    for number in (0, 63, 64, 66):
        exchange(daemon.endpoints[number], b"1")
    ends_come_to(daemon, 0, ok=1)
    ends_come_to(daemon, 63, ok=1)
    comes_to(lambda: status(daemon.control)["other_listeners"], (2, 2),
             lambda seen: (seen["accepted"], seen["closed"]["ok"]))
    assert "accepted" not in listener(daemon, 64)


def test_drops_of_listeners_behind_the_64th_are_counted_together(controlled, tmp_path):
    """Of datagrams, which come while the only worker has a client."""
    daemon = controlled("--handler", "echo", "--model", "serial", workers=1,
                        listen=[f"unix://{tmp_path}/{n}" for n in range(65)] + ["udp://127.0.0.1:0 rcvbuf=4096"] * 2)
    daemon.expect("the receive buffer was full")
    with connect(daemon.endpoint) as client:
        echo(client)
        for endpoint in daemon.endpoints[-2:]:
            with DatagramClient(endpoint) as sender:
                for _ in range(100):
                    sender.send(b"x" * 1000)
        comes_to(lambda: status(daemon.control)["other_listeners"]["dropped"], True, lambda seen: 100 < seen < 200)


def test_the_table_tells_what_was_counted(controlled, ctl):
    daemon = controlled("--handler", "echo", workers=1)
    exchange(daemon.endpoint, b"12345")
    client = connect(daemon.endpoint)
    echo(client)
    reset(client)
    ends_come_to(daemon, ok=1, error=1)
    assert ask(daemon.control, "reload")["ok"]
    deaths_come_to(daemon, ordered=1)
    told = ctl("status").stdout
    assert "\nworker deaths: 1 ordered; reloads: 1 done\n" in told
    titles, row = (line.split() for line in told.splitlines()[4:6])
    assert titles[:4] == ["LISTENER", "HANDLER", "QUEUED", "LIMIT"] and titles[-1] == "FAILED"
    assert row[0] == daemon.endpoint and row[-2:] == ["1", "error"]
