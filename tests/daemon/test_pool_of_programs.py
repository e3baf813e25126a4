"""--run pool -- PROGRAM: each worker is one copy of a program that accepts by itself."""
import importlib.util
import json
import os
import re
import socket
import sys
from signal import SIGHUP, SIGKILL

import pytest

import proc
from clients import Load, exchange, port_of
from control import endpoint_in, status
from copies import AT_ONCE, answers_of, copies_of, pids, script, server
from daemon_process import LOOPBACK
from test_upgrade import Installed

CONFIGURATION, USAGE, UNAVAILABLE = 78, 64, 69
ANSWER_ALL = "__import__('json').dumps([dict(os.environ), sys.argv[1:], os.getppid(), os.getpid(), inherited])"


def told(daemon):
    """Environment, arguments, parent, pid and descriptors of the copy that answers."""
    return json.loads(exchange(daemon.endpoint))


# --- serving --------------------------------------------------------------------------------------------------------

def test_each_worker_is_a_copy_that_accepts_by_itself(preforkd, tmp_path):
    daemon = preforkd(*AT_ONCE, "--", server(tmp_path), workers=3)
    copies = copies_of(daemon)
    assert len(copies) == 3
    assert answers_of(daemon, pids(copies)) == pids(copies)


def test_a_copy_is_told_of_its_sockets_as_systemd_tells(preforkd, tmp_path):
    listen = (LOOPBACK, f"unix://{tmp_path}/served.sock")
    daemon = preforkd(*AT_ONCE, "--", server(tmp_path, answer=ANSWER_ALL), "{fd}", "--web={fd:served.sock}", "{other}",
                      listen=listen, workers=1, env={"LISTEN_FDS": "7", "NOTIFY_SOCKET": "/nowhere"})
    variables, arguments, _, pid, descriptors = told(daemon)
    port = port_of(daemon.endpoints[0])
    assert (variables["LISTEN_FDS"], variables["LISTEN_PID"]) == ("2", str(pid))
    assert variables["LISTEN_FDNAMES"] == f"{port}:served.sock"
    assert arguments == ["3", "--web=4", "{other}"]
    assert "NOTIFY_SOCKET" not in variables
    assert descriptors == [0, 1, 2, 3, 4]


def test_a_server_made_for_socket_activation_needs_no_change(preforkd, tmp_path):
    if importlib.util.find_spec("systemd") is None:
        pytest.skip("python3-systemd is not installed")
    program = script(tmp_path, f"#!{sys.executable}\n"
                               "import os, socket\nfrom systemd.daemon import listen_fds_with_names\n"
                               "(fd, name), = listen_fds_with_names().items()\nqueue = socket.socket(fileno=fd)\n"
                               "while True:\n    client, _ = queue.accept()\n    client.sendall(name.encode())\n    client.close()\n")
    daemon = preforkd(*AT_ONCE, "--", program, workers=1)
    assert exchange(daemon.endpoint).decode() == str(port_of(daemon.endpoint))


def test_a_socket_may_be_standard_input(preforkd, tmp_path):
    daemon = preforkd(*AT_ONCE, "--pass", "fd0", "--", server(tmp_path, fd="0", answer=ANSWER_ALL), workers=1)
    variables, _, _, _, descriptors = told(daemon)
    assert "LISTEN_FDS" not in variables
    assert descriptors == [0, 1, 2]


def test_a_copy_is_told_as_server_starter_tells(preforkd, tmp_path):
    listen = (LOOPBACK, f"unix://{tmp_path}/served.sock")
    daemon = preforkd(*AT_ONCE, "--pass", "starter", "--", server(tmp_path, answer=ANSWER_ALL), listen=listen, workers=1)
    variables = told(daemon)[0]
    port = port_of(daemon.endpoints[0])
    assert variables["SERVER_STARTER_PORT"] == f"127.0.0.1:{port}=3;{tmp_path}/served.sock=4"
    assert variables["SERVER_STARTER_GENERATION"] == "1"
    daemon.signal(SIGHUP)
    daemon.wait_log("reloaded")
    assert proc.eventually(lambda: told(daemon)[0]["SERVER_STARTER_GENERATION"] == "2")


def test_a_copy_is_told_as_einhorn_tells(preforkd, tmp_path):
    daemon = preforkd(*AT_ONCE, "--pass", "einhorn", "--", server(tmp_path, answer=ANSWER_ALL), workers=1)
    variables, _, parent, _, _ = told(daemon)
    assert (variables["EINHORN_FD_COUNT"], variables["EINHORN_FD_0"]) == ("1", "3")
    assert variables["EINHORN_MASTER_PID"] == str(parent), "by which its library knows that it is a worker"


