"""--reload-timeout: what a reload replaces finishes in its own time, and no stop waits for that."""
import os
import socket
import time
from signal import SIGHUP, SIGKILL, SIGTERM

import pytest

import daemon_process
import proc
from clients import connect, exchange, read_exactly, read_to_end
from control import endpoint_in, status
from configured import LISTEN
from copies import AT_ONCE, copies_of, server
from daemon_process import CUT
from test_reload import hold_generations
from test_upgrade import NEXT, Installed

STOP_TIMEOUT = 0.3
OVER = (STOP_TIMEOUT + 4) * 1000 + 500  # ms after which a worker that has no more time than that was killed
SHORT = f"stop-timeout = {int(STOP_TIMEOUT * 1000)}ms"
CAT = ("--", "/bin/cat")


def talk(client, words=b"x"):
    client.sendall(words)
    assert read_exactly(client, len(words)) == words


def hold(endpoint):
    client = connect(endpoint)
    talk(client)
    return client


def leaving(control):
    """Of each worker that was told to leave, the oldest first: since when, in milliseconds."""
    return sorted((each["leaving_ms"] for each in status(control)["workers"] if each["leaving_ms"] is not None), reverse=True)


def told_for_long(control):
    return proc.eventually(lambda: (found := leaving(control)) and found[0] > OVER and found, 15)


@pytest.fixture
def serving(configured, tmp_path):
    """A daemon with a control socket; `reload` reads the same settings again."""
    control = endpoint_in(tmp_path)

    def start(*lines, arguments=(), **how):
        lines = (LISTEN, f"control = {control}", *lines)
        service = configured(*lines, arguments=arguments, **{"workers": 1} | how)
        service.control = control

        def reload():
            said = service.reload(*lines)
            assert said["message"].startswith("reloaded"), said
        service.again = reload
        return service
    return start


def ends_in_time(daemon):
    """Long before a kill by the master that is stuck itself, and whatever reloads allow."""
    began = time.monotonic()
    assert daemon.stop(SIGTERM) == 0
    return time.monotonic() - began < STOP_TIMEOUT + 2 + 2


def test_a_session_of_a_program_outlives_reloads_and_a_stop_ends_it_in_time(serving):
    service = serving(SHORT, arguments=CAT)
    sessions = []
    for _ in range(2):
        sessions.append(hold(service.daemon.endpoint))
        service.again()
    assert told_for_long(service.control)
    for session in sessions:
        talk(session, b"still there")
    assert exchange(service.daemon.endpoint, b"others") == b"others"
    assert ends_in_time(service.daemon)
    assert [read_to_end(session) for session in sessions] == [b"", b""]
    assert service.daemon.cut() == [2]


def test_a_session_of_a_program_outlives_the_retirement_of_its_worker(serving):
    service = serving(SHORT, "max-requests = 1", arguments=CAT)
    session = hold(service.daemon.endpoint)
    assert exchange(service.daemon.endpoint, b"others") == b"others"
    assert told_for_long(service.control)
    talk(session, b"still there")
    assert ends_in_time(service.daemon)
    assert read_to_end(session) == b"" and service.daemon.cut() == [1]


def test_clients_of_a_handler_whose_worker_retires_have_the_stop_timeout(serving):
    service = serving("handler = echo", "max-requests = 1", "stop-timeout = 1s")
    session = hold(service.daemon.endpoint)
    exchange(service.daemon.endpoint, b"others")
    assert read_to_end(session) == b""
    service.daemon.wait_log(CUT)


def test_a_stop_in_the_middle_of_a_reload_ends_its_sessions_in_time(serving):
    """Its two signals may come as one."""
    service = serving(SHORT, arguments=CAT)
    session = hold(service.daemon.endpoint)
    worker, = service.daemon.workers()
    os.kill(worker, 19)
    service.daemon.expect("was stopped")
    service.daemon.wait_log("was stopped")
    service.again()
    service.daemon.signal(SIGTERM)
    service.daemon.wait_log("stopping")
    os.kill(worker, 18)
    assert service.daemon.wait_exit() == 0
    assert read_to_end(session) == b""
    assert service.daemon.cut() == [1]


