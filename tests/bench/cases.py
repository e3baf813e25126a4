"""What is measured.  A case yields figures; how and why is in README.md."""
import collections
import contextlib
import dataclasses
import json
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import tempfile
import time

import procfs
import servers

LOAD = servers.ROOT / "build/release/tests/bench/load"
WARM_UP = 300  # connections before the first reading: lazy binding, first allocations
CLOSE = "reset"  # how a client closes after the end of the answer; README.md says why not "fin"
IDLE_PAUSE_US = 300  # between two connections of a sequential client, for the worker to fall asleep


@dataclasses.dataclass
class Effort:
    starts: int  # how often each server is started afresh
    turns: int  # of each server after a start
    connections: int  # per turn
    samples: int  # of start, respawn
    sequential: int  # connections to an idle pool
    sequential_rounds: int


FULL = Effort(starts=3, turns=15, connections=600, samples=21, sequential=10_000, sequential_rounds=3)
QUICK = Effort(starts=1, turns=9, connections=400, samples=7, sequential=2_000, sequential_rounds=1)


@dataclasses.dataclass
class Figure:
    """A line of the table.  `limit` holds for `ratio` if there is one, else for `value`."""
    name: str
    unit: str
    value: float
    peers: dict = dataclasses.field(default_factory=dict)  # label: value
    ratio: float = None  # to raw C
    limit: float = None
    note: str = ""
    samples: dict = dataclasses.field(default_factory=dict)

    def met(self, margin=1.0):
        judged = self.value if self.ratio is None else self.ratio
        return self.limit is None or judged <= self.limit * margin