def test_a_program_that_waits_gets_sockets_that_wait(preforkd, tmp_path):
    """php-cgi takes EAGAIN of accept(2) for an error."""
    program = script(tmp_path, "import os, fcntl, socket\nprint(fcntl.fcntl(3, fcntl.F_GETFL) & os.O_NONBLOCK, flush=True)\n"
                               "queue = socket.socket(fileno=3)\n"
                               "while True:\n    queue.accept()[0].close()\n")
    daemon = preforkd(*AT_ONCE, "--", program, workers=1)
    assert daemon.wait_log("program: ")["text"] == "0"


def test_what_a_program_has_set_on_the_socket_outlives_a_new_copy_of_it(controlled, tmp_path):
    """Its siblings count on it: one that finds somebody else's client gone must not wait for the next."""
    program = script(tmp_path, "import os, fcntl, select, socket\n"
                               "print('found', fcntl.fcntl(3, fcntl.F_GETFL) & os.O_NONBLOCK != 0, flush=True)\n"
                               "queue = socket.socket(fileno=3)\nqueue.setblocking(False)\n"
                               "while True:\n    select.select([queue], [], [])\n"
                               "    try:\n        client, _ = queue.accept()\n    except BlockingIOError:\n        continue\n"
                               "    client.setblocking(True)\n    client.sendall(b'x')\n    client.close()\n")
    daemon = controlled(*AT_ONCE, "--", program, workers=1)
    daemon.expect("killed by SIGKILL")
    assert daemon.wait_log("program: ")["text"] == "found False"
    assert exchange(daemon.endpoint) == b"x"
    for event in ("death", "reload"):
        after = daemon.log.mark()
        os.kill(copies_of(daemon)[0], SIGKILL) if event == "death" else daemon.signal(SIGHUP)
        assert daemon.wait_log("program: ", after=after)["text"] == "found True"
        if event == "reload":
            daemon.wait_log("reloaded", after=after)
        assert exchange(daemon.endpoint) == b"x"


