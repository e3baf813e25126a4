"""preforkd ... -- PROGRAM: one process for each connection, as inetd, tcpserver, xinetd and systemd start it."""
import os
import resource
import signal
import socket
import subprocess

import pytest

import proc
from clients import address_of, connect, echo, exchange, read_exactly, read_to_end
from daemon_process import LOOPBACK

CONFIGURATION = 78


def script(tmp_path, text, name="program"):
    path = tmp_path / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def environment_of(answer):
    return dict(line.split("=", 1) for line in answer.decode().splitlines() if "=" in line)


def programs_of(daemon):
    return [child for worker in daemon.workers() for child in proc.children(worker)]


# --- unmodified programs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_cat_is_an_echo_server(preforkd, workers):
    daemon = preforkd("--", "cat", workers=workers)
    payload = os.urandom(200_000)
    for _ in range(3):
        assert exchange(daemon.endpoint, payload) == payload


def test_a_program_serves_a_unix_socket(preforkd, tmp_path):
    daemon = preforkd("--", "cat", listen=f"unix://{tmp_path}/socket")
    assert exchange(daemon.endpoint, b"hello") == b"hello"


@pytest.mark.programs("nc")
def test_netcat_gets_the_date(preforkd):
    daemon = preforkd("--", "date", "+%Y")
    host, port = address_of(daemon.endpoint)[1]
    told = subprocess.run(["nc", "-N", host, str(port)], stdin=subprocess.DEVNULL, capture_output=True, timeout=10)
    assert told.stdout.strip().isdigit()


