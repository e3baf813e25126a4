"""Driving servers in turns, and reading what it cost them."""
import collections
import contextlib
import json
import random
import subprocess

import procfs
from peers import TOOLS, running

WARM_UP = 300  # connections before the first reading: lazy binding, first allocations
CLOSE = "reset"  # how a client closes after the end of the answer; README.md says why not "fin"


def greet_load(server, connections, clients=1, pause_us=0):
    """Clients that connect, read to the end, check every byte and close."""
    return end_greet_load(server, start_greet_load(server, connections, clients, pause_us))


def start_greet_load(server, connections, clients=1, pause_us=0):
    """In the background; those of a server that speaks TLS come one by one."""
    server.must_run()
    several = [] if server.generator == "tls_load" else ["--clients", clients, "--pause-us", pause_us]
    command = [TOOLS / server.generator, "--port", server.port, "--connections", connections, *several, "--close", CLOSE,
               *server.generator_options]
    with server.network():
        return subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)


def end_greet_load(server, load):
    said, complaint = load.communicate()
    if load.returncode:
        raise RuntimeError(f"{server.label}: {complaint.strip()} {server.log_text().strip()}")
    return json.loads(said)


class Generator:
    """A generator of long-lived traffic: ready when made, measured by run(); see load/generator.hpp."""

    def __init__(self, program, server, **numbers):
        arguments = [word for name, number in numbers.items()
                     for word in ("--" + name.replace("_", "-"), str(number))]
        server.must_run()
        self.server = server
        self.process = subprocess.Popen([TOOLS / program, "--port", str(server.port), *arguments], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            self.expect()
        except BaseException:
            self.end(kill=True)
            raise

    def expect(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.server.label}: {self.process.stderr.read().strip()} "
                               f"{self.server.log_text().strip()}")
        return line

    def run(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return json.loads(self.expect())

    def __enter__(self):
        return self

    def __exit__(self, failure, *_):
        self.end(kill=failure is not None)

    def end(self, kill):
        with self.process.stderr as complaint, self.process.stdout:
            if kill:
                self.process.kill()
            with contextlib.suppress(OSError):
                self.process.stdin.close()
            if self.process.wait(60) and not kill:
                raise RuntimeError(f"{self.server.label}: {complaint.read().strip()} {self.server.log_text().strip()}")


def measure_connections(effort, kinds, clients=(1,), seed=0):
    """{clients: {label: [CPU microseconds of a connection, by turn]}}, for servers that greet.

    A server's turn lasts until its next begins, so that what it does after its last client is counted as well."""
    readings = {count: collections.defaultdict(list) for count in clients}
    order = random.Random(seed)
    for _ in range(effort.starts):
        with running([kind() for kind in kinds]) as pool:
            for server in pool:
                server.note_rest()
                greet_load(server, WARM_UP)
                server.wait_for_rest()
            for count, by_label in readings.items():
                take_turns(effort, pool, order, count, by_label)
    return readings


def take_turns(effort, pool, order, clients, by_label):
    before = {server: procfs.cpu_of_tree(server.pid) for server in pool}
    for turn in range(effort.turns + 1):
        for server in order.sample(pool, len(pool)):
            server.must_run()
            server.wait_for_rest()
            now = procfs.cpu_of_tree(server.pid)
            if turn > 0:
                by_label[server.label].append(spent(server, before[server], now) / effort.connections * 1e6)
            before[server] = now
            if turn < effort.turns:
                greet_load(server, effort.connections, clients)


def spent(server, before, now):
    """Nobody works for nothing: a process whose time was counted has ended since."""
    if now <= before:
        raise RuntimeError(f"{server.label} used no CPU in a turn: a part of it has ended")
    return now - before


def measure_rounds(effort, kinds, program, per=1, seed=0, **numbers):
    """({label: [CPU microseconds of a round, by turn]}, {label: [what the generator said]})

    A round is `per` of what the generator counts.  Only what was answered counts: who loses work must not look cheap."""
    cost, said = collections.defaultdict(list), collections.defaultdict(list)
    order = random.Random(seed)
    for _ in range(effort.starts):
        with running([kind() for kind in kinds]) as pool:
            for _ in range(effort.turns):
                for server in order.sample(pool, len(pool)):
                    with Generator(program, server, **numbers) as generator:
                        before = procfs.cpu_of_tree(server.pid)
                        told = generator.run()
                        cpu = spent(server, before, procfs.cpu_of_tree(server.pid))
                    said[server.label].append(told)
                    cost[server.label].append(cpu / (told["done"] / per) * 1e6)
    return cost, said
