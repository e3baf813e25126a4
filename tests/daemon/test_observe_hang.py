"""--observe: a process that answers nobody, because it is stopped or loops."""
import os
import signal

import pytest

import proc
import tracer
from clients import Load
from configured import LISTEN
from observing import get, observer_of, wait_observer

known_machine = pytest.mark.skipif(not tracer.SUPPORTED, reason="the instructions of this machine are not known here")


def test_one_that_stays_stopped_is_replaced(observed):
    daemon = observed()
    daemon.expect("observer (pid")
    first = wait_observer(daemon)
    os.kill(first, signal.SIGSTOP)
    line = daemon.wait_log("was stopped for too long")
    assert line["observer_pid"] == first
    wait_observer(daemon, other_than=first)
    assert get(daemon.observed, "/readyz").text == "ready\n"
    assert len(daemon.log.find("observer (pid")) == 1


@pytest.mark.root
@known_machine
def test_one_that_loops_is_replaced(observed):
    daemon = observed("--handler", "echo")
    daemon.expect("observer (pid")
    first = wait_observer(daemon)
    assert proc.eventually(lambda: proc.stat(first).state == "S")
    tracer.make_loop(first)
    with Load(daemon.endpoint, clients=2, request=b"hello", expected=b"hello"):
        assert daemon.wait_log("was silent for too long", timeout=20)["observer_pid"] == first
        wait_observer(daemon, other_than=first)
        assert get(daemon.observed, "/readyz").text == "ready\n"
    assert len(daemon.log.find("observer (pid")) == 1


@pytest.mark.root
@known_machine
def test_one_that_loops_and_is_no_longer_needed_ends(configured, tmp_path):
    set_up = configured(LISTEN, f"observe = unix://{tmp_path}/o")
    pid = wait_observer(set_up.daemon)
    assert proc.eventually(lambda: proc.stat(pid).state == "S")
    tracer.make_loop(pid)
    set_up.reload(LISTEN)
    assert proc.wait_gone(pid, 15)


def test_one_that_is_stopped_for_a_moment_goes_on(observed):
    daemon = observed()
    pid = wait_observer(daemon)
    os.kill(pid, signal.SIGSTOP)
    assert proc.eventually(lambda: proc.stat(pid).state == "T")
    os.kill(pid, signal.SIGCONT)
    assert get(daemon.observed, "/readyz").text == "ready\n"
    assert observer_of(daemon) == pid


def test_a_stopped_one_that_is_no_longer_needed_ends(configured, tmp_path):
    set_up = configured(LISTEN, f"observe = unix://{tmp_path}/o")
    pid = wait_observer(set_up.daemon)
    os.kill(pid, signal.SIGSTOP)
    assert proc.eventually(lambda: proc.stat(pid).state == "T")
    set_up.reload(LISTEN)
    assert proc.wait_gone(pid, 5)
