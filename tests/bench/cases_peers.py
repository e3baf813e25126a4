"""What a greeted connection costs with each server that people use for this: the picture in the project's README."""
import dataclasses
import functools
import os
import pathlib
import shutil
import statistics
import sys
import tempfile

import packages
import plots
import turns
from figures import Figure, not_measured
from peers import NetServer, Nginx, OnReservedPort, SocketServer, Tcpserver
from servers import PROGRAM, Preforkd, Server

WORKERS = 2
ITSELF, PROGRAMS = "answered by the server itself", f"by a program started for each client ({PROGRAM[0]})"


class HaproxyLua(OnReservedPort):
    """A service of its own, in the only language it has for that."""
    label = "HAProxy, Lua"

    @classmethod
    def found(cls):
        return packages.program("haproxy") is not None

    def argv(self):
        script = self.write("greet.lua", """core.register_service("greet", "tcp", function(client) client:send("connected\\n") end)""")
        config = self.write("haproxy.cfg", f"""
            global
                maxconn 4000
                nbthread {self.workers}
                lua-load {script}
            defaults
                mode tcp
                timeout client 60s
            frontend greet
                bind 127.0.0.1:{self.port} backlog 4096
                tcp-request content use-service lua.greet
            """.replace("\n            ", "\n") + "\n")
        return [packages.program("haproxy"), "-f", config, "-db"]


class SystemdAccept(Server):
    """Accept=yes of a systemd that is PID 1: of a machine of its own, in whose network the clients are as well.  Its
    journal is part of what it costs."""
    label = "systemd, Accept=yes"
    socket = """[Socket]
ListenStream=127.0.0.1:10000
Accept=yes
Backlog=4096
MaxConnections=4000
TriggerLimitIntervalSec=0
[Install]
WantedBy=sockets.target
"""
    service = f"[Service]\nExecStart={' '.join(PROGRAM)}\nStandardInput=socket\nStandardOutput=socket\n"

    @staticmethod
    def lacking():
        if os.geteuid() != 0:
            return "needs root, for a systemd of its own"
        return "" if shutil.which("systemd-nspawn") else "no systemd-nspawn"

    def start(self):
        sys.path.insert(0, str(packages.ROOT / "tests/packaging"))
        from machine import Machine
        self.directory = tempfile.TemporaryDirectory(prefix="preforkd-bench-")
        self.process = self.machine = Machine(pathlib.Path(self.directory.name))
        for name, text in (("greet.socket", self.socket), ("greet@.service", self.service)):
            self.machine.write(f"/etc/systemd/system/{name}", text)
        self.machine.shell("systemctl daemon-reload && systemctl start greet.socket")
        self.port = 10000

    @property
    def pid(self):
        return self.machine.init

    def network(self):
        return self.machine.network()

    def must_run(self):
        if not os.path.exists(f"/proc/{self.pid}"):
            raise RuntimeError(f"{self.label} ended in the middle: {self.machine.console()}")

    def stop(self):
        self.machine.close()
        self.directory.cleanup()


class Itself(Preforkd):
    """As it is started without options about any of this."""

    def __init__(self, workers):
        super().__init__(workers)
        self.label = "preforkd"


class ItsPrograms(Preforkd):
    def __init__(self, workers):
        super().__init__(workers, arguments=PROGRAM)
        self.label = f"preforkd -- {PROGRAM[0]}"


def peers(effort):
    """And build/bench/peers.svg."""
    seldom = dataclasses.replace(effort, connections=100, turns=max(3, effort.turns // 3), starts=1)
    shown = []
    for heading, pace, kinds in ((ITSELF, effort, (Itself, Nginx, HaproxyLua, NetServer, SocketServer)),
                                 (PROGRAMS, seldom, (ItsPrograms, Tcpserver, SystemdAccept))):
        lacking = {kind.label: why for kind in kinds if (why := why_not(kind))}
        [readings] = turns.measure_connections(
            pace, [functools.partial(kind, WORKERS) for kind in kinds if kind.label not in lacking]).values()
        costs = {label: statistics.median(values) for label, values in readings.items()}
        for label in sorted(costs, key=costs.get):
            yield Figure(name=f"greeted, {heading}: {label}", unit="us CPU/conn", value=costs[label], samples={label: readings[label]})
        for label, why in lacking.items():
            yield not_measured(f"greeted, {heading}: {label}", "us CPU/conn", None, why)
        shown.append((heading, costs, lacking))
    plots.write("peers", plots.costs("CPU of a connection that is greeted, in microseconds", shown))


def why_not(kind):
    """Why this machine cannot run it; empty: it can."""
    if issubclass(kind, OnReservedPort):
        return "" if kind.found() else f"no {kind.label}"
    return kind.lacking() if issubclass(kind, SystemdAccept) else ""
