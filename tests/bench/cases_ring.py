"""io_uring as the limit: raw ring loops beside the raw loops, nginx and preforkd.  Nothing is judged by them."""
import functools
import statistics
import subprocess

import turns
from cases_echo import LOSSLESS, echoing
from figures import Figure, median_ratio, not_measured, peers_of
from peers import TOOLS, Nginx, Raw, RawEcho, RawUdpEcho, found
from servers import Preforkd

POOL_SIZES = (2, 8, 32)


class EpollGreet(Raw):
    """What a ring has to be better than: as many workers take part, and the answer is one segment."""
    label, loop = "epoll C", "epoll_greet"


class RingGreet(Raw):
    label, loop = "ring C", "ring_greet"


class RingEcho(Raw):
    label, loop = "ring C", "ring_echo"


class RingUdpEcho(Raw):
    label, loop = "ring C", "ring_udp_echo"


def with_one_for_all(kind):
    """The first worker takes every client, whether it has time or not."""
    class OneForAll(kind):
        label = f"{kind.label}, first worker only"

        def argv(self):
            return [*super().argv(), "all"]
    return OneForAll


def refusal(loop=RingGreet.loop, **how):
    """Why there is no ring to be had here; empty: there is."""
    program = TOOLS / loop
    if not program.exists():
        return "built without liburing"
    checked = subprocess.run([program, "--check"], stderr=subprocess.PIPE, text=True, **how)
    return checked.stderr.strip() if checked.returncode else ""


def ring(effort):
    refused = refusal()
    yield from greeted(effort, refused)
    yield from echoed(effort, refused)
    yield from datagrams(effort, refused)


def greeted(effort, refused):
    epolls, rings = ([kind, with_one_for_all(kind)] for kind in (EpollGreet, RingGreet))
    for workers in POOL_SIZES:
        kinds = [functools.partial(kind, workers) for kind in [Raw, *found(Nginx), *epolls, *(rings if not refused else [])]]
        kinds.append(functools.partial(Preforkd, workers, "async", False))
        for clients, readings in turns.measure_connections(effort, kinds, (1, 8), seed=workers).items():
            name = f"greet, {workers} workers, {clients} client{'s' * (clients > 1)}"
            yield from rows(name, "us CPU/conn", readings, refused, [kind.label for kind in rings])


def echoed(effort, refused):
    kinds = [functools.partial(kind, 1) for kind in (RawEcho, *([RingEcho] if not refused else []), echoing)]
    for size_bytes in (64, 16 * 1024):
        for clients in (64, 1000):
            cost, _ = turns.measure_rounds(effort, kinds, "echo_load", clients=clients, bytes=size_bytes, rounds=effort.round_trips)
            yield from rows(f"echo {size_bytes} B, {clients} connections", "us CPU/trip", cost, refused, [RingEcho.label])


def datagrams(effort, refused):
    kinds = [functools.partial(kind, 1) for kind in (RawUdpEcho, *([RingUdpEcho] if not refused else []))]
    kinds.append(functools.partial(echoing, 1, endpoints=LOSSLESS))
    for window in (1, 32):
        cost, _ = turns.measure_rounds(effort, kinds, "udp_load", window=window, rounds=effort.round_trips * 4)
        yield from rows(f"udp echo 64 B, 4 clients, {window} at once", "us CPU/dgram", cost, refused, [RingUdpEcho.label])


def rows(name, unit, readings, refused, rings):
    """One for each but the raw loop, which is a column; a ring that is refused keeps its line."""
    for label in sorted({*readings, *(rings if refused else [])}):
        if label == Raw.label:
            continue
        told = f"{name}: {label}"
        if label in readings:
            yield Figure(name=told, unit=unit, value=statistics.median(readings[label]), peers=peers_of(readings),
                         ratio=median_ratio(readings[label], readings[Raw.label]), samples=dict(readings))
        else:
            yield not_measured(told, unit, None, refused)
