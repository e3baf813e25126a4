#!/usr/bin/python3
"""Compares preforkd with its peers: `./dev bench [--quick] [NAME...]`.  README.md says how and why.

Prints a table, writes build/bench.json and plots to build/bench/, and exits with 1 if a limit is missed (with --quick:
by more than half).
"""
import argparse
import dataclasses
import json
import os
import platform
import subprocess
import sys
import time

import cases_change
import cases_children
import cases_echo
import cases_greet
import cases_growth
import cases_life
import figures
import packages
import plots
import turns
from packages import ROOT
from peers import Nginx

BUILD = ROOT / "build/release"
QUICK_MARGIN = 1.5  # few rounds on a machine that others use: only what is clearly wrong fails

# In the order of the table.
CASES = {
    "greet": cases_greet.greet,
    "switches": cases_greet.switches,
    "latency": cases_greet.latency,
    "echo": cases_echo.echo,
    "stream": cases_echo.stream,
    "udp": cases_echo.udp,
    "fork": cases_children.fork,
    "thread": cases_children.thread,
    "program": cases_children.program,
    "idle": cases_echo.idle,
    "memory": cases_life.memory,
    "start": cases_life.start,
    "respawn": cases_life.respawn,
    "status": cases_life.status,
    "change": cases_change.change,
    "binary": cases_life.binary,
    "syscalls": cases_greet.syscalls,
    "scripts": cases_greet.scripts,
    "growth": cases_growth.growth,
}
NEVER_JUDGED = ("syscalls", "scripts", "growth")  # by no limit: a quick run leaves them out unless they are named
NAME_WIDTH = 62


def build():
    if not (BUILD / "CMakeCache.txt").exists():
        subprocess.run(["cmake", "--preset", "release"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", BUILD, "--target", "preforkd", "preforkctl", "preforkd_library", "bench_tools"],
                   check=True, stdout=subprocess.DEVNULL)


def machine():
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True,
                            text=True).stdout.strip()
    return {"commit": commit, "kernel": platform.release(), "cpus": len(os.sched_getaffinity(0)),
            "load_average": os.getloadavg(), "time": time.strftime("%Y-%m-%dT%H:%M:%S%z")}


def number(value):
    return "" if value is None else f"{value:.2f}" if value < 100 else f"{value:.0f}"


def row(figure, margin, quick):
    limit = "" if figure.limit is None else f"{'<= ' if figure.ratio is None else 'x '}{figure.limit:.3g}"
    verdict = "" if figure.limit is None else "ok" if figure.met() else "near" if not figure.missed(margin, quick) else "MISS"
    return (figure.name, figure.unit, number(figure.value), number(figure.peers.get("raw C")),
            number(figure.peers.get(Nginx.label)), number(figure.ratio), limit, verdict)


def show(row_of_text):
    name, unit, *numbers, verdict = row_of_text
    print(f"{name:{NAME_WIDTH}} {unit:12} " + " ".join(f"{text:>8}" for text in numbers) + f"  {verdict}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of " + ", ".join(CASES))
    parser.add_argument("--quick", action="store_true", help="fewer rounds, wider limits, under 3 minutes")
    parser.add_argument("--close", choices=("reset", "fin"), default=turns.CLOSE, help="how clients close")
    parser.add_argument("--no-build", action="store_true", help="take build/release as it is")
    options = parser.parse_args()
    turns.CLOSE = options.close
    unknown = set(options.names) - CASES.keys()
    if unknown:
        parser.error(f"no case {', '.join(sorted(unknown))}: there are {', '.join(CASES)}")
    if not options.no_build:
        build()
    packages.fetch()

    effort, margin = (figures.QUICK, QUICK_MARGIN) if options.quick else (figures.FULL, 1.0)
    about, measured, took = machine(), [], {}
    show(("figure", "unit", "preforkd", "raw C", "nginx", "/ raw", "limit", ""))
    by_default = [name for name in CASES if not (options.quick and name in NEVER_JUDGED)]
    for name in options.names or by_default:
        began = time.monotonic()
        of_case = []
        for figure in CASES[name](effort):
            of_case.append(figure)
            show(row(figure, margin, options.quick))
            if figure.note:
                print(f"    {figure.note}")
        took[name] = round(time.monotonic() - began, 1)
        measured += of_case
        plots.of_case(name, of_case)
    missed = [figure.name for figure in measured if figure.missed(margin, options.quick)]
    (ROOT / "build/bench.json").write_text(json.dumps(
        {"machine": about, "quick": options.quick, "close": options.close, "seconds": took,
         "figures": [{**dataclasses.asdict(figure), "met": figure.met()} for figure in measured]}, indent=1) + "\n")
    print(f"{sum(took.values()):.0f} s: " + ", ".join(f"{name} {seconds:.0f}" for name, seconds in took.items()))
    if missed:
        sys.exit(f"bench: {len(missed)} of {len(measured)} figures miss their limit")


if __name__ == "__main__":
    main()
