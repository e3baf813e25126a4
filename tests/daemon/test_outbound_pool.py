"""Connections that a handler keeps for the next one who needs one: how many, in which order, and which are of no more use."""
import contextlib
import socket
import threading
from signal import SIGINT, SIGTERM

import pytest

import proc
from clients import connect, exchange, read_exactly, read_to_end
from control import status
from log_file import sentences

IN_EVERY_MODEL = pytest.mark.parametrize("model", ["async", "serial", "thread"])
WITH_SEVERAL_AT_ONCE = pytest.mark.parametrize("model", ["async", "thread"])


class Database:
    """Answers each line with the number of its connection and the line."""

    def __init__(self):
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.endpoint = "tcp://127.0.0.1:%d" % self.listening.getsockname()[1]
        self.connections = []
        self.ended = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection = self.listening.accept()[0]
                self.connections.append(connection)
                threading.Thread(target=self.serve, args=(len(self.connections), connection), daemon=True).start()

    def serve(self, number, connection):
        with contextlib.suppress(OSError), connection.makefile("rb") as lines:
            for line in lines:
                connection.sendall(b"%d %s" % (number, line))
        self.ended.append(number)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listening.shutdown(socket.SHUT_RDWR)
        for end in (self.listening, *self.connections):
            end.close()


@pytest.fixture
def database():
    with Database() as there:
        yield there


@pytest.fixture
def pooling(preforkd, trouble, database):
    def start(model, **how):
        return preforkd("--handler", trouble("pooling"), "--greeting", database.endpoint, "--model", model, workers=1, **how)
    return start


def ask(daemon, *words):
    return exchange(daemon.endpoint, "".join(f"{word}\n" for word in words).encode()).decode().splitlines()


def say(client, word):
    client.sendall(word.encode() + b"\n")


def hear(client):
    line = b""
    while not line.endswith(b"\n"):
        line += read_exactly(client, 1)
    return line.decode().rstrip("\n")


@IN_EVERY_MODEL
def test_a_connection_is_kept_for_the_next_client(pooling, database, model):
    daemon = pooling(model)
    assert [ask(daemon, "one", "two") for _ in range(3)] == [["1 one", "1 two"]] * 3
    assert daemon.stop(SIGTERM) == 0
    assert proc.eventually(lambda: database.ended == [1])


@contextlib.contextmanager
def holding_both(daemon):
    """Two clients that have both connections, the first number 1."""
    with connect(daemon.endpoint) as one, connect(daemon.endpoint) as two:
        for number, client in ((1, one), (2, two)):
            say(client, "hold")
            assert hear(client) == f"{number} hold"
        yield one, two


@WITH_SEVERAL_AT_ONCE
def test_those_who_come_when_all_are_lent_wait_in_their_order(pooling, database, model):
    daemon = pooling(model)
    with holding_both(daemon) as (one, two), connect(daemon.endpoint) as third, connect(daemon.endpoint) as fourth:
        for client in (third, fourth) if model == "async" else (third,):  # threads have no order
            say(client, "wait")
            assert hear(client) == "waiting"
        say(two, "enough")
        assert [hear(two), hear(third)] == ["given back", "2 wait"]
        if model == "async":
            assert hear(fourth) == "2 wait"
        say(one, "enough")
        assert hear(one) == "given back"
    assert len(database.connections) == 2


def test_one_that_is_of_no_more_use_is_not_lent_again(pooling, database):
    daemon = pooling("async")
    assert ask(daemon, "throw") == ["1 throw"], "in the middle of something"
    assert ask(daemon, "drop") == ["dropped"]
    assert ask(daemon, "more") == ["3 more"], "and there is something that nobody has read"
    assert ask(daemon, "one") == ["4 one"]
    database.connections[3].shutdown(socket.SHUT_RDWR)
    assert ask(daemon, "one") == ["5 one"]
    assert proc.eventually(lambda: sorted(database.ended) == [1, 2, 3, 4])


def test_a_lease_that_another_takes_the_place_of_gives_its_connection_back(pooling, database):
    daemon = pooling("async")
    assert ask(daemon, "other", "other", "one") == ["1 other", "2 other", "1 one"], "the one that came back last"
    assert len(database.connections) == 2


def test_nobody_is_waited_for_longer_than_that_and_a_wait_can_be_canceled(pooling, database):
    daemon = pooling("async")
    with holding_both(daemon) as (_, two):
        assert ask(daemon, "hurry", "canceled") == \
            [f"wait for one of 2 connections to {database.endpoint}: Connection timed out", "canceled"]
        say(two, "enough")
        assert hear(two) == "given back"
        assert ask(daemon, "one") == ["2 one"], "none of the two is in the way"


def test_a_target_that_is_not_there_takes_no_place(preforkd, trouble):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        where = "tcp://127.0.0.1:%d" % probe.getsockname()[1]
        daemon = preforkd("--handler", trouble("pooling"), "--greeting", where, workers=1)
        assert ask(daemon, *["one"] * 3) == [f"connect to {where}: Connection refused"] * 3


@WITH_SEVERAL_AT_ONCE
def test_a_fast_stop_ends_a_wait(pooling, database, model):
    daemon = pooling(model)
    with holding_both(daemon), connect(daemon.endpoint) as waiting:
        say(waiting, "wait")
        assert hear(waiting) == "waiting"
        assert daemon.stop(SIGINT) == 0
        assert read_to_end(waiting).decode() in \
            ("", f"wait for one of 2 connections to {database.endpoint}: Operation canceled\n", "1 wait\n", "2 wait\n")
    daemon.cut()


@WITH_SEVERAL_AT_ONCE
def test_many_clients_share_two(pooling, database, model):
    daemon = pooling(model)
    heard = []

    def client():
        for _ in range(20):
            heard.extend(ask(daemon, "a", "throw", "b"))
    threads = [threading.Thread(target=client) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(heard) == 8 * 20 * 3 and {line.split()[1] for line in heard} == {"a", "throw", "b"}


def test_connections_are_counted_once(controlled, trouble, database):
    daemon = controlled("--handler", trouble("pooling"), "--greeting", database.endpoint, workers=1)
    ask(daemon, *["one"] * 5)
    assert proc.eventually(lambda: status(daemon.control)["handler_counts"] == {"outbound_connections": 1})


@pytest.mark.parametrize("where, arguments, sentence", [
    ("tcp://db:5432", ["--model", "fork"], "Worker::pool() would be one for each client in --model fork"),
    ("tcp://none:1", [], "a pool of 0 connections never has one"),
    ("udp://db:1", [], "is no stream to connect to")])
def test_what_can_be_no_pool_is_refused_at_the_start(run_preforkd, trouble, where, arguments, sentence):
    done = run_preforkd("--handler", trouble("pooling"), "--greeting", where, *arguments, "--listen", "tcp://127.0.0.1:0")
    assert done.returncode == 69
    assert any(sentence in told for told in sentences(done.stderr)), done.stderr


def test_a_pool_that_nobody_has_made_says_so(preforkd, trouble):
    daemon = preforkd("--handler", trouble("pooling"), "--greeting", "nothing")
    assert ask(daemon, "one") == ["OutboundPool::lease(): it is a pool of nothing until Worker::pool() is assigned to it"]
