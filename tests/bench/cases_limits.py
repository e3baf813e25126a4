"""What it costs a connection to be counted for its source, and to be looked up in a list of who is admitted."""
import collections
import json
import statistics
import subprocess

import turns
from figures import Figure

PREFIXES = "allow= and deny= of 10000 prefixes"


def limits(effort):
    samples = collections.defaultdict(list)
    for _ in range(3 if effort.quick else 7):
        told = subprocess.run([turns.TOOLS / "limits_cost"], check=True, capture_output=True).stdout
        for name, nanoseconds in json.loads(told).items():
            samples[name].append(nanoseconds / 1000)
    for name, values in samples.items():
        counted = name != "prefixes"
        yield Figure(name=f"per-source= and rate=, {name}" if counted else PREFIXES, unit="us CPU/conn",
                     value=statistics.median(values), limit=0.3 if counted else 1, samples={"preforkd": values})
