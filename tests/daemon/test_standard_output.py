"""What handlers print: into the log where it is no terminal, and never lost."""
import os
import pty
import select
import signal
import subprocess

import pytest

import proc
from clients import connect, exchange, read_exactly, read_to_end, say

pytestmark = pytest.mark.programs("cmake", "g++", "pkg-config")

MODELS = ["serial", "thread", "fork"]


def start(preforkd, library, model, workers=1, **how):
    return preforkd("--handler", library, "--model", model, workers=workers, **{"stdout": subprocess.DEVNULL} | how)


def read_line(fd):
    line = b""
    while not line.endswith(b"\n"):
        assert select.select([fd], [], [], 20)[0], line
        line += os.read(fd, 1)
    return line


@pytest.mark.parametrize("model", MODELS)
def test_what_a_handler_prints_is_logged_at_once_with_its_workers_number(preforkd, trouble, model):
    daemon = start(preforkd, trouble("blocking"), model)
    with connect(daemon.endpoint) as client:
        say(client, "print hello")
        line = daemon.wait_log("stdout: hello")
    assert (line["level"], line["worker"], line["pid"]) == ("info", 1, *daemon.workers())
    assert line["message"] == "stdout: hello"


@pytest.mark.parametrize("model", MODELS)
def test_what_has_no_end_of_a_line_is_logged_at_the_latest_when_the_process_ends(preforkd, trouble, model):
    daemon = start(preforkd, trouble("blocking"), model)
    with connect(daemon.endpoint) as client:
        say(client, "begin last words")
        client.shutdown(2)
    daemon.stop()
    assert daemon.log.find("stdout: last words")


@pytest.mark.parametrize("model", MODELS)
def test_what_was_printed_before_a_crash_is_not_lost(preforkd, trouble, model):
    daemon = start(preforkd, trouble("blocking"), model)
    daemon.expect("SIGSEGV", "stack of", "crashed", "workers exit early")
    for attempt in range(5):
        with connect(daemon.endpoint) as client:
            say(client, f"crash attempt {attempt}")
            assert read_to_end(client) == b""
        line = daemon.wait_log(f"stdout: attempt {attempt}")
        assert line["worker"] == 1


@pytest.mark.parametrize("model", MODELS)
def test_a_handler_that_prints_faster_than_is_logged_goes_on_and_others_are_served(preforkd, trouble, model):
    daemon = start(preforkd, trouble("blocking"), model, workers=2)
    with connect(daemon.endpoint, timeout=60) as client:
        say(client, "flood")
        assert exchange(daemon.endpoint, b"hello\n").startswith(b"hello ")
        assert read_exactly(client, 8) == b"printed\n"
    daemon.wait_log("stdout: line 19999", timeout=60)
    assert len(daemon.log.find("stdout: line ")) == 20000


@pytest.mark.parametrize("model", MODELS)
def test_a_worker_may_print_more_than_a_pipe_holds_before_its_first_client(preforkd, trouble, model):
    daemon = start(preforkd, trouble("blocking"), model, env={"TROUBLE_LINES": "9000"})  # 72 KB
    assert exchange(daemon.endpoint, b"hello\n").startswith(b"hello ")
    assert proc.eventually(lambda: daemon.log.read() or len(daemon.log.find("stdout: started")) == 9000)


def test_a_worker_that_outlives_its_master_still_logs(preforkd, trouble):
    daemon = start(preforkd, trouble("blocking"), "serial")
    daemon.expect("the master is gone")
    with connect(daemon.endpoint) as client:
        worker = say(client, "hello")
        daemon.signal(signal.SIGKILL)
        say(client, "print alone")
        say(client, "begin at last")
    assert proc.wait_gone(worker, 5)
    assert daemon.wait_exit() == -signal.SIGKILL
    assert daemon.wait_log("stdout: alone") and daemon.wait_log("stdout: at last")


def test_an_upgrade_keeps_what_older_workers_print(preforkd, trouble):
    daemon = start(preforkd, trouble("blocking"), "serial")
    daemon.expect("SIGSEGV", "stack of", "crashed", "workers exit early")
    with connect(daemon.endpoint) as client:
        say(client, "hello")
        daemon.signal(signal.SIGUSR2)
        daemon.wait_log("upgraded")
        say(client, "crash older")
        assert read_to_end(client) == b""
    daemon.wait_log("stdout: older")


@pytest.mark.parametrize("model", MODELS)
def test_without_a_master_it_is_the_process_s_own_and_comes_line_by_line(preforkd, trouble, model):
    reader, writer = os.pipe()
    daemon = start(preforkd, trouble("blocking"), model, workers=0, stdout=writer)
    os.close(writer)
    with connect(daemon.endpoint) as client:
        say(client, "print hello")
        assert read_line(reader) == b"hello\n"
    daemon.stop()
    assert os.read(reader, 100) == b""
    os.close(reader)
    assert not daemon.log.find("stdout:")


@pytest.mark.terminals
def test_a_terminal_stays_as_it_is(preforkd, trouble):
    master, terminal = pty.openpty()
    daemon = start(preforkd, trouble("blocking"), "serial", stdout=terminal)
    os.close(terminal)
    with connect(daemon.endpoint) as client:
        say(client, "print hello")
        assert read_line(master) == b"hello\r\n"
    daemon.stop()
    os.close(master)
    assert not daemon.log.find("stdout:")
