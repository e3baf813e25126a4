"""Stopping: TERM and QUIT finish what runs, INT and a second TERM are fast, and nobody who connected is reset."""
import fcntl
import os
import pty
import signal
import socket
import termios
import time

import pytest

import proc
from clients import Load, connect, echo, exchange, read_to_end, refused, say
from daemon_process import CUT

GRACEFUL = pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGQUIT], ids=["TERM", "QUIT"])


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGQUIT, signal.SIGINT], ids=["TERM", "QUIT", "INT"])
def test_an_idle_daemon_stops_at_once_with_exit_code_0(preforkd, signo, workers):
    daemon = preforkd(workers=workers)
    exchange(daemon.endpoint)
    began = time.monotonic()
    assert daemon.stop(signo) == 0
    assert time.monotonic() - began < 2


@GRACEFUL
@pytest.mark.parametrize("workers", [0, 2])
def test_a_graceful_stop_finishes_what_was_accepted(preforkd, signo, workers):
    daemon = preforkd("--handler", "echo", workers=workers)
    clients = [connect(daemon.endpoint) for _ in range(10)]
    for client in clients:
        echo(client, b"before")
    daemon.signal(signo)
    assert proc.eventually(lambda: refused(daemon.endpoint)), "the listener is closed at once"
    for client in clients:
        client.sendall(b"after")
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b"after"
        client.close()
    assert daemon.wait_exit() == 0


def test_a_graceful_stop_waits_no_longer_than_the_stop_timeout(preforkd):
    daemon = preforkd("--handler", "echo", "--stop-timeout", "500ms")
    with connect(daemon.endpoint) as client:
        echo(client)
        began = time.monotonic()
        assert daemon.stop(timeout=5) == 0
        assert 0.4 < time.monotonic() - began < 3
    assert daemon.cut() == [1]
    assert "generation" not in daemon.log.find(CUT)[0], "it is of all"


@GRACEFUL
def test_a_second_graceful_stop_cuts_the_drain_short(preforkd, signo):
    daemon = preforkd("--handler", "echo")
    with connect(daemon.endpoint) as client:
        echo(client)
        daemon.signal(signo)
        assert proc.eventually(lambda: refused(daemon.endpoint))
        assert proc.stat(daemon.pid).state != "Z", "it must be draining when the second signal arrives"
        began = time.monotonic()
        assert daemon.stop(signo, timeout=5) == 0
        assert time.monotonic() - began < 3
    assert daemon.cut() == [1]


@pytest.mark.parametrize("word", ["block", "spin"])
@pytest.mark.parametrize("signals, least, most", [("TERM", 0.9, 2), ("QUIT", 0.9, 2), ("INT", 0, 3)])
def test_a_handler_that_never_returns_does_not_keep_a_process_without_a_master(preforkd, trouble, word, signals, least,
                                                                               most):
    daemon = preforkd("--handler", trouble("blocking"), "--model", "serial", "--stop-timeout", "1s", workers=0)
    daemon.expect("a handler has not returned")
    with connect(daemon.endpoint) as client:
        say(client, word)
        began = time.monotonic()
        assert daemon.stop(getattr(signal, f"SIG{signals}")) == 0
        assert least < time.monotonic() - began < most
    assert daemon.cut() == [1]


def test_a_second_stop_without_a_master_does_not_wait_for_a_handler_that_never_returns(preforkd, trouble):
    daemon = preforkd("--handler", trouble("blocking"), "--model", "serial", workers=0)
    daemon.expect("a handler has not returned")
    with connect(daemon.endpoint) as client:
        say(client, "block")
        daemon.signal(signal.SIGTERM)
        assert proc.eventually(lambda: not proc.is_pending(daemon.pid, signal.SIGTERM))
        assert daemon.stop(signal.SIGTERM, timeout=5) == 0
    assert daemon.cut() == [1]


def test_with_a_drain_delay_a_graceful_stop_serves_on_first(preforkd, notify):
    daemon = preforkd("--handler", "echo", "--drain-delay", "1s", env=notify.environment)
    began = time.monotonic()
    with connect(daemon.endpoint) as client:
        daemon.signal(signal.SIGTERM)
        notify.wait("STOPPING", "1")
        assert notify.wait("STATUS").startswith("withdrawing: ")
        with Load(daemon.endpoint, request=b"hello", expected=b"hello") as load:
            load.wait_for_answers(100)
            assert proc.eventually(lambda: load.outcomes["refused"]), "the listener is closed in the end"
            assert time.monotonic() - began > 1
        assert not load.broken, load.broken
        assert notify.wait("STATUS").startswith("draining: ")
        client.sendall(b"who came before, too")
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b"who came before, too"
    assert daemon.wait_exit() == 0


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_a_second_stop_skips_the_drain_delay(preforkd, signo):
    daemon = preforkd("--drain-delay", "1h")
    daemon.signal(signal.SIGTERM)
    daemon.wait_log("serving on for --drain-delay")
    assert exchange(daemon.endpoint) == b"connected\n"
    assert daemon.stop(signo) == 0


