"""What a connection may rely on, from its first byte to its end."""
import os
import socket
import struct
import subprocess
import time

import pytest

import proc
from clients import Load, connect, echo, exchange, port_of, read_exactly, read_to_end



@pytest.fixture
def long_greeting(tmp_path):
    """A configuration file with a greeting of 200 kB: more than an argument may hold."""
    text = "0123456789abcdef" * 12_500
    (tmp_path / "long").write_text(f"greeting = {text}\n")
    return str(tmp_path / "long"), text.encode() + b"\n"


def test_half_close_ends_the_input_and_not_the_reply(preforkd):
    daemon = preforkd("--handler", "echo")
    data = b"z" * 300_000
    with connect(daemon.endpoint) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        client.sendall(data[:100_000])
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == data[:100_000]


@pytest.mark.parametrize("model", ["async", "serial", "thread", "fork"])
@pytest.mark.parametrize("transport", ["tcp", "unix"])
def test_a_long_reply_arrives_whole_although_the_client_sent_unread_input(preforkd, tmp_path, long_greeting, model, transport):
    config, expected = long_greeting
    daemon = preforkd("--config", config, "--model", model,
                      listen="tcp://127.0.0.1:0" if transport == "tcp" else f"unix://{tmp_path}/s")
    for _ in range(5):
        with connect(daemon.endpoint) as client:
            client.sendall(b"GET / HTTP/1.1\r\n" * 1000)
            assert len(read_to_end(client)) == len(expected)


@pytest.mark.parametrize("model", ["async", "serial"])
def test_a_long_reply_arrives_whole_at_a_client_that_reads_slowly(preforkd, long_greeting, model):
    config, expected = long_greeting
    daemon = preforkd("--config", config, "--model", model, workers=1)
    with connect(daemon.endpoint) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(b"unread")
        received = b""
        while chunk := client.recv(1000):
            received += chunk
    assert received == expected


def test_an_idle_connection_is_closed(preforkd):
    daemon = preforkd("--handler", "echo", "--idle-timeout", "300ms")
    with connect(daemon.endpoint) as client:
        began = time.monotonic()
        assert read_to_end(client) == b""
        assert time.monotonic() - began >= 0.25


def test_a_connection_that_is_busy_is_not_idle(preforkd):
    daemon = preforkd("--handler", "echo", "--idle-timeout", "400ms")
    with connect(daemon.endpoint) as client:
        for _ in range(8):
            echo(client)
            time.sleep(0.1)  # the client's own pace: what is tested is that it may take its time


def test_a_client_that_never_reads_is_idle_too(preforkd):
    daemon = preforkd("--handler", "chargen", "--idle-timeout", "300ms", "--model", "serial", workers=1)
    with connect(daemon.endpoint), connect(daemon.endpoint) as second:
        assert read_exactly(second, 74)  # the only worker, serial, has let the first one go


def test_idle_timeout_0_is_never(preforkd):
    daemon = preforkd("--handler", "echo", "--idle-timeout", "0")
    with connect(daemon.endpoint, timeout=0.5) as client:
        with pytest.raises(socket.timeout):
            client.recv(1)


def test_an_over_long_line_is_logged_with_the_peer_and_ends_the_connection(preforkd, trouble):
    daemon = preforkd("--handler", trouble("coroutine"), workers=1)
    with connect(daemon.endpoint) as client:
        host, port = client.getsockname()
        client.sendall(b"short\n" + b"x" * (16 << 10))
        assert read_to_end(client).startswith(b"short ")
    line = daemon.wait_log("a line longer than the limit")
    assert (line["peer"], line["limit_bytes"]) == (f"{host}:{port}", 16 << 10)


def peak_of(pid):
    """The most memory that it has had, in bytes."""
    return int(proc.status(pid)["VmHWM"].split()[0]) << 10


@pytest.mark.parametrize("name", ["blocking", "hostile"], ids=["getline", "std::getline"])
def test_a_line_without_an_end_costs_no_more_memory_than_the_limit(preforkd, trouble, name):
    daemon = preforkd("--handler", trouble(name), "--model", "serial", workers=1)
    (worker,) = daemon.workers()
    with connect(daemon.endpoint) as client:
        before = peak_of(worker)
        peer = "%s:%d" % client.getsockname()
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            for _ in range(100):
                client.sendall(bytes(1 << 20))
    line = daemon.wait_log("a line longer than the limit")
    assert (line["peer"], line["limit_bytes"]) == (peer, 1 << 20)
    assert peak_of(worker) - before < 8 << 20
    assert daemon.workers() == [worker] and exchange(daemon.endpoint, b"hello\n").startswith(b"hello ")


@pytest.mark.parametrize(("name", "model"), [("coroutine", "async"), ("coroutine", "thread"), ("blocking", "serial"),
                                             ("blocking", "thread"), ("blocking", "fork")])
