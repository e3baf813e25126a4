"""The control socket and the commands of preforkctl that use it."""
import contextlib
import json
import os
import re
import signal
import socket
import stat
import subprocess
import time
from pathlib import Path

import pytest

import proc
from clients import Load, connect as connect_client, exchange, read_exactly, refused
from control import ask, connect, deaths, endpoint_in, status
from daemon_process import PREFORKCTL, clean_environment

NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]


@pytest.fixture
def controlled(preforkd, tmp_path):
    """Starts a daemon with a control socket."""
    def start(*arguments, **how):
        daemon = preforkd("--control", endpoint_in(tmp_path), *arguments, **how)
        daemon.control = endpoint_in(tmp_path)
        return daemon
    return start


@pytest.fixture
def ctl(preforkctl, tmp_path):
    def run(*arguments, **how):
        return preforkctl(*arguments, "--control", endpoint_in(tmp_path), **how)
    return run


def counted(daemon):
    """Status once the workers have counted who has gone: that is after the client's end."""
    seen = proc.eventually(lambda: (now := status(daemon.control))["connections"] == 0 and now)
    assert seen, status(daemon.control)
    return seen


# --- the socket ----------------------------------------------------------------------------------------------------

@pytest.mark.programs("nc")
@pytest.mark.parametrize("request_line", ["status", '{"command":"status"}'])
def test_netcat_can_ask(controlled, tmp_path, request_line):
    daemon = controlled()
    told = subprocess.run(["nc", "-N", "-U", f"{tmp_path}/control.sock"], input=request_line + "\n", text=True,
                          capture_output=True, timeout=20)
    assert told.stdout.count("\n") == 1 and json.loads(told.stdout)["status"]["pid"] == daemon.pid


def test_its_file_is_for_its_owner_and_gone_at_the_end(controlled, tmp_path):
    daemon = controlled()
    assert stat.S_IMODE(os.stat(tmp_path / "control.sock").st_mode) == 0o600
    daemon.stop()
    assert not (tmp_path / "control.sock").exists()


@pytest.mark.root
@pytest.mark.programs("setpriv")
def test_another_user_does_not_get_in(controlled, tmp_path):
    daemon = controlled()
    for directory in (tmp_path, *tmp_path.parents[:-2]):
        directory.chmod(directory.stat().st_mode | 0o111)
    told = subprocess.run([*NOBODY, PREFORKCTL, "stop", "--control", daemon.control], capture_output=True, text=True,
                          timeout=20)
    assert told.returncode == 1 and "only root and the user of the daemon may ask it" in told.stderr
    assert status(daemon.control)["phase"] == "running"


@pytest.mark.root
@pytest.mark.programs("setpriv")
def test_another_user_is_refused_where_no_file_keeps_him_out(preforkd, tmp_path):
    name = f"unix://@preforkd-test{tmp_path}"
    daemon = preforkd("--control", name)
    daemon.expect("control: refused another user")
    told = subprocess.run([*NOBODY, PREFORKCTL, "stop", "--control", name], capture_output=True, text=True, timeout=20)
    assert (told.returncode, told.stderr) == (1, "preforkctl: only root and the user of this daemon may ask\n")
    assert daemon.wait_log("refused another user")["uid"] == 65534
    assert status(name)["phase"] == "running"


def test_it_is_in_the_runtime_directory_that_systemd_makes(preforkd, preforkctl, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    daemon = preforkd(env={"RUNTIME_DIRECTORY": f"{first}:{second}"})
    assert status(f"unix://{first}/control.sock")["pid"] == daemon.pid
    assert not list(second.iterdir())


def test_without_a_runtime_directory_there_is_none(preforkd, preforkctl, tmp_path):
    daemon = preforkd()
    assert not [held for held in proc.sockets_of(daemon.pid) if held.family == socket.AF_UNIX and
                held.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)]


def test_off_is_off(preforkd, tmp_path):
    preforkd("--control", "off", env={"RUNTIME_DIRECTORY": str(tmp_path)})
    assert not (tmp_path / "control.sock").exists()


def test_the_environment_and_the_file_can_name_it(preforkd, tmp_path):
    preforkd(env={"PREFORKD_CONTROL": f"unix://{tmp_path}/a"})
    (tmp_path / "file").write_text(f"control = unix://{tmp_path}/b\n")
    preforkd("--config", f"{tmp_path}/file")
    assert [status(f"unix://{tmp_path}/{name}")["phase"] for name in "ab"] == ["running", "running"]


