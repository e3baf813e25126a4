"""Each metric of /metrics: that the manual, the alert rules and the dashboard know it, and that it moves by what was done."""
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import proc
from clients import connect as connect_client, exchange, read_exactly
from observing import get, metrics

PACKAGING = Path(__file__).parents[2] / "packaging"
sys.path.append(str(PACKAGING / "man"))
from metrics import metrics_in, with_metrics  # noqa: E402: it is a tool of the man pages

# What has no sample before there was one of it.
RARE = {"preforkd_accept_errors_total", "preforkd_clients_refused_total", "preforkd_listener_certificate_expiry_seconds"}


def test_the_manual_has_every_metric_as_it_is_told(observed, pair, tmp_path):
    daemon = observed("--handler", "echo", workers=1, listen=(
        "tcp://127.0.0.1:0 per-source=9", f"tls://127.0.0.1:0 certificate={pair.certificate} key={pair.key}"))
    told = get(daemon.observed, "/metrics").text
    page = (PACKAGING / "man" / "preforkd.8.scd").read_text()
    in_page = set(re.findall(r"^\*(preforkd_[a-z_]+)\*", page.replace("\\_", "_"), re.MULTILINE))
    assert in_page - {name for name, *_ in metrics_in(told)} <= RARE
    missing = [name for name, *_ in metrics_in(told) if name not in in_page]
    assert not missing, "run packaging/man/metrics.py"
    assert [each for each in with_metrics(page, told).split("\n\n") if each not in page] == []


def names_in(text):
    found = set(re.findall(r"\bpreforkd_[a-z_]+\b", text))
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in found}


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


def moved(before, after):
    """What has changed of counters, and by how much; histograms by their count."""
    return {name: after[name] - before.get(name, 0) for name in after
            if re.match(r"[a-z_]+(_total|_count)\b", name) and after[name] != before.get(name, 0)
            and "cpu_seconds" not in name and "busy" not in name}


def settled(daemon, condition):
    seen = proc.eventually(lambda: condition(now := metrics(daemon.observed)) and now)
    assert seen, metrics(daemon.observed)
    return seen


def test_a_connection_moves_what_is_its_own(observed):
    daemon = observed("--handler", "echo", workers=1, listen=("tcp://127.0.0.1:0", "tcp://127.0.0.1:0"))
    first, second = (f'listener="{endpoint}"' for endpoint in daemon.endpoints)
    before = metrics(daemon.observed)
    with connect_client(daemon.endpoint) as client:
        client.sendall(b"hello")
        assert read_exactly(client, 5) == b"hello"
        seen = settled(daemon, lambda now: now[f"preforkd_connections{{{first}}}"] == 1)
        assert seen[f"preforkd_connections{{{second}}}"] == 0
    after = settled(daemon, lambda now: now[f"preforkd_connections{{{first}}}"] == 0)
    change = moved(before, after)
    waited = change.pop(f"preforkd_accept_wait_seconds_count{{{first}}}", 0)  # of a sample
    assert waited in (0, 1)
    assert change == {
        f"preforkd_connections_accepted_total{{{first}}}": 1,
        f'preforkd_connections_closed_total{{{first},outcome="ok"}}': 1,
        f"preforkd_connection_duration_seconds_count{{{first}}}": 1,
        f"preforkd_received_bytes_total{{{first}}}": 5,
        f"preforkd_sent_bytes_total{{{first}}}": 5}
    assert after[f"preforkd_connections_max{{{first}}}"] == 1


def test_deaths_reloads_and_upgrades_are_told_by_how_they_came(observed):
    daemon = observed("--handler", "echo", workers=1)
    daemon.expect("killed by SIGKILL")
    before = metrics(daemon.observed)
    os.kill(daemon.workers()[0], signal.SIGKILL)
    settled(daemon, lambda now: now['preforkd_worker_deaths_total{cause="signal"}'] == 1)
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded")
    settled(daemon, lambda now: now['preforkd_worker_deaths_total{cause="ordered"}'] == 1)
    daemon.signal(signal.SIGUSR2)
    daemon.wait_log("upgraded")
    after = settled(daemon, lambda now: now['preforkd_worker_deaths_total{cause="ordered"}'] == 2
                    and now['preforkd_upgrades_total{outcome="ok"}'] == 1)
    change = moved(before, after)
    assert change.pop('preforkd_reloads_total{outcome="ok"}') >= 1
    assert change == {'preforkd_worker_deaths_total{cause="signal"}': 1, 'preforkd_worker_deaths_total{cause="ordered"}': 2,
                      'preforkd_upgrades_total{outcome="ok"}': 1, "preforkd_worker_boot_seconds_count": 3}
