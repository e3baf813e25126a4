#!/usr/bin/python3
"""Compares preforkd with its peers: `./dev bench [--quick] [NAME...]`.  README.md says how and why.

Prints a table, writes build/bench.json and plots to build/bench/, after each case.  Exits with 1 if a limit is missed
(with --quick: by more than half, twice); with 69 if none is, but one could not be measured (with --quick: only says so); with 70
if a case failed.
"""
import argparse
import os
import platform
import subprocess
import sys
import time

import cases_bus
import cases_change
import cases_children
import cases_echo
import cases_edge
import cases_forward
import cases_greet
import cases_growth
import cases_life
import cases_limits
import cases_observe
import cases_peers
import cases_ring
import descriptors
import figures
import packages
import plots
import procfs
import results
import turns
from figures import number
from packages import ROOT
from peers import Nginx

BUILD = ROOT / "build/release"

# In the order of the table.
CASES = {
    "greet": cases_greet.greet,
    "switches": cases_greet.switches,
    "latency": cases_greet.latency,
    "echo": cases_echo.echo,
    "stream": cases_echo.stream,
    "udp": cases_echo.udp,
    "beast": cases_echo.beast,
    "ring": cases_ring.ring,
    "peers": cases_peers.peers,
    "fork": cases_children.fork,
    "thread": cases_children.thread,
    "program": cases_children.program,
    "tls": cases_edge.tls,
    "tls-traffic": cases_edge.traffic,
    "forward": cases_forward.forward,
    "proxy": cases_limits.proxy,
    "limits": cases_limits.limits,
    "bus": cases_bus.bus,
    "idle": cases_echo.idle,
    "memory": cases_life.memory,
    "start": cases_life.start,
    "respawn": cases_life.respawn,
    "status": cases_life.status,
    "observe": cases_observe.observe,
    "change": cases_change.change,
    "binary": cases_life.binary,
    "syscalls": cases_greet.syscalls,
    "scripts": cases_greet.scripts,
    "growth": cases_growth.growth,
}
# Judged by no limit, or beside three peers for a minute: a quick run leaves them out unless they are named.
FULL_RUNS_ONLY = ("syscalls", "scripts", "growth", "forward", "ring", "peers")
NAME_WIDTH = 68


def build():
    if not (BUILD / "CMakeCache.txt").exists():
        subprocess.run(["cmake", "--preset", "release"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", BUILD, "--target", "preforkd", "preforkctl", "preforkd_library", "bench_tools"],
                   check=True, stdout=subprocess.DEVNULL)


def machine():
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True,
                            text=True).stdout.strip()
    return {"commit": commit, "kernel": platform.release(), "cpu": procfs.cpu_model(), "cpus": len(os.sched_getaffinity(0)),
            "load_average": os.getloadavg(), "time": time.strftime("%Y-%m-%dT%H:%M:%S%z")}


def row(figure, quick):
    limit = "" if figure.limit is None else f"{'<= ' if figure.ratio is None else 'x '}{figure.limit:.4g}"
    return (figure.name, figure.unit, number(figure.value), number(figure.peers.get("raw C")),
            number(figure.peers.get(Nginx.label)), number(figure.ratio), limit, figure.verdict(quick))


def show(row_of_text):
    name, unit, *numbers, verdict = row_of_text
    print(f"{name:{NAME_WIDTH}} {unit:12} " + " ".join(f"{text:>8}" for text in numbers) + f"  {verdict}", flush=True)


def outcome(measured, quick, failed=()):
    """(exit code, the last lines).  A miss outweighs what could not be measured, a failure both."""
    verdicts = [figure.verdict(quick) for figure in measured if figure.limit is not None]
    missed = [figure.name for figure in measured if figure.verdict(quick) == "MISS"]
    reasons = sorted({figure.missing for figure in measured if figure.limit is not None and figure.missing})
    lines = []
    if reasons:
        count = sum(verdict.startswith("not measured") for verdict in verdicts)
        lines.append(f"bench: {count} of {len(verdicts)} limits not measured: {'; '.join(reasons)}")
    if missed:
        lines.append(f"bench: {len(missed)} of {len(verdicts)} limits missed: {'; '.join(missed)}")
    if failed:
        lines.append(f"bench: failed: {', '.join(failed)}")
    return results.FAILED if failed else 1 if missed else os.EX_UNAVAILABLE if reasons and not quick else 0, lines


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(os.EX_USAGE, f"bench: {message}\n")


def arguments():
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of " + ", ".join(CASES))
    parser.add_argument("--quick", action="store_true", help="fewer rounds, wider limits, under 3 minutes")
    parser.add_argument("--close", choices=("reset", "fin"), default=turns.CLOSE, help="how clients close")
    parser.add_argument("--no-build", action="store_true", help="take build/release as it is")
    parser.add_argument("--check", action="store_true", help="only look at these arguments")
    options = parser.parse_args()
    unknown = set(options.names) - CASES.keys()
    if unknown:
        parser.error(f"no case {', '.join(sorted(unknown))}: there are {', '.join(CASES)}")
    return options


def measure_case(name, effort):
    """(its figures, why it failed).  One that fails keeps what it yielded."""
    measured = []
    try:
        for figure in CASES[name](effort):
            measured.append(figure)
            show(row(figure, effort.quick))
            if figure.note:
                print(f"    {figure.note}", flush=True)
    except Exception as error:
        return measured, results.complain(name, error)
    return measured, None


def run_case(name, effort, record):
    """A quick run has few rounds, and others on the machine: what misses a limit there has to miss one twice."""
    record.begin(name)
    began = time.monotonic()
    measured, failure = measure_case(name, effort)
    if effort.quick and not failure and any(figure.verdict(effort.quick) == "MISS" for figure in measured):
        print(f"bench: {name} again, since a limit was missed", flush=True)
        measured, failure = measure_case(name, effort)
    record.measured += measured
    record.end(name, time.monotonic() - began, failure)
    plots.of_case(name, measured, effort.quick)


def benchmark(options):
    """Exit code."""
    if not options.no_build:
        build()
    packages.fetch()

    effort = figures.QUICK if options.quick else figures.FULL
    about = machine()
    plots.ABOUT = f"{'quick' if options.quick else 'full'} run of {about['commit']}, {about['time']}, {about['cpu']}, {about['cpus']} CPUs"
    plots.remove_old(options.names)
    by_default = [name for name in CASES if not (options.quick and name in FULL_RUNS_ONLY)]
    names = list(dict.fromkeys(options.names)) or by_default
    record = results.Record(ROOT / "build/bench.json", {"machine": about, "close": options.close}, options.quick, names)
    show(("figure", "unit", "preforkd", "raw C", "nginx", "/ raw", "limit", ""))
    for name in names:
        run_case(name, effort, record)
    print(f"{sum(record.seconds.values()):.0f} s: " +
          ", ".join(f"{name} {seconds:.0f}" for name, seconds in record.seconds.items()))
    code, lines = outcome(record.measured, options.quick, record.failed)
    print(*lines, sep="\n", end="\n" if lines else "")
    return code


def main():
    options = arguments()
    if options.check:
        return 0
    turns.CLOSE = options.close
    results.end_on_signals()
    descriptors.raise_limit()
    try:
        return benchmark(options)
    except results.Interrupted as signalled:
        results.complain("", RuntimeError(signalled))
        return signalled.exit_code
    except Exception as error:
        results.complain("", error)
        return results.FAILED


if __name__ == "__main__":
    sys.exit(main())
