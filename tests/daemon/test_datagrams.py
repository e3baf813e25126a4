"""Datagrams: received in batches, answered from the address they came to, lost with a word and without a wait."""
import contextlib
import os
import re
import select
import signal
import socket
import struct

import pytest

import activation
import proc
from datagram_clients import Client, address_of, ask

MODELS = ("async", "serial", "thread", "fork")
HANDLERS = ("greet", "print", "echo", "discard", "daytime", "chargen")
SINGLE = ("async", "serial")  # models that answer before they receive more


@pytest.fixture(params=["udp", "unixgram"])
def endpoint(request, tmp_path):
    return "udp://127.0.0.1:0" if request.param == "udp" else f"unixgram://{tmp_path}/service"


@pytest.fixture(params=MODELS)
def model(request):
    return request.param


# --- the built-in handlers ------------------------------------------------------------------------------------------

def test_echo_returns_datagrams_of_every_size(preforkd, endpoint, model):
    daemon = preforkd("--handler", "echo", "--model", model, listen=endpoint)
    largest = 65_507 if endpoint.startswith("udp") else 65_535
    with Client(daemon.endpoint) as client:
        for size in (0, 1, 1472, 4096, 4097, 32_768, largest):
            data = bytes(range(256)) * (size // 256 + 1)
            assert client.ask(data[:size]) == data[:size], f"{size} bytes"


def test_greet_answers_with_its_greeting(preforkd, endpoint):
    daemon = preforkd("--greeting", "moin ☕", listen=endpoint)
    assert ask(daemon.endpoint, b"a request as long as that") == "moin ☕\n".encode()


def test_print_logs_each_datagram_with_its_sender(preforkd, endpoint):
    daemon = preforkd("--handler", "print", listen=endpoint)
    with Client(daemon.endpoint) as client:
        client.send(b"hello from client")
        line = daemon.wait_log("hello from client")
    assert line["text"] == "hello from client" and line["peer"]


def test_print_logs_an_empty_datagram_too(preforkd, endpoint):
    daemon = preforkd("--handler", "print", listen=endpoint)
    with Client(daemon.endpoint) as client:
        client.send(b"")
        daemon.wait_log(lambda entry: entry.get("text") == "")


def test_daytime_answers_with_one_line(preforkd, endpoint):
    daemon = preforkd("--handler", "daytime", listen=endpoint)
    assert re.fullmatch(rb"\w+, \w+ \d\d, \d{4} \d\d:\d\d:\d\d-\S+\r\n", ask(daemon.endpoint, b"x" * 100))


def test_chargen_never_says_more_than_it_was_asked(preforkd, endpoint):
    daemon = preforkd("--handler", "chargen", listen=endpoint)
    with Client(daemon.endpoint) as client:
        answers = [client.ask(b"x" * size) for size in (0, 1, 74, 512, 2000)]
    assert [len(answer) for answer in answers] == [0, 1, 74, 512, 512]
    assert answers[2].startswith(b" !\"#$") and answers[2].endswith(b"\r\n")


def test_discard_says_nothing(preforkd, endpoint):
    daemon = preforkd("--handler", "discard", listen=endpoint)
    with Client(daemon.endpoint) as client:
        for _ in range(3):
            client.send(b"x" * 1000)
        daemon.wait_log("got datagram from", count=3)
        assert client.hears_nothing()


@pytest.mark.parametrize("handler", HANDLERS)
def test_every_handler_logs_where_a_datagram_came_from(preforkd, handler):
    daemon = preforkd("--handler", handler, listen="udp://127.0.0.1:0")
    with Client(daemon.endpoint) as client:
        client.send(b"x")
        host, port = "127.0.0.1", client.socket.getsockname()[1]
        line = daemon.wait_log(f"got datagram from {host}:{port}")
    assert line["level"] == "info" and line["listener"] == daemon.endpoint


def test_datagrams_are_not_logged_when_not_wanted(preforkd):
    daemon = preforkd("--handler", "echo", "--log-connections", "no", listen="udp://127.0.0.1:0")
    assert ask(daemon.endpoint, b"x") == b"x"
    assert not daemon.log.find("got datagram from")


# --- where replies come from ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("listen, addresses", [("udp://0.0.0.0:0", ["127.0.0.1", "127.0.0.2"]),
                                               ("udp://:0", ["127.0.0.1", "127.0.0.2"]),
                                               pytest.param("udp://:0", ["::1"], marks=pytest.mark.ipv6),
                                               pytest.param("udp://[::1]:0", ["::1"], marks=pytest.mark.ipv6)])
