"""The master and its workers: deaths, replacements, orders, and being PID 1."""
import contextlib
import datetime
import os
import random
import re
import signal
import subprocess

import pytest

import proc
import tracer
from clients import Load, connect, exchange, read_exactly, read_to_end
from log_file import text_of
from tracer import Tracer


def when(entry):
    return datetime.datetime.fromisoformat(entry["time"].replace("Z", "+00:00")).timestamp()


def test_a_killed_worker_is_replaced_while_others_serve(preforkd):
    daemon = preforkd(workers=3)
    daemon.expect("killed by SIGKILL")
    exchange(daemon.endpoint)
    before = daemon.workers()
    with Load(daemon.endpoint, clients=4) as load:
        os.kill(before[0], signal.SIGKILL)
        daemon.wait_log("killed by SIGKILL")
        load.wait_for_answers(100)
    after = daemon.wait_workers(3)
    assert set(before[1:]) < set(after) and before[0] not in after
    assert len(load.broken) <= 2, load.broken


def test_a_death_is_logged_with_cause_age_and_connections_served(preforkd):
    daemon = preforkd(workers=1)
    daemon.expect("killed by SIGKILL")
    for _ in range(5):
        exchange(daemon.endpoint)
    pid = daemon.workers()[0]
    proc.eventually(lambda: proc.stat(pid).state == "S")  # it counts a connection when it is over, after the client's end
    os.kill(pid, signal.SIGKILL)
    line = daemon.wait_log("killed by SIGKILL")
    assert line["level"] == "warning" and line["pid"] == daemon.pid
    assert re.search(rf"worker 1 \(pid {pid}\) killed by SIGKILL after [\d.]+ s, requests served: 5, ", line["message"])


@pytest.mark.parametrize("signo", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS])
def test_a_crash_is_named_by_its_signal(preforkd, signo):
    daemon = preforkd(workers=1)
    daemon.expect("killed by SIG", "crashed", "stack of")
    exchange(daemon.endpoint)
    pid = daemon.workers()[0]
    os.kill(pid, signo)
    assert signal.Signals(signo).name in daemon.wait_log(f"(pid {pid}) killed by")["message"]
    daemon.wait_workers(1)
    assert exchange(daemon.endpoint) == b"connected\n"


def test_clients_get_whole_answers_while_workers_are_killed_in_a_loop(preforkd):
    """Serial workers hold one connection each: a kill may break that one and no other."""
    daemon = preforkd("--model", "serial", workers=4)
    daemon.expect("killed by SIGKILL", "workers exit early", "workers die more")
    kills = 0
    with Load(daemon.endpoint, clients=8) as load:
        while kills < 60:
            alive = daemon.workers()
            if len(alive) < 2:
                daemon.wait_workers(4)
                continue
            with contextlib.suppress(ProcessLookupError):  # the one killed last may have been reaped just now
                os.kill(random.choice(alive), signal.SIGKILL)
                kills += 1
            load.wait_for_answers(20)
    assert load.outcomes["stalled"] == 0, load.broken
    assert load.outcomes["refused"] == 0, "the master keeps the listener"
    assert len(load.broken) <= kills, load.broken
    daemon.wait_workers(4)
    assert len(daemon.log.find("killed by SIGKILL")) <= kills


def test_the_first_early_death_is_replaced_at_once_and_further_ones_wait(preforkd):
    daemon = preforkd(workers=1)
    daemon.expect("killed by SIGKILL", "workers exit early")
    gaps = []
    for death in range(4):  # nobody is served, so that every death is an early one
        pid = daemon.wait_workers(1)[0]
        mark = daemon.log.mark()
        os.kill(pid, signal.SIGKILL)
        died = when(daemon.wait_log(f"(pid {pid}) killed", after=mark))
        assert proc.eventually(lambda: [found for found in daemon.workers() if found != pid], 5)
        started = os.stat(f"/proc/{daemon.workers()[0]}").st_ctime
        gaps.append(started - died)
    assert gaps[0] < 0.1, gaps
    assert all(gap > 0.05 for gap in gaps[1:]), gaps
    assert gaps[3] > gaps[1] * 1.5, gaps


def test_useful_work_resets_the_back_off(preforkd):
    daemon = preforkd(workers=1)
    daemon.expect("killed by SIGKILL", "workers exit early")
    for _ in range(8):
        assert exchange(daemon.endpoint) == b"connected\n"
        os.kill(daemon.workers()[0], signal.SIGKILL)
    assert exchange(daemon.endpoint, timeout=2) == b"connected\n"


@pytest.mark.skipif(not tracer.SUPPORTED, reason="the system call numbers of this machine are not known here")
@pytest.mark.parametrize("attempt", range(3))
def test_a_client_whose_worker_dies_between_wake_up_and_accept_is_served_by_a_sibling(preforkd, attempt):
    """After some early deaths a replacement comes late, so that only a sibling can be there in time."""
    daemon = preforkd(workers=3)
    daemon.expect("killed by SIGKILL", "workers exit early")
    for _ in range(4):
        victim = daemon.wait_workers(3)[-1]
        os.kill(victim, signal.SIGKILL)
        daemon.wait_log(f"(pid {victim})")
    workers = daemon.wait_workers(3)
    assert proc.eventually(lambda: all(proc.stat(pid).state == "S" for pid in workers))
    with Tracer(workers, where="woken") as held, connect(daemon.endpoint) as client:
        held.wait_held()
        held.kill_held()
        client.settimeout(0.1)
        assert read_to_end(client) == b"connected\n"
    assert daemon.wait_log("got connection from")["pid"] in workers


