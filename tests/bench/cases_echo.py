"""Connections that stay and datagrams: ping-pong, a stream, 100 000 that are silent."""
import collections
import contextlib
import functools
import time

import descriptors
import procfs
import turns
from figures import Figure, compared, judged_by_value, medians, not_measured, peers_of
from peers import TOOLS, RawEcho, RawUdpEcho
from servers import Preforkd

ECHO = ["--handler", "echo"]
LOSSLESS = ("udp://127.0.0.1:0 rcvbuf=8M replies-per-source=off",)
IDLE_WORKERS = 8
MOST_BYTES = 1024  # of an idle connection, over what the raw loop needs
PER_GENERATOR = 12_500  # connections: below both its descriptors and the ports of one address
QUICK_LOSS_PPM = 1000  # of datagrams; a full run grants none where the raw loop loses none


def echoing(workers, *options, **how):
    return Preforkd(workers, options=[*ECHO, *options], **how)


class BeastAsio(RawEcho):
    label, loop = "Boost.Asio", "beast_asio"


class BeastStream(Preforkd):
    program = TOOLS / "beast_stream"


def echo(effort):
    for size_bytes in (64, 16 * 1024):
        for clients in (64, 1000):
            size = f"{size_bytes} B" if size_bytes < 1024 else f"{size_bytes // 1024} KiB"
            name = f"echo {size}, {clients} connections"
            if why := descriptors.lacking(clients):
                yield not_measured(name, "us CPU/trip", 1.15, why)
                yield not_measured(name + ", p99", "us", 1.15, why)
                continue
            cost, said = turns.measure_rounds(
                effort, [functools.partial(RawEcho, 1), functools.partial(echoing, 1)], "echo_load", clients=clients,
                bytes=size_bytes, rounds=effort.round_trips)
            yield from compared(name, "us CPU/trip", cost, {"": 1.15})
            tail = {label: [each["p99_us"] for each in all_said] for label, all_said in said.items()}
            yield from compared(name + ", p99", "us", tail, {"": 1.15}, steady=False)


def stream(effort):
    mebibytes = 16 if effort.quick else 64
    cost, _ = turns.measure_rounds(effort, [functools.partial(RawEcho, 1), functools.partial(echoing, 1)],
                                   "stream_load", per=1 << 20, bytes=mebibytes << 20)
    # 0.9 times as many megabytes a second of CPU are 1 / 0.9 times as many microseconds a megabyte.
    for figure in compared("echo, a stream on one connection", "us CPU/MiB", cost, {"": 1 / 0.9}):
        figure.note = ", ".join(f"{label} {1e6 / value:.0f} MiB/CPU s" for label, value in medians(cost).items())
        yield figure


def beast(effort):
    """HTTP with Boost.Beast over preforkd::Stream, beside the same over a socket of Boost.Asio."""
    for clients in (1, 64):
        cost, _ = turns.measure_rounds(effort, [functools.partial(BeastAsio, 1), functools.partial(BeastStream, 1)], "echo_load",
                                       clients=clients, bytes=64, rounds=effort.round_trips, http="yes")
        yield from compared(f"HTTP by Beast, 64 B posted, connections: {clients}", "us CPU/request", cost, {"": 1.05},
                            judge=BeastAsio.label)


def udp(effort):
    datagrams = effort.round_trips * 4
    kinds = [functools.partial(RawUdpEcho, 1),
             *(functools.partial(Preforkd, 1, model, options=ECHO, endpoints=LOSSLESS)
               for model in ("async", "serial"))]
    for window in (1, 32):
        cost, said = turns.measure_rounds(effort, kinds, "udp_load", window=window, rounds=datagrams)
        name = f"udp echo 64 B, 4 clients, {window} at once"
        yield from compared(name, "us CPU/dgram", cost, {"": 1.15})
        yield from losses(name, said)


def losses(name, said):
    """What never came back, judged by what the raw loop loses under the same load: nothing, as a rule."""
    lost, late = {}, {}
    for label, turns_said in said.items():
        sent = sum(each["done"] + each["late"] + each["lost"] for each in turns_said)
        lost[label] = [sum(each["lost"] for each in turns_said) / sent * 1e6]
        late[label] = sum(each["late"] for each in turns_said)
    told = ", ".join(f"{label} {count}" for label, count in late.items() if count)
    yield from judged_by_value(f"{name}: lost", "ppm", lost, lost["raw C"][0], slack=QUICK_LOSS_PPM,
                               note=f"later than 200 ms: {told}" if told else "")


def idle(effort):
    """Many silent connections: what each costs in the server's own memory, and whether anybody wakes up."""
    name = f"{effort.idle_connections} idle connections, {IDLE_WORKERS} workers"
    memory, wake_ups, rest = f"{name}: memory over raw", f"{name}: wake-ups of the workers", f"{name}: CPU of the workers"
    impossible, note = space_for(effort.idle_connections, descriptors.limit())
    if impossible:
        yield not_measured(memory, "B/conn", MOST_BYTES, impossible)
        yield not_measured(wake_ups, "/s", 0, impossible)
        yield not_measured(rest, "ms/s", 0, impossible)
        return
    per_connection, switches, cpu = (collections.defaultdict(list) for _ in range(3))
    most = min(effort.idle_connections, descriptors.limit() - descriptors.SPARE)
    for server in (RawEcho(IDLE_WORKERS), echoing(IDLE_WORKERS, "--connections", most, "--idle-timeout", "0")):
        with server:
            hold(effort, server, per_connection, switches, cpu)
    raw = per_connection["raw C"][0]
    for label in per_connection:
        if label.startswith("preforkd"):
            yield Figure(name=memory, unit="B/conn", value=per_connection[label][0] - raw, note=note,
                         peers=peers_of(per_connection), limit=MOST_BYTES, samples=dict(per_connection))
    # Of a limit of nothing no margin is wide: a quick run leaves them to the black-box tests.
    yield from judged_by_value(wake_ups, "/s", switches, 0, steady=False)
    yield from judged_by_value(rest, "ms/s", cpu, 0, steady=False)


def space_for(connections, open_files):
    """(why it is impossible, what to know beside the figures), if each process may have so many descriptors."""
    generator, worker = min(connections, PER_GENERATOR), connections // IDLE_WORKERS
    limit = f"RLIMIT_NOFILE is {open_files}"
    if open_files < max(generator, worker) + descriptors.SPARE:
        return f"{limit}, needed are {max(generator, worker) + descriptors.SPARE}", ""
    # Then its siblings take them, and what is measured is a more even spread than the kernel's.
    return "", f"{limit}: less than twice a worker's share of {worker}" if open_files < 2 * worker else ""


def hold(effort, server, per_connection, switches, cpu):
    before = sum(map(procfs.private_kib, server.worker_pids()))
    with contextlib.ExitStack() as generators:
        for index, first in enumerate(range(0, effort.idle_connections, PER_GENERATOR)):
            clients = min(effort.idle_connections - first, PER_GENERATOR)
            generators.enter_context(turns.Generator("echo_load", server, clients=clients, rounds=0, source=index + 1))
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