def test_a_reply_comes_from_the_address_that_was_asked(preforkd, model, listen, addresses):
    daemon = preforkd("--handler", "echo", "--model", model, listen=listen)
    for address in addresses:
        with Client(daemon.endpoint, to=address) as client:
            client.socket.connect(client.server)  # takes nothing from another address
            client.socket.send(b"who are you")
            assert client.socket.recv(100) == b"who are you"


def test_a_v4_mapped_sender_is_logged_as_ipv4(preforkd):
    daemon = preforkd("--handler", "echo", listen="udp://:0")
    assert ask(daemon.endpoint, b"x", to="127.0.0.1") == b"x"
    daemon.wait_log("got datagram from 127.0.0.1:")


# --- Unix senders ----------------------------------------------------------------------------------------------------

def test_a_unix_sender_without_an_address_is_served_without_a_reply(preforkd, tmp_path, model):
    daemon = preforkd("--handler", "echo", "--model", model, listen=f"unixgram://{tmp_path}/s")
    with Client(daemon.endpoint, named=False) as nobody, Client(daemon.endpoint) as somebody:
        nobody.send(b"from nobody")
        daemon.wait_log("got datagram from unnamed")
        assert somebody.ask(b"still there") == b"still there"
    assert not daemon.log.find("replies from")


@pytest.mark.parametrize("model", SINGLE)
def test_a_sender_that_does_not_read_loses_replies_and_delays_nobody(preforkd, tmp_path, model):
    daemon = preforkd("--handler", "echo", "--model", model, listen=f"unixgram://{tmp_path}/s", workers=1)
    with Client(daemon.endpoint) as deaf, Client(daemon.endpoint) as other:
        for number in range(200):
            deaf.send(b"%d" % number)
        assert other.ask(b"quick") == b"quick"
        lost = daemon.wait_log("replies from")
        assert lost["level"] == "notice" and 0 < lost["total"] <= 200
        assert deaf.receive() == b"0"


def test_a_sender_that_has_gone_costs_nobody_anything(preforkd, tmp_path):
    daemon = preforkd("--handler", "echo", listen=f"unixgram://{tmp_path}/s", workers=1)
    gone = Client(daemon.endpoint)
    [worker] = daemon.workers()
    proc.stop_all(daemon.pid, [worker])
    gone.send(b"bye")
    gone.socket.close()
    os.kill(worker, signal.SIGCONT)
    daemon.signal(signal.SIGCONT)
    assert ask(daemon.endpoint, b"next") == b"next"
    assert daemon.wait_log("replies from")["total"] == 1


def test_descriptors_that_a_sender_passes_are_not_kept(preforkd, tmp_path, model):
    daemon = preforkd("--handler", "echo", "--model", model, listen=f"unixgram://{tmp_path}/s", workers=1)
    with Client(daemon.endpoint) as client:
        assert client.ask(b"x") == b"x"
        worker = daemon.workers()[0]
        assert proc.eventually(lambda: not proc.children(worker))
        before = proc.open_descriptors(worker)
        for _ in range(20):
            client.socket.sendmsg([b"take these"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("3i", 0, 1, 2))],
                                  0, client.server)
            assert client.receive() == b"take these"
        assert proc.eventually(lambda: proc.open_descriptors(worker) <= before)


# --- limits ----------------------------------------------------------------------------------------------------------

def test_a_datagram_over_the_limit_is_not_served_and_said(preforkd, tmp_path, model):
    daemon = preforkd("--handler", "echo", "--model", model, listen=f"unixgram://{tmp_path}/s", workers=1)
    daemon.expect("truncated")
    with Client(daemon.endpoint) as client:
        client.send(b"x" * 65_536)
        line = daemon.wait_log("truncated")
        assert line["level"] == "warning" and line["total"] == 1
        assert client.ask(b"y" * 65_535) == b"y" * 65_535


def test_what_was_lost_in_the_second_after_a_line_is_said_when_it_is_over(preforkd, tmp_path, model):
    daemon = preforkd("--handler", "echo", "--model", model, listen=f"unixgram://{tmp_path}/s", workers=1)
    daemon.expect("truncated")
    with Client(daemon.endpoint) as client:
        client.send(b"x" * 65_536)
        assert daemon.wait_log("truncated")["total"] == 1
        for _ in range(4):
            client.send(b"x" * 65_536)
        daemon.wait_log(lambda line: "truncated" in line["message"] and line["total"] == 5)


