"""Clients that come without end, check every byte, and remember what became of each that was not served whole."""
import errno
import random
import select
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from dataclasses import dataclass

from clients import address_of
from tls_clients import TlsClient, trusting

PATIENCE = 15.0  # seconds until a client that hears nothing has been let down
BROKEN = ("refused", "reset", "cut", "timed out", "wrong")


@dataclass
class Visit:
    """One client's stay.  `name`: its address as the daemon logs it.  Times are time.time()."""
    kind: str
    endpoint: str
    began: float
    name: str = ""
    outcome: str = "whole"
    detail: str = ""
    ended: float = 0.0


class Cut(Exception):
    """The answer ended early."""


class Wrong(Exception):
    """The answer is not the one that was due."""


class Visitor:
    """What all clients do, however they receive()."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def read(self, size):
        data = b""
        while len(data) < size:
            chunk = self.receive(size - len(data))
            if not chunk:
                raise Cut(f"after {len(data)} of {size} bytes")
            data += chunk
        return data

    def read_to_end(self):
        chunks = []
        while chunk := self.receive(1 << 16):
            chunks.append(chunk)
        return b"".join(chunks)


class Client(Visitor):
    """A connection that waits with the kernel's own deadlines: a non-blocking connect() to a Unix socket whose queue is
    full fails at once instead of waiting."""

    _numbers = iter(range(1 << 62))
    _lock = threading.Lock()

    def __init__(self, visit):
        family, address = address_of(visit.endpoint)
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        deadline = struct.pack("ll", int(PATIENCE), 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, deadline)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, deadline)
        try:
            if family == socket.AF_UNIX:  # by a name of its own the log can tell it from others
                with self._lock:
                    name = f"chaos-{threading.get_native_id()}-{next(self._numbers)}"
                self._socket.bind("\0" + name)
                visit.name = "@" + name
            self._socket.connect(address)
            if family != socket.AF_UNIX:
                visit.name = "%s:%d" % self._socket.getsockname()[:2]
        except BaseException:
            self._socket.close()
            raise

    def send(self, data):
        self._socket.sendall(data)

    def receive(self, size):
        return self._socket.recv(size)

    def close(self):
        self._socket.close()

    def half_close(self):
        self._socket.shutdown(socket.SHUT_WR)

    def converse(self, data):
        """Sends and reads at the same time, half-closes when all is sent, and returns what came."""
        left, chunks = memoryview(data), []
        while True:
            readable, writable, _ = select.select([self._socket], [self._socket] if left else [], [], PATIENCE)
            if not readable and not writable:
                raise TimeoutError(errno.ETIMEDOUT, "neither readable nor writable")
            if writable:
                left = left[self._socket.send(left, socket.MSG_DONTWAIT):]
                if not left:
                    self.half_close()
            if readable:
                chunk = self._socket.recv(1 << 16)
                if not chunk:
                    return b"".join(chunks)
                chunks.append(chunk)


class Sessions:
    """The last session of any client, for each endpoint: whoever comes next takes it up, whatever has become of its key."""

    def __init__(self):
        self.context = trusting()  # of all, or none could take up another's
        self.last, self.taken_up = {}, 0


class TlsVisitor(Visitor):
    """The same with TLS."""

    def __init__(self, visit, sessions):
        self._endpoint, self._sessions = visit.endpoint, sessions
        self._client = TlsClient(visit.endpoint, sessions.context, session=sessions.last.get(visit.endpoint), timeout=PATIENCE,
                                 handshake=False)
        visit.name = "%s:%d" % self._client.socket.getsockname()[:2]
        try:
            self._client.handshake()
        except BaseException:
            self._client.close()
            raise
        sessions.taken_up += self._client.tls.session_reused

    def close(self):
        if self._client.tls.session:
            self._sessions.last[self._endpoint] = self._client.tls.session
        self._client.close()

    def send(self, data):
        self._client.sendall(data)

    def receive(self, size):
        return self._client.recv(size)

    def half_close(self):
        self._client.end()

    def converse(self, data):
        return self._client.swap(data)


def expect(found, due):
    if found == due:
        return
    if due.startswith(found):
        raise Cut(f"after {len(found)} of {len(due)} bytes")
    raise Wrong(f"{found[:60]!r} instead of {due[:60]!r}")


def greet(client, rng, load):
    if rng.random() < 0.5:
        client.half_close()
    answer = client.read_to_end()
    if answer not in load.greetings:
        expect(answer, load.greetings[0])


def echo(client, rng, _):
    data = rng.randbytes(rng.randrange(1, 1000))
    client.send(data)
    client.half_close()
    expect(client.read_to_end(), data)


def echo_much(client, rng, _):
    data = rng.randbytes(rng.randrange(1 << 14, 1 << 18))
    expect(client.converse(data), data)


def half_close_and_dawdle(client, rng, load):
    """Its input ends long before it reads the answer."""
    data = rng.randbytes(rng.randrange(1, 30_000))
    client.send(data)
    client.half_close()
    load.pause(rng.uniform(0, 0.3))
    expect(client.read_to_end(), data)


def chat(client, rng, load):
    """Stays through reloads and upgrades."""
    for _ in range(rng.randrange(2, 6)):
        data = rng.randbytes(rng.randrange(1, 2000))
        client.send(data)
        expect(client.read(len(data)), data)
        load.pause(rng.uniform(0, load.longest_pause))
    client.half_close()
    expect(client.read_to_end(), b"")


# Which handler a client is for, and how often it comes.
KINDS = {greet: ("greet", 4), echo: ("echo", 3), echo_much: ("echo", 1), half_close_and_dawdle: ("echo", 1),
         chat: ("echo", 1)}


class Load:
    """`clients` threads, each one client after the other.  endpoints: {handler: [endpoint, ...]}."""

    def __init__(self, endpoints, seed, clients=10, longest_pause=0.4, greetings=(b"connected\n",)):
        self.greetings, self.longest_pause = greetings, longest_pause
        self.counts, self.broken, self.longest_wait = Counter(), [], 0.0
        self.sessions = Sessions()
        self._endpoints = endpoints
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(f"{seed}/client {number}",)) for number in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def pause(self, seconds):
        time.sleep(seconds)

    def _run(self, seed):
        rng = random.Random(seed)
        kinds, weights = list(KINDS), [weight for _, weight in KINDS.values()]
        while not self._stop.is_set():
            kind = rng.choices(kinds, weights)[0]
            visit = Visit(kind.__name__, rng.choice(self._endpoints[KINDS[kind][0]]), time.time())
            self._pay(visit, kind, rng)
            visit.ended = time.time()
            with self._lock:
                self.counts[visit.outcome] += 1
                self.longest_wait = max(self.longest_wait, visit.ended - visit.began)
                if visit.outcome != "whole":
                    self.broken.append(visit)
            if visit.outcome == "refused":
                self._stop.wait(0.01)

    def _pay(self, visit, kind, rng):
        connected = False
        try:
            with TlsVisitor(visit, self.sessions) if visit.endpoint.startswith("tls:") else Client(visit) as client:
                connected = True
                kind(client, rng, self)
        except (ConnectionRefusedError, FileNotFoundError) as error:
            visit.outcome, visit.detail = ("reset" if connected else "refused"), repr(error)
        except (TimeoutError, BlockingIOError) as error:
            visit.outcome, visit.detail = "timed out", f"{'connected' if connected else 'not connected'}, {error!r}"
        except ssl.SSLEOFError as error:
            visit.outcome, visit.detail = "cut", repr(error)
        except OSError as error:
            visit.outcome, visit.detail = "reset", repr(error)
        except Cut as error:
            visit.outcome, visit.detail = "cut", str(error)
        except Wrong as error:
            visit.outcome, visit.detail = "wrong", str(error)
