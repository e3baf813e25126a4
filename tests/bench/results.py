"""What a run leaves behind, and how it ends: whatever stops it, what was measured until then is kept and said."""
import dataclasses
import json
import os
import signal
import subprocess
import sys
import traceback

FAILED = os.EX_SOFTWARE  # of the benchmark itself, or of a server in it; a miss is 1
EXPECTED_FAILURES = (RuntimeError, OSError, subprocess.SubprocessError)  # another one is a bug, and needs its place


class Interrupted(BaseException):
    """A signal that ends the run, through every `with`: servers are stopped, temporary directories removed."""

    def __init__(self, number):
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.exit_code = 128 + number


def end_on_signals():
    """TERM and HUP as Ctrl-C."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def end(number, _frame):
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)  # a second one must not cut short what the first began
        raise Interrupted(number)

    for number in numbers:
        signal.signal(number, end)


def replace_file(path, content):
    """Whole or as it was: the run may end, or the disk be full, at any time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".new")
    try:
        unfinished.write_text(content)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def complain(case, error):
    """One line on stderr."""
    if not isinstance(error, EXPECTED_FAILURES):
        traceback.print_exception(error)
    cause = " ".join(str(error).split()) or type(error).__name__
    print(f"bench: {case}: {cause}" if case else f"bench: {cause}", file=sys.stderr, flush=True)
    return cause


class Record:
    """build/bench.json as it grows, case by case."""

    def __init__(self, path, about, quick, names):
        self.path, self.about, self.quick = path, about, quick
        self.measured, self.seconds, self.failed, self.not_run = [], {}, {}, list(names)

    def begin(self, name):
        self.not_run.remove(name)

    def end(self, name, seconds, failure=None):
        self.seconds[name] = round(seconds, 1)
        if failure:
            self.failed[name] = failure
        figures = [{**dataclasses.asdict(figure), "verdict": figure.verdict(self.quick)} for figure in self.measured]
        replace_file(self.path, json.dumps(
            {**self.about, "quick": self.quick, "seconds": self.seconds, "failed": self.failed, "not_run": self.not_run,
             "figures": figures}, indent=1) + "\n")
