"""A process, a thread or a program for each client."""
import dataclasses
import functools

import turns
from figures import Figure, beside, compared, medians
from peers import (ForkingSocketServer, RawFork, RawForkLinked, RawSpawn, RawThread, Socat, SocketActivate, Tcpserver,
                   ThreadingSocketServer, Xinetd, found)
from servers import PROGRAM, Preforkd

WORKERS = 2
MOST = 1.2  # of a process or a thread, times the loop's; the lingering close is in it


def measured(effort, kinds):
    [readings] = turns.measure_connections(effort, kinds).values()
    return readings


def ways(**how):
    return [functools.partial(Preforkd, WORKERS, linger=linger, **how) for linger in (False, True)]


def fork(effort):
    if effort.quick:  # of children there are only ticks: longer turns halve what the ratio strays by
        effort = dataclasses.replace(effort, connections=1200, turns=5)
    kinds = [functools.partial(RawFork, WORKERS), functools.partial(RawForkLinked, WORKERS), ForkingSocketServer]
    readings = measured(effort, kinds + ways(model="fork"))
    # Page faults: a child has 26 (its code, heap, stack and counts) and the bare server's 9, and what one costs is the
    # machine's: 1.5 to 1.8.  The filter of system calls is not to be seen: --sandbox off costs the same.
    for figure in compared("a process per connection", "us CPU/conn", readings, {"": MOST}):
        yield dataclasses.replace(figure, slack=0.3)
    # As fast as Python happens to be on this machine.
    yield from beside("a process per connection", readings, "socketserver forking", 1 / 8, steady=False)
    for label in (RawFork.label, "socketserver forking"):
        yield Figure(name=f"a process per connection, {label}", unit="us CPU/conn", value=medians(readings)[label])


def thread(effort):
    readings = measured(effort, [functools.partial(RawThread, WORKERS), ThreadingSocketServer] + ways(model="thread"))
    # The main thread is woken for a client and for the end of its thread: 1.2 to 1.8, by what a wake-up costs here.
    for figure in compared("a thread per connection", "us CPU/conn", readings, {"": MOST}):
        yield dataclasses.replace(figure, slack=0.2)


def program(effort):
    others = [Tcpserver] if effort.quick else [Tcpserver, Xinetd, Socat, SocketActivate]
    kinds = [functools.partial(RawSpawn, WORKERS), *found(*others)]
    readings = measured(effort, kinds + ways(arguments=PROGRAM))
    yield from compared("a program per connection", "us CPU/conn", readings, {"": 1.1})
    yield from beside("a program per connection", readings, "tcpserver", 1.0, steady=False)
    for label, value in medians(readings).items():
        if not label.startswith(("preforkd", "raw C")):
            yield Figure(name=f"a program per connection, {label}", unit="us CPU/conn", value=value)