@pytest.mark.programs("git")
def test_git_daemon_runs_as_under_inetd(preforkd, tmp_path):
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-C", str(tmp_path / "served")]
    subprocess.run(["git", "init", "-q", str(tmp_path / "served")], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    daemon = preforkd("--", "git", "daemon", "--inetd", "--export-all", f"--base-path={tmp_path}", str(tmp_path))
    port = address_of(daemon.endpoint)[1][1]
    subprocess.run(["git", "clone", "-q", f"git://127.0.0.1:{port}/served", str(tmp_path / "cloned")], check=True,
                   timeout=20)
    assert (tmp_path / "cloned" / ".git").is_dir()


def test_a_script_written_for_tcpserver_finds_its_variables(preforkd, tmp_path):
    program = script(tmp_path, 'read name; echo "220 $TCPLOCALIP hello $name from $PROTO $TCPREMOTEIP"')
    assert exchange(preforkd("--", program).endpoint, b"me\n") == b"220 127.0.0.1 hello me from TCP 127.0.0.1\n"


def test_an_endpoint_with_a_handler_of_its_own_keeps_it(preforkd):
    daemon = preforkd("--", "date", "+%Y", listen=(LOOPBACK, f"{LOOPBACK} handler=echo"))
    assert exchange(daemon.endpoints[0]).strip().isdigit()
    assert exchange(daemon.endpoints[1], b"echoed") == b"echoed"


# --- what a program finds -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("listen", [LOOPBACK, pytest.param("tcp://[::1]:0", marks=pytest.mark.ipv6)])
def test_the_environment_speaks_of_a_tcp_connection_as_every_super_server_does(preforkd, listen):
    daemon = preforkd("--", "env", listen=listen, env={"TCPREMOTEINFO": "forged", "REMOTE_HOST": "forged"})
    with connect(daemon.endpoint) as client:
        remote, local = client.getsockname()[:2], client.getpeername()[:2]
        found = environment_of(read_to_end(client))
    expected = {"PROTO": "TCP", "TCPREMOTEIP": remote[0], "TCPREMOTEPORT": str(remote[1]), "TCPLOCALIP": local[0],
                "TCPLOCALPORT": str(local[1]), "TCPCONNNUM": "1", "REMOTE_ADDR": remote[0],
                "REMOTE_PORT": str(remote[1]), "REMOTE_HOST": remote[0], "SERVER_ADDR": local[0],
                "SERVER_PORT": str(local[1])}
    assert {name: found.get(name) for name in expected} == expected
    assert not {"TCPREMOTEINFO", "TCPREMOTEHOST", "TCPLOCALHOST"} & found.keys()


def test_the_environment_speaks_of_a_unix_connection(preforkd, tmp_path):
    daemon = preforkd("--", "env", listen=f"unix://{tmp_path}/socket")
    found = environment_of(exchange(daemon.endpoint))
    expected = {"PROTO": "UNIX", "UNIXLOCALPATH": f"{tmp_path}/socket", "UNIXREMOTEEUID": str(os.geteuid()),
                "UNIXREMOTEEGID": str(os.getegid()), "UNIXREMOTEPID": str(os.getpid())}
    assert {name: found.get(name) for name in expected} == expected
    assert not {"TCPREMOTEIP", "REMOTE_ADDR", "REMOTE_PORT"} & found.keys()


def test_a_program_inherits_the_daemons_environment_but_not_what_is_the_daemons_own(preforkd, notify):
    daemon = preforkd("--", "env", env={"COLOUR": "red", "NOTIFY_SOCKET": notify.path, "PREFORKD_LOG_LEVEL": "debug",
                                        "LISTEN_FDNAMES": "x", "WATCHDOG_USEC": "60000000", "TCP_NODELAY_HINT": "kept"})
    found = environment_of(exchange(daemon.endpoint))
    assert found["COLOUR"] == "red" and found["TCP_NODELAY_HINT"] == "kept"
    assert not [name for name in found if name.startswith(("LISTEN_", "NOTIFY_", "WATCHDOG_", "PREFORKD_"))]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_program_starts_with_three_descriptors_and_nothing_of_ours(preforkd, workers, tmp_path):
    with open(tmp_path / "left open", "w") as left_open:
        os.set_inheritable(left_open.fileno(), True)
        daemon = preforkd("--", "ls", "-l", "/proc/self/fd", workers=workers, pass_fds=(left_open.fileno(),))
        lines = exchange(daemon.endpoint).decode().splitlines()
    found = {line.split()[-3]: line.split()[-1] for line in lines if "->" in line}
    assert set(found) <= {"0", "1", "2", "3"}, found  # 3 is the directory that ls reads
    assert found["0"] == found["1"] and found["0"].startswith("socket:") and found["2"].startswith("pipe:"), found


def test_a_program_waits_for_its_client_as_it_is_used_to(preforkd):
    answer = exchange(preforkd("--", "cat", "/proc/self/fdinfo/0", "/proc/self/fdinfo/2").endpoint)
    flags = [int(line.split()[1], 8) for line in answer.decode().splitlines() if line.startswith("flags")]
    assert flags and not any(value & os.O_NONBLOCK for value in flags)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_program_starts_with_signals_and_limits_as_a_shell_gives_them(preforkd, workers):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lower = min(777, soft)
    daemon = preforkd("--", "cat", "/proc/self/status", "/proc/self/limits", workers=workers,
                      preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (lower, hard)))
    lines = exchange(daemon.endpoint).decode().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert int(status["SigBlk"], 16) == 0 and int(status["SigIgn"], 16) == 0, status
    [limit] = [line.split()[3:5] for line in lines if line.startswith("Max open files")]
    assert limit == [str(lower), str(hard)]


def test_a_program_leads_a_group_of_its_own_where_and_as_the_operator_said(preforkd, tmp_path):
    daemon = preforkd("--chdir", str(tmp_path), "--umask", "027", "--", "sh", "-c", "pwd; umask; cat")
    with connect(daemon.endpoint) as client:
        client.sendall(b"x")
        lines = read_exactly(client, len(f"{tmp_path}\n0027\nx"))
        assert lines.decode().splitlines() == [str(tmp_path), "0027", "x"]
        [program] = programs_of(daemon)
        assert proc.stat(program).group == program


