#!/usr/bin/python3
"""Makes the picture of the page that README.md shows, packaging/page/page.png: a daemon with load, and Chromium.

    PREFORKD_BUILD=build/release tests/daemon/page_picture.py packaging/page/page.png [--dark] [--width PIXELS] [--seconds N]
"""
import argparse
import base64
import contextlib
import fcntl
import itertools
import json
import os
import random
import signal
import subprocess
import tempfile
import threading
import time
import zlib
from pathlib import Path

import daemon_process
from clients import connect, echo, exchange

HEIGHT = 600


def visit(endpoint, over):
    """Clients of many kinds, one after the other."""
    dice = random.Random()
    while not over.is_set():
        with contextlib.suppress(OSError, AssertionError):  # its worker is killed
            if dice.random() < 0.97:
                exchange(endpoint, b"x" * dice.randrange(10, 20_000))
            else:
                with connect(endpoint) as client:
                    until = time.monotonic() + dice.uniform(0, 2)
                    while time.monotonic() < until and not over.is_set():
                        echo(client)
                        over.wait(0.05)
        over.wait(dice.expovariate(100))


class Browser:
    """A headless Chromium that is told what to do over two pipes.  Source: chromedevtools.github.io/devtools-protocol."""

    def __init__(self, directory):
        self._answers, written = os.pipe()
        read, self._commands = os.pipe()
        pipes = read, written
        commands, answers = (fcntl.fcntl(end, fcntl.F_DUPFD, 100) for end in pipes)  # out of the way of 3 and 4
        script = f'exec chromium "$@" 3<&{commands} 4>&{answers}'  # where it reads, and writes
        self._process = subprocess.Popen(
            ["bash", "-c", script, "bash", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
             f"--user-data-dir={directory}/browser", "--remote-debugging-pipe", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=(commands, answers))
        for end in (*pipes, commands, answers):
            os.close(end)
        self._numbers, self._unread, self._session = itertools.count(1), b"", {}
        target = self.tell("Target.createTarget", url="about:blank")["targetId"]
        self._session = {"sessionId": self.tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}

    def tell(self, method, **parameters):
        number = next(self._numbers)
        os.write(self._commands, json.dumps({"id": number, "method": method, "params": parameters, **self._session}).encode() + b"\0")
        while True:
            while b"\0" not in self._unread:
                chunk = os.read(self._answers, 1 << 20)
                assert chunk, "the browser has ended"
                self._unread += chunk
            line, self._unread = self._unread.split(b"\0", 1)
            told = json.loads(line)
            if told.get("id") == number:
                assert "result" in told, told
                return told["result"]

    def close(self):
        self._process.kill()
        self._process.wait()


def smaller(png):
    """The same picture, as small as zlib can make it, which Chromium does not try.  Source: the PNG specification, chunks."""
    chunks, at = [], 8
    while at < len(png):
        size = int.from_bytes(png[at:at + 4], "big")
        chunks.append((png[at + 4:at + 8], png[at + 8:at + 8 + size]))
        at += size + 12
    pixels = zlib.compress(zlib.decompress(b"".join(data for kind, data in chunks if kind == b"IDAT")), 9)
    kept = [(kind, data) for kind, data in chunks if kind in (b"IHDR", b"PLTE")]
    return png[:8] + b"".join(len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
                              for kind, data in (*kept, (b"IDAT", pixels), (b"IEND", b"")))


def picture(browser, endpoint, wanted):
    browser.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if wanted.dark else "light"}])
    browser.tell("Emulation.setDeviceMetricsOverride", width=wanted.width, height=HEIGHT, deviceScaleFactor=1, mobile=False)
    browser.tell("Page.navigate", url=endpoint.replace("tcp://", "http://") + "/")
    time.sleep(wanted.seconds)
    whole = browser.tell("Page.getLayoutMetrics")["cssContentSize"]
    told = browser.tell("Page.captureScreenshot", captureBeyondViewport=True,
                        clip={"x": 0, "y": 0, "width": wanted.width, "height": whole["height"], "scale": 0.72})
    wanted.file.write_bytes(smaller(base64.b64decode(told["data"])))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--width", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=55, help="how long the page has been looking (55)")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory, contextlib.ExitStack() as stack:
        daemon = daemon_process.Daemon(
            "--observe", "tcp://127.0.0.1:0", "--handler", "echo", "--log-connections", "no", directory=Path(directory),
            listen=("tcp://127.0.0.1:10000", "unix://@preforkd-page", "udp://127.0.0.1:10000"), workers=4)
        daemon.expect("killed by SIGKILL")
        stack.callback(daemon.finish)
        endpoint = daemon.wait_log("observed over HTTP")["endpoint"]
        over = threading.Event()
        stack.callback(over.set)
        for each in daemon.endpoints[:1] * 8 + daemon.endpoints[1:2] * 2:
            threading.Thread(target=visit, args=(each, over), daemon=True).start()
        threading.Timer(wanted.seconds / 2, lambda: os.kill(daemon.workers()[1], signal.SIGKILL)).start()
        browser = Browser(directory)
        stack.callback(browser.close)
        picture(browser, endpoint, wanted)


if __name__ == "__main__":
    main()
