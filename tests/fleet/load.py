"""Clients that come all the time, short ones and sessions of some seconds, at a rate that leaves the machine time for others.

As a program, in the network of its choice: says `going` once somebody was answered, and goes on until its input ends; then
what became of each who was lost, in JSON."""
import argparse
import collections
import errno
import json
import random
import socket
import ssl
import sys
import threading
import time
import urllib.request

PATIENCE_S = 15.0  # longer than a balancer needs to find out that a host is gone


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("targets", help="HOST:PORT,... by turns")
    parser.add_argument("--ready-port", type=int, help="ask /readyz there each second, and go where that is answered with 200 alone")
    parser.add_argument("--ca", help="speak TLS, and believe these certificates")
    parser.add_argument("--short", type=int, default=6, help="clients of one exchange, one after the other")
    parser.add_argument("--rate", type=float, default=10, help="how many of these a second, each")
    parser.add_argument("--long", type=int, default=9, help="sessions at once")
    parser.add_argument("--hold", type=float, default=4, help="seconds that one takes")
    parser.add_argument("--seconds", type=float, help="instead of until its input ends")
    return parser.parse_args()


class Load:
    def __init__(self, how):
        self._how = how
        self._ready = self._targets = [(host, int(port)) for host, _, port in (each.rpartition(":") for each in how.targets.split(","))]
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._clients, args=each)
                         for each in [(self._short, "short")] * how.short + [(self._long, "long")] * how.long]
        self._tls = ssl.create_default_context(cafile=how.ca) if how.ca else None
        self.going = threading.Event()
        self.counts = collections.Counter()
        self.lost = []
        self.bytes = 0
        self.slowest = 0.0

    def start(self):
        if self._how.ready_port:
            self._ask_who_is_ready()
            self._threads.append(threading.Thread(target=self._name_server))
        for thread in self._threads:
            thread.start()

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _name_server(self):
        """What one does that checks whom it names, with answers that hold for a second."""
        while not self._stop.wait(1):
            self._ask_who_is_ready()

    def _ask_who_is_ready(self):
        self._ready = [each for each in self._targets if is_ready(each[0], self._how.ready_port)] or self._ready

    def _clients(self, serve, kind):
        turn = random.randrange(len(self._targets))
        while not self._stop.is_set():
            turn += 1
            began, client, port = time.monotonic(), socket.socket(), None
            client.settimeout(PATIENCE_S)
            outcome = "not connected: "
            try:
                client.connect(self._ready[turn % len(self._ready)])
                port = client.getsockname()[1]
                outcome = ""
                if self._tls:
                    client = self._tls.wrap_socket(client, server_hostname="localhost")
                outcome = serve(client)
            except TimeoutError:
                outcome += "timeout"
            except OSError as error:
                outcome += errno.errorcode.get(error.errno, str(error))
            finally:
                client.close()
            self._note(kind, outcome, began, port)
            self._stop.wait(random.uniform(0.5, 1.5) / self._how.rate if kind == "short" else 0.1)

    def _note(self, kind, outcome, began, port):
        ended = time.monotonic()
        with self._lock:
            self.counts[kind] += 1
            if outcome == "whole":
                self.slowest = max(self.slowest, ended - began if kind == "short" else 0)
                self.going.set()
            else:
                self.lost.append({"kind": kind, "outcome": outcome, "began": began, "ended": ended, "port": port})

    def _exchange(self, client, data):
        client.sendall(data)
        got = b""
        while len(got) < len(data):
            chunk = client.recv(65536)
            if not chunk:
                break
            got += chunk
        with self._lock:
            self.bytes += len(got)
        return got == data

    def _short(self, client):
        if not self._exchange(client, random.randbytes(300)):
            return "cut short"
        if self._tls:
            client.unwrap()  # sends our end, and waits for theirs
            return "whole"
        client.shutdown(socket.SHUT_WR)
        return "whole" if client.recv(1) == b"" else "too much"

    def _long(self, client):
        until = time.monotonic() + self._how.hold
        while time.monotonic() < until and not self._stop.is_set():
            if not self._exchange(client, b"still there?\n"):
                return "cut short"
            self._stop.wait(0.3)
        return self._short(client)

    def result(self):
        return {"connections": self.counts.total(), "counts": self.counts, "bytes": self.bytes, "slowest": self.slowest,
                "lost": self.lost}


def is_ready(host, port):
    try:
        with urllib.request.urlopen(f"http://{host}:{port}/readyz", timeout=0.5) as answer:
            return answer.status == 200
    except OSError:
        return False


def main():
    load = Load(arguments())
    load.start()
    load.going.wait()
    print("going", flush=True)
    if load._how.seconds:
        time.sleep(load._how.seconds)
    else:
        sys.stdin.read()
    load.stop()
    print(json.dumps(load.result()))


if __name__ == "__main__":
    main()
