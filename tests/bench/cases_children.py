"""A process, a thread or a program for each client."""
import functools

import turns
from figures import Figure, compared, median_ratio, medians
from peers import (ForkingSocketServer, RawFork, RawForkLinked, RawSpawn, RawThread, Socat, SocketActivate, Tcpserver,
                   ThreadingSocketServer, Xinetd, found)
from servers import PROGRAM, Preforkd

WORKERS = 2


def measured(effort, kinds):
    [readings] = turns.measure_connections(effort, kinds).values()
    return readings


def ways(**how):
    return [functools.partial(Preforkd, WORKERS, linger=linger, **how) for linger in (False, True)]


def at_most(readings, name, peer, limit):
    """The best preforkd can do beside `peer`, as a ratio of its own."""
    if peer in readings:
        ours = [readings[label] for label in readings if label.startswith("preforkd") and label.endswith("off")]
        yield Figure(name=f"{name} / {peer}", unit="", value=median_ratio(ours[0], readings[peer]), limit=limit,
                     steady=False)  # as fast as Python or tcpserver happen to be on this machine


def fork(effort):
    kinds = [functools.partial(RawFork, WORKERS), functools.partial(RawForkLinked, WORKERS), ForkingSocketServer]
    readings = measured(effort, kinds + ways(model="fork"))
    # Missed, and near 1.5 times the limit: a quick run would fail on its noise.  README.md says where it goes.
    yield from compared("a process per connection", "us CPU/conn", readings, {"linger=off": 1.2, "linger": 1.3},
                        steady=False)
    yield from at_most(readings, "fork, linger=off", "socketserver forking", 1 / 8)
    for label in (RawFork.label, "socketserver forking"):
        yield Figure(name=f"a process per connection, {label}", unit="us CPU/conn", value=medians(readings)[label])


def thread(effort):
    readings = measured(effort, [functools.partial(RawThread, WORKERS), ThreadingSocketServer] + ways(model="thread"))
    yield from compared("a thread per connection", "us CPU/conn", readings, {"linger=off": 1.2, "linger": 1.5})


def program(effort):
    others = [Tcpserver] if effort.quick else [Tcpserver, Xinetd, Socat, SocketActivate]
    kinds = [functools.partial(RawSpawn, WORKERS), *found(*others)]
    readings = measured(effort, kinds + ways(arguments=PROGRAM))
    yield from compared("a program per connection", "us CPU/conn", readings, {"": 1.1})
    yield from at_most(readings, "program, linger=off", "tcpserver", 1.0)
    for label, value in medians(readings).items():
        if not label.startswith(("preforkd", "raw C")):
            yield Figure(name=f"a program per connection, {label}", unit="us CPU/conn", value=value)