@pytest.mark.parametrize("wrong", ["tcp://127.0.0.1:1", "unixgram:///x", "yes", ""])
def test_what_is_no_unix_socket_is_refused(run_preforkd, wrong):
    told = run_preforkd("--control", wrong, "--check-config")
    assert told.returncode == 64 and "--control: expected unix:///PATH or unix://@NAME" in told.stderr


def test_one_that_cannot_be_made_is_a_warning_and_the_daemon_serves(preforkd, tmp_path):
    daemon = preforkd("--control", f"unix://{tmp_path}/missing/control.sock")
    daemon.expect("--control")
    assert "No such file or directory: create the directory" in daemon.wait_log("--control")["message"]
    assert exchange(daemon.endpoint) == b"connected\n"


def test_a_live_one_is_left_to_its_daemon(controlled, preforkd, tmp_path):
    first = controlled()
    second = preforkd("--control", first.control)
    second.expect("--control")
    assert "in use by preforkd" in second.wait_log("--control")["message"]
    second.stop()
    assert status(first.control)["pid"] == first.pid


def test_a_stale_one_is_replaced(controlled, preforkd, tmp_path):
    first = controlled()
    workers = first.workers()
    first.process.kill()
    first.wait_exit()
    first.expect("the master is gone")
    assert all(proc.wait_gone(pid, 10) for pid in workers)
    assert (tmp_path / "control.sock").exists()
    second = controlled()
    assert status(second.control)["pid"] == second.pid


def test_without_a_master_there_is_none_and_that_is_said(preforkd, tmp_path):
    daemon = preforkd("--control", endpoint_in(tmp_path), workers=0)
    daemon.wait_log("--control needs a master")
    assert not (tmp_path / "control.sock").exists()


# --- hostile peers -------------------------------------------------------------------------------------------------

def test_peers_that_are_silent_endless_or_deaf_delay_nobody(controlled, ctl):
    daemon = controlled(workers=2)
    daemon.expect("killed by SIGKILL")
    exchange(daemon.endpoint)
    with contextlib.ExitStack() as stack:
        for _ in range(6):
            stack.enter_context(connect(daemon.control))
        deaf = stack.enter_context(connect(daemon.control))
        deaf.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                deaf.send(b"status\n" * 1000)
        endless = stack.enter_context(connect(daemon.control))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            endless.sendall(b"x" * 1_000_000)
        assert ctl("status").returncode == 0
        victim = daemon.workers()[0]
        os.kill(victim, signal.SIGKILL)
        daemon.wait_log(f"(pid {victim}) killed")
        daemon.wait_workers(2)
        assert exchange(daemon.endpoint) == b"connected\n"
        assert ctl("status").returncode == 0


def test_a_line_without_end_is_refused(controlled):
    daemon = controlled()
    with connect(daemon.control) as client:
        client.sendall(b"x" * 500_000)  # more than the kernel holds for a daemon that does not read it
        client.shutdown(socket.SHUT_WR)
        line, end = client.makefile().readlines(), client.recv(1)
    assert len(line) == 1 and "at most 4096 bytes" in json.loads(line[0])["error"] and end == b""


@pytest.mark.parametrize("line", ["dance", "{", '{"command":"dance"}', "\x00\xff\x1b[2J", "workers 0", "workers 2000"])
def test_what_cannot_be_understood_is_answered_with_a_sentence(controlled, line):
    answer = ask(controlled().control, line)
    assert answer["ok"] is False and answer["error"]


# --- status --------------------------------------------------------------------------------------------------------

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
        first = proc.eventually(lambda: [each for each in status(daemon.control)["workers"] if each["state"] == "waiting"])
        assert first[0]["state_ms"] <= first[0]["age_ms"]
        assert proc.eventually(lambda: status(daemon.control)["workers"][0]["state_ms"] >= first[0]["state_ms"] + 50)


def test_the_table_is_for_people(controlled, ctl):
    daemon = controlled(workers=2)
    exchange(daemon.endpoint)
    counted(daemon)
    told = ctl("status")
    assert told.returncode == 0
    assert re.match(rf"preforkd \d+\.\d+\.\d+, pid {daemon.pid}, running for \d+s, generation 1\n"
                    r"2 of 2 workers ready; 0 connections now, 1 ever, 1 served\n\nLISTENER", told.stdout)
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