@pytest.mark.programs("strace")
def test_the_worker_is_never_copied(preforkd, tmp_path):
    daemon = preforkd("--", "true", workers=1)
    [worker] = daemon.workers()
    trace = tmp_path / "trace"
    tracer = subprocess.Popen(["strace", "-f", "-p", str(worker), "-o", str(trace), "-e",
                               "trace=fork,vfork,clone,clone3"], stderr=subprocess.PIPE, text=True)
    told = tracer.stderr.readline()
    if "attached" not in told:
        tracer.wait()
        pytest.skip(f"strace: {told}")
    assert exchange(daemon.endpoint) == b""
    tracer.send_signal(signal.SIGINT)
    tracer.communicate()
    calls = [line for line in trace.read_text().splitlines() if line.split()[0] == str(worker) and "resumed" not in line
             and ("clone" in line or "fork(" in line)]
    assert calls and all("CLONE_VFORK" in line or "vfork(" in line for line in calls), trace.read_text()


# --- what it says, and how it ends ----------------------------------------------------------------------------------


def test_standard_error_goes_to_the_log_line_by_line_with_the_peer(preforkd):
    daemon = preforkd("--", "sh", "-c", "printf 'first\\nsecond\\nunfinished' >&2; cat")
    with connect(daemon.endpoint) as client:
        peer = "%s:%d" % client.getsockname()
        client.shutdown(socket.SHUT_WR)
        read_to_end(client)
    said = [daemon.wait_log(lambda entry, text=text: entry.get("text") == text)
            for text in ("first", "second", "unfinished")]
    assert {entry["peer"] for entry in said} == {peer} and len({entry["child_pid"] for entry in said}) == 1


def test_a_program_that_floods_its_standard_error_loses_nothing_and_delays_nobody(preforkd):
    daemon = preforkd("--stderr-rate", "off", "--", "sh", "-c", "seq 20000 | sed 's/^/said /' >&2; echo done", workers=1)
    assert exchange(daemon.endpoint) == b"done\n"
    daemon.wait_log(lambda entry: entry.get("text") == "said 20000")
    assert len(daemon.log.find(lambda entry: entry.get("text", "").startswith("said "))) == 20000


def test_the_exit_status_is_logged_with_the_peer(preforkd):
    daemon = preforkd("--log-level", "debug", "--", "sh", "-c", "read how; eval $how")
    for how, level, cause in ((b"exit 0", "debug", "exited with code 0"), (b"exit 111", "info", "exited with code 111"),
                              (b"kill -SEGV $$", "warning", "killed by SIGSEGV")):
        daemon.expect("SIGSEGV")
        with connect(daemon.endpoint) as client:
            peer = "%s:%d" % client.getsockname()
            client.sendall(how + b"\n")
            read_to_end(client)
        entry = daemon.wait_log(lambda entry: entry.get("peer") == peer and cause in entry.get("cause", ""))
        assert entry["level"] == level and entry["message"].startswith("program ")


def test_a_program_whose_client_leaves_ends_like_one_in_a_pipe(preforkd):
    daemon = preforkd("--", "sh", "-c", "while :; do echo y; done 2>/dev/null")
    with connect(daemon.endpoint) as client:
        read_exactly(client, 100_000)
    daemon.wait_log("killed by SIGPIPE")
    assert proc.eventually(lambda: not programs_of(daemon))


def test_who_answers_in_the_background_keeps_the_connection(preforkd):
    daemon = preforkd("--log-level", "debug", "--", "sh", "-c",
                      "exec 3<&0; (read line <&3; echo late $line) & exit 0")
    with connect(daemon.endpoint) as client:
        daemon.wait_log(lambda entry: entry["message"].startswith("program ") and "code 0" in entry["message"])
        client.sendall(b"answer\n")
        assert read_to_end(client) == b"late answer\n"


def test_the_reply_is_whole_though_the_client_was_not_read_to_its_end(preforkd):
    daemon = preforkd("--", "head", "-c", "300000", "/dev/zero")
    with connect(daemon.endpoint) as client:
        client.sendall(b"x" * 50_000)
        assert len(read_to_end(client)) == 300_000


# --- bounds ---------------------------------------------------------------------------------------------------------


