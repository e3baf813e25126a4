"""What handlers count by themselves: in status, its table and /metrics, of the dead and the living, in every model."""
import signal
import subprocess

import pytest

import daemon_process
import proc
from clients import connect, exchange, read_to_end
from control import status
from counting import kill
from observing import metrics, starter
from test_upgrade import Installed


def count(daemon):
    return status(daemon.control)["handler_counts"]


def comes_to(daemon, **expected):
    assert proc.eventually(lambda: count(daemon) == expected), (count(daemon), expected)


@pytest.mark.parametrize("model", ["serial", "thread", "fork"])
def test_what_a_handler_counts_is_told(controlled, trouble, tmp_path, model):
    daemon = starter(controlled, tmp_path)("--handler", trouble("counting"), "--model", model, workers=2)
    assert count(daemon) == {}
    for _ in range(5):
        assert exchange(daemon.endpoint, b"one\ntwo\n") == b"one\ntwo\n"
    comes_to(daemon, lines=10, bytes=30)
    told = metrics(daemon.observed)
    assert told["preforkd_handler_lines_total"] == 10 and told["preforkd_handler_bytes_total"] == 30
    table = subprocess.run([daemon_process.PREFORKCTL, "--control", daemon.control, "status"], capture_output=True, text=True)
    assert "handler: 30 bytes, 10 lines\n" in table.stdout, table.stdout + table.stderr


@pytest.mark.parametrize("model", ["serial", "thread", "fork"])
def test_what_a_killed_worker_has_counted_is_kept(controlled, trouble, model):
    daemon = controlled("--handler", trouble("counting"), "--model", model, workers=1)
    daemon.expect("killed by SIGKILL", "workers exit early")
    for _ in range(3):
        with connect(daemon.endpoint) as client:
            client.sendall(b"die\n")
            assert read_to_end(client) == b""
    comes_to(daemon, lines=3, bytes=9)
    assert proc.eventually(daemon.workers)
    kill(daemon)
    comes_to(daemon, lines=3, bytes=9)
    assert exchange(daemon.endpoint, b"x\n") == b"x\n"
    comes_to(daemon, lines=4, bytes=10)


def test_counters_go_on_over_reloads_and_upgrades(preforkd, trouble, tmp_path):
    service = Installed(preforkd, tmp_path, "--handler", trouble("counting"), "--control", f"unix://{tmp_path}/control")
    daemon = service.daemon
    daemon.control = f"unix://{tmp_path}/control"
    with connect(daemon.endpoint) as client:
        answers = client.makefile("rb")
        for turn in range(1, 4):
            client.sendall(b"held\n")  # by a worker of the first generation, as long as it is left
            assert answers.readline() == b"held\n"
            assert exchange(daemon.endpoint, b"x\n") == b"x\n"
            comes_to(daemon, lines=2 * turn, bytes=5 * turn)
            if turn == 1:
                daemon.signal(signal.SIGHUP)
                daemon.wait_log("reloaded")
            elif turn == 2:
                assert service.upgrade()["message"].startswith("upgraded")


def test_more_counters_than_a_worker_has_space_for_are_named(controlled, trouble):
    daemon = controlled("--handler", trouble("counting"), workers=1)
    daemon.expect("is not counted: a worker has space for 56")
    assert exchange(daemon.endpoint, b"many\n") == b"many\n"
    daemon.wait_log("the handler's counter many_54 is not counted: a worker has space for 56")
    counted = count(daemon)
    assert counted.pop("lines") == 1 and counted.pop("bytes") == 4
    assert counted == {f"many_{i}": 1 for i in range(54)}
