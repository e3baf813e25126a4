"""`preforkctl explain`: what limits the service now, and why workers died."""
import contextlib
import json
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import threading

import pytest

import proc
from clients import address_of, connect, echo, exchange, say
from control import deaths, endpoint_in, status
from daemon_process import PREFORKCTL, clean_environment
from limited_clients import hold

QUICK = ("--interval", "300ms")


def test_nothing_limits_a_service_at_rest(controlled, ctl):
    controlled("--handler", "echo", workers=2)
    told = ctl("explain", *QUICK)
    assert (told.returncode, told.stderr) == (0, "")
    assert re.fullmatch(r"nothing limits this service now: 0 connections accepted within 0\.\d s, 0 of \d+ open, 2 of 2 workers "
                        r"ready, 0 busy, 0\.\d\d of \d+ processors? used\nno worker has died\n", told.stdout), told.stdout
    told = ctl("explain", "--json", *QUICK)
    seen = json.loads(told.stdout)
    assert (told.returncode, seen["limited"], seen["findings"], seen["deaths"]) == (0, False, [], [])
    assert 300 <= seen["between_ms"] < 5000


def test_clients_that_wait_are_told_with_why_and_what_helps(controlled, ctl):
    daemon = controlled("--handler", "echo", "--model", "serial", "--backlog", "7", workers=1)
    daemon.expect("all workers are full")
    with contextlib.ExitStack() as clients:
        first = clients.enter_context(connect(daemon.endpoint))
        echo(first)
        for _ in range(3):
            clients.enter_context(connect(daemon.endpoint))
        assert proc.eventually(lambda: status(daemon.control)["listeners"][0]["queued"] == 3)
        told = ctl("explain", *QUICK)
        assert (told.returncode, told.stderr) == (1, "")
        assert told.stdout.splitlines()[0] == (
            f"listener {daemon.endpoint}: 3 clients wait in its queue of 7, the first of them for more than 0.3 s, because the "
            "only worker waits for the client that it serves; raise --workers, or serve several at once with --model "
            "thread, or lower --idle-timeout")
        seen = json.loads(ctl("explain", "--json", *QUICK).stdout)
        assert seen["limited"] and seen["findings"][0]["harm"] == "wait"
        assert seen["findings"][0]["listener"] == daemon.endpoint
        log = daemon.wait_log("all workers are full")["message"]
        assert seen["findings"][0]["remedy"].startswith(log.partition("queue: ")[2]), "the log says the same"


def test_of_workers_that_open_files_limit_the_limit_is_told_and_not_an_option(controlled, ctl):
    few = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))  # noqa: E731
    daemon = controlled("--handler", "echo", "--connections", "300", workers=1, preexec_fn=few)
    daemon.expect("is more than", "all workers are full")
    each = daemon.log.find("is more than")[0]["connections"]
    seen = status(daemon.control)
    assert (seen["connection_slots"], seen["connection_slots_asked"]) == (each, 300) and each < 40
    with contextlib.ExitStack() as clients:
        for _ in range(each + 1):
            clients.enter_context(connect(daemon.endpoint))
        assert proc.eventually(lambda: status(daemon.control)["listeners"][0]["queued"] == 1)
        told = ctl("explain", *QUICK)
        assert (f"because the only worker has the {each} connections that open files allow (RLIMIT_NOFILE), of the 300 that "
                "--connections asks for; raise RLIMIT_NOFILE (systemd: LimitNOFILE=) or --workers, or lower --idle-timeout\n"
                ) in told.stdout
        assert daemon.wait_log("all workers are full")["message"].endswith(": raise RLIMIT_NOFILE (systemd: LimitNOFILE=) or --workers")


def test_of_a_program_nobody_says_that_it_waits_for_input_or_has_an_idle_timeout(controlled, ctl):
    daemon = controlled("--model", "serial", "--", "/bin/cat", workers=1)
    daemon.expect("all workers are full")
    with connect(daemon.endpoint) as first, connect(daemon.endpoint):
        echo(first)
        assert proc.eventually(lambda: status(daemon.control)["listeners"][0]["queued"] == 1)
        told = ctl("explain", *QUICK)
    assert ("because the only worker has a client, whose program runs; raise --workers, or serve several at once with --model "
            "fork\n") in told.stdout
    assert ("the only connection that the workers may have is open; further clients wait; raise --workers, or serve several at "
            "once with --model fork\n") in told.stdout


