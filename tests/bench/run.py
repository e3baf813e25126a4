#!/usr/bin/python3
"""Compares preforkd with its peers: `./dev bench [--quick] [NAME...]`.  README.md says how and why.

Prints a table, writes build/bench.json, and exits with 1 if a limit is missed (with --quick: by more than half).
"""
import argparse
import dataclasses
import json
import os
import platform
import subprocess
import sys
import time

import cases
import servers

BUILD = servers.ROOT / "build/release"
UNPACKED = servers.ROOT / "build/bench/peers"
QUICK_MARGIN = 1.5  # few rounds on a machine that others use: only what is clearly wrong fails


def build():
    if not (BUILD / "CMakeCache.txt").exists():
        subprocess.run(["cmake", "--preset", "release"], cwd=servers.ROOT, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", BUILD, "--target", "preforkd", "bench_tools"], check=True,
                   stdout=subprocess.DEVNULL)


def find_nginx():
    """Debian's own, or else its packages unpacked below build/: an installed nginx would start to serve port 80."""
    if servers.Nginx.program().exists() and servers.Nginx.module().exists():
        return
    servers.Nginx.root = UNPACKED
    if servers.Nginx.module().exists():
        return
    UNPACKED.mkdir(parents=True, exist_ok=True)
    download = ["apt-get", "-qq", "download", "nginx", "libnginx-mod-stream"]
    quiet = {"cwd": UNPACKED, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if subprocess.run(download, **quiet).returncode and os.geteuid() == 0:
        subprocess.run(["apt-get", "-qq", "update"], **quiet)
        subprocess.run(download, **quiet)
    for package in UNPACKED.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, UNPACKED], check=True)
    if not servers.Nginx.module().exists():
        print("nginx: neither installed nor to be had from apt; its column stays empty", file=sys.stderr)


def machine():
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=servers.ROOT, capture_output=True,
                            text=True).stdout.strip()
    return {"commit": commit, "kernel": platform.release(), "cpus": len(os.sched_getaffinity(0)),
            "load_average": os.getloadavg(), "time": time.strftime("%Y-%m-%dT%H:%M:%S%z")}


def number(value):
    return "" if value is None else f"{value:.2f}" if value < 100 else f"{value:.0f}"


def row(figure, margin):
    limit = "" if figure.limit is None else f"{'<= ' if figure.ratio is None else 'x '}{figure.limit:g}"
    verdict = "" if figure.limit is None else "ok" if figure.met() else "near" if figure.met(margin) else "MISS"
    return (figure.name, figure.unit, number(figure.value), number(figure.peers.get(servers.Raw.label)),
            number(figure.peers.get(servers.Nginx.label)), number(figure.ratio), limit, verdict)


def show(row_of_text, name_width):
    name, unit, *numbers, verdict = row_of_text
    print(f"{name:{name_width}} {unit:11} " + " ".join(f"{text:>9}" for text in numbers) + f"  {verdict}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of " + ", ".join(cases.CASES))
    parser.add_argument("--quick", action="store_true", help="fewer rounds, wider limits")
    parser.add_argument("--close", choices=("reset", "fin"), default=cases.CLOSE, help="how clients close")
    parser.add_argument("--no-build", action="store_true", help="take build/release as it is")
    options = parser.parse_args()
    cases.CLOSE = options.close
    unknown = set(options.names) - cases.CASES.keys()
    if unknown:
        parser.error(f"no case {', '.join(sorted(unknown))}: there are {', '.join(cases.CASES)}")
    if not options.no_build:
        build()
    find_nginx()

    effort, margin = (cases.QUICK, QUICK_MARGIN) if options.quick else (cases.FULL, 1.0)
    about, figures = machine(), []
    show(("figure", "unit", "preforkd", "raw C", "nginx", "/ raw", "limit", ""), 58)
    for name in options.names or cases.CASES:
        for figure in cases.CASES[name](effort):
            figures.append(figure)
            show(row(figure, margin), 58)
            if figure.note:
                print(f"    {figure.note}")
    missed = [figure.name for figure in figures if not figure.met(margin)]
    (servers.ROOT / "build/bench.json").write_text(json.dumps(
        {"machine": about, "quick": options.quick, "close": options.close,
         "figures": [{**dataclasses.asdict(figure), "met": figure.met()} for figure in figures]}, indent=1) + "\n")
    if missed:
        sys.exit(f"bench: {len(missed)} of {len(figures)} figures miss their limit")


if __name__ == "__main__":
    main()