def test_forty_programs_run_at_once_and_the_other_clients_wait(preforkd):
    daemon = preforkd("--", "cat", workers=1)
    clients = [connect(daemon.endpoint) for _ in range(60)]
    assert proc.eventually(lambda: len(programs_of(daemon)) == 40)
    for client in clients:
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
    for client in clients:
        assert read_to_end(client) == b"hello"
        assert len(programs_of(daemon)) <= 40
        client.close()
    assert proc.eventually(lambda: not programs_of(daemon))


def test_serial_runs_one_program_at_a_time(preforkd):
    daemon = preforkd("--model", "serial", "--", "cat", workers=1)
    with connect(daemon.endpoint) as first, connect(daemon.endpoint) as second:
        first.sendall(b"1")
        second.sendall(b"2")
        assert read_exactly(first, 1) == b"1" and len(programs_of(daemon)) == 1
        first.shutdown(socket.SHUT_WR)
        assert read_to_end(first) == b"" and read_exactly(second, 1) == b"2"


# --- stopping and dying ---------------------------------------------------------------------------------------------


def test_a_graceful_stop_lets_programs_finish(preforkd):
    daemon = preforkd("--", "cat")
    with connect(daemon.endpoint) as client:
        echo(client, b"before")
        daemon.signal(signal.SIGTERM)
        daemon.wait_log("stopping")
        client.sendall(b"after")
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b"after"
    assert daemon.wait_exit() == 0


@pytest.mark.parametrize("workers", [0, 1])
def test_a_program_that_runs_beyond_the_stop_timeout_is_asked_to_end_with_its_group(preforkd, workers):
    daemon = preforkd("--stop-timeout", "100ms", "--", "sh", "-c", "sleep 1000 & echo $!; wait", workers=workers)
    with connect(daemon.endpoint) as client:
        sleeper = int(client.makefile().readline())
        assert daemon.stop() == 0
    assert proc.wait_gone(sleeper, 2)
    assert daemon.log.find("killed by SIGTERM")
    assert daemon.cut() == [1]


def test_a_program_that_ignores_sigterm_is_killed(preforkd):
    daemon = preforkd("--stop-timeout", "100ms", "--", "sh", "-c", "trap '' TERM; echo $$; while :; do sleep 1; done")
    daemon.expect("has not ended when asked to", "killed by SIGKILL")
    with connect(daemon.endpoint) as client:
        program = int(client.makefile().readline())
        assert daemon.stop() == 0
    assert proc.wait_gone(program, 2)
    assert daemon.cut() == [1]


@pytest.mark.parametrize("text", ["exec sleep 1000", "trap '' TERM; while :; do sleep 1; done"])
def test_a_killed_worker_takes_its_programs_along(preforkd, text):
    daemon = preforkd("--", "sh", "-c", f"echo $$; {text}", workers=2)
    daemon.expect("killed by SIGKILL", "has not ended when asked to")
    with connect(daemon.endpoint) as one, connect(daemon.endpoint) as other:
        programs = [int(client.makefile().readline()) for client in (one, other)]
        victim = proc.stat(programs[0]).parent
        theirs = [pid for pid in programs if proc.stat(pid).parent == victim]
        os.kill(victim, signal.SIGKILL)
        for pid in theirs:
            assert proc.wait_gone(pid, 4)
        for pid in set(programs) - set(theirs):
            assert proc.stat(pid), "a sibling's program went too"
    daemon.wait_workers(2)


def test_programs_of_a_dead_master_end_with_the_stop_timeout(preforkd):
    daemon = preforkd("--stop-timeout", "100ms", "--", "sh", "-c", "echo $$; exec sleep 1000")
    daemon.expect("the master is gone", "exited")
    with connect(daemon.endpoint) as client:
        program = int(client.makefile().readline())
        os.kill(daemon.pid, signal.SIGKILL)
        daemon.wait_exit()
        assert proc.wait_gone(program, 5)
    assert daemon.cut() == [1]