# --- orders --------------------------------------------------------------------------------------------------------

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
    seen = status(daemon.control)
    assert seen["generation"] == 2
    assert {each["pid"] for each in seen["workers"] if each["generation"] == 2} == set(daemon.workers()) - set(before)
    assert proc.eventually(lambda: {each["ordered_by"] for each in deaths(daemon.control)} == {"master: reload"})


def test_one_worker_is_singular(controlled, ctl):
    daemon = controlled(workers=1)
    exchange(daemon.endpoint)
    counted(daemon)
    assert ctl("reload").stdout == "generation 2 serves with 1 worker\n"
    daemon.wait_log("1 connection served")


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
    with contextlib.ExitStack() as stack:
        for generation in (1, 2):  # each is kept by a client, and a third reload waits

            def held():
                client = stack.enter_context(connect_client(daemon.endpoint))
                client.sendall(b"x")
                assert read_exactly(client, 1) == b"x"
                return [each for each in status(daemon.control)["workers"]
                        if each["generation"] == generation and each["connections"]]
            assert proc.eventually(held)  # the generation before may take one more while it hears that it should leave
            assert ask(daemon.control, "reload")["ok"]
        waiting = stack.enter_context(connect(daemon.control))
        waiting.sendall(b"reload\n")
        daemon.wait_log("the reload waits")
        daemon.signal(signal.SIGINT)
        assert json.loads(waiting.makefile().readline()) == {"ok": False, "error": "the service stops"}
        assert daemon.wait_exit() == 0
    [cut] = daemon.cut()
    assert cut >= 2


def test_stop_returns_when_the_daemon_has_stopped(controlled, ctl):
    daemon = controlled()
    told = ctl("stop")
    assert (told.returncode, told.stdout) == (0, "stopped\n")
    assert refused(daemon.endpoint) and daemon.wait_exit() == 0


def test_stop_is_graceful_and_status_tells_of_it(controlled):
    daemon = controlled("--handler", "echo")
    with connect_client(daemon.endpoint) as client:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
        with subprocess.Popen([PREFORKCTL, "stop", "--control", daemon.control], text=True, stdout=subprocess.PIPE,
                              env=clean_environment()) as stopping:
            daemon.wait_log("asked to stop by preforkctl")
            again = ask(daemon.control, "workers 4")
            assert again == {"ok": False, "error": "the daemon is stopping"}
            seen = status(daemon.control)
            assert (seen["phase"], seen["listeners"]) == ("draining", [])
            assert stopping.poll() is None
            client.sendall(b"y")
            assert read_exactly(client, 1) == b"y"
            client.shutdown(socket.SHUT_WR)
            assert stopping.stdout.read() == "stopped\n"
    assert stopping.returncode == 0 and daemon.wait_exit() == 0


def test_what_is_not_answered_in_time_is_a_failure(tmp_path, preforkctl):
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(f"{tmp_path}/control.sock")
        silent.listen()
        told = preforkctl("reload", "--timeout", "100ms", "--control", endpoint_in(tmp_path))
    assert told.returncode == 1 and "no answer within --timeout 100ms: the outcome is unknown" in told.stderr


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


def test_a_daemon_that_is_not_there_is_a_failure_with_a_remedy(tmp_path, preforkctl):
    told = preforkctl("status", "--control", endpoint_in(tmp_path))
    assert told.returncode == 1 and "is preforkd running, and with this --control?" in told.stderr


def test_preforkctl_finds_the_daemon_by_the_environment(controlled, tmp_path):
    daemon = controlled()
    for variable, value in (("PREFORKD_CONTROL", daemon.control), ("RUNTIME_DIRECTORY", f"{tmp_path}:/elsewhere")):
        told = subprocess.run([PREFORKCTL, "status", "--json"], env=clean_environment({variable: value}), text=True,
                              capture_output=True, timeout=20)
        assert told.returncode == 0 and json.loads(told.stdout)["pid"] == daemon.pid


@pytest.mark.parametrize("arguments", [["workers"], ["workers", "0"], ["stop", "--json"], ["status", "--control", "x"]])
def test_a_wrong_command_line_is_usage(preforkctl, arguments):
    told = preforkctl(*arguments)
    assert told.returncode == 64 and told.stderr.startswith("preforkctl: ")


def test_no_worker_holds_the_control_socket(controlled):
    daemon = controlled(workers=1)
    with connect(daemon.control) as client:
        client.sendall(b"workers 3\n")
        client.makefile().readline()
        workers = daemon.wait_workers(3)
        daemon.stop()
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]
