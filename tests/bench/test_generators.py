"""The load generators find what is wrong with a server, in one line and in bounded time."""
import json

import pytest

from fakes import generator, number_of, tcp_server, udp_server

GENERATORS = ("load", "echo_load", "stream_load", "udp_load")
WRONG_ARGUMENTS = ([], ["x", "1"], ["--port"], ["--port", "0"], ["--port", "65536"], ["--port", "8x"], ["--port", "-1"],
                   ["--port", ""], ["--dance", "1"], ["--port", "1", "2"])


def complaint(done):
    """The one line of an exit with 1."""
    assert done.returncode == 1 and done.stdout.count("{") == 0
    [line] = done.stderr.splitlines()
    return line


@pytest.mark.parametrize("program", GENERATORS)
@pytest.mark.parametrize("arguments", WRONG_ARGUMENTS, ids=" ".join)
def test_wrong_arguments_are_answered_with_one_line_of_usage(program, arguments):
    done = generator(program, *arguments)
    assert (done.returncode, done.stdout) == (64, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(program + ": ") and "; usage: --port N" in line


def test_a_word_that_is_no_choice_is_refused():
    assert generator("load", "--port", 1, "--close", "hard").returncode == 64


# Connections


def greeted(serve_client, *arguments):
    with tcp_server(serve_client) as port:
        return generator("load", "--port", port, "--connections", 3, *arguments)


def endless(beginning):
    def serve_client(connection):
        connection.sendall(beginning)
        while True:
            connection.sendall(b"x" * 65536)
    return serve_client


def test_a_right_answer_is_counted():
    done = greeted(lambda connection: connection.sendall(b"connected\n"))
    assert json.loads(done.stdout)["connections"] == 3


@pytest.mark.parametrize("beginning", [b"", b"connected\n"], ids=["wrong from the start", "right at first"])
def test_an_answer_without_end_is_wrong_at_once(beginning):
    line = complaint(greeted(endless(beginning)))
    assert line.startswith("load: wrong answer \"") and len(line) < 120


def test_an_answer_that_ends_too_early_is_wrong():
    assert "ended after 7 of 10 bytes" in complaint(greeted(lambda connection: connection.sendall(b"connect")))


def test_an_answer_that_never_ends_is_waited_for_until_the_time_is_over():
    def begin_and_wait(connection):
        connection.sendall(b"connected\n")
        connection.recv(1)  # until the client leaves

    assert "1 clients without an answer" in complaint(greeted(begin_and_wait, "--timeout-s", 1))


# A stream


def streamed(then):
    """Of `then(connection)`, once everything was echoed: 1 MiB to warm up, and 100 bytes."""
    def serve_client(connection):
        left = (1 << 20) + 100
        while left > 0:
            echoed = connection.recv(min(left, 65536))
            connection.sendall(echoed)
            left -= len(echoed)
        then(connection)

    with tcp_server(serve_client) as port:
        return generator("stream_load", "--port", port, "--bytes", 100, told="go\n")


def test_a_stream_that_comes_back_and_ends_is_counted():
    done = streamed(lambda connection: connection.recv(1))  # the end of what the client sends
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout.splitlines()[1])["done"] == 100


def test_bytes_after_the_end_of_a_stream_are_found():
    def append(connection):
        connection.recv(1)
        connection.sendall(b"end")

    done = streamed(append)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1) and "more came back than was sent" in done.stderr


# Datagrams: windows of one, so that a server that gets a datagram knows that the one before was concluded


LAST = 4 + 5 - 1  # number of the last datagram, after the warm-up


def exchanged(replies, clients=1, patience_ms=2000):
    with udp_server(replies) as port:
        return generator("udp_load", "--port", port, "--clients", clients, "--window", 1, "--rounds", 5, "--patience-ms",
                         patience_ms, told="go\n")


def tally(done):
    said = json.loads(done.stdout.splitlines()[1])
    return said["done"], said["late"], said["lost"]


class Held:
    """Echoes, but holds datagram 6, the third after the warm-up; `then(held, datagram)` are the replies to the next."""

    def __init__(self, then):
        self.held, self.then = None, then

    def __call__(self, datagram, sender):
        if number_of(datagram) == 6:
            self.held = datagram
            return []
        texts = self.then(self.held, datagram) if number_of(datagram) == 7 else [datagram]
        return [(text, sender) for text in texts]


def test_every_echo_is_counted():
    assert tally(exchanged(lambda datagram, sender: [(datagram, sender)])) == (5, 0, 0)


def test_a_datagram_that_never_comes_back_is_lost():
    assert tally(exchanged(Held(lambda held, datagram: [datagram]))) == (4, 0, 1)


def test_a_lost_datagram_that_comes_after_all_is_late():
    assert tally(exchanged(Held(lambda held, datagram: [held, datagram]))) == (4, 1, 0)


def test_what_was_late_comes_only_once():
    assert "came twice" in complaint(exchanged(Held(lambda held, datagram: [held, held, datagram])))


def test_a_reply_that_had_come_before_is_found():
    earlier = {}

    def replies(datagram, sender):
        earlier[number_of(datagram)] = datagram
        return [(earlier[6] if number_of(datagram) == 7 else datagram, sender)]

    assert "came twice" in complaint(exchanged(replies))


def test_the_last_reply_comes_only_once():
    def replies(datagram, sender):
        return [(datagram, sender)] * (2 if number_of(datagram) == LAST else 1)

    done = exchanged(replies)  # found before or after the tally is said
    assert done.returncode == 1 and "came twice" in done.stderr


def test_a_reply_to_another_client_is_found_whether_it_was_answered_or_not():
    for answered in (True, False):
        seen = []

        def replies(datagram, sender):
            seen.append((datagram, sender))
            if len(seen) == 1:
                return [(datagram, sender)] if answered else []
            first, its_sender = seen[0]
            return [(first if sender != its_sender else datagram, sender)]

        assert "a client that had not sent it" in complaint(exchanged(replies, clients=2))


@pytest.mark.parametrize("damage", [
    lambda datagram: datagram[:-1],
    lambda datagram: datagram + b"x",
    lambda datagram: datagram[:-1] + bytes([datagram[-1] ^ 1]),
    lambda datagram: b"\xff" * 8 + datagram[8:],
], ids=["short", "long", "altered", "of a number never sent"])
def test_an_echo_that_is_not_what_was_sent_is_wrong(damage):
    assert "wrong echo" in complaint(exchanged(lambda datagram, sender: [(damage(datagram), sender)]))


def test_a_server_that_is_silent_is_found_in_the_warm_up():
    assert "no echo came in time" in complaint(exchanged(lambda datagram, sender: [], patience_ms=50))
