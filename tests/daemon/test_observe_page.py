"""The page of --observe in a browser: it shows what there is, and the browser has nothing to complain of."""
import re
import signal
import subprocess

import pytest

import proc
from clients import exchange
from observing import get
from page_picture import Browser


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
    assert '<span id="readiness">ready</span>' in page and '<body class="old">' not in page, "it gets its answers"
    listener = re.search(rf"<tr><td>{re.escape(daemon.endpoint)}</td>(.*?)</tr>", page)[1]
    assert "<td>echo</td>" in listener and '<td class="number">7</td>' in listener and '<td class="number">35 B</td>' in listener
    assert sorted(re.findall(r'<td class="number">(\d+)</td><td class="number">\d+</td><td class="number">1</td><td>', page)) == ["1", "2", "3"]
    assert "<path d=" in page, "a line of the last minute"
    assert "Last client" not in page, "of whom nothing is told without --observe-details"
    assert get(observed, "/readyz").status == 200


class Page:
    """Open in a browser, in which time goes on as usual."""

    def __init__(self, browser, endpoint):
        self._browser = browser
        browser.tell("Page.navigate", url=endpoint.replace("tcp://", "http://") + "/")

    def value(self, expression):
        return self._browser.tell("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def badge(self):
        return self.value("(p => p && `${p.className}|${p.parentNode.innerText}|${document.body.className}`)(document.getElementById('phase'))")

    def wait_badge(self, pattern):
        assert proc.eventually(lambda: re.fullmatch(pattern, self.badge() or ""), timeout=30), self.badge()

    def pieces(self):
        """Of the line of the open connections, of which something is known from the first answer on."""
        return self.value("document.querySelectorAll('#tiles path')[1].getAttribute('d').split('M').length - 1")


@pytest.fixture
def browser(tmp_path):
    started = Browser(tmp_path)
    yield started
    started.close()


@pytest.mark.programs("chromium")
def test_the_page_says_since_when_there_is_no_news_and_leaves_a_gap(preforkd, browser):
    daemon = preforkd("--observe", "tcp://127.0.0.1:0")
    page = Page(browser, daemon.wait_log("observed over HTTP")["endpoint"])
    page.wait_badge(r"badge good\|running ready\|")
    assert page.pieces() == 1
    daemon.signal(signal.SIGSTOP)
    try:
        page.wait_badge(r"badge bad\|no news for [2-9] s the master does not answer\|old")
    finally:
        daemon.signal(signal.SIGCONT)
    page.wait_badge(r"badge good\|running ready\|")
    assert page.pieces() == 2, "nobody knows what was between"


@pytest.mark.programs("chromium")
def test_the_page_of_a_daemon_that_is_gone_says_so(preforkd, browser):
    daemon = preforkd("--observe", "tcp://127.0.0.1:0")
    daemon.expect("the master is gone")
    page = Page(browser, daemon.wait_log("observed over HTTP")["endpoint"])
    page.wait_badge(r"badge good\|running ready\|")
    daemon.signal(signal.SIGKILL)
    page.wait_badge(r"badge bad\|no news for [2-9] s preforkd does not answer\|old")
