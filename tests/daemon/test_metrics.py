"""Each metric of /metrics: that the manual, the alert rules and the dashboard know it, and that a test moves it."""
import re
import subprocess
import sys
from pathlib import Path

import pytest

from observing import get

PACKAGING = Path(__file__).parents[2] / "packaging"
sys.path.append(str(PACKAGING / "man"))
from metrics import metrics_in, with_metrics  # noqa: E402: it is a tool of the man pages

# What has no sample before there was one of it.
RARE = {"preforkd_accept_errors_total", "preforkd_clients_refused_total", "preforkd_listener_certificate_expiry_seconds"}


def metrics_of_the_manual():
    page = (PACKAGING / "man" / "preforkd.8.scd").read_text().replace("\\_", "_")
    return set(re.findall(r"^\*(preforkd_[a-z_]+)\*", page, re.MULTILINE))


def test_the_manual_has_every_metric_as_it_is_told(observed, pair, tmp_path):
    daemon = observed("--handler", "echo", workers=1, listen=(
        "tcp://127.0.0.1:0 per-source=9", f"tls://127.0.0.1:0 certificate={pair.certificate} key={pair.key}"))
    told = get(daemon.observed, "/metrics").text
    page = (PACKAGING / "man" / "preforkd.8.scd").read_text()
    in_page = metrics_of_the_manual()
    assert in_page - {name for name, *_ in metrics_in(told)} <= RARE
    missing = [name for name, *_ in metrics_in(told) if name not in in_page]
    assert not missing, "run packaging/man/metrics.py"
    assert [each for each in with_metrics(page, told).split("\n\n") if each not in page] == []


def names_in(text):
    found = set(re.findall(r"\bpreforkd_[a-z_]+\b", text))
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in found}


def test_each_metric_of_the_manual_is_moved_by_a_test():
    assert metrics_of_the_manual() - names_in((Path(__file__).parent / "test_metric_values.py").read_text()) == set()


@pytest.mark.parametrize("file", ["prometheus/preforkd.rules.yml", "grafana/preforkd.json"])
def test_what_looks_at_metrics_looks_at_those_that_exist(observed, file):
    daemon = observed("--handler", "echo", workers=1)
    known = {name for name, *_ in metrics_in(get(daemon.observed, "/metrics").text)} | RARE
    asked = names_in((PACKAGING / file).read_text())
    assert asked and asked <= known, asked - known


@pytest.mark.programs("promtool")
def test_the_alert_rules_hold_their_own_tests():
    done = subprocess.run(["promtool", "test", "rules", PACKAGING / "prometheus/preforkd.rules.test.yml"],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