def test_it_serves_datagrams_too(preforkd, tmp_path):
    program = script(tmp_path, "import socket\nqueue = socket.socket(fileno=3)\n"
                               "while True:\n    data, peer = queue.recvfrom(100)\n    queue.sendto(data.upper(), peer)\n")
    daemon = preforkd(*AT_ONCE, "--", program, listen="udp://127.0.0.1:0", workers=2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.connect(("127.0.0.1", int(daemon.endpoint.rpartition(":")[2])))
        for _ in range(10):
            client.send(b"said")
            assert client.recv(100) == b"SAID"


def test_what_copies_print_is_logged_with_the_program_s_name(preforkd, tmp_path):
    program = script(tmp_path, "import sys, signal\nprint('printed', flush=True)\nprint('erred', file=sys.stderr, flush=True)\nsignal.pause()")
    daemon = preforkd(*AT_ONCE, "--", program, workers=1)
    for text in ("printed", "erred"):
        entry = daemon.wait_log(lambda entry: entry.get("text") == text)
        assert (entry["program"], entry["level"]) == ("program", "info")
        assert entry["child_pid"] == copies_of(daemon)[0]


# --- ready ----------------------------------------------------------------------------------------------------------

def test_ready_is_who_has_lived_for_so_long(preforkd, tmp_path):
    program = script(tmp_path, "import signal\nprint('begins', flush=True)\nsignal.pause()")
    daemon = preforkd("--run", "pool", "--ready", "alive:700ms", "--", program, workers=1)
    begins, ready = (daemon.wait_log(text)["time"] for text in ("begins", "ready with 1 worker"))
    assert ready > begins


def test_where_no_copy_lives_the_daemon_gives_up_and_says_what_they_said(run_preforkd, tmp_path):
    program = script(tmp_path, "#!/bin/sh\necho 'no such database' >&2\nexit 3\n")
    told = run_preforkd("--run", "pool", "--workers", "2", "--listen", LOOPBACK, "--", program)
    assert told.returncode == UNAVAILABLE
    assert 'program exited with code 3 before it was ready, having said "no such database"' in told.stderr.replace("\\", "")


def test_a_program_that_binds_by_itself_is_told_of_pass(run_preforkd, tmp_path):
    """start_server and Supervisor start it for ever."""
    program = script(tmp_path, "import socket, sys\nport = socket.socket(fileno=3).getsockname()[1]\n"
                               "socket.socket().bind(('127.0.0.1', port))\n")
    told = run_preforkd("--run", "pool", "--workers", "1", "--listen", LOOPBACK, "--", program)
    assert told.returncode == UNAVAILABLE
    assert "Address already in use" in told.stderr and "does it listen by itself?" in told.stderr and "--pass" in told.stderr


def test_a_program_that_goes_into_the_background_is_told_to_stay(run_preforkd, tmp_path):
    told = run_preforkd("--run", "pool", "--workers", "1", "--listen", LOOPBACK, "--", script(tmp_path, "#!/bin/sh\nexit 0\n"))
    assert told.returncode == UNAVAILABLE
    assert "does it go into the background? have it stay in the foreground" in told.stderr


# --- reload, upgrade ------------------------------------------------------------------------------------------------

def test_no_client_is_lost_while_a_pool_reloads_under_load(preforkd, tmp_path):
    daemon = preforkd("--run", "pool", "--ready", "alive:200ms", "--", server(tmp_path, answer="'served'"), workers=2)
    with Load(daemon.endpoint, clients=4, expected=b"served\n") as load:
        for _ in range(5):
            load.wait_for_answers(50)
            before, after = copies_of(daemon), daemon.log.mark()
            daemon.signal(SIGHUP)
            assert daemon.wait_log("reload", after=after)
            daemon.wait_log("reloaded", after=after)
            assert all(proc.wait_gone(pid, 10) for pid in before)
        load.wait_for_answers(50)
    assert set(load.outcomes) == {"whole"}, load.broken


def test_a_new_generation_that_fails_changes_nothing(preforkd, tmp_path):
    program = server(tmp_path)
    daemon = preforkd("--run", "pool", "--ready", "alive:200ms", "--", program, workers=2)
    daemon.expect("cannot start", "reload failed", "exited with code 9", "exit early")
    before = copies_of(daemon)
    script(tmp_path, "#!/bin/sh\necho 'syntax error' >&2\nexit 9\n")
    daemon.signal(SIGHUP)
    assert '"syntax error"' in daemon.wait_log("reload failed, nothing has changed", timeout=20)["cause"]
    assert proc.eventually(lambda: copies_of(daemon) == before), "the last one that has failed has gone"
    assert exchange(daemon.endpoint).decode().strip() in pids(before)


def test_what_makes_clients_wait_needs_a_restart(configured, tmp_path):
    service = configured("listen = tcp://127.0.0.1:0", "run = pool", "ready = alive:0", arguments=("--", server(tmp_path)))
    service.daemon.expect("reload failed")
    line = service.reload("listen = tcp://127.0.0.1:0", "run = client")
    assert "--run cannot be changed by a reload" in line["cause"]
    assert exchange(service.daemon.endpoint)


def test_an_upgrade_leaves_the_copies_alone(preforkd, tmp_path):
    service = Installed(preforkd, tmp_path, "--control", endpoint_in(tmp_path), *AT_ONCE, "--", server(tmp_path, answer="'served'"))
    daemon = service.daemon
    daemon.expect("killed by SIGKILL")
    before = copies_of(daemon)
    with Load(daemon.endpoint, clients=4, expected=b"served\n") as load:
        for _ in range(3):
            load.wait_for_answers(50)
            assert service.upgrade()["message"].startswith("upgraded")
            assert copies_of(daemon) == before
        load.wait_for_answers(50)
        assert status(endpoint_in(tmp_path))["generation"] == 1
    assert set(load.outcomes) == {"whole"}, load.broken
    os.kill(before[0], SIGKILL)
    assert proc.eventually(lambda: len(copies_of(daemon)) == 2 and before[0] not in copies_of(daemon)), "replaced by the new image"
    daemon.signal(SIGHUP)
    daemon.wait_log("reloaded")
    assert proc.eventually(lambda: not set(before) & set(copies_of(daemon)))
    assert exchange(daemon.endpoint) == b"served\n"


def test_an_upgrade_with_another_file_is_a_reload_too(preforkd, tmp_path):
    file = tmp_path / "preforkd.conf"
    lines = "listen = tcp://127.0.0.1:0\nrun = pool\nready = alive:0\n"
    file.write_text(lines)
    service = Installed(preforkd, tmp_path, "--config", str(file), "--", server(tmp_path), listen=None, workers=None)
    before = copies_of(service.daemon)
    file.write_text(lines + "workers = 3\n")
    assert service.upgrade()["message"].startswith("upgraded")
    assert proc.eventually(lambda: len(copies_of(service.daemon)) == 3 and not set(before) & set(copies_of(service.daemon)))


# --- what is told of it ---------------------------------------------------------------------------------------------

def test_status_names_the_program_and_its_copies(controlled, ctl, tmp_path):
    program = server(tmp_path)
    daemon = controlled(*AT_ONCE, "--", program, workers=2)
    report = status(daemon.control)
    assert report["listeners"][0]["handler"] == program and report["model"] == "pool"
    assert sorted(each["program_pid"] for each in report["workers"]) == sorted(copies_of(daemon))
    assert {each["state"] for each in report["workers"]} == {"running"}
    shown = ctl("status").stdout
    assert "2 of 2 workers ready, copies of a program that accepts by itself" in shown
    assert re.search(r"WORKER +PID +PROGRAM +GEN", shown) and "requests:" not in shown
    assert all(str(pid) in shown for pid in copies_of(daemon))
    assert proc.title(daemon.workers()[0]).endswith("worker 1 (program)")


def test_explain_says_what_is_seen_of_it(controlled, ctl, tmp_path):
    controlled(*AT_ONCE, "--", server(tmp_path), workers=1)
    assert "as far as queues and workers tell: 1 of 1 worker ready" in ctl("explain", "--interval", "200ms").stdout


# --- what is refused ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("arguments, sentence", [
    (("--run", "pool"), "--run: pool needs a program"),
    (("--workers", "0"), "--workers: a pool of programs needs workers"),
    (("--workers", "1..3", "--spare", "1..2"), "--spare: nobody knows which programs that accept by themselves are busy"),
    (("--sandbox", "strict"), "--sandbox: strict is for handlers; for a program, too, say --sandbox-programs yes"),
    (("--connections", "7"), "--connections: has no effect on programs that accept by themselves"),
    (("--model", "fork"), "--model: has no effect"),
    (("--idle-timeout", "5s"), "--idle-timeout: has no effect"),
    (("--max-requests", "5"), "--max-requests: has no effect"),
    (("--log-connections", "end"), "--log-connections: has no effect"),
    (("--listen", "tcp://127.0.0.1:0 allow=127.0.0.1"), "allow= has no effect on programs that accept by themselves"),
    (("--listen", "tcp://127.0.0.1:0 max=3"), "max= has no effect"),
    (("--listen", "tcp://127.0.0.1:0 proxy=127.0.0.1"), "proxy= has no effect"),
    (("--listen", "tcp://127.0.0.1:0 handler=echo"), "handler= has no effect"),
    (("--listen", "tls://127.0.0.1:0 certificate=/x key=/y"), "the program itself would have to speak TLS"),
])
def test_what_could_have_no_effect_is_refused(run_preforkd, tmp_path, arguments, sentence):
    program = [] if arguments == ("--run", "pool") else ["--run", "pool", "--", server(tmp_path)]
    told = run_preforkd("--check-config", *arguments, *program)
    assert told.returncode == USAGE and sentence in told.stderr and told.stderr.count("\n") == 1, told.stderr