def test_a_worker_that_leaves_says_all_that_was_lost(preforkd, tmp_path, model):
    daemon = preforkd("--handler", "echo", "--model", model, listen=f"unixgram://{tmp_path}/s", workers=1)
    with Client(daemon.endpoint) as deaf:
        for number in range(60):
            deaf.send(b"%d" % number)
        daemon.stop()
        answered = 0
        while not deaf.hears_nothing():  # which takes one
            answered += 1
    assert daemon.log.find("replies from")[-1]["total"] == 60 - answered > 0


@contextlib.contextmanager
def flooded(preforkd):
    """A daemon with one worker, both stopped, and a client that has sent it 200 datagrams, most of them in vain."""
    daemon = preforkd("--handler", "discard", "--log-connections", "no", listen="udp://127.0.0.1:0 rcvbuf=4096", workers=1)
    daemon.expect("the kernel has dropped")
    with Client(daemon.endpoint) as client:
        proc.stop_all(daemon.pid, daemon.workers())
        for _ in range(200):
            client.send(b"x" * 500)
        yield daemon, client


def resume(daemon):
    for pid in (*daemon.workers(), daemon.pid):
        os.kill(pid, signal.SIGCONT)


def test_drops_of_the_kernel_are_reported_with_their_number(preforkd):
    with flooded(preforkd) as (daemon, client):
        resume(daemon)
        # The counter comes with a datagram that was queued after a drop.
        line = proc.eventually(lambda: client.send(b"more") or daemon.log.find("the kernel has dropped"))
    assert line and line[0]["level"] == "warning" and 100 < line[0]["total"] < 200


def test_drops_that_no_datagram_came_after_are_said_by_a_worker_that_leaves(preforkd):
    with flooded(preforkd) as (daemon, _):
        dropped = kernel_drops(daemon.endpoint)
    resume(daemon)
    daemon.stop()
    assert [line["total"] for line in daemon.log.find("the kernel has dropped")] == [dropped] and dropped > 100


def kernel_drops(endpoint):
    """What /proc/net/udp says of the socket of `endpoint`."""
    port = f":{address_of(endpoint)[1][1]:04X}"
    with open("/proc/net/udp", encoding="ascii") as table:
        return next(int(row.split()[-1]) for row in table if row.split()[1].endswith(port))


def test_drops_are_not_reported_more_than_once_a_second(preforkd):
    daemon = preforkd("--handler", "discard", "--log-connections", "no", listen="udp://127.0.0.1:0 rcvbuf=4096", workers=1)
    daemon.expect("the kernel has dropped")
    with Client(daemon.endpoint) as client:
        for _ in range(50):
            for _ in range(500):
                client.send(b"x" * 500)
        daemon.wait_log("the kernel has dropped", timeout=30)
    daemon.stop()
    seconds = [line["time"][:19] for line in daemon.log.find("the kernel has dropped")]
    assert len(seconds) <= len(set(seconds)) + 1


def test_rcvbuf_is_what_the_endpoint_asks_for(preforkd):
    daemon = preforkd("--handler", "echo", listen=["udp://127.0.0.1:0 rcvbuf=16384", "udp://127.0.0.1:0 rcvbuf=65536"])
    sizes = {}
    for copy in proc.sockets_of(daemon.pid):
        if copy.type == socket.SOCK_DGRAM and copy.family == socket.AF_INET:
            sizes[copy.getsockname()[1]] = copy.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        copy.close()
    assert [sizes[address_of(endpoint)[1][1]] for endpoint in daemon.endpoints] == [32768, 131072]


def test_an_idle_worker_has_touched_hardly_any_of_its_buffers(preforkd):
    daemon = preforkd("--handler", "echo", listen="udp://127.0.0.1:0", workers=1)
    worker = daemon.workers()[0]

    def resident_kib():
        return int(proc.status(worker)["RssAnon"].split()[0])
    before = resident_kib()
    with Client(daemon.endpoint) as client:
        for _ in range(100):
            client.ask(b"small")
    assert resident_kib() - before < 512


# --- the pool ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("model", MODELS)
def test_every_datagram_of_a_burst_is_answered_once(preforkd, endpoint, model):
    daemon = preforkd("--handler", "echo", "--model", model, "--log-connections", "no",
                      listen=f"{endpoint} rcvbuf=128K", workers=3)
    senders = [Client(daemon.endpoint) for _ in range(8)]
    for sender in senders:
        sender.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    per_turn = 8  # a Unix socket queues 10
    for turn in range(10):
        for sender in senders:
            for number in range(per_turn):
                sender.send(b"%d.%d" % (turn, number))
        for sender in senders:
            got = sorted(sender.receive() for _ in range(per_turn))
            assert got == [b"%d.%d" % (turn, number) for number in range(per_turn)]
    for sender in senders:
        assert sender.hears_nothing()
        sender.socket.close()


