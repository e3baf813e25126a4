"""The built-in handlers, each in both models of coroutines."""
import datetime
import re
import socket
import threading

import pytest

from clients import connect, exchange, read_exactly, read_to_end
from log_file import text_of

MODELS = ("async", "serial")


@pytest.fixture(params=MODELS)
def serving(request, preforkd):
    def start(handler, *arguments, **how):
        return preforkd("--handler", handler, "--model", request.param, *arguments, **how)
    return start


def test_greet_says_connected_and_closes(serving):
    assert exchange(serving("greet").endpoint) == b"connected\n"


def test_greet_says_what_it_is_told(serving):
    assert exchange(serving("greet", "--greeting", "moin ☕").endpoint) == "moin ☕\n".encode()


def test_greet_does_not_wait_for_the_client(serving):
    daemon = serving("greet")
    with connect(daemon.endpoint) as silent:
        assert read_to_end(silent) == b"connected\n"


def test_print_logs_what_the_client_sends(serving):
    daemon = serving("print")
    assert exchange(daemon.endpoint, b"hello from client") == b""
    line = daemon.wait_log("hello from client")
    assert line["level"] in ("info", "notice") and line["pid"] in daemon.workers()


def test_print_reads_1024_bytes_at_a_time(serving):
    daemon = serving("print")
    exchange(daemon.endpoint, b"".join(bytes([letter]) * 1024 for letter in b"abc") + b"end")
    daemon.wait_log("end", count=1)
    for letter in "abc":
        assert daemon.log.find(letter * 1000), f"no line with 1000 x {letter}"
    assert not daemon.log.find(lambda entry: "a" * 1025 in text_of(entry))


def test_print_reads_on_until_the_client_ends(serving):
    daemon = serving("print")
    with connect(daemon.endpoint) as client:
        for word in (b"first", b"second", b"third"):
            client.sendall(word)
            daemon.wait_log(word.decode())
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b""


def test_echo_returns_every_byte_in_order(serving):
    daemon = serving("echo")
    with connect(daemon.endpoint) as client:
        for size in (1, 1000, 65536):
            data = bytes(range(256)) * (size // 256 + 1)
            client.sendall(data[:size])
            assert read_exactly(client, size) == data[:size]
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b""


def test_echo_returns_megabytes_to_a_client_that_reads_and_writes(serving):
    daemon = serving("echo")
    data = bytes(range(256)) * (4 << 12)
    with connect(daemon.endpoint) as client:
        def send():
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
        sender = threading.Thread(target=send)
        sender.start()
        assert read_to_end(client) == data
        sender.join()


def test_discard_takes_everything_and_says_nothing(serving):
    assert exchange(serving("discard").endpoint, b"x" * 1_000_000) == b""


def test_daytime_is_one_line_with_the_time(serving):
    daemon = serving("daytime")
    answer = exchange(daemon.endpoint).decode("ascii")
    assert re.fullmatch(r"[ -~]+\r?\n", answer)
    now = datetime.datetime.now(datetime.timezone.utc)
    assert re.search(r"\d\d:\d\d:\d\d", answer)
    assert any(str(year) in answer for year in (now.year, (now - datetime.timedelta(minutes=1)).year))


def test_chargen_turns_the_alphabet_until_the_client_leaves(serving):
    daemon = serving("chargen")
    printable = "".join(map(chr, range(32, 127)))
    with connect(daemon.endpoint) as client:
        lines = read_exactly(client, 74 * 1000).decode("ascii").split("\r\n")[:1000]
    for number, line in enumerate(lines):
        start = number % 95
        assert line == (printable * 2)[start:start + 72], f"line {number}"
    assert exchange_after_chargen(daemon), "a client that left chargen early must harm nobody"


def exchange_after_chargen(daemon):
    with connect(daemon.endpoint) as client:
        return len(read_exactly(client, 74)) == 74


def test_chargen_that_nobody_reads_stops_when_the_client_goes(serving):
    daemon = serving("chargen", workers=1)
    client = connect(daemon.endpoint)
    read_exactly(client, 74)
    client.close()
    assert exchange_after_chargen(daemon)


def test_each_listener_has_its_own_handler(preforkd):
    daemon = preforkd("--handler", "discard", listen=["tcp://127.0.0.1:0 handler=echo", "tcp://127.0.0.1:0",
                                                      "tcp://127.0.0.1:0 handler=greet"])
    assert [exchange(endpoint, b"abc") for endpoint in daemon.endpoints] == [b"abc", b"", b"connected\n"]


@pytest.mark.parametrize("handler", ["greet", "print", "echo", "discard", "daytime", "chargen"])
def test_every_handler_logs_where_the_connection_came_from(preforkd, handler):
    daemon = preforkd("--handler", handler)
    with connect(daemon.endpoint) as client:
        host, port = client.getsockname()
        line = daemon.wait_log(f"got connection from {host}:{port}")
        assert line["level"] in ("info", "notice") and line["pid"] in daemon.workers()
        assert line["worker"] in range(1, 3)


def test_connections_are_not_logged_when_not_wanted(preforkd):
    daemon = preforkd("--handler", "print", "--log-connections", "no")
    exchange(daemon.endpoint, b"something")
    daemon.wait_log("something")
    assert not daemon.log.find("got connection from")


def test_a_unix_client_without_an_address_is_unnamed(preforkd, tmp_path):
    daemon = preforkd(listen=f"unix://{tmp_path}/s")
    exchange(daemon.endpoint)
    daemon.wait_log("got connection from unnamed")
