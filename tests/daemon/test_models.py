"""How a worker runs what it accepted: stream transports in the models serial and thread."""
import socket
import threading
from signal import SIGINT, SIGTERM

import pytest

import proc
from clients import Load, connect, echo, exchange, read_exactly, read_to_end

MODELS = ["serial", "thread"]


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("transport", ["tcp", "unix", "abstract"])
def test_three_clients_are_echoed(preforkd, tmp_path, transport, model, workers):
    listen = {"tcp": "tcp://127.0.0.1:0", "unix": f"unix://{tmp_path}/s", "abstract": f"unix://@{tmp_path}/s"}[transport]
    daemon = preforkd("--handler", "echo", "--model", model, listen=listen, workers=workers)
    for number in range(3):
        text = f"client {number} ".encode() * 5000
        assert exchange(daemon.endpoint, text) == text
    assert daemon.stop() == 0


@pytest.mark.parametrize("handler,answer", [("greet", b"connected\n"), ("discard", b""), ("daytime", None)])
@pytest.mark.parametrize("model", MODELS)
def test_the_built_in_handlers_serve_in_both(preforkd, model, handler, answer):
    daemon = preforkd("--handler", handler, "--model", model, workers=1)
    received = exchange(daemon.endpoint, b"hello")
    assert received == answer if answer is not None else received.endswith(b"\r\n")


@pytest.mark.parametrize("workers", [0, 2])
def test_threads_serve_clients_that_hold_their_connections(preforkd, workers):
    daemon = preforkd("--handler", "echo", "--model", "thread", workers=workers)
    clients = [connect(daemon.endpoint) for _ in range(30)]
    for _ in range(2):
        for client in clients:
            echo(client)
    for client in clients:
        client.close()


def test_forty_threads_are_the_limit_unless_told_otherwise(preforkd):
    daemon = preforkd("--handler", "echo", "--model", "thread", workers=1)
    worker, = daemon.workers()
    clients = [connect(daemon.endpoint) for _ in range(41)]
    for client in clients:
        client.sendall(b"x")
    for client in clients[:40]:
        assert read_exactly(client, 1) == b"x"
    assert proc.status(worker)["Threads"] == "42", "one for each client, the one that accepts, and the one that watches"
    clients[40].settimeout(0.2)
    with pytest.raises(TimeoutError):
        clients[40].recv(1)
    clients[7].close()
    clients[40].settimeout(5)
    assert read_exactly(clients[40], 1) == b"x"
    for client in clients:
        client.close()
    assert proc.eventually(lambda: proc.status(worker)["Threads"] == "2")


def test_threads_do_not_wake_a_worker_at_rest(preforkd):
    daemon = preforkd("--handler", "echo", "--model", "thread", workers=1)
    worker, = daemon.workers()
    with connect(daemon.endpoint) as client:
        echo(client)
        assert proc.eventually(lambda: proc.stat(worker).state == "S")
        before = proc.voluntary_switches(worker)
        for _ in range(20):  # the thread answers, the worker sleeps on
            echo(client)
        assert proc.voluntary_switches(worker) == before


@pytest.mark.parametrize("model", MODELS)
def test_an_idle_client_is_closed_in_every_model(preforkd, model):
    daemon = preforkd("--handler", "echo", "--model", model, "--idle-timeout", "200ms", workers=1)
    with connect(daemon.endpoint) as client:
        assert read_to_end(client) == b""


@pytest.mark.parametrize("model", MODELS)
def test_no_client_is_lost_at_a_graceful_stop(preforkd, model):
    daemon = preforkd("--model", model, workers=2)
    with Load(daemon.endpoint) as load:
        load.wait_for_answers(300)
        assert daemon.stop(SIGTERM) == 0
    assert not load.broken, load.broken[:5]


def test_a_graceful_stop_lets_threads_finish_and_a_fast_one_does_not(preforkd):
    for signo, answer in ((SIGTERM, b"y"), (SIGINT, b"")):
        daemon = preforkd("--handler", "echo", "--model", "thread", workers=1)
        with connect(daemon.endpoint) as client:
            echo(client)
            daemon.signal(signo)
            daemon.wait_log("stopping")
            if signo == SIGTERM:
                client.sendall(b"y")
            client.shutdown(socket.SHUT_WR)
            assert read_to_end(client) == answer
        assert daemon.wait_exit() == 0
        assert len(daemon.cut()) <= (signo == SIGINT), "one that is done in time is not cut"


def test_threads_under_load_leave_nothing_behind(preforkd):
    daemon = preforkd("--model", "thread", "--log-connections", "no", workers=1)
    worker, = daemon.workers()

    def crowd(count):
        def some():
            for _ in range(count):
                assert exchange(daemon.endpoint, b"unread") == b"connected\n"
        threads = [threading.Thread(target=some) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    crowd(50)
    at_rest = proc.open_descriptors(worker)
    crowd(300)
    assert proc.eventually(lambda: proc.open_descriptors(worker) <= at_rest)
    assert proc.eventually(lambda: proc.status(worker)["Threads"] == "2")
    assert daemon.workers() == [worker]
