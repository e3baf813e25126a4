"""What stands between a client and its handler: TLS."""
import dataclasses
import functools
import pathlib
import subprocess
import tempfile

import descriptors
import procfs
import turns
from cases_echo import ECHO, PER_GENERATOR
from figures import Figure, beside, compared, judged_by_value, medians, not_measured
from packages import ROOT
from peers import Nginx, found
from tls_servers import (KINDS_OF_KEY, PROXIES, KeyProcess, NginxTls, PreforkdTls, RawTls, RawTlsEcho, Stunnel, make_pair)

PREFORKCTL = ROOT / "build/release/preforkctl"
WORKERS = 2
MOST_IDLE_BYTES = 16 * 1024  # of an idle connection


def tls(effort):
    """A handshake, and a greeting behind it."""
    models = ("async",) if effort.quick else ("async", "serial")
    if effort.quick:  # a handshake is ten connections' work
        effort = dataclasses.replace(effort, turns=7, connections=200)
    ways = [functools.partial(PreforkdTls, WORKERS, model, linger) for model in models for linger in (False, True)]
    with tempfile.TemporaryDirectory(prefix="preforkd-bench-") as directory:
        for kind in list(KINDS_OF_KEY)[:1] if effort.quick else KINDS_OF_KEY:
            pair = make_pair(directory, kind)
            for resume in (False, True):
                if resume and kind != "EC":
                    continue  # no private key is used
                kinds = [functools.partial(made, WORKERS) for made in [RawTls, *found(NginxTls)]] + ways
                if not resume:  # else no private key is used
                    kinds += [functools.partial(KeyProcess, WORKERS, model) for model in models]
                proxies = () if resume or effort.quick else PROXIES
                kinds += [functools.partial(made, WORKERS) for made in found(*proxies)]
                [readings] = turns.measure_connections(
                    effort, [lambda make=make, pair=pair, resume=resume: make().with_pair(pair, resume) for make in kinds]).values()
                name = f"TLS, {'resumed' if resume else f'full handshake, {kind}'}"
                yield from compared(name, "us CPU/conn", readings, {"": 1.10 if resume else 1.05, "key process": 1.15})
                yield from beside(name, readings, Nginx.label, 1.0)
                for proxy in proxies:
                    yield from beside(name, readings, proxy.label, None if proxy is Stunnel else 1.0)
        yield resumption(effort, make_pair(directory, "EC"))


def resumption(effort, pair):
    """Of clients who take up a session at whichever of eight workers, with a reload and an upgrade in between."""
    control = f"unix://{pathlib.Path(pair[0]).parent}/control.sock"
    kind = functools.partial(PreforkdTls, 8, linger=False, options=["--control", control], provoked="which ran before")
    with kind().with_pair(pair, True) as server:
        load = turns.start_greet_load(server, 4 * effort.connections)
        for order in ("reload", "upgrade"):
            subprocess.run([PREFORKCTL, order, "--control", control], check=True, capture_output=True)
        said = turns.end_greet_load(server, load)
    vain = said["connections"] - said["resumed"] - 1  # the first has nothing to take up
    return Figure(name="TLS, sessions not taken up: 8 workers, a reload, an upgrade", unit="%",
                  value=100 * vain / said["connections"], limit=1)


def traffic(effort):
    """What TLS costs behind the handshake: round trips, a stream, and connections that are silent."""
    with tempfile.TemporaryDirectory(prefix="preforkd-bench-") as directory:
        pair = make_pair(directory, "EC")

        def started(kind, **how):
            return lambda: kind(1, **how).with_pair(pair, False)
        kinds = [started(RawTlsEcho), started(PreforkdTls, options=ECHO)]
        for clients in (64,) if effort.quick else (64, 1000):
            name = f"TLS, echo 64 B, {clients} connections"
            if why := descriptors.lacking(clients):
                yield not_measured(name, "us CPU/trip", 1.10, why)
                continue
            trips, _ = turns.measure_rounds(effort, kinds, "echo_load", clients=clients, bytes=64, rounds=effort.round_trips,
                                            tls="yes")
            yield from compared(name, "us CPU/trip", trips, {"": 1.10})
        mebibytes = 16 if effort.quick else 64
        stream, _ = turns.measure_rounds(effort, kinds, "stream_load", per=1 << 20, bytes=mebibytes << 20, tls="yes")
        for figure in compared("TLS, a stream on one connection", "us CPU/MiB", stream, {"": 1.10}):
            figure.note = ", ".join(f"{label} {1e6 / value:.0f} MiB/CPU s" for label, value in medians(stream).items())
            yield figure
        yield from idle(effort, started)


def idle(effort, started):
    count = min(effort.idle_connections // 8, PER_GENERATOR)
    name = f"TLS, {count} idle connections: memory"
    if why := descriptors.lacking(count):
        yield not_measured(name, "B/conn", MOST_IDLE_BYTES, why)
        return
    memory = {}
    options = [*ECHO, "--connections", count + 100, "--idle-timeout", "0"]
    for start in (started(RawTlsEcho), started(PreforkdTls, options=options)):
        with start() as server:
            server.note_rest()
            with turns.Generator("echo_load", server, clients=16, rounds=0, tls="yes"):
                pass  # what the first need is not each one's
            server.wait_for_rest()
            [worker] = server.worker_pids()
            before = procfs.private_kib(worker)
            with turns.Generator("echo_load", server, clients=count, rounds=0, tls="yes"):
                memory[server.label] = [(procfs.private_kib(worker) - before) * 1024 / count]
    yield from judged_by_value(name, "B/conn", memory, MOST_IDLE_BYTES)
