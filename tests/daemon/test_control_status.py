"""What status, its table and --watch tell."""
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time

import pytest

import proc
from clients import Load, connect as connect_client, exchange, read_exactly
from control import counted, status
from daemon_process import PREFORKCTL, clean_environment


def test_status_tells_what_is_there(controlled, tmp_path):
    daemon = controlled("--handler", "echo", workers=3,
                        listen=("tcp://127.0.0.1:0", f"unix://{tmp_path}/s", "udp://127.0.0.1:0"))
    seen = status(daemon.control)
    assert (seen["pid"], seen["phase"], seen["generation"], seen["workers_wanted"]) == (daemon.pid, "running", 1, 3)
    assert 0 <= seen["uptime_ms"] <= (time.monotonic() - daemon.started_at) * 1000
    assert [each["endpoint"] for each in seen["listeners"]] == daemon.endpoints
    assert all(each["handler"] == "echo" and not each["passed"] for each in seen["listeners"])
    assert sorted(each["pid"] for each in seen["workers"]) == sorted(daemon.workers())
    assert {each["state"] for each in seen["workers"]} == {"idle"}
    assert sorted(each["number"] for each in seen["workers"]) == [1, 2, 3]


def test_status_names_what_serves_a_program_or_a_handler(controlled):
    daemon = controlled("--", "/bin/cat", "-u", listen=("tcp://127.0.0.1:0", "tcp://127.0.0.1:0 handler=echo"))
    assert [each["handler"] for each in status(daemon.control)["listeners"]] == ["/bin/cat", "echo"]


@pytest.mark.parametrize("model", ["async", "fork"])
def test_log_lines_that_nobody_reads_are_counted(controlled, model):
    daemon = controlled("--handler", "echo", "--model", model, "--log-file", "/dev/full", workers=1)
    daemon.expect("the disk is full")
    assert exchange(daemon.endpoint, b"x") == b"x"
    by_master = status(daemon.control)["log_lines_dropped"]
    assert by_master > 0, "that it is ready, and listens"
    for number in range(1, 4):
        exchange(daemon.endpoint, b"x")
        assert status(daemon.control)["log_lines_dropped"] >= by_master + number, "got connection from"


def test_status_agrees_with_reality_under_load(controlled):
    daemon = controlled("--handler", "echo", workers=3)
    held = [connect_client(daemon.endpoint) for _ in range(7)]
    for client in held:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
    with Load(daemon.endpoint, clients=4, request=b"hello", expected=b"hello") as load:
        load.wait_for_answers(300)
        seen = status(daemon.control)
        assert 7 <= seen["connections"] <= 11
        assert seen["connections"] == sum(each["connections"] for each in seen["workers"])
        assert seen["connections_ever"] == seen["served"] + seen["connections"]
        assert {each["state"] for each in seen["workers"]} <= {"idle", "busy", "waiting"}
    for client in held:
        client.close()
    seen = counted(daemon)
    assert seen["served"] == seen["connections_ever"] == 7 + load.outcomes["whole"]


def test_counters_survive_the_death_of_workers(controlled):
    daemon = controlled(workers=2)
    daemon.expect("killed by SIGKILL")
    for _ in range(10):
        exchange(daemon.endpoint)
    before = counted(daemon)
    assert before["served"] == 10
    for pid in daemon.workers():
        os.kill(pid, signal.SIGKILL)
        daemon.wait_log(f"(pid {pid}) killed")
    after = status(daemon.control)
    assert (after["served"], after["connections_ever"], after["workers_replaced"]) == (10, 10, 2)


def test_status_tells_how_many_are_queued(controlled):
    daemon = controlled("--handler", "echo", "--model", "serial", "--backlog", "7", workers=1)
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(connect_client(daemon.endpoint))
        first.sendall(b"x")
        assert read_exactly(first, 1) == b"x"
        for _ in range(3):
            stack.enter_context(connect_client(daemon.endpoint))
        seen = proc.eventually(lambda: (now := status(daemon.control)["listeners"][0])["queued"] == 3 and now)
        assert seen and (seen["queue_limit"], seen["queue_unit"]) == (7, "connections")


def test_a_unix_queue_is_told_or_null(controlled, tmp_path):
    daemon = controlled(listen=f"unix://{tmp_path}/s")
    seen = status(daemon.control)["listeners"][0]
    assert (seen["queued"], seen["queue_limit"]) in ((0, 4096), (None, None))


