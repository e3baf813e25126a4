"""Bytes that handlers have received and sent, as status tells them."""
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

import proc
from clients import connect, echo, exchange
from control import ask, status
from datagram_clients import ask as ask_datagram

TEXT = b"x" * 999 + b"\n"
MODELS = ["async", "serial", "thread", "fork"]


def traffic(report):
    return report["received_bytes"], report["sent_bytes"]


def comes_to(daemon, *expected):
    """They are counted when the system call has returned: perhaps after the client has its answer."""
    assert proc.eventually(lambda: traffic(status(daemon.control)) == expected), (traffic(status(daemon.control)), expected)


@pytest.mark.parametrize("model", MODELS)
def test_streams_count_in_every_model(controlled, model):
    daemon = controlled("--handler", "echo", "--model", model, workers=1)
    comes_to(daemon, 0, 0)
    for _ in range(5):
        assert exchange(daemon.endpoint, TEXT) == TEXT
    comes_to(daemon, 5000, 5000)
    assert traffic(status(daemon.control)["workers"][0]) == (5000, 5000)


@pytest.mark.programs("cmake", "g++", "pkg-config")
@pytest.mark.parametrize("model", MODELS[1:])
def test_handlers_that_block_count_too(controlled, trouble, model):
    daemon = controlled("--handler", trouble("blocking"), "--model", model, workers=1)
    answers = sum(len(exchange(daemon.endpoint, b"hello\n")) for _ in range(3))
    comes_to(daemon, 18, answers)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("transport", ["udp", "unixgram"])
def test_datagrams_count_in_every_model(controlled, tmp_path, model, transport):
    listen = "udp://127.0.0.1:0" if transport == "udp" else f"unixgram://{tmp_path}/d"
    daemon = controlled("--handler", "echo", "--model", model, workers=1, listen=listen)
    for text in (b"one", b"three", b"x" * 8000):  # the last is sent at once, the others in batches
        assert ask_datagram(daemon.endpoint, text) == text
    comes_to(daemon, 8008, 8008)


@pytest.mark.parametrize("model", ["thread", "fork"])
def test_nothing_is_lost_where_many_count_at_once(controlled, model):
    daemon = controlled("--handler", "echo", "--model", model, workers=1)
    with ThreadPoolExecutor(8) as clients:
        assert set(clients.map(lambda _: exchange(daemon.endpoint, TEXT), range(200))) == {TEXT}
    comes_to(daemon, 200_000, 200_000)


def test_what_was_sent_in_part_counts_while_the_client_is_there(controlled):
    daemon = controlled("--handler", "echo", "--model", "thread")
    with connect(daemon.endpoint) as client:
        echo(client, b"hello")
        comes_to(daemon, 5, 5)


def test_totals_outlive_workers_reloads_and_upgrades(controlled):
    daemon = controlled("--handler", "echo", workers=2)
    daemon.expect("killed by SIGKILL", "workers exit early")
    for change in ("kill", "reload", "upgrade"):
        before = status(daemon.control)["received_bytes"]
        assert exchange(daemon.endpoint, TEXT) == TEXT
        comes_to(daemon, before + 1000, before + 1000)
        workers = daemon.workers()
        if change == "kill":
            for pid in workers:
                os.kill(pid, signal.SIGKILL)
        else:
            assert ask(daemon.control, change)["ok"]
        assert all(proc.wait_gone(pid, 10) for pid in workers)
        daemon.wait_workers(2)
        comes_to(daemon, before + 1000, before + 1000)


def test_what_programs_send_is_not_seen(controlled):
    daemon = controlled("--", "/bin/cat", workers=1)
    assert exchange(daemon.endpoint, TEXT) == TEXT
    comes_to(daemon, None, None)
    assert traffic(status(daemon.control)["workers"][0]) == (None, None)
