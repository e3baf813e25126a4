"""What stands between a client and another service: CPU of --handler forward, beside those who do the same."""
import contextlib
import functools
import socket

import packages
import turns
from figures import beside, compared, medians
from peers import Nginx, OnReservedPort, RawEcho, Raw, found
from servers import Preforkd, greeting

WORKERS = 2
BESIDE_BALANCERS = 1.25  # whose reactors need no epoll_ctl(2) to wait; Boost.Asio's does


class Behind:
    """A proxy in front of the service that listens at `to`; ready when that has answered through it."""
    echoes = False

    def answers(self):
        if not self.echoes:
            with contextlib.suppress(ConnectionError):
                return greeting(self.port) == greeting(self.to)
            return False
        with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", self.port), timeout=5) as client:
            client.sendall(b"x")
            return client.recv(1) == b"x"
        return False

    def complete(self):
        return self.answers()


class NginxForward(Behind, Nginx):
    def server_block(self):
        return f"listen 127.0.0.1:{self.port} backlog=4096; proxy_pass 127.0.0.1:{self.to};"

    def complete(self):
        return len(self.worker_pids()) == self.workers and self.answers()


class Haproxy(Behind, OnReservedPort):
    label = "haproxy"

    def argv(self):
        config = self.write("haproxy.cfg", f"""
            global
                maxconn 4000
                nbthread {self.workers}
            defaults
                mode tcp
                option splice-auto
                timeout connect 5s
                timeout client 60s
                timeout server 60s
            listen forward
                bind 127.0.0.1:{self.port} backlog 4096
                server target 127.0.0.1:{self.to}
            """.replace("\n            ", "\n") + "\n")
        return [packages.program("haproxy"), "-f", config, "-db"]


class SocketProxyd(Behind, OnReservedPort):
    """systemd's: one process, whatever `workers` says."""
    label = "systemd-socket-proxyd"
    program = "usr/lib/systemd/systemd-socket-proxyd"

    @classmethod
    def found(cls):
        return packages.find(cls.program) is not None and packages.program("systemd-socket-activate") is not None

    def argv(self):
        return [packages.program("systemd-socket-activate"), "--listen", f"127.0.0.1:{self.port}", packages.find(self.program),
                "--connections-max=4000", f"127.0.0.1:{self.to}"]


PEERS = (NginxForward, Haproxy, SocketProxyd)


def in_front(target, echoes, workers):
    """What starts each of them in front of `target`."""
    def peer(kind):
        server = kind(workers)
        server.to, server.echoes = target.port, echoes
        return server

    def ours(linger):
        return Preforkd(workers, linger=linger, options=["--handler", "forward", "--to", f"tcp://127.0.0.1:{target.port}"])
    return [*(functools.partial(ours, linger) for linger in (False, True)),
            *(functools.partial(peer, kind) for kind in found(*PEERS))]


def forward(effort):
    """A connection that is greeted through it; round trips; a stream."""
    with Raw(WORKERS) as target:
        [readings] = turns.measure_connections(effort, in_front(target, False, WORKERS), clients=(8,)).values()
    yield from told("forward, greeted connections", "us CPU/conn", readings)
    with RawEcho(1) as target:
        trips, _ = turns.measure_rounds(effort, in_front(target, True, 1), "echo_load", clients=64, bytes=64,
                                        rounds=effort.round_trips)
        yield from told("forward, 64 B echoed, 64 connections", "us CPU/trip", trips)
        mebibytes = 16 if effort.quick else 64
        stream, _ = turns.measure_rounds(effort, in_front(target, True, 1), "stream_load", per=1 << 20, bytes=mebibytes << 20)
        yield from told("forward, a stream on one connection", "us CPU/MiB", stream)


def told(name, unit, readings):
    for figure in compared(name, unit, readings, {"": BESIDE_BALANCERS}, judge=Nginx.label):
        figure.note = ", ".join(f"{label} {value:.1f}" for label, value in medians(readings).items())
        yield figure
    for peer, limit in ((Haproxy, BESIDE_BALANCERS), (SocketProxyd, 1.0)):
        yield from beside(name, readings, peer.label, limit)