def test_status_tells_the_last_error_and_the_last_peer(controlled, tmp_path):
    daemon = controlled("--", "/bin/sh", "-c", "echo hello", workers=1)
    with connect_client(daemon.endpoint) as client:
        peer = "{}:{}".format(*client.getsockname())
        assert client.recv(100) == b"hello\n"
    worker = counted(daemon)["workers"][0]
    assert (worker["last_peer"], worker["last_error"]) == (peer, None)


def test_a_worker_tells_since_when_it_is_in_its_state(controlled):
    daemon = controlled("--handler", "echo", workers=1)
    with connect_client(daemon.endpoint) as client:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"

        def waiting():
            seen = status(daemon.control)
            worker = seen["workers"][0]
            assert worker["state_ms"] <= worker["age_ms"]
            return worker["state"] == "waiting" and (seen["uptime_ms"], seen["uptime_ms"] - worker["state_ms"])

        first = proc.eventually(waiting, 20)
        assert first
        later = proc.eventually(lambda: (now := waiting()) and now[0] >= first[0] + 50 and now, 20)
        assert later and abs(later[1] - first[1]) <= 20, "it has been waiting since the same moment, to 10 ms"


def test_the_table_is_for_people(controlled, ctl):
    daemon = controlled(workers=2)
    exchange(daemon.endpoint)
    counted(daemon)
    told = ctl("status")
    assert told.returncode == 0
    assert re.match(rf"preforkd \d+\.\d+\.\d+, pid {daemon.pid}, running for \d+s, generation 1\n"
                    r"2 of 2 workers ready; requests: 0 now, 1 ever, 1 served; "
                    r"0 bytes received, 10 bytes sent\n\nLISTENER", told.stdout)
    for text in (daemon.endpoint, "greet", *map(str, daemon.workers())):
        assert re.search(rf"\b{re.escape(text)}\b", told.stdout)
    assert json.loads(ctl("status", "--json").stdout)["pid"] == daemon.pid


@pytest.mark.parametrize("killed, code, says", [(False, 0, "preforkctl: the daemon has stopped\n"),
                                                (True, 1, "control.sock")], ids=["stopped", "killed"])
def test_watch_tells_every_second_until_the_daemon_ends(controlled, killed, code, says):
    daemon = controlled()
    with subprocess.Popen([PREFORKCTL, "status", "--json", "--watch", "--control", daemon.control], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment()) as watching:
        first, second = (json.loads(watching.stdout.readline()) for _ in range(2))
        assert 900 <= second["uptime_ms"] - first["uptime_ms"] <= 5000
        if killed:
            daemon.expect("the master is gone")
            daemon.process.kill()
            daemon.wait_exit()
        else:
            daemon.stop()
        watching.stdout.read()
        assert says in watching.stderr.read()
    assert watching.returncode == code


def test_watch_ends_with_ctrl_c(controlled):
    daemon = controlled()
    with subprocess.Popen([PREFORKCTL, "status", "--watch", "--control", daemon.control], text=True,
                          stdout=subprocess.PIPE, env=clean_environment()) as watching:
        assert watching.stdout.readline().startswith("preforkd ")
        watching.send_signal(signal.SIGINT)
        watching.stdout.read()
    assert watching.returncode == -signal.SIGINT
    assert status(daemon.control)["phase"] == "running"


def test_watch_that_is_sent_away_again_and_again_comes_back_once_a_second(controlled, tmp_path):
    """As beside more peers than have space."""
    report = json.dumps({"ok": True, "status": status(controlled().control)}).encode() + b"\n"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{tmp_path}/busy.sock")
        listener.listen()
        listener.settimeout(20)
        with subprocess.Popen([PREFORKCTL, "status", "--json", "--watch", "--control", f"unix://{tmp_path}/busy.sock"],
                              stdout=subprocess.DEVNULL, env=clean_environment()) as watching:
            began = time.monotonic()
            for _ in range(3):
                peer, _ = listener.accept()
                with peer:
                    peer.recv(4096)
                    peer.sendall(report)
            took = time.monotonic() - began
            watching.send_signal(signal.SIGINT)
    assert took > 1.5
