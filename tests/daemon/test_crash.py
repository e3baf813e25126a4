"""Workers that crash: what the log tells of it."""
import subprocess

import pytest

import proc
from clients import exchange
from control import deaths

pytestmark = pytest.mark.programs("cmake", "g++", "pkg-config")

CRASHES = [("SIGSEGV", "SIGSEGV at address 0x10, in", "write_to_nowhere"), ("SIGFPE", "SIGFPE at address", "divide_by"),
           ("SIGABRT", "SIGABRT, in", "Crash"), ("overflow", "SIGSEGV at address", "use_up_the_stack")]


@pytest.mark.parametrize("model", ["serial", "thread", "fork"])
@pytest.mark.parametrize("word, sentence, function", CRASHES, ids=[each[0] for each in CRASHES])
def test_a_crash_tells_its_signal_its_place_and_its_stack(controlled, trouble, model, word, sentence, function):
    daemon = controlled("--handler", trouble("crash"), "--model", model, workers=1)
    daemon.expect("crashed: ", "stack of ", "killed by SIG", "workers exit early")
    worker, = daemon.workers()
    assert exchange(daemon.endpoint, word.encode() + b"\n") == b""
    end = daemon.wait_log("killed by SIG")
    assert (word if word != "overflow" else "SIGSEGV") in end["message"]
    line = daemon.wait_log("crashed: ")
    stack = daemon.log.find("stack of ")
    who = "worker 1" if model != "fork" else "child of worker 1"
    assert line["message"].startswith(f"{who} (pid {line['pid']}) crashed: {sentence}"), line
    assert line["level"] == "error" and (line["pid"] == worker) == (model != "fork")
    assert [each["frame"] for each in stack] == list(range(len(stack)))
    assert any(function in each["function"] for each in stack), stack
    if model == "fork":
        assert daemon.workers() == [worker]
        return
    death, = proc.eventually(lambda: deaths(daemon.control), 10)
    assert (death["pid"], death["ordered_by"]) == (worker, "nobody")
    assert death["last_error"].startswith(line["message"][:60])


@pytest.mark.programs("addr2line")
def test_the_command_in_a_line_of_the_stack_names_the_place_in_the_source(preforkd, trouble):
    daemon = preforkd("--handler", trouble("crash"), "--model", "serial", workers=1)
    daemon.expect("crashed: ", "stack of ", "killed by SIG", "workers exit early")
    exchange(daemon.endpoint, b"SIGSEGV\n")
    daemon.wait_log("killed by SIGSEGV")
    said = [subprocess.run(each["message"].partition(": ")[2].split(), capture_output=True, text=True, check=True,
                           timeout=60).stdout for each in daemon.log.find("stack of ")[:2]]
    assert said[0].startswith("write_to_nowhere() at ") and "crash.cpp:" in said[0]
    assert said[1].startswith("Crash::serve(preforkd::BlockingConnection&) at ")


def test_without_a_master_a_crash_is_told_too(preforkd, trouble):
    daemon = preforkd("--handler", trouble("crash"), workers=0)
    daemon.expect("crashed: ", "stack of ")
    exchange(daemon.endpoint, b"SIGSEGV\n")
    line = daemon.wait_log("crashed: SIGSEGV")
    assert line["message"].startswith(f"process (pid {daemon.pid}) crashed")
    daemon.process.wait(20)