def test_whatever_a_handler_throws_ends_that_connection_only_and_is_logged_with_the_peer(preforkd, trouble, name, model):
    daemon = preforkd("--handler", trouble(name), "--model", model, workers=1)
    daemon.expect("handler failed")
    workers = daemon.workers()
    for number, word in enumerate((b"throw\n", b"throw 7\n"), 1):
        with connect(daemon.endpoint) as client:
            peer = "%s:%d" % client.getsockname()
            client.sendall(word)
            assert read_to_end(client).startswith(word.strip())
        assert daemon.wait_log("handler failed", count=number)["peer"] == peer
    assert daemon.log.find("as told") and daemon.workers() == workers


def test_a_client_that_resets_harms_only_itself(preforkd):
    daemon = preforkd("--handler", "chargen", workers=1)
    worker = daemon.workers()
    for _ in range(50):
        client = connect(daemon.endpoint)
        read_exactly(client, 74)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
    with connect(daemon.endpoint) as client:
        read_exactly(client, 74)
    assert daemon.workers() == worker, "no SIGPIPE, no dead worker"


def test_a_client_that_never_closes_does_not_stall_a_serial_worker(preforkd):
    daemon = preforkd("--model", "serial", workers=1)
    staying = []
    began = time.monotonic()
    for _ in range(20):
        client = connect(daemon.endpoint)
        client.sendall(b"unread")
        assert read_to_end(client) == b"connected\n"
        staying.append(client)
    assert time.monotonic() - began < 1.5, "the lingering close of one client must not delay the next"
    for client in staying:
        client.close()


def test_a_client_that_never_closes_is_let_go_after_the_linger_time(preforkd):
    daemon = preforkd(listen="tcp://127.0.0.1:0 linger=300ms", workers=1)
    with connect(daemon.endpoint) as client:
        assert read_to_end(client) == b"connected\n"
        assert proc.eventually(lambda: not connected_in(daemon, client), 5)


def connected_in(daemon, client):
    held = proc.socket_connected_to(daemon.workers(), client.getsockname())
    if held:
        held.close()
    return held is not None


@pytest.mark.parametrize(("setting", "nodelay", "keepalive"), [
    ("", 1, 0), ("nodelay=no", 0, 0), ("keepalive=yes", 1, 1)])
def test_socket_options_of_a_connection(preforkd, setting, nodelay, keepalive):
    daemon = preforkd("--handler", "echo", listen=f"tcp://127.0.0.1:0 {setting}")
    with connect(daemon.endpoint) as client:
        echo(client)
        with proc.socket_connected_to(daemon.workers(), client.getsockname()) as held:
            assert bool(held.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)) == nodelay
            assert bool(held.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)) == keepalive


def test_every_descriptor_of_a_worker_closes_on_exec(preforkd):
    daemon = preforkd("--handler", "echo", workers=1)
    with connect(daemon.endpoint) as client:
        echo(client)
        worker = daemon.workers()[0]
        for number in os.listdir(f"/proc/{worker}/fd"):
            with open(f"/proc/{worker}/fdinfo/{number}") as file:
                flags = int(dict(line.split(":\t", 1) for line in file if ":\t" in line)["flags"], 8)
            assert int(number) <= 2 or flags & os.O_CLOEXEC, os.readlink(f"/proc/{worker}/fd/{number}")


def test_a_pool_at_rest_never_wakes_up(preforkd):
    daemon = preforkd(workers=2)
    for _ in range(20):
        exchange(daemon.endpoint)
    pids = [daemon.pid, *daemon.workers()]
    proc.eventually(lambda: all(proc.stat(pid).state == "S" for pid in pids))
    time.sleep(1.5)  # the linger ring's timer may still be due: what follows must be silent
    before = [proc.voluntary_switches(pid) for pid in pids]
    time.sleep(1.5)  # the observation itself
    assert [proc.voluntary_switches(pid) for pid in pids] == before


@pytest.mark.programs("ss")
@pytest.mark.parametrize(("arguments", "setting", "expected"), [((), "backlog=7", 7), (("--backlog", "9"), "", 9)])
def test_the_backlog_is_the_one_asked_for(preforkd, arguments, setting, expected):
    daemon = preforkd(*arguments, listen=f"tcp://127.0.0.1:0 {setting}")
    shown = subprocess.run(["ss", "-Hltn", f"sport = :{port_of(daemon.endpoint)}"], capture_output=True, text=True).stdout
    assert int(shown.split()[2]) == expected


def test_many_connections_at_once_are_all_served(preforkd):
    daemon = preforkd("--handler", "echo")
    clients = [connect(daemon.endpoint) for _ in range(300)]
    for number, client in enumerate(clients):
        client.sendall(b"%06d" % number)
    assert [read_exactly(client, 6) for client in clients] == [b"%06d" % number for number in range(300)]
    for client in clients:
        client.close()


@pytest.mark.parametrize("model", ["async", "serial"])
def test_a_crowd_gets_whole_answers(preforkd, model):
    daemon = preforkd("--model", model)
    with Load(daemon.endpoint, clients=12, request=b"something unread") as load:
        load.wait_for_answers(2000)
    assert set(load.outcomes) == {"whole"}, (load.outcomes, load.broken[:5])