@pytest.mark.parametrize("option, value", [("--pass", "fd0"), ("--ready", "alive:2s"), ("--stop-signal", "QUIT")])
def test_what_is_for_copies_needs_them(run_preforkd, option, value):
    told = run_preforkd("--check-config", option, value, "--", "cat")
    assert told.returncode == USAGE and f"{option}: is for programs that accept by themselves; say --run pool" in told.stderr


@pytest.mark.parametrize("arguments, sentence", [
    (("--pass", "fd0", "--", "cat"), "--pass fd0 gives one socket, and there are 2"),
    (("--", "cat", "{fd:nowhere}"), "{fd:nowhere} is none of its sockets: {fd:"),
    (("--", "cat", "{fd}"), "no {fd} of its arguments passes"),
])
def test_a_socket_that_no_copy_would_read_is_refused(run_preforkd, arguments, sentence):
    told = run_preforkd("--run", "pool", "--listen", LOOPBACK, "--listen", LOOPBACK, *arguments)
    assert told.returncode == CONFIGURATION and sentence in told.stderr, told.stderr


def test_print_config_of_a_pool_is_read_back(run_preforkd, tmp_path):
    program = server(tmp_path)
    printed = run_preforkd("--print-config", "--run", "pool", "--pass", "starter", "--ready", "alive:2s", "--stop-signal", "QUIT",
                           "--", program).stdout
    file = tmp_path / "printed.conf"
    file.write_text(printed)
    again = run_preforkd("--check-config", "--config", str(file), "--", program)
    assert again.returncode == 0, again.stderr
