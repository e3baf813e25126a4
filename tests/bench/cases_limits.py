"""What it costs a connection to be announced by a balancer, to be looked up in a list of who is admitted, and to be
counted for its source: in a process of its own."""
import collections
import json
import statistics
import subprocess

import turns
from figures import Figure

NAMES = {"prefixes": ("allow= and deny= of 10000 prefixes", "us CPU/conn", 1),
         "datagram": ("rate= or replies-per-source=", "us CPU/dgram", 0.1)}


def proxy(effort):
    """Beside its two system calls, which look at it and take it, and leave what follows in the socket."""
    samples = measured(effort, "header")
    ours = [whole - calls for whole, calls in zip(samples["whole"], samples["calls"])]
    yield Figure(name="a PROXY v2 header, beside its two system calls", unit="us CPU/conn", value=statistics.median(ours), limit=1,
                 note=f"in all {statistics.median(samples['whole']):.2f} us", samples={"preforkd": ours})


def limits(effort):
    for name, values in measured(effort, "limits").items():
        told, unit, limit = NAMES.get(name, (f"per-source= and rate=, {name}", "us CPU/conn", 0.3))
        yield Figure(name=told, unit=unit, value=statistics.median(values), limit=limit, samples={"preforkd": values})


def measured(effort, what):
    """{name: [microseconds, by run]}"""
    samples = collections.defaultdict(list)
    for _ in range(3 if effort.quick else 7):
        told = subprocess.run([turns.TOOLS / "limits_cost", what], check=True, capture_output=True).stdout
        for name, nanoseconds in json.loads(told).items():
            samples[name].append(nanoseconds / 1000)
    return samples
