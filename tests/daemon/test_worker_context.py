"""What a handler has of its worker: tasks and timers beside its clients, threads for what blocks, who it is."""
import contextlib
import re
import subprocess
import time
from signal import SIGHUP, SIGTERM

import pytest

from built_handlers import pkg_config, run
from clients import connect, exchange, silent
from log_file import sentences

FAILED = "a task of the handler's failed: as told"


def ask(daemon, word):
    return exchange(daemon.endpoint, word.encode() + b"\n").decode().rstrip("\n")


@pytest.fixture
def tasks(preforkd, trouble):
    def start(*arguments, **how):
        daemon = preforkd("--handler", trouble("tasks"), *arguments, **how)
        daemon.expect(FAILED)
        return daemon
    return start


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("model", ["async", "serial", "thread"])
def test_tasks_and_calls_that_block_go_on_beside_clients(tasks, model, workers):
    daemon = tasks("--model", model, workers=workers)
    assert ask(daemon, "ticks") == "it ticks"
    assert ask(daemon, "offload") == "elsewhere and back"
    assert ask(daemon, "offload throws") == "no rows"
    for _ in range(3):
        assert ask(daemon, "say it") == "say it, said elsewhere and longer than a short string is"
    assert ask(daemon, "who") == f"{workers} 1 {model}"
    daemon.wait_log(FAILED)  # and nothing else has ended
    assert ask(daemon, "ticks") == "it ticks"


SENTENCE = "GCC 12 destroys twice what a lambda expression behind co_await has captured by copy"
CAPTURES = """#include <preforkd/worker_context.hpp>
#include <string>
preforkd::awaitable<std::size_t> ask(preforkd::Worker& worker, std::string text) {
    co_return co_await worker.offload([%s] { return text.size(); });
}
"""


def test_what_the_compiler_would_get_wrong_it_refuses(prefix, tmp_path):
    flags = run("pkg-config", "--cflags", "preforkd", env=pkg_config(prefix)).split()
    for how, is_good in (("&", True), ("text", not run("g++", "-dumpversion").startswith("12"))):
        (tmp_path / "captures.cpp").write_text(CAPTURES % how)
        done = subprocess.run(["g++", "-std=c++20", "-fsyntax-only", *flags, "captures.cpp"], cwd=tmp_path,
                              capture_output=True, text=True)
        assert (done.returncode == 0) == is_good and (SENTENCE in done.stderr) != is_good, done.stderr


@pytest.mark.parametrize("model", ["async", "serial", "thread"])
def test_a_task_ends_with_its_worker_and_does_not_keep_it(tasks, model):
    daemon = tasks("--model", model, workers=1)
    began = time.monotonic()
    with connect(daemon.endpoint) as client:
        client.sendall(b"who\n")
        assert client.recv(100) == f"1 1 {model}\n".encode()
        daemon.signal(SIGTERM)
        daemon.wait_log("stdout: draining")
        client.sendall(b"ticks\n")
        assert client.recv(100) == b"it ticks\n", "as long as there is a client"
    assert daemon.wait_exit() == 0
    assert time.monotonic() - began < 5
    assert daemon.log.find("stdout: leaving after the task")
    assert len(daemon.log.find("a task of the handler's failed")) == 1, "the end is no failure"


@pytest.mark.parametrize("model", ["async", "serial", "thread"])
def test_a_task_that_catches_everything_ends_with_its_worker_too(preforkd, trouble, model):
    daemon = preforkd("--handler", trouble("tireless"), "--model", model, workers=1)
    with silent() as endpoint:
        assert exchange(daemon.endpoint, endpoint.encode() + b"\n") == b""
        daemon.signal(SIGHUP)
        daemon.wait_log("reloaded")
        daemon.wait_log("stdout: the end of hoping")
        assert daemon.stop(SIGTERM) == 0
    told = [entry["message"] for entry in daemon.log.find("stdout: ")]
    assert told.count("stdout: leaving") == 2
    assert told.count("stdout: the end of waiting") == told.count("stdout: the end of connecting") == 2
    assert told.count("stdout: the end of hoping") == 1


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("model", ["async", "serial", "thread"])
def test_two_tasks_that_catch_everything_do_not_hold_up_their_worker(preforkd, trouble, model, workers):
    daemon = preforkd("--handler", trouble("tireless"), "--model", model, "--stop-timeout", "0", workers=workers)
    daemon.expect("exiting although a task")
    assert exchange(daemon.endpoint, b"both\n") == b""
    assert daemon.stop(SIGTERM) == 0
    assert daemon.log.find("exiting although a task of the handler's goes on")
    assert not daemon.log.find("stdout: leaving")


@pytest.mark.parametrize("model", ["serial", "thread"])
def test_tasks_go_on_beside_clients_that_block(preforkd, trouble, model):
    daemon = preforkd("--handler", trouble("tasks_blocking"), "--model", model, workers=1)
    assert ask(daemon, "wait") == "it ticks"
    assert daemon.stop(SIGTERM) == 0
    assert daemon.log.find("stdout: leaving after the task")


def test_a_worker_knows_its_number_and_its_generation(tasks):
    daemon = tasks("--connections", "1", workers=3)
    with contextlib.ExitStack() as held:
        clients = [held.enter_context(connect(daemon.endpoint)) for _ in range(3)]
        for client in clients:
            client.sendall(b"who\n")
        assert {client.recv(100) for client in clients} == {b"%d 1 async\n" % number for number in (1, 2, 3)}
    daemon.signal(SIGHUP)
    daemon.wait_log("reloaded")
    assert re.fullmatch(r"\d 2 async", ask(daemon, "who"))


@pytest.mark.parametrize("handler", ["tasks", "tasks_blocking"])
@pytest.mark.parametrize("workers", ["0", "1"])
def test_in_model_fork_it_is_refused_with_a_sentence(run_preforkd, trouble, handler, workers):
    done = run_preforkd("--handler", trouble(handler), "--model", "fork", "--workers", workers, "--listen", "tcp://127.0.0.1:0")
    assert done.returncode == 69
    refused = re.compile(r"Worker::\w+\(\) needs threads, which --model fork would lose")
    assert any(refused.search(told) for told in sentences(done.stderr)), done.stderr


@pytest.mark.parametrize("workers", ["0", "1"])
def test_what_is_thrown_at_the_start_and_no_exception_is_told_with_its_handler(run_preforkd, trouble, workers):
    done = run_preforkd("--handler", trouble("throwing_a_number"), "--workers", workers, "--listen", "tcp://127.0.0.1:0")
    assert done.returncode == 69
    expected = "libthrowing_a_number.so: it threw something not derived from std::exception"
    assert any(expected in told for told in sentences(done.stderr)), done.stderr
