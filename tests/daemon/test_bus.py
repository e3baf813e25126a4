"""What one worker publishes all hear, in every model that has a loop, over deaths, reloads and upgrades."""
import contextlib
import os
import random
import signal

import pytest

import proc
from clients import connect, exchange, read_to_end
from test_upgrade import Installed


def ask(daemon, line=b"heard"):
    pid, *heard = exchange(daemon.endpoint, line + b"\n").decode().split()
    return int(pid), heard


def all_heard(daemon, *expected):
    """Every worker that takes clients, each asked until it has."""
    seen = {}

    def holds():
        pid, heard = ask(daemon)
        seen[pid] = heard
        return set(seen) >= set(daemon.workers()) and all(seen[pid] == list(expected) for pid in daemon.workers())
    assert proc.eventually(holds, 20), (seen, expected)


class Held:
    """A client that stays with the worker that has taken it."""

    def __init__(self, daemon):
        self.client = connect(daemon.endpoint)
        self.answers = self.client.makefile("rb")

    def ask(self, line=b"heard"):
        self.client.sendall(line + b"\n")
        return self.answers.readline().decode().split()[1:]

    def hears(self, *expected):
        assert proc.eventually(lambda: self.ask() == list(expected)), (self.ask(), expected)


@pytest.mark.parametrize("model", ["serial", "thread"])
def test_all_workers_hear_what_one_publishes(preforkd, trouble, model):
    daemon = preforkd("--handler", trouble("publishing"), "--model", model, workers=3)
    for text in (b"one", b"two", b"three"):
        ask(daemon, b"publish " + text)
        all_heard(daemon, *["one", "two", "three"][:[b"one", b"two", b"three"].index(text) + 1])


def test_one_process_without_a_master_hears_itself(preforkd, trouble):
    daemon = preforkd("--handler", trouble("publishing"), "--model", "thread", workers=0)
    held = Held(daemon)
    held.ask(b"publish one")
    held.hears("one")


def test_a_callback_that_throws_costs_one_line(preforkd, trouble):
    daemon = preforkd("--handler", trouble("publishing"), "--model", "thread", workers=1)
    daemon.expect("handler failed in a subscription: of a callback")
    held = Held(daemon)
    held.ask(b"publish throw")
    held.ask(b"publish one")
    held.hears("one")
    daemon.wait_log("handler failed in a subscription: of a callback")


def test_a_killed_worker_takes_nothing_with_it_and_the_next_is_heard(preforkd, trouble):
    daemon = preforkd("--handler", trouble("publishing"), "--model", "thread", workers=1)
    daemon.expect("killed by SIGKILL", "workers exit early")
    daemon.signal(signal.SIGHUP)
    first = Held(daemon)  # of one generation or the other
    daemon.wait_log("reloaded")
    with connect(daemon.endpoint) as client:
        client.sendall(b"publish one\ndie\n")
        read_to_end(client)
    first.hears("one")
    fresh = Held(daemon)
    fresh.ask(b"publish two")
    first.hears("one", "two")
    fresh.hears("two")


class Hammering:
    """A client that stays with a worker of troubles/hammering.cpp."""

    def __init__(self, daemon):
        self.client = connect(daemon.endpoint)
        self.answers = self.client.makefile("rb")
        self.pid = self.ask()[0]

    def ask(self, line=b"count"):
        self.client.sendall(line + b"\n")
        pid, published, heard, lost, wrong = self.answers.readline().decode().split()
        assert wrong == "nothing"
        return int(pid), int(published), int(heard), int(lost)

    def told(self):
        """How many messages it has heard, or heard that they were lost; and of how many publish() had returned before."""
        _, published, heard, lost = self.ask()
        return heard + lost, published

    def close(self):
        self.answers.close()
        self.client.close()


def another(daemon, than):
    """A client of a worker that serves beside that of `than`."""
    found = []

    def is_another():
        found.append(Hammering(daemon))
        return found[-1].pid != than.pid
    assert proc.eventually(is_another)
    for each in found[:-1]:
        each.close()
    return found[-1]


def test_publishers_that_are_killed_at_any_instruction_lose_at_most_their_own_message(preforkd, trouble):
    """The reader is slower than they are: what it has not heard it is told of, to the last message."""
    daemon = preforkd("--handler", trouble("hammering"), "--model", "async", workers=2)
    daemon.expect("killed by SIGKILL", "workers exit early")
    reader = Hammering(daemon)
    for killings in range(1, 5):
        with contextlib.closing(another(daemon, reader)) as publisher:
            goal = reader.told()[0] + random.randrange(1, 20_000)
            publisher.ask(b"hammer")
            assert proc.eventually(lambda: reader.told()[0] >= goal, 20)
            os.kill(publisher.pid, signal.SIGKILL)
        assert proc.eventually(lambda: publisher.pid not in daemon.workers())
        published = reader.told()[1]
        assert proc.eventually(lambda: reader.told()[0] >= published), "what was published before the end is not lost"
        assert reader.told()[0] <= published + killings, "each may have been killed on its way out of publish()"
    assert reader.ask()[3] > 0, "nobody has waited for it"


def test_both_generations_hear_and_so_do_both_images(preforkd, trouble, tmp_path):
    service = Installed(preforkd, tmp_path, "--handler", trouble("publishing"), "--model", "thread", workers=1)
    daemon = service.daemon
    first = Held(daemon)
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded")
    second = Held(daemon)
    first.ask(b"publish one")
    second.ask(b"publish two")
    for held in (first, second):
        assert proc.eventually(lambda: sorted(held.ask()) == ["one", "two"])
    assert service.upgrade()["message"].startswith("upgraded")
    third = Held(daemon)
    third.ask(b"publish three")
    first.ask(b"publish four")
    for held, expected in ((first, 4), (second, 4), (third, 2)):
        assert proc.eventually(lambda: len(held.ask()) == expected and set(held.ask()) >= {"three", "four"}), held.ask()


def test_who_is_slow_loses_and_is_told(preforkd, trouble):
    daemon = preforkd("--handler", trouble("publishing"), "--model", "serial", workers=1)
    daemon.expect("messages of the bus were overwritten")
    held = Held(daemon)
    held.ask(b"flood")  # and its loop hears of it once it has gone
    held.client.close()
    held.answers.close()
    line = daemon.wait_log("messages of the bus were overwritten")
    assert line["message"].startswith("1976 messages of the bus") and line["level"] == "warning"


def test_the_model_fork_is_refused_with_a_sentence(run_preforkd, trouble):
    done = run_preforkd("--handler", trouble("publishing"), "--model", "fork", "--listen", "tcp://127.0.0.1:0", "--check-config")
    assert done.returncode == 78 and "uses the bus, which the children of --model fork do not hear: use another model" in done.stderr


def test_a_service_that_does_not_use_it_has_none(preforkd, trouble):
    def has_it(pid):
        return "preforkd-bus" in open(f"/proc/{pid}/maps").read() + "".join(proc.descriptors(pid).values())
    without = preforkd("--handler", trouble("counting"))
    assert not any(map(has_it, [without.pid, *without.workers()]))
    using = preforkd("--handler", trouble("publishing"))
    assert all(map(has_it, [using.pid, *using.workers()]))
    ends = [sum("eventfd" in link for link in proc.descriptors(pid).values()) for pid in using.workers()]
    fewer = [sum("eventfd" in link for link in proc.descriptors(pid).values()) for pid in without.workers()]
    assert ends == [each + 1 for each in fewer], "one wakes a worker, however many there are"