def test_a_burst_is_spread_over_the_workers(preforkd):
    daemon = preforkd("--handler", "echo", listen="udp://127.0.0.1:0 rcvbuf=128K", workers=3)
    with Client(daemon.endpoint) as client:
        # One at a time, so that each may wake another worker.
        for number in range(300):
            client.ask(b"%d" % number)
    workers = {line["pid"] for line in daemon.log.find("got datagram from")}
    assert workers == set(daemon.workers())


def test_datagrams_are_not_lost_when_a_worker_is_killed_before_it_receives(preforkd):
    daemon = preforkd("--handler", "echo", listen="udp://127.0.0.1:0 rcvbuf=128K", workers=2)
    daemon.expect("killed by SIGKILL", "workers exit early")
    workers = daemon.workers()
    proc.stop_all(daemon.pid, workers)
    with Client(daemon.endpoint) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        for number in range(100):
            client.send(b"%d" % number)
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        daemon.signal(signal.SIGCONT)
        assert {client.receive() for _ in range(100)} == {b"%d" % number for number in range(100)}
    daemon.wait_workers(2)


@pytest.mark.parametrize("model", MODELS)
def test_what_was_received_before_a_stop_is_answered(preforkd, endpoint, model):
    daemon = preforkd("--handler", "echo", "--model", model, listen=f"{endpoint}", workers=2)
    workers = daemon.workers()
    senders = [Client(daemon.endpoint) for _ in range(8)]
    daemon.expect("was stopped")
    proc.stop_all(daemon.pid, workers)
    for sender in senders:
        sender.send(b"before the stop")
    daemon.signal(signal.SIGTERM)
    daemon.signal(signal.SIGCONT)
    daemon.wait_log("stopping")
    for worker in workers:
        os.kill(worker, signal.SIGCONT)
    assert daemon.wait_exit() == 0
    for sender in senders:
        assert sender.receive() == b"before the stop"
        sender.socket.close()


def test_a_pool_at_rest_has_no_wake_ups(preforkd):
    daemon = preforkd("--handler", "echo", listen="udp://127.0.0.1:0", workers=2)
    assert ask(daemon.endpoint, b"x") == b"x"
    processes = [daemon.pid, *daemon.workers()]
    def switches_within(seconds):
        before = [proc.voluntary_switches(pid) for pid in processes]
        select.select([], [], [], seconds)  # nothing is to happen: there is no event to wait for
        return [now - then for now, then in zip(map(proc.voluntary_switches, processes), before)]
    switches_within(0.3)  # the request's own may still be under way when its reply has come
    assert switches_within(1.5) == [0, 0, 0]


# --- sockets passed by systemd ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("address", ["0.0.0.0", pytest.param("::", marks=pytest.mark.ipv6)])
def test_a_passed_udp_socket_replies_from_the_address_that_was_asked(preforkd, address):
    bound = activation.listening(address, socket.SOCK_DGRAM)
    port = bound.getsockname()[1]
    passing = activation.Passing(bound, names=["echo"])
    daemon = preforkd("--handler", "echo", listen="fd://echo", **passing.arguments())
    with Client(f"udp://127.0.0.2:{port}") as client:
        assert client.ask(b"x") == b"x"
    assert daemon.stop() == 0
    bound.close()


@pytest.mark.parametrize("address", ["0.0.0.0", pytest.param("::", marks=pytest.mark.ipv6)])
def test_the_datagram_that_started_the_service_is_answered_from_where_it_went(preforkd, address):
    bound = activation.listening(address, socket.SOCK_DGRAM)
    with Client(f"udp://127.0.0.2:{bound.getsockname()[1]}") as client:
        client.send(b"wake up")
        passing = activation.Passing(bound, names=["echo"])
        daemon = preforkd("--handler", "echo", listen="fd://echo", **passing.arguments())
        assert client.receive() == b"wake up"
    assert daemon.stop() == 0
    bound.close()


def test_a_passed_unix_datagram_socket_serves(preforkd, tmp_path):
    bound = activation.listening(tmp_path / "s", socket.SOCK_DGRAM)
    passing = activation.Passing(bound, names=["echo"])
    daemon = preforkd("--handler", "echo", listen="fd://echo", **passing.arguments())
    assert ask(f"unixgram://{tmp_path}/s", b"x") == b"x"
    assert daemon.stop() == 0
    assert os.path.exists(tmp_path / "s"), "a passed socket's path is not ours to remove"
    bound.close()