def test_a_worker_that_dies_during_the_drain_delay_is_replaced(preforkd):
    daemon = preforkd("--drain-delay", "1h", workers=1)
    daemon.expect("killed by SIGKILL")
    daemon.signal(signal.SIGTERM)
    daemon.wait_log("serving on for --drain-delay")
    os.kill(daemon.workers()[0], signal.SIGKILL)
    assert exchange(daemon.endpoint) == b"connected\n"
    assert daemon.stop() == 0


def test_int_does_not_wait_for_clients(preforkd):
    daemon = preforkd("--handler", "echo")
    with connect(daemon.endpoint) as client:
        echo(client)
        began = time.monotonic()
        assert daemon.stop(signal.SIGINT, timeout=5) == 0
        assert time.monotonic() - began < 3
    assert daemon.cut() == [1]


@pytest.mark.parametrize("workers", [0, 3])
@pytest.mark.parametrize("model", ["async", "thread", "fork"])
def test_the_connections_of_all_workers_that_a_stop_cuts_are_one_warning(preforkd, model, workers):
    daemon = preforkd("--handler", "echo", "--model", model, workers=workers)
    clients = [connect(daemon.endpoint) for _ in range(8)]
    for client in clients:
        echo(client)
    assert daemon.stop(signal.SIGINT) == 0
    assert daemon.cut() == [8]
    for client in clients:
        client.close()


def test_a_connection_of_a_worker_that_has_to_be_killed_was_cut(preforkd, trouble):
    daemon = preforkd("--handler", trouble("blocking"), "--model", "serial", "--stop-timeout", "100ms", workers=1)
    daemon.expect("killed by SIGKILL")
    with connect(daemon.endpoint) as client:
        client.sendall(b"block\n")
        assert client.recv(100).startswith(b"block ")
        assert daemon.stop() == 0
    assert daemon.cut() == [1]


def test_who_was_served_to_the_end_was_not_cut(preforkd):
    daemon = preforkd("--handler", "echo", workers=2)
    with connect(daemon.endpoint) as client:
        echo(client)
        daemon.signal(signal.SIGTERM)
        assert proc.eventually(lambda: refused(daemon.endpoint))
        client.shutdown(socket.SHUT_WR)
        read_to_end(client)
        assert daemon.wait_exit() == 0
    assert daemon.cut() == []


@pytest.mark.parametrize("attempt", range(20))
def test_term_during_start_up_stops_it_cleanly(preforkd, attempt):
    """The moment moves through the start: nothing waits for the time, the sweep only spreads the attempts."""
    daemon = preforkd(workers=4, wait=False)
    time.sleep(attempt * 0.002)
    assert daemon.stop() in (0, -signal.SIGTERM), "before its handlers stand, the kernel's default is right"


def test_twenty_terms_during_start_up_stop_it_once(preforkd):
    daemon = preforkd(workers=4, wait=False)
    daemon.wait_log(lambda entry: True)
    for _ in range(20):
        daemon.signal(signal.SIGTERM)
    assert daemon.wait_exit() == 0


@pytest.mark.parametrize("model", ["async", "serial"])
def test_term_under_load_finishes_every_accepted_connection(preforkd, model):
    daemon = preforkd("--model", model, workers=3)
    with Load(daemon.endpoint, clients=8) as load:
        load.wait_for_answers(100)
        assert daemon.stop() == 0
    assert not load.broken, load.broken


def test_twenty_stops_under_load_reset_nobody(preforkd):
    answered = 0
    for number in range(20):
        daemon = preforkd("--log-connections", "no", workers=2 + number % 3)
        with Load(daemon.endpoint, clients=10) as load:
            load.wait_for_answers(60)
            assert daemon.stop() == 0
        assert not load.broken, (number, load.outcomes, load.broken)
        answered += load.outcomes["whole"]
    assert answered > 1000


