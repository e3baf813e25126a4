"""What the table says of a figure, and how a run ends."""
import os

import pytest

import cases_echo
import cases_life
import descriptors
import figures
import run
from figures import Figure, beside, not_measured


def figure(value, limit, **fields):
    return Figure(name="a figure", unit="", value=value, limit=limit, **fields)


@pytest.mark.parametrize("of, quick, full", [
    (figure(1, 2), "ok", "ok"),
    (figure(1, None), "", ""),
    (figure(2.9, 2), "near", "MISS"),
    (figure(3.1, 2), "MISS", "MISS"),
    (figure(9, 2, steady=False), "not judged", "MISS"),
    (figure(9, 2, ratio=1), "ok", "ok"),
    (figure(0, 0), "ok", "ok"),
    (figure(1, 0), "MISS", "MISS"),
    (figure(1, 0, slack=1), "near", "MISS"),
    (figure(2, 0, slack=1), "MISS", "MISS"),
    (not_measured("a figure", "", 2, "no nginx"), "not measured: no nginx", "not measured: no nginx"),
])
def test_a_verdict_is_lenient_only_in_a_quick_run(of, quick, full):
    assert (of.verdict(quick=True), of.verdict(quick=False)) == (quick, full)


def test_a_limit_beside_a_peer_that_is_not_there_keeps_its_line():
    readings = {"preforkd async, linger=off": [4.0], "preforkd async, linger": [5.0], "raw C": [4.0]}
    [lacking] = beside("greet", readings, "nginx", 1.0)
    [measured] = beside("greet", {**readings, "nginx": [8.0]}, "nginx", 1.0)
    assert lacking.name == measured.name
    assert (lacking.verdict(quick=False), measured.value) == ("not measured: no nginx", 0.5)
    assert run.row(lacking, quick=False)[2] == ""


MET, MISSED, LACKING = figure(1, 2), figure(9, 2), not_measured("a figure", "", 2, "no nginx")


@pytest.mark.parametrize("measured, quick, code, last", [
    ([MET], False, 0, None),
    ([MET, LACKING], True, 0, "bench: 1 of 2 limits not measured: no nginx"),
    ([MET, LACKING], False, os.EX_UNAVAILABLE, "bench: 1 of 2 limits not measured: no nginx"),
    ([MISSED, LACKING], False, 1, "bench: 1 of 2 limits missed: a figure"),
    ([MISSED, LACKING], True, 1, "bench: 1 of 2 limits missed: a figure"),
    ([MET, not_measured("no limit", "", None, "no strace")], False, 0, None),
])
def test_a_run_ends_with_what_was_missed_or_not_measured(measured, quick, code, last):
    ended, lines = run.outcome(measured, quick)
    assert (ended, lines[-1] if lines else None) == (code, last)


@pytest.mark.parametrize("measured", [[MET], [MISSED], [LACKING]])
def test_a_case_that_failed_outweighs_a_miss(measured):
    code, lines = run.outcome(measured, False, {"greet": "nginx ended"})
    assert (code, lines[-1]) == (70, "bench: failed: greet")


def test_too_few_descriptors_are_said():
    assert cases_echo.space_for(100_000, 1_000_000) == ("", "")
    assert cases_echo.space_for(100_000, 20_000) == ("", "RLIMIT_NOFILE is 20000: less than twice a worker's share of 12500")
    assert cases_echo.space_for(100_000, 4096) == ("RLIMIT_NOFILE is 4096, needed are 13000", "")


def test_what_needs_more_descriptors_is_not_measured(monkeypatch):
    monkeypatch.setattr(descriptors, "limit", lambda: 1024)
    why = "not measured: RLIMIT_NOFILE is 1024, needed are 1524"
    assert [each.verdict(quick=True) for each in cases_life.status(figures.QUICK)] == [why, why]
    assert (descriptors.lacking(524), descriptors.lacking(525)) == ("", "RLIMIT_NOFILE is 1024, needed are 1025")


def test_lost_datagrams_are_judged_by_what_the_raw_loop_loses():
    said = {"raw C": [{"done": 10, "late": 0, "lost": 0}], "preforkd async": [{"done": 7, "late": 2, "lost": 1}]}
    [loss] = cases_echo.losses("datagrams", said)
    assert (loss.value, loss.limit, loss.verdict(quick=True)) == (100_000, 0, "MISS")
    assert "preforkd async 2" in loss.note
