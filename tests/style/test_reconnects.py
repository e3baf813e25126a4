"""packaging/swarm/reconnects computes what packaging/swarm/README.md shows, and agrees with what can be computed otherwise."""
import math
import pathlib
import subprocess
import types

import pytest

FOLDER = pathlib.Path(__file__).parents[2] / "packaging/swarm"
reconnects = types.ModuleType("reconnects")
exec(compile((FOLDER / "reconnects").read_text(), "reconnects", "exec"), reconnects.__dict__)  # leaves no __pycache__ there


def told(*arguments):
    return subprocess.run([FOLDER / "reconnects", *arguments], capture_output=True, text=True, check=True).stdout


def test_the_page_shows_what_is_computed():
    page = (FOLDER / "README.md").read_text()
    assert all(table in page for table in told().strip().split("\n\n"))
    assert (FOLDER / "reconnects.svg").read_text() == told("--svg")


def test_clients_who_go_anywhere_are_cut_as_often_as_the_integral_says():
    assert reconnects.rolling(1, reconnects.anywhere)[0] == pytest.approx(math.e - 1, rel=2e-3)
    assert reconnects.rolling(1, reconnects.where_fewest_are)[0] == pytest.approx(1, rel=2e-3)


@pytest.mark.parametrize("place", [reconnects.anywhere, reconnects.where_fewest_are])
def test_nobody_is_lost_by_being_placed(place):
    load = [5.0, 1.0, math.inf, 9.0]
    place(load, 12.0)
    assert sum(each for each in load if each < math.inf) == pytest.approx(15 + 12)
    assert load[2] == math.inf


def test_who_comes_no_faster_than_a_host_takes_finds_its_queue_empty():
    back, refused = reconnects.storm(reconnects.RATE * 10, 10)
    assert refused == 0 and len(back) * reconnects.STEP_S == pytest.approx(10, abs=0.1)


def test_whom_the_queue_has_no_space_for_tries_again():
    back, refused = reconnects.storm(reconnects.BACKLOG + 1000, 0)
    assert refused == pytest.approx(1000) and back[-1] == pytest.approx(1, abs=1e-3)
    assert 1.0 < len(back) * reconnects.STEP_S < 1.5, "after the second that TCP waits"
