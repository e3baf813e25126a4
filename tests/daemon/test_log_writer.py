"""Where the log is a file, another process writes what workers log: none of them can spoil what is there."""
import os
import shutil
import signal
import socket
from pathlib import Path

import pytest

import daemon_process
import proc
from clients import Load, connect, exchange, read_exactly, read_to_end, say
from control import status
from log_file import LogFile
from test_surroundings import AS_NOBODY
from test_upgrade import NEXT, Installed


def is_a_greeting(entry):
    return "got connection from" in entry["message"]


def is_an_end(entry):
    return entry["message"].startswith("connection from")


def writer(daemon):
    pid, = daemon.log_writers()
    return pid


# --- a worker that was taken over -----------------------------------------------------------------------------------

@pytest.fixture(params=["--log-file", "standard error"])
def hostile(controlled, trouble, public, tmp_path, request):
    library = shutil.copy(trouble("hostile"), public)
    arguments = ["--log-file", f"{tmp_path}/named"] if request.param == "--log-file" else []
    daemon = controlled("--handler", library, "--model", "serial", "--user", "nobody", *arguments, workers=2)
    daemon.expect("killed by SIGKILL")
    with_name = LogFile(f"{tmp_path}/named")
    yield daemon, with_name if arguments else daemon.log
    with_name.close()


def attack(daemon, word, answer):
    """The worker that has done it."""
    with connect(daemon.endpoint) as client:
        pid = say(client, word)
        assert read_exactly(client, len(answer) + 1) == answer + b"\n"
        return pid


@pytest.mark.root
def test_a_worker_that_was_taken_over_cannot_spoil_the_log(hostile):
    daemon, log = hostile
    log.wait("ready with")
    before = Path(log.path).read_bytes()
    pid = attack(daemon, "spoil", b"spoilt")
    os.kill(pid, signal.SIGKILL)
    log.wait("killed by SIGKILL")
    assert Path(log.path).read_bytes().startswith(before)
    assert exchange(daemon.endpoint, b"hello\n").startswith(b"hello ")
    log.wait(lambda entry: entry["pid"] in daemon.workers())
    assert {line for line, _ in log.malformed} == {b"spoilt"}, "lines of its own it may write"
    log.malformed.clear()


@pytest.mark.root
def test_a_line_without_an_end_swallows_no_other(hostile):
    daemon, log = hostile
    torn = attack(daemon, "tear", b"torn")
    os.kill(torn, signal.SIGKILL)
    daemon.wait_workers(2)
    mark = log.mark()
    for _ in range(4):
        with connect(daemon.endpoint) as client:
            pid = say(client, "hello")
        log.wait(lambda entry: is_a_greeting(entry) and entry["pid"] == pid, after=mark)
    assert all(line.count(b"{") == line.count(b"torn") for line, _ in log.malformed), log.malformed
    log.malformed.clear()


def test_what_a_terminal_would_obey_is_written_out_whoever_prints_it(preforkd, trouble):
    daemon = preforkd("--handler", trouble("blocking"), "--model", "serial", workers=1)
    daemon.log.accept_foreign("printed")
    with connect(daemon.endpoint) as client:
        say(client, r"run printf 'printed\t\033[2J\303\274\n' >&2")
    assert proc.eventually(lambda: daemon.log.read() and daemon.log.foreign)
    assert daemon.log.foreign == ["printed\t\\x1b[2Jü"]


@pytest.mark.root
@pytest.mark.programs("setpriv")
@pytest.mark.parametrize("mode, may_make_readable", [("auto", "ok"), pytest.param("strict", "EPERM", marks=pytest.mark.strict)])
def test_a_worker_of_the_daemons_user_does_not_read_what_others_log(preforkd, trouble, public, mode, may_make_readable):
    """Unless it changes the pipe's permissions first, which strict denies."""
    library = shutil.copy(trouble("sandboxed"), public)
    daemon = preforkd("--handler", library, "--sandbox", mode, wrap=AS_NOBODY)
    daemon.expect("--sandbox strict denies the system call fchmod")
    with connect(daemon.endpoint) as client:
        said = client.makefile("rw")
        for word, answer in {"take out of the log": "EACCES", "make the log readable": may_make_readable}.items():
            said.write(word + "\n")
            said.flush()
            assert said.readline() == answer + "\n", word


