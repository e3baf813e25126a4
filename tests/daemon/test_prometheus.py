"""A real Prometheus with the scrape configuration and the alert rules of packaging/prometheus, and the queries of the dashboard."""
import json
import os
import re
import signal

import pytest

import prometheus
import proc
from clients import exchange
from observing import get


@pytest.fixture
def scraped(preforkd, tmp_path):
    """Starts a daemon and a Prometheus that has scraped it."""
    started = []

    def start(*arguments, interval="200ms", **how):
        daemon = preforkd("--observe", "tcp://127.0.0.1:0", "--handler", "echo", *arguments, **how)
        daemon.observed = daemon.wait_log("observed over HTTP at")["endpoint"]
        (tmp_path / "prometheus").mkdir()
        scraper = prometheus.Prometheus(tmp_path / "prometheus", daemon.observed.removeprefix("tcp://"), interval)
        started.append(scraper)
        assert proc.eventually(lambda: list(scraper.values("preforkd_up").values()) == [1], 20), scraper.ask("targets")
        return daemon, scraper

    yield start
    for scraper in started:
        scraper.close()


def comes_to_fire(scraper, *alerts):
    """Exactly these; what they say."""
    assert proc.eventually(lambda: sorted(scraper.firing()) == sorted(alerts), 30), scraper.ask("alerts")
    return scraper.firing()


@pytest.mark.programs(prometheus.PROGRAM)
def test_it_takes_every_sample(scraped):
    daemon, scraper = scraped(workers=2, listen=("tcp://127.0.0.1:0", "udp://127.0.0.1:0"))
    for _ in range(3):
        assert exchange(daemon.endpoint, b"hello") == b"hello"
    instance = daemon.observed.removeprefix("tcp://")
    target, = scraper.ask("targets")["activeTargets"]
    assert (target["health"], target["lastError"], target["labels"]) == ("up", "", {"instance": instance, "job": "preforkd"})
    labels = tuple(sorted({"__name__": "preforkd_received_bytes_total", "instance": instance, "job": "preforkd",
                           "listener": daemon.endpoint}.items()))
    assert proc.eventually(lambda: scraper.values("preforkd_received_bytes_total").get(labels) == 15)
    told = [line for line in get(daemon.observed, "/metrics").text.splitlines() if not line.startswith("#")]
    assert list(scraper.values("scrape_samples_scraped").values()) == [len(told)]
    assert {each["state"] for each in scraper.ask("alerts")["alerts"]} == set(), "all is well"


@pytest.mark.programs(prometheus.PROGRAM)
def test_an_alert_fires_when_a_worker_is_killed(scraped):
    daemon, scraper = scraped(workers=2)
    daemon.expect("killed by SIGKILL")
    assert proc.eventually(lambda: 0 in scraper.values('preforkd_worker_deaths_total{cause="signal"}').values())
    os.kill(daemon.workers()[0], signal.SIGKILL)
    alert, = comes_to_fire(scraper, "PreforkdWorkersDie")["PreforkdWorkersDie"]
    instance = daemon.observed.removeprefix("tcp://")
    assert alert["labels"] == {"alertname": "PreforkdWorkersDie", "severity": "warning", "instance": instance, "cause": "signal"}
    assert alert["annotations"]["summary"] == f"{instance}: workers die (signal)"
    assert scraper.values('preforkd_worker_deaths_total{cause="signal"}').popitem()[1] == 1


@pytest.mark.programs(prometheus.PROGRAM)
def test_an_alert_fires_when_the_master_hangs_or_the_daemon_goes_away(scraped):
    daemon, scraper = scraped(workers=1, interval="1500ms")  # the observer waits for a second for its master
    daemon.signal(signal.SIGSTOP)
    try:
        alert, = comes_to_fire(scraper, "PreforkdDown")["PreforkdDown"]
        assert list(scraper.values("up").values()) == [1], "the observer answers for it"
    finally:
        daemon.signal(signal.SIGCONT)
    comes_to_fire(scraper)
    assert daemon.stop() == 0
    gone, = comes_to_fire(scraper, "PreforkdDown")["PreforkdDown"]
    assert list(scraper.values("up").values()) == [0]
    assert gone["labels"]["severity"] == alert["labels"]["severity"] == "critical"


def queries():
    """Of the dashboard, with what Grafana puts in for its variables."""
    text = json.dumps(json.loads((prometheus.PACKAGING / "grafana/preforkd.json").read_text()))
    found = [json.loads(each) for each in re.findall(r'"expr": ("(?:[^"\\]|\\.)*")', text)]
    assert found
    return [each.replace("$__rate_interval", "5s").replace("$instance", ".+") for each in found]


@pytest.mark.programs(prometheus.PROGRAM)
def test_every_query_of_the_dashboard_has_an_answer(scraped):
    daemon, scraper = scraped(workers=2)
    for _ in range(5):
        exchange(daemon.endpoint, b"hello")
    for query in queries():
        assert proc.eventually(lambda query=query: scraper.values(query), 20), query
