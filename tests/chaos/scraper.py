"""Who looks at the daemon all the while, as Prometheus, a probe and a script do, and what they may find."""
import http.client
import json
import re
import threading
import time
from collections import Counter
from dataclasses import dataclass

from observing import get

PATHS = ("/metrics", "/readyz", "/status.json")
PAUSE = 0.02  # seconds between two of them
LONGEST_AWAY = 10.0  # seconds in which nobody is answered: one who dies early again and again comes back more slowly
# What 503 may say: for a second, as where it executes a new image; and where all workers have been struck.
TROUBLES = {"the master does not answer\n": "the master was silent", "not ready: no worker serves\n": "no worker served"}
COUNTER = re.compile(r"[a-z_]+_(total|bucket|count|sum)\b")
_SLACK = 0.1  # seconds by which two clocks' readings may be apart


@dataclass
class Failure:
    """A scrape that got no answer.  Times are time.time()."""
    path: str
    began: float
    ended: float
    detail: str


def samples(text):
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if not line.startswith("#")}


def went_back(before, after):
    """A sentence for each counter that is less than it was; what one of the two scrapes does not know cannot be."""
    return [f"{name} went from {before[name]:g} to {value:g}" for name, value in after.items()
            if COUNTER.match(name) and value < before.get(name, value)]


def excuse(failures, kills):
    """Divides scrapes that failed into those that the kill of an observer explains, one each, and those that nothing does."""
    left, excused, others = sorted(kills), [], []
    for failure in failures:
        kill = next((when for when in left if failure.began - _SLACK <= when <= failure.ended + _SLACK), None)
        if kill is None:
            others.append(failure)
        else:
            left.remove(kill)
            excused.append(failure)
    return excused, others


class Scraper:
    """One after the other, with a connection for each.  With `with` it looks until the block ends."""

    def __init__(self, endpoint, pid, without=""):
        """`without`: the listener that comes and goes, and with it its counts."""
        self._endpoint, self._pid, self._without = endpoint, pid, without
        self.outcomes, self.failures, self.findings, self.longest_away = Counter(), [], [], 0.0
        self._seen, self._stop = {}, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        if self.longest_away > LONGEST_AWAY:
            self.findings.append(f"nobody was answered by the observer for {self.longest_away:.2f} s")

    def _run(self):
        answered = time.monotonic()
        while not self._stop.is_set():
            for path in PATHS:
                if self._scrape(path):
                    now = time.monotonic()
                    self.longest_away, answered = max(self.longest_away, now - answered), now
                self._stop.wait(PAUSE)
        self.longest_away = max(self.longest_away, time.monotonic() - answered)

    def _scrape(self, path):
        """Whether there was an answer."""
        began = time.time()
        try:
            answer = get(self._endpoint, path)
        except (OSError, http.client.HTTPException) as error:
            self.failures.append(Failure(path, began, time.time(), repr(error)))
            return False
        if answer.status == 503 and answer.text in TROUBLES:
            self.outcomes[path, TROUBLES[answer.text]] += 1
        elif answer.status != 200:
            self.findings.append(f"{path}: {answer.status} {answer.text!r}")
        else:
            self.outcomes[path, "done"] += 1
            self._look_at(path, answer)
        return True

    def _look_at(self, path, answer):
        if path == "/status.json":
            if json.loads(answer.text)["pid"] != self._pid:
                self.findings.append(f"/status.json tells of another daemon: {answer.text[:200]}")
        elif path == "/metrics":
            now = {name: value for name, value in samples(answer.text).items() if not self._without or self._without not in name}
            self.findings += [f"/metrics: {sentence}" for sentence in went_back(self._seen, now)]
            self._seen |= now
