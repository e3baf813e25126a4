"""Connections that a handler makes: where to, how long it takes, what is counted, and what a stop does about it."""
import contextlib
import socket
import threading
import time
from signal import SIGINT

import pytest

import proc
from clients import connect, exchange, silent
from control import status

IN_EVERY_MODEL = pytest.mark.parametrize("model", ["async", "serial", "thread", "fork"])


@contextlib.contextmanager
def answering(family, address):
    """Somebody who answers each with what that has said, twice; where."""
    with socket.socket(family) as listening:
        listening.bind(address)
        listening.listen()

        def answer():
            with contextlib.suppress(OSError):
                while True:
                    with listening.accept()[0] as client:
                        client.sendall(client.recv(100) * 2)
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield listening.getsockname()
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(daemon, words):
    return exchange(daemon.endpoint, words.encode() + b"\n").decode().rstrip("\n")


@IN_EVERY_MODEL
def test_a_handler_connects_by_number_and_by_path(preforkd, trouble, tmp_path, model):
    daemon = preforkd("--handler", trouble("connecting"), "--model", model)
    with answering(socket.AF_INET, ("127.0.0.1", 0)) as (_, port):
        assert ask(daemon, f"tcp://127.0.0.1:{port}") == "hellohello"
    with answering(socket.AF_UNIX, f"{tmp_path}/there"):
        assert ask(daemon, f"unix://{tmp_path}/there") == "hellohello"
    with answering(socket.AF_UNIX, f"\0{tmp_path}"):
        assert ask(daemon, f"unix://@{tmp_path}") == "hellohello"


@pytest.mark.localhost
@pytest.mark.parametrize("model", ["async", "thread", "fork"])
def test_it_connects_by_name_to_whichever_address_answers(preforkd, trouble, model):
    daemon = preforkd("--handler", trouble("connecting"), "--model", model)
    with answering(socket.AF_INET, ("127.0.0.1", 0)) as (_, port):
        assert ask(daemon, f"tcp://localhost:{port}") == "hellohello"
    assert ask(daemon, "tcp://no-such-host.invalid:1 8000").startswith("connect to tcp://no-such-host.invalid:1: ")


@IN_EVERY_MODEL
def test_what_fails_is_a_sentence(preforkd, trouble, tmp_path, model):
    daemon = preforkd("--handler", trouble("connecting"), "--model", model)
    refused, missing = f"tcp://127.0.0.1:{closed_port()}", f"unix://{tmp_path}/nowhere"
    assert ask(daemon, refused) == f"connect to {refused}: Connection refused"
    assert ask(daemon, missing) == f"connect to {missing}: No such file or directory"
    for endpoint in ("udp://127.0.0.1:1", "tcp://:1", "tcp://127.0.0.1:0", "fd://x"):
        told = ask(daemon, endpoint)
        assert told.startswith(f'"{endpoint}" ') and "; expected tcp://HOST:PORT" in told


@IN_EVERY_MODEL
def test_nobody_is_waited_for_longer_than_that(preforkd, trouble, model):
    daemon = preforkd("--handler", trouble("connecting"), "--model", model)
    with silent() as endpoint:
        began = time.monotonic()
        assert ask(daemon, f"{endpoint} 300") == f"connect to {endpoint}: Connection timed out"
        assert 0.3 <= time.monotonic() - began < 5


def test_what_is_no_endpoint_to_connect_to_is_told_what_is(preforkd, trouble):
    daemon = preforkd("--handler", trouble("connecting"))
    expected = "expected tcp://HOST:PORT, unix:///PATH or unix://@NAME to connect to"
    for endpoint, why in (("tls://127.0.0.1:1", "has the unknown scheme \"tls\""), ("foo", "has no scheme:"),
                          ("udp://127.0.0.1:1", "is no stream to connect to;"), ("fd://web", "is no stream to connect to;"),
                          ("tcp://:7242", "lacks its HOST;"), ("tcp://h:0", "has the port 0, which is nobody's;")):
        told = ask(daemon, endpoint)
        assert told.startswith(f'"{endpoint}" {why}') and told.endswith(expected), told


@pytest.mark.parametrize("model", ["async", "thread"])
def test_a_fast_stop_ends_an_attempt(preforkd, trouble, model):
    daemon = preforkd("--handler", trouble("connecting"), "--model", model, workers=1)
    daemon.expect("handler failed for")
    with silent() as endpoint, connect(daemon.endpoint) as client:
        client.sendall(f"{endpoint} 60000\n".encode())
        [worker] = daemon.workers()
        assert proc.eventually(lambda: is_connecting(worker))
        assert daemon.stop(SIGINT) == 0
    assert daemon.log.find(f"connect to {endpoint}: Operation canceled")
    daemon.cut()


def is_connecting(pid):
    """Whether a socket of the process has a connect(2) under way.  Source: proc(5), /proc/net/tcp: 02 is SYN_SENT."""
    own = {link[len("socket:["):-1] for link in proc.descriptors(pid).values() if link.startswith("socket:[")}
    with open(f"/proc/{pid}/net/tcp") as table:
        return any(fields[3] == "02" and fields[9] in own for fields in map(str.split, table))


def test_what_was_made_and_what_failed_is_counted(controlled, trouble):
    daemon = controlled("--handler", trouble("connecting"), workers=2)
    with answering(socket.AF_INET, ("127.0.0.1", 0)) as (_, port):
        for _ in range(3):
            assert ask(daemon, f"tcp://127.0.0.1:{port}") == "hellohello"
    ask(daemon, f"tcp://127.0.0.1:{closed_port()}")
    assert proc.eventually(lambda: status(daemon.control)["handler_counts"] ==
                           {"outbound_connections": 3, "outbound_failures": 1})
