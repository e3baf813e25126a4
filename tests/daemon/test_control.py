"""What preforkctl orders over the control socket, and what becomes of it."""
import contextlib
import json
import signal
import socket
import subprocess

import pytest

import proc
from clients import connect as connect_client, echo, exchange, refused
from control import ask, connect, counted, deaths, endpoint_in, status
from daemon_process import CUT, PREFORKCTL, clean_environment


def test_workers_changes_their_number(controlled, ctl):
    daemon = controlled(workers=2)
    told = ctl("workers", "5")
    assert (told.returncode, told.stdout) == (0, "5 workers wanted\n")
    daemon.wait_workers(5)
    assert ctl("workers", "1").stdout == "1 worker wanted\n"
    daemon.wait_workers(1)
    assert exchange(daemon.endpoint) == b"connected\n"
    assert status(daemon.control)["workers_wanted"] == 1


def test_reload_returns_when_the_new_workers_serve(controlled, ctl, tmp_path):
    file = tmp_path / "file"
    file.write_text("greeting = before\n")
    daemon = controlled("--config", str(file), workers=2)
    before = daemon.workers()
    file.write_text("greeting = after\n")
    told = ctl("reload")
    assert (told.returncode, told.stdout) == (0, "generation 2 serves with 2 workers\n")
    # An old worker may take one more while it hears that it should leave.
    assert proc.eventually(lambda: exchange(daemon.endpoint) == b"after\n")
    # /proc may pass over a child while a sibling of it ends.
    assert all(proc.wait_gone(pid, 20) for pid in before)
    seen = status(daemon.control)
    assert seen["generation"] == 2
    assert {each["pid"] for each in seen["workers"] if each["generation"] == 2} == set(daemon.workers())
    assert proc.eventually(lambda: [each["ordered_by"] for each in deaths(daemon.control)] == ["master: reload"] * 2, 20)


def test_one_worker_is_singular(controlled, ctl):
    daemon = controlled(workers=1)
    exchange(daemon.endpoint)
    counted(daemon)
    assert ctl("reload").stdout == "generation 2 serves with 1 worker\n"
    daemon.wait_log("requests served: 1,")


def test_a_reload_that_fails_says_why_and_changes_nothing(controlled, ctl, tmp_path):
    file = tmp_path / "file"
    file.write_text("greeting = before\n")
    daemon = controlled("--config", str(file))
    daemon.expect("reload failed")
    before = daemon.workers()
    file.write_text("greetings = after\n")
    told = ctl("reload")
    assert told.returncode == 1 and "greetings" in told.stderr and "did you mean greeting?" in told.stderr
    assert daemon.workers() == before and status(daemon.control)["generation"] == 1


def test_who_asks_for_a_reload_is_told_that_the_daemon_stops(controlled, tmp_path):
    daemon = controlled("--handler", "echo", workers=1)
    daemon.expect(CUT)  # the fast stop finds the clients that hold the generations
    with contextlib.ExitStack() as stack:
        for generation in (1, 2, 3, 4):  # each is kept by a client, and a fifth reload waits

            def held():
                client = stack.enter_context(connect_client(daemon.endpoint))
                echo(client)
                return [each for each in status(daemon.control)["workers"]
                        if each["generation"] == generation and each["connections"]]
            assert proc.eventually(held, 20)  # the generation before may take one more while it hears that it should leave
            assert ask(daemon.control, "reload")["ok"]
        waiting = stack.enter_context(connect(daemon.control))
        waiting.sendall(b"reload\n")
        daemon.wait_log("the reload waits")
        daemon.signal(signal.SIGINT)
        assert json.loads(waiting.makefile().readline()) == {"ok": False, "error": "the service is stopping"}
        assert daemon.wait_exit() == 0
    [cut] = daemon.cut()
    assert cut >= 4


def test_stop_returns_when_the_daemon_has_stopped(controlled, ctl):
    daemon = controlled()
    told = ctl("stop")
    assert (told.returncode, told.stdout) == (0, "stopped\n")
    assert refused(daemon.endpoint) and daemon.wait_exit() == 0


def test_stop_is_graceful_and_status_tells_of_it(controlled):
    daemon = controlled("--handler", "echo")
    with connect_client(daemon.endpoint) as client:
        echo(client)
        with subprocess.Popen([PREFORKCTL, "stop", "--control", daemon.control], text=True, stdout=subprocess.PIPE,
                              env=clean_environment()) as stopping:
            daemon.wait_log("stop requested by preforkctl")
            again = ask(daemon.control, "workers 4")
            assert again == {"ok": False, "error": "the daemon is stopping"}
            seen = status(daemon.control)
            assert (seen["phase"], seen["listeners"]) == ("draining", [])
            assert stopping.poll() is None
            echo(client, b"y")
            client.shutdown(socket.SHUT_WR)
            assert stopping.stdout.read() == "stopped\n"
    assert stopping.returncode == 0 and daemon.wait_exit() == 0


@pytest.mark.parametrize("command, what", [
    ("reload", "the outcome is unknown"), ("status", "the daemon hangs, or was stopped by a signal"),
    ("explain", "the daemon hangs, or was stopped by a signal")])
def test_what_is_not_answered_in_time_is_a_failure(tmp_path, preforkctl, command, what):
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(f"{tmp_path}/control.sock")
        silent.listen()
        told = preforkctl(command, "--timeout", "100ms", "--control", endpoint_in(tmp_path))
    assert told.returncode == 1 and told.stderr.endswith(f"no answer within --timeout 100ms: {what}\n")


def test_ready_tells_whether_clients_should_come(controlled, ctl):
    daemon = controlled("--drain-delay", "1h", workers=1)
    told = ctl("ready")
    assert (told.returncode, told.stdout, told.stderr) == (0, "ready\n", "")
    assert ask(daemon.control, "ready") == {"ok": True, "message": "ready"}
    daemon.signal(signal.SIGTERM)
    daemon.wait_log("serving on for --drain-delay")
    told = ctl("ready")
    assert (told.returncode, told.stdout, told.stderr) == (1, "", "preforkctl: not ready: withdrawing\n")
    assert ask(daemon.control, "ready") == {"ok": False, "error": "not ready: withdrawing"}
    assert exchange(daemon.endpoint) == b"connected\n"
    assert daemon.stop() == 0
    assert ctl("ready").returncode == 1