def test_a_connection_that_waits_for_its_client_is_not_hung(preforkd):
    daemon = preforkd("--handler", "echo", "--worker-timeout", "300ms", workers=1)
    workers = daemon.workers()
    with connect(daemon.endpoint, timeout=1.5) as client:
        client.sendall(b"x")
        read_exactly(client, 1)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.sendall(b"y")
        assert read_exactly(client, 1) == b"y"
    assert daemon.workers() == workers


def test_ttin_adds_a_worker_and_ttou_takes_one_away(preforkd):
    daemon = preforkd(workers=2)
    daemon.signal(signal.SIGTTIN)
    three = daemon.wait_workers(3)
    daemon.signal(signal.SIGTTIN)
    daemon.wait_workers(4)
    for expected in (3, 2, 1):
        daemon.signal(signal.SIGTTOU)
        daemon.wait_workers(expected)
    assert exchange(daemon.endpoint) == b"connected\n"
    assert three


def test_ttou_lets_the_worker_finish_its_client(preforkd):
    daemon = preforkd("--handler", "echo", workers=2)
    clients = [connect(daemon.endpoint) for _ in range(6)]
    for client in clients:
        client.sendall(b"x")
        read_exactly(client, 1)
    daemon.signal(signal.SIGTTOU)
    daemon.wait_log("pool size")
    for client in clients:
        client.sendall(b"y")
        assert read_exactly(client, 1) == b"y"
        client.close()
    daemon.wait_workers(1)


def test_no_zombie_outlives_a_storm_of_deaths(preforkd):
    daemon = preforkd(workers=4)
    daemon.expect("killed by SIGKILL", "workers exit early")
    for _ in range(5):
        for _ in range(8):
            exchange(daemon.endpoint)
        for pid in daemon.workers():
            os.kill(pid, signal.SIGKILL)
        assert exchange(daemon.endpoint, timeout=5) == b"connected\n"
    daemon.wait_workers(4)
    assert proc.eventually(lambda: not proc.zombies(daemon.pid))


@pytest.mark.mounts
@pytest.mark.programs("nsenter")
def test_as_pid_1_it_reaps_orphans_that_it_never_made(preforkd):
    daemon = preforkd(workers=2, wrap=["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"])
    assert proc.status(daemon.pid)["NSpid"].split()[-1] == "1"
    workers = daemon.workers() + daemon.log_writers()
    for _ in range(5):
        subprocess.run(["nsenter", "-t", str(daemon.pid), "-p", "-m", "sh", "-c", "sleep 1000 & sleep 1000 &"],
                       check=True, timeout=10, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    orphans = proc.eventually(lambda: len(proc.children(daemon.pid)) == 13
                              and set(proc.children(daemon.pid)) - set(workers))
    assert orphans, proc.children(daemon.pid)
    for pid in orphans:
        os.kill(pid, signal.SIGKILL)
    assert proc.eventually(lambda: sorted(proc.children(daemon.pid)) == sorted(workers)), "every orphan is reaped"
    assert exchange(daemon.endpoint) == b"connected\n"
    daemon.signal(signal.SIGTERM)
    assert daemon.wait_exit() == 0


@pytest.mark.parametrize("name", ["HUP", "USR2", "TTIN"])
def test_without_a_master_such_a_signal_is_answered_with_a_sentence(preforkd, name):
    daemon = preforkd(workers=0)
    assert daemon.workers() == []
    mark = daemon.log.mark()
    daemon.signal(getattr(signal, f"SIG{name}"))
    daemon.wait_log(name, after=mark)
    assert exchange(daemon.endpoint) == b"connected\n"


def test_a_first_generation_that_never_becomes_ready_ends_with_69_and_the_cause(preforkd, trouble):
    daemon = preforkd("--handler", trouble("throwing_a_number"), wait=False)
    daemon.expect("worker", "no worker became ready")
    assert daemon.wait_exit() == 69
    error, = daemon.log.find(lambda entry: entry["level"] == "error" and "ready" in entry["message"])
    assert "libthrowing_a_number.so: it threw something" in text_of(error), "the cause is named"


def test_idle_memory_and_descriptors_of_the_master_do_not_grow_with_deaths(preforkd):
    daemon = preforkd(workers=2)
    daemon.expect("killed by SIGKILL", "workers exit early")
    at_rest = proc.open_descriptors(daemon.pid)
    for _ in range(12):
        exchange(daemon.endpoint)
        pid = daemon.workers()[0]
        os.kill(pid, signal.SIGKILL)
        daemon.wait_log(f"(pid {pid})")
        daemon.wait_workers(2)
        # A worker is there a moment before the master has closed its copies of the worker's ends.
        assert proc.eventually(lambda: proc.open_descriptors(daemon.pid) <= at_rest), proc.open_descriptors(daemon.pid)