def test_a_long_queue_is_answered_before_the_end(preforkd):
    """Forty clients in the kernel's queue of one worker that is at its limit: TERM must not reset them."""
    daemon = preforkd("--model", "serial", "--handler", "echo", workers=1)
    with connect(daemon.endpoint) as first:
        echo(first)
        queued = [connect(daemon.endpoint) for _ in range(40)]
        for client in queued:
            client.sendall(b"queued")
            client.shutdown(socket.SHUT_WR)
        daemon.signal(signal.SIGTERM)
        first.shutdown(socket.SHUT_WR)
        read_to_end(first)
        for client in queued:
            assert read_to_end(client) == b"queued"
            client.close()
    assert daemon.wait_exit() == 0


@pytest.mark.terminals
def test_ctrl_c_in_a_terminal_reaches_the_master_alone(preforkd):
    controller, terminal = pty.openpty()
    daemon = preforkd("--handler", "echo", workers=3, stdin=terminal,
                      preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    os.close(terminal)
    workers = daemon.workers()
    foreground = os.tcgetpgrp(controller)
    assert foreground == proc.stat(daemon.pid).group
    assert [proc.stat(pid).group for pid in workers] == workers, "each worker leads a group of its own"
    os.write(controller, b"\x03")
    assert daemon.wait_exit() == 0
    os.close(controller)
    assert not daemon.log.find("killed by SIGINT")


@pytest.mark.parametrize("signo", [signal.SIGINT, signal.SIGHUP], ids=["INT", "HUP"])
def test_workers_ignore_what_is_meant_for_the_master(preforkd, signo):
    daemon = preforkd()
    workers = daemon.workers()
    for pid in workers:
        os.kill(pid, signo)
    for _ in range(10):
        assert exchange(daemon.endpoint) == b"connected\n"
    assert daemon.workers() == workers


def test_the_port_is_free_at_once_for_the_next_daemon(preforkd):
    first = preforkd()
    with connect(first.endpoint) as client:
        assert read_to_end(client) == b"connected\n"
    assert first.stop() == 0
    second = preforkd(listen=first.endpoint)
    assert exchange(second.endpoint) == b"connected\n"


def test_stop_while_every_worker_is_dead(preforkd):
    daemon = preforkd(workers=2)
    daemon.expect("killed by SIGKILL", "workers exit early")
    for pid in daemon.workers():
        os.kill(pid, signal.SIGKILL)
    assert daemon.stop() == 0


def background_child(daemon):
    """Whom the program of a client has put into the background, and left with its end."""
    pid = int(exchange(daemon.endpoint, b""))
    assert proc.stat(pid).state not in "ZX"
    return pid


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
@pytest.mark.parametrize("sleeper", ["sleep 1000", "setsid sleep 1000", "sh -c 'trap : TERM; while :; do sleep 1000; done'"],
                         ids=["plain", "setsid", "stubborn"])
def test_what_programs_left_in_the_background_ends_with_the_daemon_and_not_before(preforkd, sleeper, signo):
    daemon = preforkd("--", "sh", "-c", f"{sleeper} >/dev/null 2>&1 & echo $!")
    left = [background_child(daemon) for _ in range(6)]
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded")
    assert proc.eventually(lambda: set(left) < set(proc.children(daemon.pid))), "they are the master's now"
    assert all(proc.stat(pid) for pid in left)
    assert daemon.stop(signo) == 0
    assert not [pid for pid in left if not proc.wait_gone(pid, 1)]
    assert daemon.log.find("workers have left behind")


def test_what_programs_left_in_the_background_lives_on_if_it_shall(preforkd):
    daemon = preforkd("--leave-orphans", "yes", "--", "sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!")
    pid = background_child(daemon)
    assert daemon.stop() == 0
    assert proc.stat(pid).state not in "ZX"
    os.kill(pid, signal.SIGKILL)


def test_what_was_put_into_a_session_of_its_own_outlives_its_worker_and_any_other(preforkd):
    """Whoever's it was: nothing tells, and nobody else's program is a dead worker's to end."""
    daemon = preforkd("--leave-orphans", "yes", "--", "sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $!", workers=2)
    daemon.expect("killed by SIGKILL")
    left = background_child(daemon)
    try:
        assert proc.eventually(lambda: left in proc.children(daemon.pid) and proc.stat(left).session == left)
        for victim in daemon.workers():
            os.kill(victim, signal.SIGKILL)
            daemon.wait_log(f"(pid {victim}) killed by SIGKILL")
        daemon.wait_workers(2)
        assert not proc.is_pending(left, signal.SIGTERM) and proc.stat(left).state not in "ZX"
    finally:
        os.kill(left, signal.SIGKILL)
