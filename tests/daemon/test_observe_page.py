"""The page of --observe in a browser: it shows what there is, and the browser has nothing to complain of."""
import re
import subprocess

import pytest

from clients import exchange
from observing import get


def shown(endpoint, directory, milliseconds):
    """(the page as the browser has it after so long, what its console says)"""
    browser = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={directory}/browser",
         "--enable-logging=stderr", f"--virtual-time-budget={milliseconds}", "--dump-dom", endpoint.replace("tcp://", "http://") + "/"],
        capture_output=True, text=True, timeout=120)
    return browser.stdout, [line for line in browser.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.programs("chromium")
def test_a_browser_shows_what_the_daemon_does(preforkd, tmp_path):
    daemon = preforkd("--observe", "tcp://127.0.0.1:0", "--handler", "echo", workers=3)
    observed = daemon.wait_log("observed over HTTP")["endpoint"]
    for _ in range(7):
        assert exchange(daemon.endpoint, b"hello") == b"hello"
    page, complaints = shown(observed, tmp_path, 3000)
    assert not complaints
    assert '<span id="phase" class="badge good">running</span>' in page, page
    assert '<p id="trouble" role="alert" hidden="">' in page, "it gets its answers"
    listener = re.search(rf"<tr><td>{re.escape(daemon.endpoint)}</td>(.*?)</tr>", page)[1]
    assert "<td>echo</td>" in listener and '<td class="number">7</td>' in listener and '<td class="number">35 B</td>' in listener
    assert sorted(re.findall(r'<td class="number">(\d+)</td><td class="number">\d+</td><td class="number">1</td><td>', page)) == ["1", "2", "3"]
    assert "<path d=" in page, "a line of the last minute"
    assert "Last client" not in page, "of whom nothing is told without --observe-details"
    assert get(observed, "/readyz").status == 200