def test_a_worker_that_a_reload_replaces_goes_at_once_if_it_serves_nobody(serving):
    service = serving("stop-timeout = 1h", arguments=CAT)
    before = service.daemon.workers()
    service.again()
    assert all(proc.wait_gone(pid, 5) for pid in before)


def test_it_goes_with_its_last_session(serving):
    service = serving(arguments=CAT)
    session = hold(service.daemon.endpoint)
    worker, = service.daemon.workers()
    service.again()
    session.shutdown(socket.SHUT_WR)
    assert read_to_end(session) == b"" and proc.wait_gone(worker, 5)


def test_a_session_ends_with_a_master_that_is_killed(serving):
    service = serving(SHORT, arguments=CAT)
    service.daemon.expect("the master is gone", "exited", CUT)
    session = hold(service.daemon.endpoint)
    service.again()
    assert told_for_long(service.control)
    os.kill(service.daemon.pid, SIGKILL)
    service.daemon.wait_exit()
    assert read_to_end(session) == b""


def test_sessions_of_a_program_are_cut_where_that_is_asked_for(serving):
    service = serving("stop-timeout = 1h", "reload-timeout = 1s", arguments=CAT)
    session = hold(service.daemon.endpoint)
    service.again()
    assert read_to_end(session) == b""
    service.daemon.wait_log(CUT)
    assert service.daemon.cut() == [1]


@pytest.mark.parametrize("model", ["async", "serial", "thread", "fork"])
def test_clients_of_a_handler_are_cut_after_it(serving, model):
    service = serving("handler = echo", f"model = {model}", "stop-timeout = 1h", "reload-timeout = 1s")
    client = hold(service.daemon.endpoint)
    service.again()
    talk(client, b"a moment more")
    assert read_to_end(client) == b""
    service.daemon.wait_log(CUT)
    assert service.daemon.cut() == [1]


@pytest.mark.parametrize("model", ["async", "serial", "thread", "fork"])
def test_clients_of_a_handler_outlive_a_reload_where_that_is_asked_for(serving, model):
    service = serving("handler = echo", f"model = {model}", SHORT, "reload-timeout = never")
    client = hold(service.daemon.endpoint)
    service.again()
    assert told_for_long(service.control)
    talk(client, b"still there")
    assert ends_in_time(service.daemon)
    assert read_to_end(client) == b""
    assert service.daemon.cut() == [1]


@pytest.mark.parametrize("model", ["async", "serial", "thread", "fork"])
def test_clients_of_a_handler_have_the_stop_timeout_if_nobody_asks(serving, model):
    service = serving("handler = echo", f"model = {model}", SHORT)
    client = hold(service.daemon.endpoint)
    service.again()
    assert read_to_end(client) == b""
    service.daemon.wait_log(CUT)
    assert service.daemon.cut() == [1]


def test_a_copy_of_a_program_ends_in_its_own_time_after_a_reload_and_in_ours_at_a_stop(serving, tmp_path):
    """It is asked at once, and has accepted somebody who has not said all that he wants to."""
    service = serving(SHORT, arguments=(*AT_ONCE, "--", server(tmp_path)))
    client = connect(service.daemon.endpoint)
    client.sendall(b"x")
    copy, = copies_of(service.daemon)
    assert proc.eventually(lambda: proc.socket_connected_to([copy], client.getsockname()))
    service.again()
    assert told_for_long(service.control)
    second = connect(service.daemon.endpoint)
    second.sendall(b"x")
    assert proc.eventually(lambda: proc.socket_connected_to(copies_of(service.daemon), second.getsockname()))
    client.shutdown(socket.SHUT_WR)
    assert read_to_end(client).decode() == f"{copy}\n"
    service.again()
    assert told_for_long(service.control)
    service.daemon.expect("has not ended within --stop-timeout", "killed by SIGKILL")
    assert ends_in_time(service.daemon)
    assert read_to_end(second) == b""


def test_status_tells_what_workers_that_leave_still_serve(serving, preforkctl):
    service = serving(arguments=CAT)
    with hold(service.daemon.endpoint), hold(service.daemon.endpoint):
        worker, = service.daemon.workers()
        service.again()
        assert len(leaving(service.control)) == 1
        told = preforkctl("status", "--control", service.control).stdout
        assert f"\n1 worker leaving, with 2 connections, the longest for 0s: worker 1, pid {worker}\n" in told


