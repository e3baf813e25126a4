"""All that code which has taken a worker over may try, again and again below a master that is root, costs its own
clients and nobody else.  For as long as --seconds says: `./dev test chaos` has it for a minute, and so has CI.

What a worker does to a listener that it shares with the others is in test_shared_sockets.py: that, they notice."""
import os
import shutil
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

import proc
from clients import PATIENCE, connect, exchange, say
from control import ask, status

pytestmark = pytest.mark.root

WORKERS = 4
# What the master says of workers that end as these do; one that it has told to go by then has a client left, whom it cuts.
PROVOKED = ("out of turn", "cannot start", "killed by SIG", "crashed: ", "stack of ", "was stopped",
            "workers exit early", "workers die more", "workers retire more", "log lines of worker", "exited with code", "Too many open files",
            "connections were cut")
# What these do is over before they end, and is said in a line; the others are ended for it, or end by it.
MUST_BE_DENIED = {"look into others", "signal the master", "gain privileges", "ask the master"}


def test_it_costs_nobody_but_its_own_clients(preforkd, trouble, public, request):
    seconds = request.config.getoption("--seconds")
    control = f"unix://{public}/control.sock"
    daemon = preforkd("--handler", shutil.copy(trouble("taken_over"), public), "--model", "serial", "--user", "nobody",
                      "--control", control, "--log-connections", "no", workers=WORKERS,
                      env={"TAKEN_OVER_CONTROL": f"{public}/control.sock"})
    daemon.expect(*PROVOKED)
    words = exchange(daemon.endpoint, b"words\n").decode().splitlines()[1:]
    assert MUST_BE_DENIED < set(words)
    before = master_of(daemon)
    log_before = Path(daemon.log.path).read_bytes()
    with Others(daemon.endpoint, control) as others:
        outcomes = attack(daemon.endpoint, words, time.monotonic() + seconds / 2)
        half_way = master_of(daemon)
        outcomes += attack(daemon.endpoint, words, time.monotonic() + seconds / 2)
    daemon.wait_workers(WORKERS)

    assert set(words) == {word for word, _ in outcomes}, "each at least once"
    assert {outcome for word, outcome in outcomes if word in MUST_BE_DENIED} == {"denied"}
    assert others.failures == []
    assert min(others.served.values()) > 10, others.served
    assert others.longest["operator"] < 5, "the control socket answers whatever they do"
    assert proc.eventually(lambda: master_of(daemon).descriptors <= before.descriptors), proc.descriptors(daemon.pid)
    attacks = sum(outcomes.values())
    after = master_of(daemon)
    assert after.private_bytes - before.private_bytes < 4 << 20, "deaths and counts, of which the last are kept"
    assert after.private_bytes - half_way.private_bytes < 1 << 20, "and it does not go on"
    assert Path(daemon.log.path).read_bytes().startswith(log_before) and not daemon.log.find("forged")
    assert os.path.getsize(daemon.log.path) < 20_000 * (attacks + 10), "and says little of it"
    mark = daemon.log.mark()
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded", after=mark)
    assert exchange(daemon.endpoint, b"hello\n").startswith(b"hello ")
    assert daemon.stop() == 0
    print(f"{attacks} attacks; served {dict(others.served)}; longest waits {others.longest}")


class Master:
    def __init__(self, pid):
        self.descriptors = proc.open_descriptors(pid)
        self.private_bytes = int(proc.status(pid)["RssAnon"].split()[0]) << 10


def master_of(daemon):
    return Master(daemon.pid)


def attack(endpoint, words, deadline):
    """Has one worker after the other do what each word says, and ends it; how often which came to what."""
    outcomes = Counter()
    while not outcomes or time.monotonic() < deadline:
        for word in words:
            with connect(endpoint) as client:
                worker = say(client, word)
                if word == "stop":
                    assert proc.eventually(lambda: (found := proc.stat(worker)) is None or found.state in "TZ")
                    outcomes[word, "stopped"] += 1
                else:
                    outcomes[word, last_word(client)] += 1
                end(worker)
    return outcomes


def last_word(client):
    try:
        line = b""
        while not line.endswith(b"\n") and (byte := client.recv(1)):
            line += byte
        return line.decode().strip()
    except ConnectionResetError:
        return ""


def end(worker):
    try:
        os.kill(worker, signal.SIGKILL)
    except ProcessLookupError:
        pass
    assert proc.wait_gone(worker, PATIENCE)


class Others:
    """Clients and an operator, none of whom may notice."""
    def __init__(self, endpoint, control):
        self.failures, self.served, self.longest = [], Counter(), Counter()
        self._endpoint, self._control = endpoint, control
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._repeat, args=(who,))
                         for who in [self._client] * 4 + [self._operator]]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, who):
        name = who.__name__.strip("_")
        while not self._over.is_set():
            begun = time.monotonic()
            try:
                who()
                self.served[name] += 1
            except (OSError, AssertionError, ValueError) as error:
                self.failures.append(f"{name}: {error!r}")
            self.longest[name] = max(self.longest[name], round(time.monotonic() - begun, 2))
            self._over.wait(0.005)

    def _client(self):
        answer = exchange(self._endpoint, b"hello\n")
        assert answer.startswith(b"hello "), answer

    def _operator(self):
        assert status(self._control)["workers_wanted"] == WORKERS
        assert ask(self._control, "deaths")["ok"]
