"""What a pool costs beside its clients: start, respawn, memory, rest, the binary."""
import collections
import functools
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import time

import descriptors
import procfs
import turns
from figures import Figure, judged_by_value, not_measured
from packages import ROOT
from peers import Nginx, Raw, found
from servers import Preforkd, answers

MANY_WORKERS = 512


def start(effort):
    for workers, limit_ms, samples in ((8, 30, effort.samples), (MANY_WORKERS, 500, max(3, effort.samples // 7))):
        name = f"start to READY, {workers} workers"
        if why := descriptors.lacking_for_pool(workers):
            yield not_measured(name, "ms", limit_ms, why)
            continue
        took = collections.defaultdict(list)
        for _ in range(samples):
            for server in (Raw(workers), Preforkd(workers, "async"), Preforkd(workers, "serial")):
                began = time.monotonic()
                with server:
                    took[server.label].append((time.monotonic() - began) * 1e3)
        yield from judged_by_value(name, "ms", took, limit_ms, steady=False)


def respawn(effort):
    took = collections.defaultdict(list)
    ours = (functools.partial(Preforkd, model=model, provoked="killed by SIGKILL") for model in ("async", "serial"))
    for kind in (Raw, *found(Nginx), *ours):
        with kind(1) as server:
            for _ in range(effort.samples):
                # The worker that dies has done useful work, or its replacement would rightly wait.
                if not answers(server.port):
                    raise RuntimeError(f"{server.label} does not answer")
                [worker] = server.worker_pids()
                began = time.monotonic()
                os.kill(worker, signal.SIGKILL)
                # A worker that sleeps in accept() may take the connection with it, if both reach it at once.
                while not answers(server.port) and time.monotonic() < began + 5:
                    continue
                took[server.label].append((time.monotonic() - began) * 1e3)
                if worker in server.worker_pids():
                    raise RuntimeError(f"{server.label} did not replace its worker: {server.log_text()}")
    yield from judged_by_value("SIGKILL to the next answer, 1 worker", "ms", took, 10, steady=False)


def status(effort):
    """What an operator waits for, and what the master is kept from its workers for."""
    name, cpu_name = f"preforkctl status, {MANY_WORKERS} workers", "the daemon's CPU for it"
    if why := descriptors.lacking_for_pool(MANY_WORKERS):
        yield not_measured(name, "ms", 10, why)
        yield not_measured(cpu_name, "ms", 2, why)
        return
    with tempfile.TemporaryDirectory(prefix="preforkd-bench-") as directory:
        control = f"unix://{directory}/control.sock"
        with Preforkd(MANY_WORKERS, options=["--control", control]) as server:
            command = [ROOT / "build/release/preforkctl", "status", "--control", control]
            took = []
            before = procfs.cpu_of_tree(server.pid)
            for _ in range(10 * effort.samples):
                began = time.monotonic()
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                took.append((time.monotonic() - began) * 1e3)
            cpu = (procfs.cpu_of_tree(server.pid) - before) / len(took) * 1e3
    yield from judged_by_value(name, "ms", {server.label: took}, 10, steady=False)
    yield Figure(name=cpu_name, unit="ms", value=cpu, limit=2)


def memory(effort):
    """Of several starts; a minute of rest is long enough to be one sample."""
    fresh, used, cpu = (collections.defaultdict(list) for _ in range(3))
    for start_number in range(effort.starts):
        for server in (Raw(8), *(kind(8) for kind in found(Nginx)), Preforkd(8, "async"), Preforkd(8, "serial")):
            with server:
                server.note_rest()
                fresh[server.label].append(max(map(procfs.private_kib, server.worker_pids())))
                turns.greet_load(server, 4000, clients=32)
                server.wait_for_rest()
                used[server.label].append(max(map(procfs.private_kib, server.worker_pids())))
                if start_number == 0:
                    cpu[server.label].append(cpu_at_rest(server, effort.idle_seconds))
    yield from judged_by_value("private memory of an idle worker", "KiB", fresh, 600)
    yield from judged_by_value("the same after 500 connections each", "KiB", used, 600)
    yield from judged_by_value(f"CPU of an idle pool in {effort.idle_seconds} s", "s", cpu, 0.004)


def cpu_at_rest(server, seconds):
    time.sleep(1.5)  # the last timers of what was served fire once more, unseen: what is measured is rest
    before = procfs.cpu_of_tree(server.pid)
    time.sleep(seconds)
    return procfs.cpu_of_tree(server.pid) - before


def binary(_effort):
    """Sizes, and libraries that are linked but not used."""
    for name in ("preforkd", "preforkctl"):
        program = ROOT / "build/release" / name
        needed = re.findall(r"NEEDED.*\[(.*)\]", output("readelf", "-d", program))
        unused = [line.strip() for line in output("ldd", "-u", program).splitlines() if line.startswith("\t")]
        yield Figure(name=f"{name}, stripped", unit="KiB", value=stripped_kib(program))
        loaded = output("ldd", program).count("=>")
        yield Figure(name=f"{name}: shared libraries it loads", unit="", value=loaded, note=", ".join(needed))
        yield Figure(name=f"{name}: libraries linked and not used", unit="", value=len(unused), limit=0,
                     note=", ".join(unused))
    yield from smallest_handler()


def smallest_handler():
    """A program of the reader's own, as packaging/examples/upper is: built with the library of build/release."""
    release = ROOT / "build/release"
    libraries = output("env", f"PKG_CONFIG_PATH={release}", "pkg-config", "--libs-only-l", "preforkd").split()
    with tempfile.TemporaryDirectory(prefix="preforkd-bench-") as directory:
        program = pathlib.Path(directory, "upper")
        compiler = ["g++", "-std=c++20", "-O2", "-DBOOST_ASIO_SEPARATE_COMPILATION", f"-I{ROOT}/common/include"]
        source = ROOT / "packaging/examples/upper/upper.cpp"
        yield Figure(name="examples/upper: compiled", unit="CPU s", limit=2,
                     value=min(cpu_seconds(*compiler, "-c", source, "-o", f"{program}.o") for _ in range(3)))
        yield Figure(name="examples/upper: compiled and linked", unit="CPU s", limit=10,
                     value=cpu_seconds(*compiler, source, "-o", program, f"-L{release}", *libraries, "-pthread"))
        yield Figure(name="examples/upper, stripped", unit="KiB", value=stripped_kib(program), limit=3.5 * 1024)


def cpu_seconds(*command):
    """Of a command and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def stripped_kib(program):
    with tempfile.TemporaryDirectory(prefix="preforkd-bench-") as directory:
        copy = shutil.copy(program, directory)
        subprocess.run(["strip", copy], check=True)
        return os.stat(copy).st_size / 1024


def output(*argv):
    return subprocess.run([str(arg) for arg in argv], capture_output=True, text=True, check=False).stdout