# --- slots ----------------------------------------------------------------------------------------------------------

def test_sessions_that_hold_four_times_the_pool_have_a_reload_and_an_upgrade_refused(serving, preforkctl):
    service = serving(arguments=CAT)
    service.daemon.expect("reload failed", "upgrade failed")
    sessions = hold_generations(service.daemon, service.control, 4, service.again)
    oldest = [each for each in status(service.control)["workers"] if each["leaving_ms"] is not None]
    named = [f"worker {each['number']} (pid {each['pid']}) for " for each in sorted(oldest, key=lambda each: each["generation"])]
    for order in ("reload", "upgrade"):
        told = preforkctl(order, "--control", service.control)
        assert told.returncode == 1 and "4 workers of before still serve" in told.stderr, told
        assert [told.stderr.count(name) for name in named] == [1, 1, 1, 0], told
        assert "to cut the oldest generation: preforkctl reload --force" in told.stderr
    # A sentence of more than 200 bytes is told to its end, where its remedy stands.
    assert len(status(service.control)["reload_failure"]) > 200
    assert status(service.control)["reload_failure"].endswith("to cut the oldest generation: preforkctl reload --force")
    assert "preforkctl reload --force; mend that" in preforkctl("explain", "--control", service.control).stdout
    for session in sessions:
        talk(session)
    assert status(service.control)["generation"] == 5
    sessions[0].close()
    assert proc.eventually(lambda: len(leaving(service.control)) == 3)
    service.again()


def test_force_cuts_the_oldest_of_these_sessions_and_no_other(serving, preforkctl):
    service = serving("stop-timeout = 1h", arguments=CAT)
    sessions = hold_generations(service.daemon, service.control, 4, service.again)
    theirs = {each["generation"]: each["connections"] for each in status(service.control)["workers"]}
    told = preforkctl("reload", "--force", "--control", service.control)
    assert (told.returncode, told.stderr) == (0, ""), told
    assert read_to_end(sessions[0]) == b""
    talk(sessions[-1])
    assert proc.eventually(lambda: {each["generation"] for each in status(service.control)["workers"]} == {2, 3, 4, 6})
    assert service.daemon.wait_log(CUT)["generation"] == 1
    assert service.daemon.cut() == [theirs[1]]


def test_force_cuts_nobody_where_there_are_slots(serving, preforkctl):
    service = serving(arguments=CAT)
    sessions = hold_generations(service.daemon, service.control, 3, service.again)
    assert preforkctl("reload", "--force", "--control", service.control).returncode == 0
    for session in sessions:
        talk(session)


# --- upgrades -------------------------------------------------------------------------------------------------------

def test_sessions_outlive_upgrades_there_and_back_and_a_stop_of_any_image_ends_them_in_time(preforkd, tmp_path):
    control = endpoint_in(tmp_path)
    service = Installed(preforkd, tmp_path, "--control", control, "--stop-timeout", f"{int(STOP_TIMEOUT * 1000)}ms", *CAT, workers=1)
    sessions = [hold(service.daemon.endpoint)]
    service.daemon.signal(SIGHUP)
    service.daemon.wait_log("reloaded")
    for source in NEXT, daemon_process.PREFORKD, NEXT:
        sessions.append(hold(service.daemon.endpoint))
        service.install(source)
        assert service.upgrade()["message"].startswith("upgraded")
        assert len(leaving(control)) == len(sessions)
    assert leaving(control)[0] > leaving(control)[-1], "since when they leave is known to the next image"
    assert told_for_long(control)
    for session in sessions:
        talk(session, b"still there")
    assert ends_in_time(service.daemon)
    assert [read_to_end(session) for session in sessions] == [b""] * 4
    assert service.daemon.cut() == [4]


def test_clients_of_a_handler_have_the_same_time_after_an_upgrade(preforkd, tmp_path):
    service = Installed(preforkd, tmp_path, "--handler", "echo", "--stop-timeout", "1h", "--reload-timeout", "1s", workers=1)
    client = hold(service.daemon.endpoint)
    service.install(NEXT)
    assert service.upgrade()["message"].startswith("upgraded")
    talk(client, b"a moment more")
    assert read_to_end(client) == b""
    service.daemon.wait_log(CUT)
    assert service.daemon.cut() == [1]