def test_a_listener_that_has_all_the_clients_that_it_may_is_why_they_wait(controlled, ctl):
    daemon = controlled("--handler", "echo", listen="tcp://127.0.0.1:0 max=2", workers=1)
    with contextlib.ExitStack() as clients:
        for _ in range(2):
            echo(clients.enter_context(connect(daemon.endpoint)))
        clients.enter_context(connect(daemon.endpoint))
        assert proc.eventually(lambda: status(daemon.control)["listeners"][0]["queued"] == 1)
        told = ctl("explain", *QUICK)
    assert told.returncode == 1
    assert ("1 client waits in its queue of 4096 for more than 0.3 s, because it has all 2 clients that its max= allows; raise "
            "max= of the listener\n") in told.stdout


@contextlib.contextmanager
def going_on(work):
    """Does it again and again in a thread; tells how often it was done by then."""
    stop, done = threading.Event(), []

    def run():
        while not stop.is_set():
            done.append(work())
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join()


def number_before(text, sentence):
    return int(re.search(rf"(\d+) {text}", sentence)[1])


def test_refused_clients_are_counted_between_the_looks_and_are_no_failure(controlled, ctl):
    daemon = controlled("--handler", "echo", listen="tcp://127.0.0.1:0 per-source=1", workers=1)
    with hold(daemon.endpoint):
        def is_refused():
            assert hold(daemon.endpoint) is None
        with going_on(is_refused) as done:
            assert proc.eventually(lambda: len(done) >= 3)
            told = ctl("explain", *QUICK)
        assert told.returncode == 0 and " by per-source=; preforkctl sources tells which" in told.stdout, told.stdout
        assert 1 <= number_before("clients? w(?:as|ere) refused within 0", told.stdout) <= len(done)
        told = ctl("explain", *QUICK)
        assert told.returncode == 0 and told.stdout.startswith("nothing limits this service now")
        assert "refused" not in told.stdout and status(daemon.control)["listeners"][0]["refused"]["per_source"] == len(done)


def test_a_certificate_that_soon_expires_is_a_risk_and_no_limit(controlled, ctl, preforkctl, tmp_path):
    assert preforkctl("certificate", "localhost", "--days", "2", "--out", f"{tmp_path}/own").returncode == 0
    daemon = controlled("--handler", "echo", listen=f"tls://127.0.0.1:0 certificate={tmp_path}/own.pem key={tmp_path}/own.key", workers=1)
    daemon.expect("expires in 1 day; renew it and reload", "expires in 2 days; renew it and reload")
    told = ctl("explain", *QUICK)
    assert told.returncode == 0 and re.search(r"a certificate expires on 20\d\d-\d\d-\d\d, in (2d 0h|1d 23h); renew it", told.stdout), told


def test_a_stopped_worker_is_told_with_how_it_goes_on(controlled, ctl):
    daemon = controlled("--handler", "echo", workers=2)
    daemon.expect("stopped")
    pid = daemon.workers()[0]
    os.kill(pid, signal.SIGSTOP)
    assert proc.eventually(lambda: "stopped" in [each["state"] for each in status(daemon.control)["workers"]])
    told = ctl("explain", *QUICK)
    assert told.returncode == 1 and f"(pid {pid}) was stopped by a signal; kill -CONT {pid} has it go on\n" in told.stdout
    os.kill(pid, signal.SIGCONT)


