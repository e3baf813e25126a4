"""./dev chaos: daemons of every model under load, and looked at, while workers and observers are killed and stopped,
settings, certificates and keys of tickets reloaded, the binary replaced, the pool resized, and descriptors run out.  Ends
with a table: connections that broke, scrapes that were lost, what they told that cannot be, and for how long nobody was
answered; anything but zeros of what is broken, lost or cannot be is exit code 1."""
import argparse
import concurrent.futures
import json
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "daemon"))

from arena import Arena  # noqa: E402
from load import BROKEN  # noqa: E402

MODELS = ("async", "serial", "thread", "fork", "pool")  # the last: copies of a program, which accept by themselves
COLUMNS = ("model", "operations", "connections", *BROKEN, "by strikes", "longest wait", "scrapes", "lost", "untrue", "longest away")
LONGEST = ("longest wait", "longest away")  # seconds; all other columns are counts


def run_arena(model, seed, seconds, directory):
    return Arena(model, seed, directory).run(seconds)


def table(rows):
    cells = [list(COLUMNS), *([f"{row[column]:.2f} s" if column in LONGEST else str(row[column])
                               for column in COLUMNS] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    return "\n".join("  ".join([line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:]))])
                     for line in cells)


def total(rows):
    return {"model": "all", **{column: (max if column in LONGEST else sum)(row[column] for row in rows) for column in COLUMNS[1:]}}


def print_events(rows):
    counts = {}
    for row in rows:
        for name, how, count in row["events"]:
            counts.setdefault(name, {}).setdefault(how, 0)
            counts[name][how] += count
    for name, outcomes in sorted(counts.items()):
        print(f"  {name:36} " + ", ".join(f"{how} {count}" for how, count in sorted(outcomes.items())))


def main():
    parser = argparse.ArgumentParser(prog="./dev chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long the clients come (60)")
    parser.add_argument("--seed", help="of a run that failed, to replay its script; default: a random one")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS, help="default: all, side by side")
    wanted = parser.parse_args()
    seed = wanted.seed or str(random.randrange(1 << 32))
    print(f"chaos: seed {seed}, {wanted.seconds:.0f} s, models {' '.join(wanted.models)}", flush=True)
    directory = tempfile.mkdtemp(prefix="chaos-")
    with concurrent.futures.ProcessPoolExecutor(len(wanted.models)) as pool:
        rows = list(pool.map(run_arena, wanted.models, *zip(*[(seed, wanted.seconds, directory)] * len(wanted.models))))

    print_events(rows)
    print("\n" + table([*rows, total(rows)]))
    findings = [f"{row['model']}: {finding}" for row in rows for finding in row["findings"]]
    if not findings:
        shutil.rmtree(directory)
        return 0
    print("\n".join(["", *findings[:40]] + ([f"... and {len(findings) - 40} more"] if len(findings) > 40 else [])))
    print(f"\nchaos: logs are in {directory}; the same script again: ./dev chaos --seed {seed} "
          f"--seconds {wanted.seconds:.0f}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
