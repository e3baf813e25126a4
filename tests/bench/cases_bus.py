"""What a message from a worker to eight others costs who publishes it, and how soon all have heard it: in processes of their own."""
import collections
import json
import statistics
import subprocess

import turns
from figures import Figure

NAMES = {"alone": ("publish to 8 workers that sleep", "us", 2), "burst": ("publish, 200 in a row", "us", 2),
         "heard": ("8 workers have heard", "us", 100)}


def bus(effort):
    samples = collections.defaultdict(list)
    for _ in range(3 if effort.quick else 7):
        told = subprocess.run([turns.TOOLS / "bus_cost"], check=True, capture_output=True).stdout
        for name, nanoseconds in json.loads(told).items():
            samples[name].append(nanoseconds / 1000)
    for name, (told, unit, limit) in NAMES.items():
        yield Figure(name=told, unit=unit, value=statistics.median(samples[name]), limit=limit, samples={"preforkd": samples[name]})
