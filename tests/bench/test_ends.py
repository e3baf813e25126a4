"""How a run ends that something stops: what was measured is kept, and no server stays."""
import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from fakes import wait_until_gone

HERE = pathlib.Path(__file__).resolve().parent

# run.py with cases of the test's own, in a directory of the test's own.
WITH_CASES = """
import os, pathlib, signal, sys, time
import packages, plots, run
from figures import Figure
from peers import Raw
from servers import Preforkd

packages.fetch = lambda: None
run.ROOT = pathlib.Path({directory!r})
plots.DIRECTORY = run.ROOT / "build/bench"

def figure(name):
    return Figure(name=name, unit="", value=1, limit=2)

{cases}

run.CASES = {{name: globals()[name] for name in {names!r}}}
sys.argv = ["run.py", "--no-build", *{arguments!r}]
sys.exit(run.main())
"""

WAITS = """
def fine(effort):
    yield figure("of the first case")

def waits(effort):
    with Raw(2) as raw, Preforkd(2) as ours:
        print("pids", *(pid for server in (raw, ours) for pid in (server.pid, *server.worker_pids())), flush=True)
        time.sleep(60)
    yield figure("never")
"""

FAILS = """
def fails(effort):
    yield figure("before it failed")
    open("/nonexistent/file")

def fine(effort):
    yield figure("of the next case")
"""

STRAYS = """
values = iter({values})

def strays(effort):
    yield Figure(name="strays", unit="", value=next(values), limit=2)
"""


@pytest.fixture
def started(tmp_path):
    """started(cases, names, *arguments): a run.py in tmp_path."""
    def start(cases, names, *arguments):
        program = WITH_CASES.format(directory=str(tmp_path), cases=cases, names=names, arguments=arguments)
        return subprocess.Popen([sys.executable, "-c", program], cwd=HERE, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return start


def ended(benchmark):
    output, complaints = benchmark.communicate(timeout=60)
    return benchmark.returncode, output, complaints.splitlines()


def recorded(directory):
    return json.loads((directory / "build/bench.json").read_text())


def pids_said(benchmark):
    for line in benchmark.stdout:
        if line.startswith("pids"):
            return [int(pid) for pid in line.split()[1:]]
    pytest.fail(f"no server was started: {benchmark.stderr.read()}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_servers_and_keeps_what_was_measured(started, tmp_path, number):
    benchmark = started(WAITS, ["fine", "waits"])
    pids = pids_said(benchmark)
    benchmark.send_signal(number)
    code, _, complaints = ended(benchmark)
    assert (code, complaints) == (128 + number, [f"bench: ended by {number.name}"])
    assert len(pids) == 6 and not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]
    assert [each["name"] for each in recorded(tmp_path)["figures"]] == ["of the first case"]
    assert recorded(tmp_path)["not_run"] == ["waits"]


def test_servers_end_with_a_benchmark_that_is_killed(started):
    benchmark = started(WAITS, ["waits"])
    pids = pids_said(benchmark)
    benchmark.kill()
    ended(benchmark)
    wait_until_gone(pids)


def test_a_case_that_fails_is_one_line_and_the_next_one_runs(started, tmp_path):
    code, _, complaints = ended(started(FAILS, ["fails", "fine"]))
    assert (code, complaints) == (
        70, ["bench: fails: [Errno 2] No such file or directory: '/nonexistent/file'"])
    record = recorded(tmp_path)
    assert [each["name"] for each in record["figures"]] == ["before it failed", "of the next case"]
    assert record["failed"].keys() == {"fails"}
    assert sorted(plot.name for plot in (tmp_path / "build/bench").iterdir()) == ["fails.svg", "fine.svg"]


@pytest.mark.parametrize("values, option, code, kept", [
    ([9, 1], "--quick", 0, 1), ([9, 8], "--quick", 1, 8), ([1, 9], "--quick", 0, 1), ([9, 1], "--no-build", 1, 9),
])
def test_a_quick_run_judges_by_the_second_measurement_of_what_missed_a_limit(started, tmp_path, values, option, code, kept):
    got, output, _ = ended(started(STRAYS.format(values=values), ["strays"], option))
    assert (got, [each["value"] for each in recorded(tmp_path)["figures"]]) == (code, [kept])
    assert ("bench: 1 of 1 limits missed: strays" in output) == (code == 1)


def test_a_name_that_is_no_case_is_refused(started):
    code, output, complaints = ended(started(FAILS, ["fails", "fine"], "typo"))
    assert (code, output, complaints) == (64, "", ["bench: no case typo: there are fails, fine"])
