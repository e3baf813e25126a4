"""A real Prometheus that scrapes a daemon as packaging/prometheus says, only sooner, and is asked over its own HTTP API."""
import contextlib
import json
import re
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path

import proc

PACKAGING = Path(__file__).parents[2] / "packaging"
PROGRAM = "prometheus"


def replaced(text, pattern, by):
    text, times = re.subn(pattern, by, text, flags=re.MULTILINE)
    assert times, f"{pattern} is no longer there"
    return text


def configure(directory, target, interval):
    """The files that the package has, with the daemon's address, and with intervals and patience of a test."""
    text = (PACKAGING / "prometheus/prometheus.yml").read_text()
    text = replaced(text, r"localhost:9090(?=\"])", target)
    text = replaced(text, r"scrape_interval: \S+$",
                    f"scrape_interval: {interval}\n  scrape_timeout: {interval}\n  evaluation_interval: 200ms")
    (directory / "prometheus.yml").write_text(text)
    rules = (PACKAGING / "prometheus/preforkd.rules.yml").read_text()
    (directory / "preforkd.rules.yml").write_text(replaced(rules, r"^( +for: )\S+$", r"\g<1>1s"))
    return directory / "prometheus.yml"


class Prometheus:
    def __init__(self, directory, target, interval):
        self._log = open(directory / "log", "w+")
        self._process = subprocess.Popen(
            [PROGRAM, f"--config.file={configure(directory, target, interval)}", f"--storage.tsdb.path={directory}/data",
             "--web.listen-address=127.0.0.1:0"], stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT, cwd=directory)
        self._port = proc.eventually(self._listening_at, 30)
        assert self._port, self.log()
        assert proc.eventually(self._is_ready, 30), self.log()

    def log(self):
        return Path(self._log.name).read_text()

    def _listening_at(self):
        assert self._process.poll() is None, self.log()
        found = re.search(r'msg="Listening on" address=127\.0\.0\.1:(\d+)', self.log())
        return found and found[1]

    def _is_ready(self):
        with contextlib.suppress(OSError):
            return self._get("/-/ready") is not None
        return False

    def _get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=20) as answer:
            return answer.read()

    def ask(self, path, **parameters):
        """What its API tells."""
        told = json.loads(self._get(f"/api/v1/{path}?{urllib.parse.urlencode(parameters)}"))
        assert told["status"] == "success", told
        return told["data"]

    def values(self, query):
        """{labels: value} of the last sample of each series."""
        return {tuple(sorted(each["metric"].items())): float(each["value"][1]) for each in self.ask("query", query=query)["result"]}

    def firing(self):
        """{alert: [labels]}"""
        found = {}
        for alert in self.ask("alerts")["alerts"]:
            if alert["state"] == "firing":
                found.setdefault(alert["labels"]["alertname"], []).append(alert)
        return found

    def close(self):
        self._process.kill()
        self._process.wait()
        self._log.close()