def load(server, connections, clients=1, pause_us=0):
    done = subprocess.run([LOAD, "--port", str(server.port), "--connections", str(connections), "--clients",
                           str(clients), "--pause-us", str(pause_us), "--close", CLOSE],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{server.label}: {done.stderr.strip()} {server.log_text().strip()}")
    return json.loads(done.stdout)


def wait_until_idle(server, files):
    """Until the server holds no more than `files` descriptors: what a lingering close still costs belongs to it."""
    deadline = time.monotonic() + 5
    while procfs.open_files(procfs.tree(server.pid)) > files and time.monotonic() < deadline:
        time.sleep(0.02)


def nginx():
    return [servers.Nginx] if servers.Nginx.module().exists() else []


# -- CPU of a greeted connection

def greet(effort):
    for workers in (2, 8, 32):
        for clients, readings in measure_greet(effort, workers).items():
            yield from greet_figures(workers, clients, readings)


def measure_greet(effort, workers):
    """{clients: {label: [CPU microseconds of a connection, by turn]}}"""
    readings = {clients: collections.defaultdict(list) for clients in (1, 8)}
    order = random.Random(workers)
    for _ in range(effort.starts):
        with contextlib.ExitStack() as running:
            pool = [running.enter_context(server) for server in
                    [servers.Raw(workers), *(peer(workers) for peer in nginx()),
                     *(servers.Preforkd(workers, model, linger)
                       for model in ("async", "serial") for linger in (False, True))]]
            files = {server: procfs.open_files(procfs.tree(server.pid)) for server in pool}
            for server in pool:
                load(server, WARM_UP)
                wait_until_idle(server, files[server])
            for clients, by_label in readings.items():
                take_turns(effort, pool, order, files, clients, by_label)
    return readings


def take_turns(effort, pool, order, files, clients, by_label):
    """A server's turn lasts until its next begins, so that what it does after its last client is counted as well."""
    before = {server: procfs.Usage.of(server.pid) for server in pool}
    for turn in range(effort.turns + 1):
        for server in order.sample(pool, len(pool)):
            if turn == effort.turns:
                wait_until_idle(server, files[server])
            now = procfs.Usage.of(server.pid)
            if turn > 0:
                by_label[server.label].append(now.since(before[server]).cpu / effort.connections * 1e6)
            before[server] = now
            if turn < effort.turns:
                load(server, effort.connections, clients)


def greet_figures(workers, clients, readings):
    raw = readings[servers.Raw.label]
    peers = {label: statistics.median(values) for label, values in readings.items()
             if not label.startswith("preforkd")}
    for label in sorted(readings.keys() - peers.keys()):
        values = readings[label]
        yield Figure(name=f"greet, {workers} workers, {clients} client{'s' * (clients > 1)}, "
                          + label.removeprefix("preforkd "),
                     unit="us CPU/conn", value=statistics.median(values), peers=peers,
                     ratio=statistics.median(ours / theirs for ours, theirs in zip(values, raw)), limit=1.25,
                     samples=dict(readings))


# -- context switches, and how evenly the kernel spreads connections

def switches(effort):
    kinds = [servers.Raw, *nginx(), lambda n: servers.Preforkd(n, "async", log_level="info"),
             lambda n: servers.Preforkd(n, "serial", log_level="info")]
    per_connection, spread = collections.defaultdict(list), collections.defaultdict(list)
    for _ in range(effort.sequential_rounds):
        for kind in kinds:
            with kind(8) as server:
                before = procfs.Usage.of(server.pid)
                load(server, effort.sequential, pause_us=IDLE_PAUSE_US)
                done = procfs.Usage.of(server.pid).since(before).switches
            per_connection[server.label].append(sum(done.values()) / effort.sequential)
            del done[server.pid]
            served = served_by_workers(server.log) or list(done.values())
            spread[server.label].append(max(served) / statistics.mean(served))
    yield from against_raw("context switches of an idle pool, 8 workers", "/conn", per_connection, 1.2)
    yield from against_raw("connections of the busiest worker / mean", "x", spread, 1.5)


def served_by_workers(log):
    """What the master logs when it reaps a worker.  A server that does not say is judged by its workers' switches."""
    return [int(count) for count in re.findall(r'"served": *"?(\d+)', log)]


# -- start, respawn

def start(effort):
    took = collections.defaultdict(list)
    for _ in range(effort.samples):
        for server in (servers.Raw(8), servers.Preforkd(8, "async"), servers.Preforkd(8, "serial")):
            began = time.monotonic()
            with server:
                took[server.label].append((time.monotonic() - began) * 1e3)
    yield from against_raw("start to READY, 8 workers", "ms", took, 50)


def respawn(effort):
    took = collections.defaultdict(list)
    for kind in (servers.Raw, *nginx(), lambda n: servers.Preforkd(n, "async"),
                 lambda n: servers.Preforkd(n, "serial")):
        with kind(1) as server:
            for _ in range(effort.samples):
                # The worker that dies has done useful work, or its replacement would rightly wait.
                if not servers.answers(server.port):
                    raise RuntimeError(f"{server.label} does not answer")
                [worker] = server.worker_pids()
                began = time.monotonic()
                os.kill(worker, signal.SIGKILL)
                # A worker that sleeps in accept() may take the connection with it, if both reach it at once.
                while not servers.answers(server.port) and time.monotonic() < began + 5:
                    continue
                took[server.label].append((time.monotonic() - began) * 1e3)
                if worker in server.worker_pids():
                    raise RuntimeError(f"{server.label} did not replace its worker: {server.log_text()}")
    yield from against_raw("SIGKILL to the next answer, 1 worker", "ms", took, 20)


# -- memory

def memory(_effort):
    fresh, used = {}, {}
    for server in (servers.Raw(8), *(peer(8) for peer in nginx()), servers.Preforkd(8, "async"),
                   servers.Preforkd(8, "serial")):
        with server:
            files = procfs.open_files(procfs.tree(server.pid))
            fresh[server.label] = [max(map(procfs.private_kib, server.worker_pids()))]
            load(server, 4000, clients=32)
            wait_until_idle(server, files)
            used[server.label] = [max(map(procfs.private_kib, server.worker_pids()))]
    yield from against_raw("private memory of an idle worker", "KiB", fresh, 1024)
    yield from against_raw("the same after 500 connections each", "KiB", used, 1024)


# -- system calls

def syscalls(effort):
    """Counted by strace, which slows the server: a case of its own, and no limit."""
    if not shutil.which("strace"):
        return
    count, totals, notes = effort.samples * 50, {}, {}
    for server in (servers.Raw(2), *(peer(2) for peer in nginx()),
                   *(servers.Preforkd(2, model, linger) for model in ("async", "serial") for linger in (False, True))):
        with server:
            load(server, WARM_UP)
            files = procfs.open_files(procfs.tree(server.pid))
            with traced(server) as calls:
                load(server, count, pause_us=10 * IDLE_PAUSE_US)
                wait_until_idle(server, files)
        totals[server.label] = sum(calls.values()) / count
        notes[server.label] = ", ".join(f"{name} {number / count:.2f}" for name, number in calls.most_common()
                                        if number / count >= 0.005)
    peers = {label: value for label, value in totals.items() if not label.startswith("preforkd")}
    for label, value in totals.items():
        yield Figure(name=f"system calls, {label}", unit="/conn", value=value, peers=peers, note=notes[label])


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


# -- peers that nothing is judged by

def socketserver(effort):
    """Not pre-forked: for the reader who comes from there."""
    with servers.SocketServer(1) as server:
        load(server, WARM_UP)
        before = procfs.Usage.of(server.pid)
        load(server, effort.turns * effort.connections)
        cpu = procfs.Usage.of(server.pid).since(before).cpu
    yield Figure(name="greet, Python socketserver, 1 client", unit="us CPU/conn",
                 value=cpu / effort.turns / effort.connections * 1e6)


def against_raw(name, unit, samples, limit):
    """A figure for each way preforkd was started, judged by its value, beside what the peers need."""
    medians = {label: statistics.median(values) for label, values in samples.items()}
    peers = {label: value for label, value in medians.items() if not label.startswith("preforkd")}
    for label in medians:
        if label not in peers:
            model = label.removeprefix("preforkd ").split(",")[0]
            yield Figure(name=f"{name}, {model}", unit=unit, value=medians[label], peers=peers, limit=limit,
                         samples=dict(samples))


# In the order of the table.
CASES = {"greet": greet, "switches": switches, "start": start, "respawn": respawn, "memory": memory,
         "syscalls": syscalls, "socketserver": socketserver}
