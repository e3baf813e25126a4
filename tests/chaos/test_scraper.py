"""The judge of what those who look at a daemon have found: it finds what cannot be, and forgives nothing else."""
import signal

import scraper
from events import Event
from scraper import Failure, excuse, samples, went_back
from test_chaos import run

BEFORE = 'preforkd_up 1\npreforkd_workers{state="idle"} 4\n# TYPE x counter\nx_total{listener="tcp://a:1"} 7\ny_seconds_bucket{le="+Inf"} 3\n'


def after(text, by):
    assert text in BEFORE
    return went_back(samples(BEFORE), samples(BEFORE.replace(text, by)))


def test_a_counter_that_goes_backwards_is_found():
    assert after('tcp://a:1"} 7', 'tcp://a:1"} 6') == ['x_total{listener="tcp://a:1"} went from 7 to 6']
    assert after('le="+Inf"} 3', 'le="+Inf"} 2') == ['y_seconds_bucket{le="+Inf"} went from 3 to 2']


def test_gauges_may_and_so_may_what_is_new():
    assert after('state="idle"} 4', 'state="idle"} 1') == after("tcp://a:1", "tcp://b:1") == after("_total", "_other") == []


def failed(began, ended):
    return Failure("/metrics", float(began), float(ended), "")


def test_each_kill_explains_one_scrape_that_was_under_way():
    both = [failed(10, 12), failed(12.5, 13)]
    assert excuse(both, [11.0, 12.7]) == (both, [])
    assert excuse([failed(10, 12), failed(10, 12)], [11.0]) == ([both[0]], [both[0]])


def test_no_kill_explains_what_came_before_or_after():
    late = failed(12.5, 13)
    assert excuse([late], [11.0, 14.0]) == ([], [late])


def test_an_observer_that_stays_away_is_found(monkeypatch, tmp_path):
    monkeypatch.setattr(scraper, "LONGEST_AWAY", 0.5)

    def stop(the_arena, _):
        for _ in range(100):  # also those that a reload has just started
            for pid in the_arena.observers():
                the_arena.signal(pid, signal.SIGSTOP)
            the_arena.wait(0.01)
        for pid in the_arena.observers():
            the_arena.signal(pid, signal.SIGCONT)
        return "done"
    result = run(monkeypatch, tmp_path, stop)
    assert result["longest away"] > 0.5
    assert any("nobody was answered by the observer" in finding for finding in result["findings"])
