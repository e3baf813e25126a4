"""What clients see of a reload and of an upgrade: 8 workers under a load that never rests."""
import collections
import json
import statistics
import subprocess
import tempfile

import turns
from figures import Figure
from packages import ROOT
from servers import Preforkd

PREFORKCTL = ROOT / "build/release/preforkctl"
CHANGES = ("reload", "upgrade")
BEGUN_WITHIN_S = 0.3  # the load has, by then


def change(effort):
    rounds = 2 if effort.quick else 7
    slowdown, tail = collections.defaultdict(list), collections.defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="preforkd-bench-") as directory:
        control = f"unix://{directory}/control.sock"
        with Preforkd(8, linger=False, options=["--control", control],
                      provoked="which ran before") as server:  # the upgrade is to the same file
            for _ in range(rounds):
                before = under_load(server, 50 * effort.connections)
                per_window = before["connections"] / before["seconds"] / 10
                for command in CHANGES:
                    during = under_load(server, 50 * effort.connections, [PREFORKCTL, command, "--control", control])
                    slowdown[command].append(per_window / max(during["fewest_in_100ms"], 1))
                    tail[command].append(during["p99_us"] / before["p99_us"])
    for command in CHANGES:
        yield Figure(name=f"{command} under load: throughput before / in the worst 100 ms", unit="x",
                     value=statistics.median(slowdown[command]), limit=1.25, steady=False,
                     samples={"preforkd": slowdown[command]})
        yield Figure(name=f"{command} under load: p99 during / before", unit="x",
                     value=statistics.median(tail[command]), limit=2, steady=False,
                     samples={"preforkd": tail[command]})


def under_load(server, connections, command=None):
    """What the load reports; `command` is run once while it is under way, and has to succeed."""
    with subprocess.Popen([turns.TOOLS / "load", "--port", str(server.port), "--connections", str(connections),
                           "--clients", "16", "--close", turns.CLOSE], stdout=subprocess.PIPE) as load:
        try:
            if command:
                run_during(load, command)
            report, _ = load.communicate()
        except BaseException:
            load.kill()
            raise
    if load.returncode != 0:
        raise RuntimeError("a client was refused, cut or kept waiting")
    return json.loads(report)


def run_during(load, command):
    try:
        load.wait(BEGUN_WITHIN_S)
    except subprocess.TimeoutExpired:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return
    raise RuntimeError("the load was over before anything could change")
