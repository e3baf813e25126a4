"""What it costs to be looked at: --observe, and somebody who scrapes /metrics each second."""
import collections
import contextlib
import functools
import http.client
import random
import re
import statistics
import threading

import procfs
import turns
from figures import Figure, median_ratio
from peers import running
from servers import Preforkd

WORKERS = 2
EVERY_S = 1.0
CONNECTIONS = 12_000  # a turn: what two quiet cores serve in a second, so that each has a scrape in it
MOST_PERCENT = 1  # of the CPU that a connection takes


class Observed(Preforkd):
    """Scraped from when it is ready until it is stopped."""

    def __init__(self, *arguments, **how):
        super().__init__(*arguments, **how, log_level="notice", options=["--observe", "tcp://127.0.0.1:0"])
        self.label = f"{self.label}, observed"
        self.scrapes = 0
        self._over = threading.Event()

    def start(self):
        super().start()
        [told] = [line for line in self.log_text().splitlines() if "observed over HTTP at" in line]
        self.observed = int(told.partition('"endpoint":"tcp://127.0.0.1:')[2].partition('"')[0])
        self._scraper = threading.Thread(target=self._scrape_each_second, daemon=True)
        self._scraper.start()

    def stop(self):
        self._over.set()
        super().stop()

    def _scrape_each_second(self):
        while not self._over.wait(EVERY_S):
            with contextlib.suppress(OSError):
                self.scrape()

    def scrape(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.observed, timeout=5)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read()
        connection.close()
        if b"\npreforkd_up 1\n" not in text:
            raise RuntimeError(f"{self.label}: {text[:200]!r}")
        self.scrapes += 1


def observe(effort):
    """What a second under load costs more: by a scrape of master and observer, with which clients have nothing to do; and as
    a ratio to a daemon that nobody looks at, which varies by more than that."""
    for model in ("async",) if effort.quick else ("async", "serial"):
        kinds = [functools.partial(kind, WORKERS, model, False) for kind in (Preforkd, Observed)]
        cost, scrapes = turns_under_load(effort, kinds)
        plain = f"preforkd {model}, linger=off"
        yield Figure(name=f"a scrape to {CONNECTIONS} connections, {model}", unit="% CPU", limit=MOST_PERCENT,
                     value=100 * statistics.median(scrapes) / statistics.median(cost[plain]), samples={"preforkd": scrapes})
        yield Figure(name=f"observed and scraped each second / not, {model}", unit="", limit=1 + 5 * MOST_PERCENT / 100, steady=False,
                     value=median_ratio(cost[f"{plain}, observed"], cost[plain]), samples=dict(cost))


def turns_under_load(effort, kinds, seed=0):
    """({label: [CPU seconds of a turn]}, [those of master and observer for each scrape, by turn]).

    Other than in measure_connections() a turn ends with its last client: who looks goes on, between the turns, too."""
    cost, each_scrape, order = collections.defaultdict(list), [], random.Random(seed)
    for _ in range(effort.starts):
        with running([kind() for kind in kinds]) as pool:
            for server in pool:
                server.note_rest()
                turns.greet_load(server, turns.WARM_UP)
            for _ in range(effort.turns // 2 + 1):
                for server in order.sample(pool, len(pool)):
                    server.wait_for_rest()
                    looking = [pid for pid in procfs.tree(server.pid) if not re.search(r"-w\d+$", procfs.name(pid))]
                    before, by_looking = procfs.cpu_of_tree(server.pid), sum(map(procfs.cpu_seconds, looking))
                    scrapes = getattr(server, "scrapes", 0)
                    turns.greet_load(server, CONNECTIONS)
                    server.wait_for_rest()
                    cost[server.label].append(turns.spent(server, before, procfs.cpu_of_tree(server.pid)))
                    if isinstance(server, Observed) and server.scrapes > scrapes:
                        spent = sum(map(procfs.cpu_seconds, looking)) - by_looking
                        each_scrape.append(spent / (server.scrapes - scrapes))
    return cost, each_scrape