@pytest.mark.root
def test_a_worker_that_fills_the_pipe_makes_nobody_wait(hostile):
    daemon, log = hostile
    log.accept_foreign("filling")
    daemon.expect("log lines dropped: nobody read them")
    os.kill(writer(daemon), signal.SIGSTOP)
    with connect(daemon.endpoint) as client:
        say(client, "fill")
        assert read_exactly(client, 7) == b"filled\n"
        for _ in range(20):  # by the other one
            assert exchange(daemon.endpoint, b"hello\n").startswith(b"hello ")
        assert proc.eventually(lambda: status(daemon.control)["log_lines_dropped"] > 0)
    os.kill(writer(daemon), signal.SIGCONT)
    assert proc.eventually(lambda: exchange(daemon.endpoint, b"hello\n") and log.find("log lines dropped: nobody read"))


@pytest.mark.root
def test_of_lines_that_were_lost_with_their_worker_the_master_tells(hostile):
    daemon, log = hostile
    log.accept_foreign("filling")
    daemon.expect("log lines of worker", "log lines dropped: nobody read them")
    pid = writer(daemon)
    os.kill(pid, signal.SIGSTOP)
    with connect(daemon.endpoint) as client:
        say(client, "fill")
        assert read_exactly(client, 7) == b"filled\n"
        assert exchange(daemon.endpoint, b"hello\n").startswith(b"hello "), "by the other one"
        assert proc.eventually(lambda: status(daemon.control)["log_lines_dropped"] > 0)
        lost = status(daemon.control)["log_lines_dropped"]
        workers = daemon.workers()
        for each in workers:
            os.kill(each, signal.SIGKILL)
            assert proc.wait_gone(each, 10)
        assert proc.eventually(lambda: len(daemon.workers()) == 2 and not set(workers) & set(daemon.workers()))
    os.kill(pid, signal.SIGCONT)
    told = log.wait("log lines of worker")
    assert told["cause"] == "nobody read them" and told["worker_pid"] in workers
    assert sum(line["lines"] for line in log.find("log lines of worker")) == lost


# --- the process that writes ----------------------------------------------------------------------------------------

def test_what_a_handler_s_children_print_waits_for_space(preforkd, trouble):
    daemon = preforkd("--handler", trouble("blocking"), "--model", "serial", workers=1)
    daemon.log.accept_foreign("x")
    line = "x" * 199
    with connect(daemon.endpoint) as client:
        say(client, f"run yes {line} 2>/dev/null | head -n 20000 >&2")  # four times what the pipe holds
        client.shutdown(socket.SHUT_WR)
        read_to_end(client)
    printed = proc.eventually(lambda: daemon.log.read() and len("".join(daemon.log.foreign)) >= 20000 * len(line))
    assert printed and set("".join(daemon.log.foreign)) == {"x"}, len(daemon.log.foreign)


def test_it_holds_the_pipe_and_the_file_and_nothing_else(preforkd, tmp_path):
    daemon = preforkd("--log-file", f"{tmp_path}/out")
    held = proc.descriptors(writer(daemon))
    assert held.pop(0) == held.pop(1) == "/dev/null"
    assert held.pop(2) == daemon.log.path, "where it says that the disk is full"
    assert sorted(what.split(":")[0] for what in held.values()) == [f"{tmp_path}/out", "pipe"]
    assert proc.stat(writer(daemon)).session == writer(daemon)
    assert proc.stat(writer(daemon)).comm == "preforkd-log"
    for worker in daemon.workers():
        assert f"{tmp_path}/out" not in proc.descriptors(worker).values()


