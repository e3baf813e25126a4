"""Code that has taken a worker over, below a master that is root: it costs nobody but its own clients."""
from pathlib import Path

import pytest

import proc
from clients import connect, exchange, say
from control import deaths, status

pytestmark = pytest.mark.root


@pytest.fixture
def daemon(controlled, trouble):
    """Of two workers, which may read what the tests have built."""
    library = Path(trouble("hostile"))
    for directory in library.parents[:-2]:
        directory.chmod(directory.stat().st_mode | 0o111)
    return controlled("--handler", str(library), "--model", "serial", "--user", "nobody", workers=2)


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
