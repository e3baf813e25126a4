"""`preforkctl send`: the classic client."""
import socket
import threading
import time

import pytest

from activation import endpoint_of, listening
from clients import exchange, read_to_end


def test_send_prints_the_answer(preforkd, preforkctl):
    told = preforkctl("send", preforkd().endpoint)
    assert (told.returncode, told.stdout, told.stderr) == (0, "connected\n", "")


@pytest.mark.parametrize("transport", ["tcp", "unix", "abstract"])
def test_send_says_hello_from_client_and_half_closes(preforkd, preforkctl, tmp_path, transport):
    endpoint = {"tcp": "tcp://127.0.0.1:0", "unix": f"unix://{tmp_path}/s", "abstract": f"unix://@{tmp_path}"}[transport]
    daemon = preforkd("--handler", "echo", listen=endpoint)
    told = preforkctl("send", daemon.endpoint)
    assert (told.returncode, told.stdout.strip()) == (0, "hello from client")


@pytest.mark.ipv6
def test_send_reaches_ipv6(preforkd, preforkctl):
    assert preforkctl("send", preforkd(listen="tcp://[::1]:0").endpoint).stdout == "connected\n"


def test_send_sends_what_it_is_told(preforkd, preforkctl):
    daemon = preforkd("--handler", "print")
    assert preforkctl("send", daemon.endpoint, "a text of my own").returncode == 0
    daemon.wait_log("a text of my own")


def test_what_is_sent_is_exactly_the_text(preforkctl):
    with listening() as bound:
        received = []

        def serve():
            client, _ = bound.accept()
            with client:
                client.settimeout(10)
                received.append(read_to_end(client))
                client.sendall(b"thanks")
        server = threading.Thread(target=serve)
        server.start()
        told = preforkctl("send", endpoint_of(bound))
        server.join()
    assert received[0].rstrip(b"\n") == b"hello from client"
    assert told.stdout.startswith("thanks") and told.returncode == 0


@pytest.mark.parametrize(("expected", "code"), [("connected", 0), ("disconnected", 1)])
def test_expect_makes_it_a_health_check(preforkd, preforkctl, expected, code):
    told = preforkctl("send", preforkd().endpoint, "--expect", expected)
    assert told.returncode == code
    assert code == 0 or len(told.stderr.strip().splitlines()) == 1


def test_expect_accepts_no_answer_for_no_text(preforkd, preforkctl):
    daemon = preforkd("--handler", "discard")
    assert preforkctl("send", daemon.endpoint, "--expect", "something").returncode == 1


def test_a_refused_connection_is_1_and_one_sentence(preforkctl, tmp_path):
    with listening() as bound:
        endpoint = endpoint_of(bound)
    for target in (endpoint, f"unix://{tmp_path}/none"):
        told = preforkctl("send", target)
        assert told.returncode == 1 and len(told.stderr.strip().splitlines()) == 1
        assert target.partition("//")[2] in told.stderr


def test_no_answer_in_time_is_1(preforkctl):
    with listening() as silent:
        began = time.monotonic()
        told = preforkctl("send", endpoint_of(silent), "--timeout", "300ms")
        assert told.returncode == 1 and 0.25 < time.monotonic() - began < 3
        assert len(told.stderr.strip().splitlines()) == 1


def test_a_connection_that_is_cut_is_1(preforkctl):
    with listening() as bound:
        def reset():
            client, _ = bound.accept()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
        server = threading.Thread(target=reset)
        server.start()
        told = preforkctl("send", endpoint_of(bound), "x" * 100_000)
        server.join()
    assert told.returncode == 1


def test_a_long_answer_is_printed_whole(preforkd, preforkctl):
    daemon = preforkd("--handler", "echo")
    text = "0123456789" * 12_000
    assert preforkctl("send", daemon.endpoint, text).stdout.strip() == text


@pytest.mark.parametrize("arguments", [
    (), ("send",), ("shout",), ("send", "http://127.0.0.1:1"), ("send", "tcp://127.0.0.1:99999"),
    ("send", "tcp://127.0.0.1:1", "text", "more"), ("send", "tcp://127.0.0.1:1", "--timeout", "soon"),
    ("send", "tcp://127.0.0.1:1", "--colour", "red"), ("send", "tcp://127.0.0.1:1", "--expect")])
def test_a_wrong_command_is_64(preforkctl, arguments):
    told = preforkctl(*arguments)
    assert told.returncode == 64 and told.stderr and not told.stdout


def test_a_health_check_of_a_daemon_that_was_stopped_fails(preforkd, preforkctl):
    daemon = preforkd()
    assert exchange(daemon.endpoint) == b"connected\n"
    assert preforkctl("send", daemon.endpoint, "--expect", "connected").returncode == 0
    daemon.stop()
    assert preforkctl("send", daemon.endpoint, "--expect", "connected").returncode == 1