@pytest.mark.parametrize("arguments", [("--log-file", "/dev/null"), ("--workers", "0")])
def test_where_there_is_no_file_or_no_worker_there_is_none(preforkd, arguments):
    daemon = preforkd(*arguments, stderr=os.open("/dev/null", os.O_WRONLY), workers=None)
    assert daemon.log_writers() == []
    assert exchange(daemon.endpoint) == b"connected\n"


def test_signals_that_are_meant_for_all_do_not_end_it(preforkd):
    daemon = preforkd()
    pid = writer(daemon)
    for signo in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
        os.kill(pid, signo)
    exchange(daemon.endpoint)
    daemon.wait_log(is_a_greeting)
    assert writer(daemon) == pid


def test_one_that_is_killed_is_replaced_and_lines_wait_for_the_next(preforkd):
    daemon = preforkd(workers=2)
    daemon.expect("killed by SIGKILL: starting another")
    workers, pid = daemon.workers(), writer(daemon)
    os.kill(pid, signal.SIGSTOP)  # what it has not read is not lost
    assert proc.eventually(lambda: proc.stat(pid).state == "T")
    for _ in range(20):
        exchange(daemon.endpoint)
    os.kill(pid, signal.SIGKILL)
    daemon.wait_log("killed by SIGKILL: starting another")
    daemon.wait_log(is_a_greeting, count=20)
    assert daemon.workers() == workers and writer(daemon) != pid
    assert not daemon.log.find("replaced")


def test_one_that_is_killed_again_and_again_is_replaced_later_and_later(preforkd):
    daemon = preforkd(workers=1)
    daemon.expect("killed by SIGKILL: starting another")
    for _ in range(3):
        pid, = proc.eventually(daemon.log_writers)
        os.kill(pid, signal.SIGKILL)
        assert proc.wait_gone(pid, 5)
    exchange(daemon.endpoint)
    daemon.wait_log(is_a_greeting)
    told = daemon.log.find("log writer (pid")
    assert len(told) == 3


# --- the end ----------------------------------------------------------------------------------------------------------

def test_every_line_of_the_last_workers_is_there_when_the_daemon_has_stopped(preforkd):
    daemon = preforkd("--handler", "print", workers=2)
    os.kill(writer(daemon), signal.SIGSTOP)
    for _ in range(100):
        exchange(daemon.endpoint, b"a line")
    daemon.signal(signal.SIGTERM)
    daemon.wait_log("stopping")
    os.kill(writer(daemon), signal.SIGCONT)
    assert daemon.wait_exit() == 0
    assert len(daemon.log.find("received from")) == 100
    assert daemon.log.entries[-1]["message"].startswith("stopped with")


def test_a_log_that_hangs_does_not_hold_up_the_stop(preforkd):
    daemon = preforkd(workers=1)
    daemon.expect("has not written all lines of workers yet")
    pid = writer(daemon)
    os.kill(pid, signal.SIGSTOP)
    exchange(daemon.endpoint)
    assert daemon.stop() == 0
    os.kill(pid, signal.SIGCONT)
    daemon.wait_log(is_a_greeting)
    assert proc.wait_gone(pid, 5)


def test_workers_that_outlive_their_master_still_have_their_log(preforkd):
    daemon = preforkd("--handler", "echo", "--log-connections", "end", workers=1)
    daemon.expect("the master is gone")
    pid = writer(daemon)
    with connect(daemon.endpoint) as client:
        client.sendall(b"x")
        read_exactly(client, 1)
        daemon.signal(signal.SIGKILL)
        daemon.wait_exit()
        daemon.wait_log("the master is gone")
        client.sendall(b"y")
        assert read_exactly(client, 1) == b"y"
    daemon.wait_log(is_an_end)
    assert proc.wait_gone(pid, 5)


# --- reload and upgrade -----------------------------------------------------------------------------------------------

