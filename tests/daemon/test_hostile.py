"""Code that has taken a worker over, below a master that is root: it costs nobody but its own clients."""
import datetime
import os
import shutil
import signal
from pathlib import Path

import pytest

import proc
from clients import Load, connect, exchange, read_exactly, say
from control import deaths, status

pytestmark = pytest.mark.root


@pytest.fixture
def daemon(controlled, trouble, public):
    library = shutil.copy(trouble("hostile"), public)
    return controlled("--handler", library, "--model", "serial", "--user", "nobody", workers=2)


def attack(daemon, word):
    """The worker that is about to do what `word` says."""
    with connect(daemon.endpoint) as client:
        return say(client, word)


def assert_served(daemon):
    """New clients, and the control socket's."""
    assert exchange(daemon.endpoint, b"hello\n").startswith(b"hello ")
    assert status(daemon.control)["workers_wanted"] == 2


@pytest.mark.parametrize("word, what", [("ready", "ready"), ("unknown", "what is no report"), ("failures", "failed")])
def test_a_worker_that_reports_out_of_turn_is_ended_and_nobody_else_is(daemon, word, what):
    daemon.expect("out of turn", "cannot start")
    before = daemon.workers()
    hostile = attack(daemon, word)
    line = daemon.wait_log("has reported out of turn")
    assert (line["worker_pid"], line["report"]) == (hostile, what)
    assert proc.wait_gone(hostile, 10)
    assert proc.eventually(lambda: deaths(daemon.control))
    (death,) = deaths(daemon.control)
    assert (death["pid"], death["ordered_by"]) == (hostile, "master: report out of turn")
    assert set(before) - set(daemon.wait_workers(2)) == {hostile}
    assert_served(daemon)
    assert len(daemon.log.find("has reported out of turn")) == 1
    assert len(daemon.log.find("cannot start")) == (word == "failures"), "the first was in turn, and no other"


def test_a_flood_of_reports_keeps_neither_clients_nor_the_operator_waiting(daemon):
    daemon.expect("out of turn", "killed by SIGKILL")  # if it goes on until the end
    attack(daemon, "pauses")
    for _ in range(20):
        assert_served(daemon)


def test_a_worker_cannot_pass_its_master_a_connection_that_lingers(daemon):
    """Who closes one waits for its client: 20 s without control, without reaping, without a stop."""
    before = proc.descriptors(daemon.pid)
    with connect(daemon.endpoint) as client:
        say(client, "pass")
        assert read_exactly(client, 8) == b"refused\n"
        assert proc.descriptors(daemon.pid) == before
        assert_served(daemon)


def mapping_stays(daemon, worker):
    """By a filter, or mseal(2), where there was no filter before that could kill for it."""
    if proc.status(worker)["Seccomp"] == "2":
        return True
    return tuple(map(int, os.uname().release.split(".")[:2])) >= (6, 10) and proc.status(daemon.pid)["Seccomp"] == "0"


def test_a_worker_that_scribbles_over_what_it_shares_spoils_its_own_record_alone(daemon, ctl):
    daemon.expect("killed by SIGKILL", "log lines of worker")
    with connect(daemon.endpoint) as client:
        hostile = say(client, "scribble")
        assert read_exactly(client, 10) == b"scribbled\n"
        assert_served(daemon)
        daemon.signal(signal.SIGTTIN)
        assert hostile in daemon.wait_workers(3), "records are still to be had"
        if mapping_stays(daemon, hostile):
            for worker in status(daemon.control)["workers"]:
                if worker["pid"] != hostile:
                    assert worker["served"] <= 2 and worker["state"] in ("starting", "idle", "waiting"), worker
        assert ctl("status").returncode == 0
        os.kill(hostile, signal.SIGKILL)
        assert proc.wait_gone(hostile, 10)
    assert hostile not in daemon.wait_workers(3)
    assert exchange(daemon.endpoint, b"hello\n").startswith(b"hello ")
    assert ctl("status").returncode == 0


def test_a_worker_that_scribbles_over_the_counts_spoils_those_of_its_listener_alone(controlled, trouble, public, ctl):
    """Nothing of them is where the master, or a worker, looks for a place to read or write."""
    library = shutil.copy(trouble("hostile"), public)
    daemon = controlled("--handler", library, "--model", "serial", "--user", "nobody", workers=2,
                        listen="tcp://127.0.0.1:0 per-source=9 rate=1000/s max=9 refuse-with=no")
    daemon.expect("killed by SIG", "crashed: ", "stack of ", "without counting it")
    with connect(daemon.endpoint) as client:
        hostile = say(client, "scribble")
        client.recv(10)  # it is done, or dead: it writes beyond the end, too
        for command in ("status", "sources"):
            told = ctl(command)
            assert told.returncode == 0 and told.stdout, told.stderr
        if hostile in daemon.workers():
            os.kill(hostile, signal.SIGKILL)
        assert proc.wait_gone(hostile, 10)
    assert hostile not in daemon.wait_workers(2)
    daemon.signal(signal.SIGUSR2)  # the next image is given what there is
    daemon.wait_log("upgraded: version")
    assert ctl("sources").returncode == 0


@pytest.mark.parametrize("model", ["async", "serial", "thread", "fork"])
def test_a_worker_has_the_page_of_its_own_record_and_no_way_to_the_others(preforkd, model):
    daemon = preforkd("--handler", "echo", "--model", model, "--user", "nobody", workers=3)
    pages = set()
    for pid in daemon.workers():
        lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
        (mapping,) = [line for line in lines if "preforkd-scoreboard" in line]
        begin, end = (int(address, 16) for address in mapping.split()[0].split("-"))
        assert end - begin == os.sysconf("SC_PAGESIZE")
        pages.add(mapping.split()[2])
        assert not [link for link in proc.descriptors(pid).values() if "memfd" in link]
    assert len(pages) == 3


def test_workers_that_die_at_once_and_claim_to_have_served_are_replaced_only_so_often(preforkd, trouble):
    daemon = preforkd("--handler", trouble("dying"), workers=2, wait=False)
    daemon.expect("exited with code 3", "workers die more than 50 times a second", "log lines of worker")
    daemon.wait_log("exited with code 3", count=150, timeout=20)
    moments = [datetime.datetime.fromisoformat(line["time"]) for line in daemon.log.find("exited with code 3")]
    assert moments[149] - moments[0] > datetime.timedelta(seconds=1.9)
    assert 1 <= len(daemon.log.find("workers die more than")) < 10, "once, and again where the machine has been slower"


def test_workers_that_retire_at_once_are_replaced_only_so_often(preforkd, trouble):
    daemon = preforkd("--handler", trouble("retiring"), "--log-level", "debug", workers=2, wait=False)
    daemon.expect("workers retire more than 50 times a second")
    daemon.wait_log("worker forked", count=150, timeout=20)
    moments = [datetime.datetime.fromisoformat(line["time"]) for line in daemon.log.find("worker forked")]
    assert moments[149] - moments[0] > datetime.timedelta(seconds=1.9)
    assert len(daemon.log.find("workers retire more than")) <= 1, "where the machine is slow it is never too often"


@pytest.mark.parametrize("requests", [1, 20])
def test_those_who_retire_by_max_requests_are_replaced_at_once(preforkd, requests):
    daemon = preforkd("--handler", "echo", "--max-requests", str(requests), "--log-level", "debug", "--log-connections", "no")
    with Load(daemon.endpoint, clients=4, request=b"x", expected=b"x") as load:
        daemon.wait_log("worker forked", count=60, timeout=30)
    assert set(load.outcomes) == {"whole"}, load.broken
    assert not daemon.log.find("delaying replacements")
