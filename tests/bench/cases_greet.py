"""Connections that are greeted and closed: CPU, context switches, spread, latency, system calls."""
import collections
import contextlib
import functools
import random
import re
import shutil
import signal
import statistics
import subprocess
import tempfile

import procfs
import turns
from figures import Figure, beside, compared, judged_by_value, not_measured, peers_of
from peers import NetServer, Nginx, Raw, SocketServer, ThreadingSocketServer, found, running
from servers import Preforkd

IDLE_PAUSE_US = 300  # between two connections of a sequential client, for the worker to fall asleep
WAYS = [(model, linger) for model in ("async", "serial") for linger in (False, True)]


def greet(effort):
    for workers in effort.pool_sizes:
        kinds = [functools.partial(kind, workers) for kind in [Raw, *found(Nginx)]]
        kinds += [functools.partial(Preforkd, workers, model, linger) for model, linger in WAYS]
        for clients, readings in turns.measure_connections(effort, kinds, (1, 8), seed=workers).items():
            name = f"greet, {workers} workers, {clients} client{'s' * (clients > 1)}"
            yield from compared(name, "us CPU/conn", readings, {"linger=off": 1.15, "linger": 1.25})
            yield from beside(name, readings, Nginx.label, 1.0)


def switches(effort):
    """Context switches of an idle pool, and how evenly the kernel spreads connections."""
    for workers in effort.idle_pool_sizes:
        yield from switches_of(effort, workers)


def switches_of(effort, workers):
    kinds = [Raw, *found(Nginx), lambda n: Preforkd(n, "async", log_level="info"),
             lambda n: Preforkd(n, "serial", log_level="info")]
    per_connection, spread = collections.defaultdict(list), collections.defaultdict(list)
    for _ in range(effort.sequential_rounds):
        for kind in kinds:
            with kind(workers) as server:
                before = procfs.Usage.of(server.pid)
                turns.greet_load(server, effort.sequential, pause_us=IDLE_PAUSE_US)
                done = procfs.Usage.of(server.pid).since(before).switches
            per_connection[server.label].append(sum(done.values()) / effort.sequential)
            del done[server.pid]
            served = served_by_workers(server.log) or list(done.values())
            spread[server.label].append(max(served) / statistics.mean(served))
    yield from judged_by_value(f"context switches of an idle pool, {workers} workers", "/conn", per_connection, 1.1)
    yield from judged_by_value(f"connections of the busiest of {workers} workers / mean", "x", spread, 1.5)


def served_by_workers(log):
    """What the master logs when it reaps a worker.  A server that does not say is judged by its workers' switches."""
    return [int(count) for count in re.findall(r'"served": *"?(\d+)', log)]


def latency(effort):
    """From connect to the end of the answer, one client at a time.  A clock, so others on the machine are in it."""
    times = {at: collections.defaultdict(list) for at in ("p50_us", "p99_us")}
    order = random.Random(0)
    with running([Raw(8), *(kind(8) for kind in found(Nginx)),
                  *(Preforkd(8, model, linger) for model, linger in WAYS)]) as pool:
        for server in pool:
            turns.greet_load(server, turns.WARM_UP)
        for _ in range(effort.turns * effort.starts):
            for server in order.sample(pool, len(pool)):
                said = turns.greet_load(server, effort.connections)
                for at, by_label in times.items():
                    by_label[server.label].append(said[at])
    for at, by_label in times.items():
        yield from compared(f"connect to answer, 1 client, {at[:3]}", "us", by_label, {"": 1.15}, steady=False)


def syscalls(effort):
    """Counted by strace, which slows the server: a case of its own, and no limit."""
    if not shutil.which("strace"):
        yield not_measured("system calls", "/conn", None, "no strace")
        return
    count, totals, notes = effort.samples * 50, {}, {}
    for server in (Raw(2), *(kind(2) for kind in found(Nginx)), *(Preforkd(2, model, linger) for model, linger in WAYS)):
        with server:
            server.note_rest()
            turns.greet_load(server, turns.WARM_UP)
            server.wait_for_rest()
            with traced(server) as calls:
                turns.greet_load(server, count, pause_us=10 * IDLE_PAUSE_US)
                server.wait_for_rest()
        totals[server.label] = [sum(calls.values()) / count]
        notes[server.label] = ", ".join(f"{name} {number / count:.2f}" for name, number in calls.most_common()
                                        if number / count >= 0.005)
    for label, [value] in totals.items():
        yield Figure(name=f"system calls, {label}", unit="/conn", value=value, peers=peers_of(totals),
                     note=notes[label])


@contextlib.contextmanager
def traced(server):
    """Counts the system calls of all workers, by name, until the block ends."""
    calls = collections.Counter()
    with tempfile.NamedTemporaryFile("r") as table:
        targets = [argument for pid in server.worker_pids() for argument in ("-p", str(pid))]
        strace = subprocess.Popen(["strace", "-c", "-f", "-o", table.name, *targets], stdin=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, text=True)
        for _ in server.worker_pids():
            strace.stderr.readline()  # "strace: Process 123 attached"
        try:
            yield calls
        finally:
            strace.send_signal(signal.SIGINT)
            strace.communicate()
        for row in table.read().splitlines():
            fields = row.split()
            if len(fields) >= 5 and fields[3].isdigit() and fields[-1] != "total":
                calls[fields[-1]] += int(fields[3])


def scripts(effort):
    """Peers in Python and Perl, for the reader who comes from there; nothing is judged by them."""
    kinds = [SocketServer, ThreadingSocketServer, *(functools.partial(kind, 2) for kind in found(NetServer)), functools.partial(Preforkd, 2, "serial", False)]
    [readings] = turns.measure_connections(effort, kinds).values()
    for label, values in readings.items():
        yield Figure(name=f"greet, {label}", unit="us CPU/conn", value=statistics.median(values),
                     samples={label: values})
