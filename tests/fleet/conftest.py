"""The fleet: many hosts, and what clients notice when something is done to them.  Needs root and Debian's docker.io;
skipped with the reason elsewhere, except where CI=true."""
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "daemon"))

import hosts
from fleet import Fleet

TOLD = pytest.StashKey()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be: {report.longrepr[2]}"


def pytest_configure(config):
    config.stash[TOLD] = []


def pytest_terminal_summary(terminalreporter, config):
    for line in config.stash[TOLD]:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def running_fleet():
    """All hosts of it, without what a test has done to it."""
    if reason := hosts.missing():
        pytest.skip(reason)
    fleet = Fleet()
    fleet.up()
    try:
        with hosts.as_client():
            yield fleet
    finally:
        fleet.down()


@pytest.fixture
def fleet(running_fleet):
    """As a test before has left it, whatever became of that one: whole, and with six replicas on three hosts."""
    running_fleet.mend()
    return running_fleet


@pytest.fixture
def told(request):
    """Tells at the end of the run what was found: the table in README.md has these words."""
    def tell(event, effect, detail):
        request.config.stash[TOLD].append(f"| {event} | {effect} | {detail}")
    return tell