# --- refused --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", [(), ("--check-config",)])
@pytest.mark.parametrize("kind", ["missing", "missing in PATH", "not executable", "directory"])
def test_a_program_that_cannot_run_is_refused_at_start_up(run_preforkd, tmp_path, kind, check):
    (tmp_path / "plain").write_text("x")
    program = {"missing": f"{tmp_path}/nothing", "missing in PATH": "no-such-program",
               "not executable": f"{tmp_path}/plain", "directory": str(tmp_path)}[kind]
    told = run_preforkd("-l", LOOPBACK, *check, "--", program)
    assert told.returncode == CONFIGURATION and program in told.stderr and len(told.stderr.splitlines()) == 1, told


@pytest.mark.parametrize("arguments, words", [(["--model", "async"], ["async", "serial"]),
                                              (["--model", "thread"], ["thread", "serial"]),
                                              (["-l", "udp://127.0.0.1:0"], ["udp://", "tcp://"])])
def test_what_a_program_cannot_serve_is_refused_with_a_sentence(run_preforkd, arguments, words):
    told = run_preforkd(*(arguments if "-l" in arguments else ["-l", LOOPBACK, *arguments]), "--", "cat")
    assert told.returncode == CONFIGURATION and "the program cat" in told.stderr, told
    assert all(word in told.stderr for word in words) and len(told.stderr.splitlines()) == 1, told.stderr


BROKEN = {"script without an interpreter line": (b"echo never\n", "needs #!"),
          "script whose interpreter is missing": (b"#!/no/such/interpreter\n", "interpreter"),
          "header of a program and nothing more": (b"\x7fELF\x02\x01\x01" + bytes(57), "-- "),
          "program of another kind of machine": (b"\x7fELF\x01\x02\x01" + bytes(9) + b"\0\2\0\x08" + bytes(45), "-- ")}


@pytest.mark.parametrize("check", [(), ("--check-config",)])
@pytest.mark.parametrize("kind", BROKEN)
def test_a_program_that_the_kernel_cannot_start_is_refused_at_start_up(run_preforkd, tmp_path, kind, check):
    content, word = BROKEN[kind]
    program = tmp_path / "program"
    program.write_bytes(content)
    program.chmod(0o755)
    told = run_preforkd("-l", f"unix://{tmp_path}/good", *check, "--", str(program))
    assert told.returncode == CONFIGURATION and len(told.stderr.splitlines()) == 1, told
    assert f"-- {program}: " in told.stderr and word in told.stderr, told
    assert not (tmp_path / "good").exists()


@pytest.mark.root
def test_a_program_that_only_the_user_may_not_execute_is_refused_at_start_up(run_preforkd, tmp_path):
    program = script(tmp_path, "echo never")
    os.chmod(program, 0o744)
    told = run_preforkd("-l", LOOPBACK, "--user", "nobody", "--", program)
    assert told.returncode == CONFIGURATION and len(told.stderr.splitlines()) == 1, told
    assert program in told.stderr and "Permission denied" in told.stderr and "--user" in told.stderr, told


def test_the_trial_of_a_program_does_not_run_it(preforkd, tmp_path):
    program = script(tmp_path, f"echo ran >>{tmp_path}/runs")
    daemon = preforkd("--", program)
    assert not (tmp_path / "runs").exists()
    assert exchange(daemon.endpoint) == b""
    assert (tmp_path / "runs").read_text() == "ran\n"
    assert not proc.zombies(daemon.pid)


def test_a_program_that_breaks_later_costs_its_clients_a_line_and_no_worker(preforkd, tmp_path):
    program = script(tmp_path, "echo never")
    daemon = preforkd("--", program)
    (tmp_path / "program").write_text("echo never\n")
    daemon.expect("cannot serve 127")
    assert exchange(daemon.endpoint) == b""
    assert "needs #!" in daemon.wait_log("cannot serve 127")["cause"]
    daemon.wait_workers(2)


def test_a_program_that_is_replaced_while_the_daemon_runs_is_taken_from_then_on(preforkd, tmp_path):
    program = script(tmp_path, "echo old")
    daemon = preforkd("--", program)
    assert exchange(daemon.endpoint) == b"old\n"
    os.rename(script(tmp_path, "echo new", "next"), program)
    assert exchange(daemon.endpoint) == b"new\n"
