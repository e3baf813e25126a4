"""What a worker is as a process, and what it holds: nothing that its master's terminal, user or neighbours lose by."""
import fcntl
import os
import pty
import shutil
import signal
import subprocess
import termios

import pytest

import proc
from activation import Passing, listening
from clients import exchange
from test_max_memory import leak
from test_surroundings import AS_NOBODY


@pytest.mark.terminals
@pytest.mark.parametrize("model", ["async", "serial", "thread", "fork"])
def test_a_worker_has_left_the_terminal(preforkd, model):
    controller, terminal = pty.openpty()
    daemon = preforkd("--model", model, workers=2, stdin=terminal,
                      preexec_fn=lambda: fcntl.ioctl(terminal, termios.TIOCSCTTY, 0))
    assert proc.stat(daemon.pid).terminal != 0, "else this tests nothing"
    for pid in daemon.workers():
        worker = proc.stat(pid)
        assert (worker.session, worker.group, worker.terminal) == (pid, pid, 0)
        assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
    assert exchange(daemon.endpoint) == b"connected\n"
    for descriptor in (controller, terminal):
        os.close(descriptor)


def can_be_looked_into(pid):
    """By another process of its user: who may read its environment may read its memory (proc(5), ptrace(2))."""
    return subprocess.run([*AS_NOBODY, "cat", f"/proc/{pid}/environ"], capture_output=True).returncode == 0


@pytest.mark.root
@pytest.mark.programs("setpriv")
@pytest.mark.parametrize("model", ["async", "serial", "thread", "fork"])
def test_nobody_of_the_same_user_looks_into_master_and_workers(preforkd, model):
    daemon = preforkd("--model", model, wrap=AS_NOBODY)
    assert not [pid for pid in (daemon.pid, *daemon.workers()) if can_be_looked_into(pid)]


@pytest.mark.root
@pytest.mark.programs("setpriv")
@pytest.mark.parametrize("how", [dict(wrap=AS_NOBODY), dict(user=("--user", "12345"))], ids=["same user", "--user"])
def test_with_core_dumps_workers_can_be_looked_into_and_the_master_cannot(preforkd, how):
    daemon = preforkd("--core-dumps", "yes", *how.pop("user", ()), **how)
    assert all(can_be_looked_into(pid) for pid in daemon.workers())
    assert not can_be_looked_into(daemon.pid)


@pytest.mark.root
@pytest.mark.others
@pytest.mark.programs("setpriv")
def test_after_an_upgrade_nobody_looks_into_master_and_workers_either(preforkd):
    daemon = preforkd(wrap=AS_NOBODY)
    before = daemon.workers()
    daemon.expect("upgraded")
    daemon.signal(signal.SIGUSR2)
    daemon.wait_log("upgraded: version")
    assert proc.eventually(lambda: not set(before) & set(daemon.workers()))
    assert not [pid for pid in (daemon.pid, *daemon.workers()) if can_be_looked_into(pid)]


@pytest.mark.root
@pytest.mark.programs("setpriv", "cmake", "g++", "pkg-config")
def test_a_worker_that_nobody_looks_into_knows_its_memory_and_its_stack(preforkd, trouble, public):
    library = shutil.copy(trouble("blocking"), public)
    daemon = preforkd("--handler", library, "--model", "serial", "--max-memory", "60M", workers=1, wrap=AS_NOBODY)
    daemon.expect("crashed: SIGABRT", "stack of", "killed by SIGABRT")
    leaked = leak(daemon, 9)
    assert 54 << 20 < daemon.wait_log("above --max-memory")["private_bytes"] < 120 << 20
    assert proc.wait_gone(leaked, 10)
    worker, = daemon.wait_workers(1)
    os.kill(worker, signal.SIGABRT)
    daemon.wait_log(f"(pid {worker}) killed by SIGABRT")
    assert [entry for entry in daemon.log.find("stack of") if entry["pid"] == worker]


@pytest.mark.programs("cmake", "g++", "pkg-config")
@pytest.mark.parametrize("listen", ["tcp://127.0.0.1:0", "tcp://:0", "unix://{tmp}/s", "passed"])
def test_a_listener_that_a_worker_shuts_down_serves_again(preforkd, trouble, tmp_path, listen):
    passed = listening()
    passing = Passing(passed) if listen == "passed" else None
    daemon = preforkd("--handler", trouble("hostile"), "--model", "serial",
                      listen=None if passing else listen.format(tmp=tmp_path),
                      **(passing.arguments() if passing else {}))
    daemon.expect("a worker has shut down")
    for _ in range(2):
        before = daemon.workers()
        mark = daemon.log.mark()
        assert exchange(daemon.endpoint, b"shut down\n").startswith(b"shut down ")
        daemon.wait_log("a worker has shut down", after=mark)
        daemon.wait_log("reloaded", after=mark)
        assert proc.eventually(lambda: len(daemon.workers()) == 2 and not set(before) & set(daemon.workers()))
        assert exchange(daemon.endpoint, b"hello\n").startswith(b"hello "), "at the address of before"
        assert len(daemon.log.find("a worker has shut down", after=mark)) == 1
    passed.close()


@pytest.mark.programs("cmake", "g++", "pkg-config")
def test_a_listener_that_cannot_serve_again_is_told_with_the_remedy(preforkd, trouble):
    daemon = preforkd("--handler", trouble("hostile"), "--model", "serial", listen=f"unix://@preforkd-shut-{os.getpid()}")
    daemon.expect("a worker has shut down")
    assert exchange(daemon.endpoint, b"shut down\n").startswith(b"shut down ")
    daemon.wait_log("which refuses clients: restart the daemon")


def titles(daemon):
    return sorted(filter(None, map(proc.title, proc.children(daemon.pid))))


@pytest.mark.parametrize("served, name", [(["--handler", "echo"], "echo"), (["--", "/bin/cat", "-u"], "cat")])
def test_what_each_process_is_is_shown(preforkd, tmp_path, pair, served, name):
    daemon = preforkd("--observe", f"unix://{tmp_path}/observe", "--log-file", tmp_path / "log", *served,
                      listen=f"tls://127.0.0.1:0 {pair} key-process=yes")
    workers = [f"preforkd: worker {number} ({name})" for number in (1, 2)]
    helpers = [f"preforkd: {helper}" for helper in ("key process", "log writer", "observer")]
    assert proc.eventually(lambda: titles(daemon) == helpers + workers), titles(daemon)
    assert proc.title(daemon.pid).startswith("preforkd: master /") and " --observe unix://" in proc.title(daemon.pid)


def test_a_worker_of_several_handlers_and_one_after_an_upgrade_are_shown_too(preforkd, tmp_path):
    daemon = preforkd(listen=("tcp://127.0.0.1:0 handler=greet", f"unix://{tmp_path}/s handler=echo"), workers=1)
    assert "preforkd: worker 1 (echo, greet)" in titles(daemon)
    daemon.expect("upgraded")
    daemon.signal(signal.SIGUSR2)
    daemon.wait_log("upgraded: version")
    assert proc.eventually(lambda: "preforkd: worker 2 (echo, greet)" in titles(daemon)), titles(daemon)
    assert proc.title(daemon.pid).startswith("preforkd: master ")