def test_a_reload_to_another_file_takes_the_old_workers_along(configured, tmp_path):
    listen = ("listen = tcp://127.0.0.1:0", "handler = echo", "log-connections = end")
    service = configured(*listen, f"log-file = {tmp_path}/one", workers=1)
    one, two = LogFile(f"{tmp_path}/one"), LogFile(f"{tmp_path}/two")
    with connect(service.daemon.endpoint) as client:
        client.sendall(b"x")
        read_exactly(client, 1)
        service.write(*listen, f"log-file = {tmp_path}/two")
        service.daemon.signal(signal.SIGHUP)
        two.wait("reloaded")
        assert proc.eventually(lambda: len(service.daemon.log_writers()) == 1)
    two.wait(is_an_end)
    assert not one.find(is_an_end)
    one.close()
    two.close()


def test_a_reload_from_a_file_to_standard_error_and_back(configured, tmp_path):
    """Old workers write into the file to their end; the process that writes there ends with them."""
    listen = ("listen = tcp://127.0.0.1:0", "handler = echo", "log-connections = end")
    reading, writing = os.pipe()
    named = LogFile(f"{tmp_path}/named")
    service = configured(*listen, f"log-file = {named.path}", stderr=writing)
    daemon = service.daemon
    pid = writer(daemon)
    with connect(daemon.endpoint) as client:
        client.sendall(b"x")
        read_exactly(client, 1)
        service.write(*listen)
        daemon.signal(signal.SIGHUP)
        shown = b""
        while b"reloaded" not in shown:
            shown += os.read(reading, 65536)
        assert daemon.log_writers() == [pid]
    named.wait(is_an_end)
    assert proc.wait_gone(pid, 5)
    assert proc.eventually(lambda: not daemon.log_writers() and not proc.zombies(daemon.pid))
    before = set(daemon.workers())
    service.write(*listen, f"log-file = {named.path}")
    daemon.signal(signal.SIGHUP)
    named.wait("reloaded")
    assert proc.eventually(lambda: not before & set(daemon.workers())), "they write where they did"
    mark = named.mark()
    exchange(daemon.endpoint, b"x")
    named.wait(is_an_end, after=mark)
    assert proc.eventually(lambda: len(daemon.log_writers()) == 1)
    for descriptor in (reading, writing):
        os.close(descriptor)
    named.close()


def test_an_upgrade_there_and_back_loses_no_line(preforkd, tmp_path):
    service = Installed(preforkd, tmp_path, "--handler", "echo", "--log-connections", "end")
    daemon = service.daemon
    with Load(daemon.endpoint, clients=2, request=b"x", expected=b"x") as load, connect(daemon.endpoint) as client:
        client.sendall(b"x")
        read_exactly(client, 1)
        for source in (NEXT, daemon_process.PREFORKD):
            load.wait_for_answers(50)
            service.install(source)
            assert service.upgrade()["message"].startswith("upgraded")
        load.wait_for_answers(50)
        assert proc.eventually(lambda: len(daemon.log_writers()) == 1)
    answers = sum(load.outcomes.values())
    assert set(load.outcomes) == {"whole"}, load.broken
    assert proc.eventually(lambda: len(daemon.log.find(is_an_end)) >= answers + 1)


# --- the disk -----------------------------------------------------------------------------------------------------------

@pytest.mark.programs("prlimit")
def test_what_finds_no_space_in_the_file_is_counted_and_said(controlled, tmp_path):
    path, limit = tmp_path / "full", 256 << 20
    path.touch()
    os.truncate(path, limit - 2000)
    daemon = controlled("--log-file", str(path), workers=1, wrap=["prlimit", f"--fsize={limit}"])
    daemon.expect("has reached its size limit")
    for _ in range(40):
        assert exchange(daemon.endpoint) == b"connected\n"
    assert proc.eventually(lambda: status(daemon.control)["log_lines_dropped"] > 20)
    daemon.wait_log("has reached its size limit")
