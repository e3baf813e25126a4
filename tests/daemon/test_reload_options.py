"""Whatever an option says anew at a reload holds from then on, or is named.  No option is forgotten."""
import os
import re
import signal
import sys
from pathlib import Path

import pytest

import proc
from clients import connect, exchange, read_exactly, read_to_end, refused
from configured import LISTEN
from control import status
from copies import SERVER, copies_of
from daemon_process import CUT
from observing import ask_agent, get
from test_hang import say

ECHO = ["handler = echo"]
ONE_EACH = [*ECHO, "connections = 1", "workers = 2"]
BLOCKING = "handler = {trouble}"
FORWARD = ["handler = forward", "listen = unix://{tmp}/e handler=echo"]
POOL = ["run = pool", "ready = alive:0"]
TRYING = ["handler = {trying}", "model = serial", "sandbox = strict"]


def hold(daemon):
    client = connect(daemon.endpoint)
    client.sendall(b"x")
    assert read_exactly(client, 1) == b"x"
    return client


def one(daemon):
    """The only worker, once those of the generation before have gone."""
    return daemon.wait_workers(1)[0]


def of_proc(pid, field):
    return re.search(rf"^{field}:\s+(\S+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)[1]


def tells_of_its_client(daemon, endpoint):
    one(daemon)
    exchange(daemon.endpoint)
    return proc.eventually(lambda: any(each["last_peer"] for each in get(endpoint, "/status.json").json()["workers"]))


def ended_by_the_daemon(daemon):
    one(daemon)
    with hold(daemon) as client:
        return read_to_end(client) == b""


def exchanges_one_by_one(daemon):
    """One has been asked to leave, and the generation is still the one before."""
    daemon.wait_workers(2)
    with hold(daemon), hold(daemon):
        before = status(daemon.control)["generation"]
        daemon.signal(signal.SIGHUP)
        leaving = lambda: [worker for worker in status(daemon.control)["workers"] if worker["state"] == "leaving"]
        return proc.eventually(leaving) and status(daemon.control)["generation"] == before


def retires_after_one(daemon):
    pid = one(daemon)
    exchange(daemon.endpoint)
    return proc.wait_gone(pid, 10)


def has_a_child_for_a_client(daemon):
    pid = one(daemon)
    with hold(daemon):
        return len(proc.children(pid)) == 1


def lets_one_wait(daemon):
    one(daemon)
    with hold(daemon), connect(daemon.endpoint):
        return proc.eventually(lambda: status(daemon.control)["listeners"][0]["queued"] == 1)


def leaks_and_leaves(daemon):
    pid = one(daemon)
    with connect(daemon.endpoint) as client:
        for _ in range(9):
            assert say(client, "leak") == pid
    return proc.wait_gone(pid, 10)


def ends_a_long_line(daemon):
    one(daemon)
    with connect(daemon.endpoint) as client:
        client.sendall(bytes(17))
        return read_to_end(client) == b""


def serves_on_when_told_to_stop(daemon):
    daemon.signal(signal.SIGTERM)
    daemon.wait_log("serving on for --drain-delay")
    return exchange(daemon.endpoint) == b"connected\n"


def stops_at_once(daemon):
    daemon.expect(CUT)
    one(daemon)
    with hold(daemon):
        return daemon.stop() == 0  # waits for less than the 30 s of before


def is_cut_by_the_next_reload(daemon):
    daemon.expect(CUT)
    one(daemon)
    with hold(daemon) as client:
        daemon.signal(signal.SIGHUP)
        return read_to_end(client) == b""


def is_killed_for_its_hang(daemon):
    daemon.expect("hangs in its handler", "stack of", "killed by SIGABRT", "workers exit early")
    one(daemon)
    with connect(daemon.endpoint) as client:
        return proc.wait_gone(say(client, "block"), 10)


def leaves_a_child(daemon, file):
    one(daemon)
    with connect(daemon.endpoint) as client:
        say(client, f"run sleep 1000 & echo $! > {file}")
        child = int(proc.eventually(lambda: file.exists() and file.read_text()))
    daemon.stop()
    lives = proc.stat(child).state != "Z"
    os.kill(child, signal.SIGKILL)
    return lives


def may_open(daemon, how, directory):
    one(daemon)
    with connect(daemon.endpoint) as client:
        client.sendall(f"{how} {directory}/preforkd.conf\n".encode())
        return client.makefile().readline() == "ok\n"


def says_little_of_a_program(daemon):
    one(daemon)
    exchange(daemon.endpoint)
    return daemon.wait_log("were dropped")["rate"] == 1


def says_nothing_of_a_client(daemon):
    one(daemon)
    after = daemon.log.mark()
    exchange(daemon.endpoint)
    daemon.stop()
    return not daemon.log.find("got connection", after=after)


def logs_into(daemon, file, text):
    one(daemon)
    exchange(daemon.endpoint)
    return proc.eventually(lambda: text in file.read_text())


def is_asked_to_end(daemon, signo):
    one(daemon)
    copy, = copies_of(daemon)
    daemon.wait_log(lambda entry: entry.get("text") == "set" and entry["child_pid"] == copy)
    daemon.stop()
    return daemon.log.find(f"got {signo}")


def has_its_copy_read_its_settings(daemon, signo):
    daemon.expect("exited with code 0")
    one(daemon)
    copy, = copies_of(daemon)
    daemon.wait_log(lambda entry: entry.get("text") == "set" and entry["child_pid"] == copy)
    daemon.signal(signal.SIGHUP)
    return daemon.wait_log(f"got {signo}")


# option: what the file says before and after, and how it is seen to hold.
HOLDS = {
    "listen": ([LISTEN], ["listen = unix://{tmp}/s"],
               lambda daemon, tmp: exchange(f"unix://{tmp}/s") and proc.eventually(lambda: refused(daemon.endpoint))),
    "handler": ([], ECHO, lambda daemon, tmp: one(daemon) and exchange(daemon.endpoint, b"x") == b"x"),
    "program": ([], ["program = tr a b"], lambda daemon, tmp: one(daemon) and exchange(daemon.endpoint, b"a") == b"b"),
    "greeting": ([], ["greeting = b"], lambda daemon, tmp: one(daemon) and exchange(daemon.endpoint) == b"b\n"),
    "to": ([*FORWARD, "to = unix://{tmp}/gone"], [*FORWARD, "to = unix://{tmp}/e"],
           lambda daemon, tmp: one(daemon) and exchange(daemon.endpoint, b"x") == b"x"),
    "line-max": ([BLOCKING, "model = serial"], [BLOCKING, "model = serial", "line-max = 16"],
                 lambda daemon, tmp: ends_a_long_line(daemon)),
    "backlog": ([], ["backlog = 7"],
                lambda daemon, tmp: status(daemon.control)["listeners"][0]["queue_limit"] == 7),
    "observe": ([], ["observe = unix://{tmp}/o"], lambda daemon, tmp: get(f"unix://{tmp}/o", "/readyz").status == 200),
    "observe-details": (["observe = unix://{tmp}/o"], ["observe = unix://{tmp}/o", "observe-details = yes"],
                        lambda daemon, tmp: tells_of_its_client(daemon, f"unix://{tmp}/o")),
    "agent": ([], ["agent = unix://{tmp}/a"], lambda daemon, tmp: ask_agent(f"unix://{tmp}/a") == "ready up 100%\n"),
    "workers": ([], ["workers = 3"], lambda daemon, tmp: daemon.wait_workers(3)),
    "spare": (["workers = 1..4"], ["workers = 1..4", "spare = 3..4"], lambda daemon, tmp: daemon.wait_workers(3)),
    "model": (ECHO, [*ECHO, "model = fork"], lambda daemon, tmp: has_a_child_for_a_client(daemon)),
    "connections": (ECHO, [*ECHO, "connections = 1"], lambda daemon, tmp: lets_one_wait(daemon)),
    "reload": (ONE_EACH, [*ONE_EACH, "reload = rolling"], lambda daemon, tmp: exchanges_one_by_one(daemon)),
    "max-requests": ([], ["max-requests = 1"], lambda daemon, tmp: retires_after_one(daemon)),
    "max-memory": ([BLOCKING, "model = serial"], [BLOCKING, "model = serial", "max-memory = 60M"],
                   lambda daemon, tmp: leaks_and_leaves(daemon)),
    "pass": (POOL, [*POOL, "pass = starter"],
             lambda daemon, tmp: one(daemon) and b"127.0.0.1:" in exchange(daemon.endpoint)),
    "ready": (POOL, ["run = pool", "ready = fd:7"], lambda daemon, tmp: one(daemon) and 7 in proc.descriptors(copies_of(daemon)[0])),
    "stop-signal": (POOL, [*POOL, "stop-signal = USR1"], lambda daemon, tmp: is_asked_to_end(daemon, 10)),
    "reload-signal": (POOL, [*POOL, "reload-signal = USR1"],
                      lambda daemon, tmp: has_its_copy_read_its_settings(daemon, 10)),
    "idle-timeout": (ECHO, [*ECHO, "idle-timeout = 100ms"], lambda daemon, tmp: ended_by_the_daemon(daemon)),
    "drain-delay": ([], ["drain-delay = 1h"], lambda daemon, tmp: serves_on_when_told_to_stop(daemon)),
    "stop-timeout": (ECHO, [*ECHO, "stop-timeout = 100ms"], lambda daemon, tmp: stops_at_once(daemon)),
    "reload-timeout": (ECHO, [*ECHO, "reload-timeout = 100ms"], lambda daemon, tmp: is_cut_by_the_next_reload(daemon)),
    "worker-timeout": ([BLOCKING, "model = serial"], [BLOCKING, "model = serial", "worker-timeout = 1s"],
                       lambda daemon, tmp: is_killed_for_its_hang(daemon)),
    "request-timeout": (ECHO, [*ECHO, "request-timeout = 100ms"], lambda daemon, tmp: ended_by_the_daemon(daemon)),
    "user": ([], ["user = 65534"], lambda daemon, tmp: of_proc(one(daemon), "Uid") == "65534"),
    "group": ([], ["group = 65534"], lambda daemon, tmp: of_proc(one(daemon), "Gid") == "65534"),
    "chdir": ([], ["chdir = {tmp}"],
              lambda daemon, tmp: os.readlink(f"/proc/{one(daemon)}/cwd") == str(tmp)),
    "umask": ([], ["umask = 0123"], lambda daemon, tmp: of_proc(one(daemon), "Umask") == "0123"),
    "core-dumps": (["user = 65534"], ["user = 65534", "core-dumps = yes"],
                   lambda daemon, tmp: os.stat(f"/proc/{one(daemon)}/environ").st_uid == 65534),
    "leave-orphans": ([BLOCKING], [BLOCKING, "leave-orphans = yes"],
                      lambda daemon, tmp: leaves_a_child(daemon, tmp / "pid")),
    "sandbox": ([], ["sandbox = off"], lambda daemon, tmp: of_proc(one(daemon), "Seccomp") == "0"),
    "sandbox-programs": ([], ["sandbox-programs = yes"], lambda daemon, tmp: of_proc(one(daemon), "Seccomp") == "2"),
    "allow-read": (TRYING, [*TRYING, "allow-read = {tmp}"], lambda daemon, tmp: may_open(daemon, "read", tmp)),
    "allow-write": (TRYING, [*TRYING, "allow-write = {tmp}"], lambda daemon, tmp: may_open(daemon, "write", tmp)),
    "log-level": ([], ["log-level = debug"], lambda daemon, tmp: daemon.wait_log("worker ready")),
    "log-format": (["log-file = {tmp}/new"], ["log-file = {tmp}/new", "log-format = text"],
                   lambda daemon, tmp: logs_into(daemon, tmp / "new", "Z info    worker ")),
    "log-file": ([], ["log-file = {tmp}/new"], lambda daemon, tmp: logs_into(daemon, tmp / "new", "got connection")),
    "stderr-rate": ([], ["stderr-rate = 1/s"], lambda daemon, tmp: says_little_of_a_program(daemon)),
    "log-connections": ([], ["log-connections = no"], lambda daemon, tmp: says_nothing_of_a_client(daemon)),
}
SAYS_SIGNALS = """import os, signal
for signo in (signal.SIGTERM, signal.SIGUSR1):
    signal.signal(signo, lambda signo, frame: (os.write(1, b"got %d\\n" % signo), os._exit(0)))
print("set", flush=True)
while True:
    signal.pause()
"""
PROGRAM = {"sandbox-programs": ["/bin/cat"], "stderr-rate": ["sh", "-c", "seq 10 >&2"],  # instead of a handler
           "pass": ["env", "TEST_ANSWER=os.environ.get('SERVER_STARTER_PORT')", sys.executable, "-c", SERVER], "ready": ["sh", "-c", "echo >&7; exec sleep 1000"],
           "stop-signal": [sys.executable, "-c", SAYS_SIGNALS], "reload-signal": [sys.executable, "-c", SAYS_SIGNALS]}
# What takes a restart.
NAMED = {"control": "control = unix://{tmp}/other", "name": "name = other", "ready-fd": "ready-fd = 1"}
# The reload itself is what has to end in that time.
FAILS = {"boot-timeout": ([BLOCKING, "model = serial", "boot-timeout = 200ms"], "not ready within --boot-timeout")}


def options(run_preforkd):
    return re.findall(r"^(?:# )?([a-z-]+) = ", run_preforkd("--print-config").stdout, re.MULTILINE)


def test_no_option_is_forgotten(run_preforkd):
    refused = ["run"]  # test_pool_of_programs.py
    assert sorted([*HOLDS, *NAMED, *FAILS, *refused]) == sorted(options(run_preforkd))


def start(configured, tmp_path, name, lines):
    """Its workers and its control socket are given where that is not what changes; its log where the test reads it."""
    given = [line for line in ([LISTEN] if name != "listen" else []) if line not in lines]
    arguments = ["--control", f"unix://{tmp_path}/control.sock"] if name != "control" else []
    arguments += ["--", *PROGRAM[name]] if name in PROGRAM else []
    has_workers = name in ("workers", "spare", "reload")
    service = configured(*given, *lines, arguments=arguments, workers=None if has_workers else 1,
                         ready_fd=name != "ready-fd", wait=name != "ready-fd",
                         log_format=None if name == "log-format" else "json")
    service.daemon.control = f"unix://{tmp_path}/control.sock"
    service.given = given
    return service


NEEDS = {"user": "root", "group": "root", "core-dumps": "root", "allow-read": "strict", "allow-write": "strict"}


@pytest.mark.parametrize("name", [pytest.param(name, marks=getattr(pytest.mark, NEEDS[name]) if name in NEEDS else ())
                                  for name in HOLDS])
def test_a_changed_option_holds_after_a_reload(configured, trouble, tmp_path, name):
    before, after, holds = HOLDS[name]
    library = trouble("blocking") if BLOCKING in before else ""
    trying = trouble("sandboxed") if before == TRYING else ""
    before, after = ([line.format(tmp=tmp_path, trouble=library, trying=trying) for line in lines]
                     for lines in (before, after))
    if name == "workers":
        before = ["workers = 1"]
    service = start(configured, tmp_path, name, before)
    service.write(*service.given, *after)
    mark = service.daemon.log.mark()
    service.daemon.signal(signal.SIGHUP)
    if name in ("log-file", "log-format"):
        file = tmp_path / "new"
        assert proc.eventually(lambda: file.exists() and "reloaded" in file.read_text())
    else:
        assert "not changed" not in service.daemon.wait_log("reloaded", after=mark)["outcome"]
    assert holds(service.daemon, tmp_path)


@pytest.mark.parametrize("name", NAMED)
def test_one_that_takes_a_restart_is_named_each_time(configured, tmp_path, name):
    service = start(configured, tmp_path, name, [] if name != "control" else [f"control = unix://{tmp_path}/first"])
    service.daemon.wait_log("ready")
    service.daemon.expect("cannot be changed by a reload", "name has no effect")
    for _ in range(2):
        mark = service.daemon.log.mark()
        outcome = service.reload(*service.given, NAMED[name].format(tmp=tmp_path))["outcome"]
        assert outcome.endswith(f"; not changed by a reload, restart to apply: {name}")
        assert [line["setting"] for line in service.daemon.log.find("by a reload: restart", after=mark)] == [name]
    if name == "control":
        assert status(f"unix://{tmp_path}/first")["generation"] == 3 and not (tmp_path / "other").exists()


@pytest.mark.parametrize("name", FAILS)
def test_one_that_the_reload_itself_is_bound_by(configured, trouble, tmp_path, name):
    lines, cause = FAILS[name]
    service = start(configured, tmp_path, name, [])
    service.daemon.expect("reload failed", "was not ready within", "killed by SIG")
    lines = [line.format(trouble=trouble("slow_start")) for line in lines]
    assert cause in service.reload(*service.given, *lines)["cause"]
