"""What it costs a connection to be counted for its source, and to be looked up in a list of who is admitted."""
import collections
import json
import statistics
import subprocess

import turns
from figures import Figure

NAMES = {"prefixes": ("allow= and deny= of 10000 prefixes", "us CPU/conn", 1),
         "datagram": ("rate= or replies-per-source=", "us CPU/dgram", 0.1)}


def limits(effort):
    samples = collections.defaultdict(list)
    for _ in range(3 if effort.quick else 7):
        told = subprocess.run([turns.TOOLS / "limits_cost"], check=True, capture_output=True).stdout
        for name, nanoseconds in json.loads(told).items():
            samples[name].append(nanoseconds / 1000)
    for name, values in samples.items():
        told, unit, limit = NAMES.get(name, (f"per-source= and rate=, {name}", "us CPU/conn", 0.3))
        yield Figure(name=told, unit=unit, value=statistics.median(values), limit=limit, samples={"preforkd": values})