def test_why_workers_died_is_told(controlled, ctl):
    daemon = controlled("--handler", "echo", workers=1)
    daemon.expect("killed by SIGKILL", "SIGSEGV", "stack of", "workers exit early")
    killed = []
    for signo in (signal.SIGKILL, signal.SIGSEGV, signal.SIGKILL):
        assert exchange(daemon.endpoint, b"x") == b"x"
        worker = proc.eventually(lambda: [each for each in status(daemon.control)["workers"] if each["served"]])[0]["pid"]
        os.kill(worker, signo)
        assert proc.eventually(lambda: worker in [each["pid"] for each in deaths(daemon.control)])  # noqa: B023
        killed.append(worker)
    daemon.wait_workers(1)
    told = ctl("explain", *QUICK)
    first, second = told.stdout.splitlines()[-2:]
    assert first.startswith(f"2 workers (pids {killed[0]}, {killed[2]}) were killed by SIGKILL, the last of them at 20")
    assert first.endswith(": another process than its master killed it; find out who did: an operator, a watchdog, another program")
    assert second.startswith(f"worker 1 (pid {killed[1]}) was killed by SIGSEGV")
    assert "having served 1 client to the end, the last to come being 127.0.0.1:" in second
    assert second.endswith(": another process than its master killed it; find out who did: an operator, a watchdog, another program")
    seen = json.loads(ctl("explain", "--json", *QUICK).stdout)["deaths"]
    assert [each["pids"] for each in seen] == [[killed[0], killed[2]], [killed[1]]] and not any(each["expected"] for each in seen)


def test_a_worker_that_an_operator_told_to_leave_was_not_to_be_replaced_anyway(controlled, ctl):
    daemon = controlled("--handler", "echo", workers=1)
    worker, = daemon.workers()
    os.kill(worker, signal.SIGTERM)
    daemon.wait_log(f"got a stop signal from process {os.getpid()}")
    assert proc.eventually(lambda: deaths(daemon.control))
    told = ctl("explain", *QUICK)
    assert told.stdout.splitlines()[-1] == (f"worker 1 (pid {worker}) left in good order: told to by another process than the "
                                            "master, which the log names")


def test_a_socket_file_that_was_lost_is_no_reload(controlled, ctl, tmp_path):
    path = tmp_path / "s"
    daemon = controlled("--handler", "echo", listen=f"unix://{path}", workers=2)
    daemon.expect("binding it again")
    path.unlink()
    assert proc.eventually(lambda: len(deaths(daemon.control)) == 2, 20)
    assert {each["ordered_by"] for each in deaths(daemon.control)} == {"master: listener bound again"}
    told = ctl("explain", *QUICK).stdout.splitlines()[-1]
    assert told.startswith("2 workers (pids ") and told.endswith(
        ") left in good order: replaced by workers that serve a listener which had lost its file, or had been shut down, again")


@pytest.mark.programs("cmake", "g++", "pkg-config")
def test_a_daemon_that_serves_while_it_starts_tells_with_how_many_workers(controlled, ctl, trouble):
    daemon = controlled("--handler", trouble("one_starts"), "--stop-timeout", "1s", workers=3, wait=False)
    daemon.expect("before it was ready", "stop timeout", "killed by SIG")

    def states():
        with contextlib.suppress(OSError):
            return sorted(each["state"] for each in status(daemon.control)["workers"])
    assert proc.eventually(lambda: states() == ["idle", "starting", "starting"])
    told = ctl("explain", *QUICK)
    assert told.returncode == 0 and re.search(
        r"^the daemon is starting: only 1 of 3 workers serves: 2 starting, for \d+s; --boot-timeout ends one that never becomes "
        "ready; the log says what it does$", told.stdout, re.MULTILINE), told.stdout


def test_a_daemon_that_stops_serves_nobody(controlled, ctl):
    daemon = controlled("--handler", "echo", workers=1)
    with connect(daemon.endpoint) as client:
        echo(client)
        daemon.signal(signal.SIGTERM)
        daemon.wait_log("stopping")
        told = ctl("explain", *QUICK)
        assert told.returncode == 1 and told.stdout.startswith("the daemon is draining: it stops: workers finish what they "
                                                               "serve, for --stop-timeout at most; 1 connection open")
    assert daemon.wait_exit() == 0


@pytest.mark.parametrize("interval", ["0", "99ms", "2h", "soon"])
def test_an_interval_has_bounds(ctl, interval):
    told = ctl("explain", "--interval", interval)
    assert told.returncode == 64 and "--interval: expected a duration from 100ms to 1h" in told.stderr


def test_where_nobody_answers_it_fails(ctl, tmp_path):
    told = ctl("explain")
    assert (told.returncode, told.stdout) == (1, "") and f"{endpoint_in(tmp_path)}: No such file" in told.stderr


