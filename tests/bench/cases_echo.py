"""Connections that stay and datagrams: ping-pong, a stream, 100 000 that are silent."""
import collections
import functools
import resource
import time

import procfs
import turns
from figures import Figure, compared, judged_by_value, medians, peers_of
from peers import RawEcho, RawUdpEcho
from servers import Preforkd

ECHO = ["--handler", "echo"]
IDLE_WORKERS = 8
PER_GENERATOR = 12_500  # connections: below both its descriptors and the ports of one address


def echoing(workers, *options):
    return Preforkd(workers, options=[*ECHO, *options])


def echo(effort):
    for size_bytes in (64, 16 * 1024):
        for clients in (64, 1000):
            cost, said = turns.measure_rounds(
                effort, [functools.partial(RawEcho, 1), functools.partial(echoing, 1)], "echo_load",
                effort.round_trips, clients=clients, bytes=size_bytes, rounds=effort.round_trips)
            size = f"{size_bytes} B" if size_bytes < 1024 else f"{size_bytes // 1024} KiB"
            name = f"echo {size}, {clients} connections"
            yield from compared(name, "us CPU/trip", cost, {"": 1.15})
            tail = {label: [each["p99_us"] for each in all_said] for label, all_said in said.items()}
            yield from compared(name + ", p99", "us", tail, {"": 1.15}, steady=False)


def stream(effort):
    mebibytes = 16 if effort.quick else 64
    cost, _ = turns.measure_rounds(effort, [functools.partial(RawEcho, 1), functools.partial(echoing, 1)],
                                   "stream_load", mebibytes, bytes=mebibytes << 20)
    # 0.9 times as many megabytes a second of CPU are 1 / 0.9 times as many microseconds a megabyte.
    for figure in compared("echo, a stream on one connection", "us CPU/MiB", cost, {"": 1 / 0.9}):
        figure.note = ", ".join(f"{label} {1e6 / value:.0f} MiB/CPU s" for label, value in medians(cost).items())
        yield figure


def udp(effort):
    datagrams = effort.round_trips * 4
    kinds = [functools.partial(RawUdpEcho, 1),
             *(functools.partial(Preforkd, 1, model, options=ECHO, endpoints=("udp://127.0.0.1:0 rcvbuf=8M",))
               for model in ("async", "serial"))]
    for window in (1, 32):
        cost, said = turns.measure_rounds(effort, kinds, "udp_load", datagrams, window=window, rounds=datagrams)
        yield from compared(f"udp echo 64 B, 4 clients, {window} at once", "us CPU/dgram", cost, {"": 1.15})
        lost = {label: [sum(each["lost"] for each in all_said)] for label, all_said in said.items()}
        if window > 1:
            yield from judged_by_value("datagrams lost where the raw loop lost " + str(lost["raw C"][0]), "", lost,
                                       lost["raw C"][0], steady=False)


def idle(effort):
    """Many silent connections: what each costs in the server's own memory, and whether anybody wakes up."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 2 * PER_GENERATOR:
        note = "RLIMIT_NOFILE allows fewer descriptors than two generators need"
        if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < PER_GENERATOR + 100:
            yield Figure(name="idle connections: skipped", unit="", value=0, note=note)
            return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        per_connection, switches, cpu = (collections.defaultdict(list) for _ in range(3))
        limits = ["--connections", min(effort.idle_connections, hard - 500), "--idle-timeout", "0"]
        for server in (RawEcho(IDLE_WORKERS), echoing(IDLE_WORKERS, *limits)):
            with server:
                hold(effort, server, per_connection, switches, cpu)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    name = f"{effort.idle_connections} idle connections, {IDLE_WORKERS} workers"
    raw = per_connection["raw C"][0]
    for label in per_connection:
        if label.startswith("preforkd"):
            yield Figure(name=f"{name}: memory over raw", unit="B/conn", value=per_connection[label][0] - raw,
                         peers=peers_of(per_connection), limit=1024, samples=dict(per_connection))
    # Of a limit of nothing no margin is wide: a quick run leaves them to the black-box tests.
    yield from judged_by_value(name + ": wake-ups of the workers", "/s", switches, 0, steady=False)
    yield from judged_by_value(name + ": CPU of the workers", "ms/s", cpu, 0, steady=False)


def hold(effort, server, per_connection, switches, cpu):
    before = sum(map(procfs.private_kib, server.worker_pids()))
    generators = []
    try:
        left = effort.idle_connections
        while left > 0:
            clients = min(left, PER_GENERATOR)
            generators.append(turns.Generator("echo_load", server, clients=clients, rounds=0,
                                              source=len(generators) + 1))
            left -= clients
        per_connection[server.label].append(
            (sum(map(procfs.private_kib, server.worker_pids())) - before) * 1024 / effort.idle_connections)
        time.sleep(1.5)  # the last round's timers: coarse ones may be a second late
        # Not the master's, which looks after its workers every 15 s, and has no connections.
        rest = procfs.Usage.of_each(server.worker_pids())
        seconds = min(effort.idle_seconds, 10)
        time.sleep(seconds)
        since = procfs.Usage.of_each(server.worker_pids()).since(rest)
        switches[server.label].append(sum(since.switches.values()) / seconds)
        cpu[server.label].append(since.cpu / seconds * 1e3)
    finally:
        for generator in generators:
            generator.__exit__()
