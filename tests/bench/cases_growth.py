"""How cost grows: curves over connections, workers, listeners and cores, for the section of README.md of that name."""
import collections
import contextlib
import functools
import os

import descriptors
import plots
import turns
from figures import Figure, is_ours, median_ratio, medians, not_measured
from peers import Raw, RawEcho
from servers import Preforkd

CONNECTIONS = (1, 8, 64, 512, 4096)
POOLS = (1, 2, 8, 32, 128, 512)
LISTENERS = (1, 4, 16, 64, 256)


def growth(effort):
    yield from curve("connections, echo 64 B", "connections", "us CPU/trip", CONNECTIONS, functools.partial(
        echo_over, effort), descriptors.lacking)
    yield from curve("workers, greet, 1 client", "workers", "us CPU/conn", POOLS, functools.partial(
        greeted, effort, lambda n: [functools.partial(Raw, n), functools.partial(Preforkd, n, "async", False)]),
        descriptors.lacking_for_pool)
    yield from curve("listeners, greet, 2 workers", "listeners", "us CPU/conn", LISTENERS, functools.partial(
        greeted, effort, lambda n: [functools.partial(Raw, 2), functools.partial(
            Preforkd, 2, "async", False, endpoints=("tcp://127.0.0.1:0",) * n)]))
    cores = range(1, len(os.sched_getaffinity(0)) + 1)
    yield from curve("cores, greet, 8 clients, 8 workers", "cores", "us CPU/conn", cores, functools.partial(
        on_cores, effort))


def curve(name, x_name, unit, xs, measure, lacking=lambda x: ""):
    """A figure for each point, and build/bench/growth-....svg.  `lacking(x)`: why a point cannot be had here."""
    series = collections.defaultdict(list)
    for x in xs:
        if why := lacking(x):
            yield not_measured(f"growth, {x} {name}", unit, None, why)
            continue
        readings = measure(x)
        for label, value in medians(readings).items():
            series[label].append((x, value))
        ours = next(filter(is_ours, readings))
        yield Figure(name=f"growth, {x} {name}", unit=unit, value=medians(readings)[ours],
                     peers={"raw C": medians(readings)["raw C"]}, ratio=median_ratio(readings[ours], readings["raw C"]))
    if series:
        plots.write("growth-" + x_name, plots.curves("CPU over " + name, x_name, unit, series))


def echo_over(effort, clients):
    cost, _ = turns.measure_rounds(effort, [functools.partial(RawEcho, 1), functools.partial(
        Preforkd, 1, options=["--handler", "echo", "--connections", "10000"])], "echo_load", clients=clients, bytes=64,
        rounds=effort.round_trips)
    return cost


def greeted(effort, kinds_of, size, clients=1):
    [readings] = turns.measure_connections(effort, kinds_of(size), (clients,)).values()
    return readings


def on_cores(effort, count):
    with affinity(set(sorted(os.sched_getaffinity(0))[:count])):
        return greeted(effort, lambda _: [functools.partial(Raw, 8), functools.partial(Preforkd, 8, "async", False)],
                       count, clients=8)


@contextlib.contextmanager
def affinity(cores):
    """For what is started inside, as taskset does."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
