"""What the plots of a run show, and which of them it leaves."""
import re

import pytest

import plots
from figures import Figure, not_measured


def figure(value, limit):
    return Figure(name="a figure", unit="", value=value, limit=limit)


def texts(svg):
    return re.findall(r"<text [^>]*>([^<]*)</text>", svg)


def test_a_plot_shows_a_limit_of_nothing_and_what_was_not_measured():
    lacking = not_measured("a figure", "", 2, "no nginx")
    shown = texts(plots.bars("a case", [figure(0, 0), figure(1.5, 0), figure(0.5, 1), lacking]))
    assert {"0.00 of 0", "1.50 of 0", "0.50 of 1", "not measured: no nginx", "limit"} <= set(shown)


def test_a_bar_reaches_the_line_at_its_limit():
    svg = plots.bars("a case", [figure(2, 2), figure(50, 2)])
    [at_limit] = re.findall(r'<line x1="([\d.]+)"', svg)
    exact, far = re.findall(r'<rect x="(\d+)" y="[\d.]+" width="([\d.]+)"', svg)
    assert float(exact[0]) + float(exact[1]) == pytest.approx(float(at_limit))
    assert float(far[1]) == plots.PLOT_WIDTH


@pytest.mark.parametrize("quick, last", [(False, "#d62728"), (True, plots.LENIENT)])
def test_what_a_quick_run_lets_pass_is_no_miss(quick, last):
    svg = plots.bars("a case", [figure(1, 2), figure(9, 2), figure(2.5, 2)], quick)
    assert re.findall(r'<rect .* fill="(#\w+)"', svg) == ["#2ca02c", "#d62728", last]


@pytest.fixture
def old_plots(tmp_path, monkeypatch):
    monkeypatch.setattr(plots, "DIRECTORY", tmp_path)
    for name in ("greet", "growth-cores", "fork", "renamed"):
        plots.write(name, "<svg/>")
    return lambda: sorted(plot.stem for plot in tmp_path.glob("*.svg"))


def test_a_run_of_some_cases_removes_only_their_plots(old_plots):
    plots.remove_old(["growth", "fork"])
    assert old_plots() == ["greet", "renamed"]


def test_a_run_of_all_cases_removes_every_plot(old_plots):
    plots.remove_old([])
    assert old_plots() == []


def test_a_plot_says_of_which_run_it_is(monkeypatch):
    monkeypatch.setattr(plots, "ABOUT", "full run of 1234567")
    assert "full run of 1234567" in texts(plots.bars("a case", [figure(1, 2)]))
    assert "full run of 1234567" in texts(plots.curves("a case", "x", "y", {"preforkd": [(1, 2), (2, 3)]}))


def test_each_group_of_costs_has_its_scale_and_says_whom_it_lacks():
    svg = plots.costs("title", [("itself", {"nginx": 20.0, "preforkd": 10.0}, {}), ("programs", {"tcpserver": 400.0}, {"systemd": "no root"})])
    widths = [float(width) for width in re.findall(r'<rect x="190" y="[\d.]+" width="([\d.]+)"', svg)]
    assert widths == [plots.PLOT_WIDTH / 2, plots.PLOT_WIDTH, plots.PLOT_WIDTH]
    assert {"preforkd", "10", "nginx", "20", "tcpserver", "400", "systemd", "no root"} <= set(texts(svg))