def test_looks_are_as_far_apart_as_they_are_told(controlled, tmp_path):
    controlled()
    command = [PREFORKCTL, "explain", "--json", "--interval", "1500ms", "--control", endpoint_in(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, env=clean_environment())
    assert json.loads(done.stdout)["between_ms"] >= 1500


@pytest.mark.programs("cmake", "g++", "pkg-config")
def test_a_handler_that_computes_is_why_others_wait_and_what_its_worker_dies_of(controlled, ctl, trouble):
    daemon = controlled("--handler", trouble("blocking"), "--model", "serial", "--worker-timeout", "2500ms", workers=1)
    daemon.expect("all workers are full", "hangs in its handler", "stack of", "killed by SIGABRT", "workers exit early")
    with connect(daemon.endpoint) as first, connect(daemon.endpoint):
        pid = say(first, "block")
        assert proc.eventually(lambda: status(daemon.control)["listeners"][0]["queued"] == 1)
        told = ctl("explain", *QUICK)
        assert told.returncode == 1
        assert ("1 client waits in its queue of 4096 for more than 0.3 s, because the only worker is busy in handlers; raise "
                "--workers, or serve several at once with --model thread\n") in told.stdout
        assert proc.eventually(lambda: deaths(daemon.control), 20)
    told = ctl("explain", *QUICK)
    assert f"(pid {pid}) was killed by SIGABRT" in told.stdout
    assert ("a handler of its ran for longer than --worker-timeout; its stack is in the log; raise --worker-timeout if handlers "
            "may take so long\n") in told.stdout


def test_clients_that_find_the_queue_full_are_counted_between_the_looks(controlled, ctl):
    daemon = controlled("--handler", "echo", "--model", "serial", "--backlog", "1", workers=1)
    daemon.expect("all workers are full")
    with contextlib.ExitStack() as clients:
        first = clients.enter_context(connect(daemon.endpoint))
        echo(first)
        for _ in range(2):  # a queue of one holds two
            clients.enter_context(connect(daemon.endpoint))
        family, address = address_of(daemon.endpoint)
        lost = clients.enter_context(socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
        lost.connect_ex(address)  # and again after a second, and after three
        before = proc.eventually(lambda: status(daemon.control)["listeners"][0]["dropped"])
        told = ctl("explain", "--interval", "3500ms")
        ever = status(daemon.control)["listeners"][0]["dropped"]
    assert told.returncode == 1
    worst = told.stdout.splitlines()[0]
    assert 1 <= number_before("attempts? to connect w(?:as|ere) turned away within ", worst) <= ever - before
    assert ": its queue of 1 was full, because the only worker waits for the client that it serves; raise --workers" in worst
    assert proc.eventually(lambda: status(daemon.control)["connections"] == status(daemon.control)["listeners"][0]["queued"] == 0)
    told = ctl("explain", *QUICK)
    assert told.returncode == 0 and "attempt" not in told.stdout, told.stdout


def test_a_failed_reload_is_told_with_its_reason_until_one_succeeds(configured, ctl, tmp_path):
    lines = ("listen = tcp://127.0.0.1:0", "handler = echo")
    service = configured(*lines, arguments=["--control", endpoint_in(tmp_path)])
    service.daemon.expect("reload failed", "nonsense")
    assert not service.reload("nonsense")["message"].startswith("reloaded")
    told = ctl("explain", *QUICK)
    assert told.returncode == 0
    assert re.search("the last reload failed, and the settings of before it are in force: .*nonsense.*; mend that, then preforkctl "
                     "reload\n", told.stdout), told.stdout
    assert service.reload(*lines)["message"].startswith("reloaded")
    assert "reload failed" not in ctl("explain", *QUICK).stdout


def test_clients_that_break_off_are_no_failure(controlled, ctl):
    daemon = controlled("--handler", "echo", workers=1)

    def break_off():
        with connect(daemon.endpoint) as client:
            echo(client)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with going_on(break_off) as done:
        assert proc.eventually(lambda: len(done) >= 3)
        told = ctl("explain", *QUICK)
    assert told.returncode == 0 and "the client broke off" in told.stdout, told.stdout
