"""Clients: one that asks and reads to the end, and a crowd that counts what became of it."""
import contextlib
import re
import socket
import threading
import time
from collections import Counter

PATIENCE = 10.0  # seconds until a client that hears nothing counts as stalled


def address_of(endpoint):
    """(family, address) to connect to; every address of the machine is reached over loopback."""
    if endpoint.startswith("unix://"):
        path = endpoint[len("unix://"):]
        return socket.AF_UNIX, "\0" + path[1:] if path.startswith("@") else path
    host, port = re.fullmatch(r"tcp://(?:\[(?=.*\]))?([^\]]*?)\]?:(\d+)", endpoint).groups()
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return socket.AF_INET6 if ":" in host else socket.AF_INET, (host, int(port))


def port_of(endpoint):
    return address_of(endpoint)[1][1]


def connect(endpoint, timeout=PATIENCE):
    family, address = address_of(endpoint)
    client = socket.socket(family, socket.SOCK_STREAM)
    client.settimeout(timeout)
    try:
        client.connect(address)
    except BaseException:
        client.close()
        raise
    return client


def read_to_end(client):
    chunks = []
    while chunk := client.recv(1 << 16):
        chunks.append(chunk)
    return b"".join(chunks)


def read_exactly(client, size):
    data = b""
    while len(data) < size:
        chunk = client.recv(size - len(data))
        assert chunk, f"the connection ended after {len(data)} of {size} bytes"
        data += chunk
    return data


def echo(client, data=b"x"):
    """Has `client` served by a handler that echoes."""
    client.sendall(data)
    assert read_exactly(client, len(data)) == data


def say(client, word):
    """The pid of the process that serves this client of a trouble and is about to do what it was told."""
    client.sendall(word.encode() + b"\n")
    line = b""
    while not line.endswith(b"\n"):
        line += read_exactly(client, 1)
    echoed, _, pid = line.rpartition(b" ")
    assert echoed.decode() == word
    return int(pid)


def exchange(endpoint, request=b"", timeout=PATIENCE):
    """What the classic client does: connect, send, half-close, read the whole answer."""
    with connect(endpoint, timeout) as client:
        if request:
            client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        return read_to_end(client)


def refused(endpoint, timeout=1):
    """Whether nobody listens there.  Who leaves lets new clients wait for who comes, which is no refusal."""
    try:
        connect(endpoint, timeout).close()
        return False
    except (ConnectionRefusedError, FileNotFoundError):
        return True
    except OSError:
        return False


class Load:
    """Clients that come one after the other, in some threads, until the `with` ends.

    outcomes: `whole` answers; `refused` connects (never connected, so nothing was lost); `reset`, `short` and
    `stalled` for clients whose connect() had succeeded."""

    def __init__(self, endpoint, clients=8, request=b"", expected=b"connected\n"):
        self._endpoint, self._request, self._expected = endpoint, request, expected
        self.outcomes = Counter()
        self.broken = []  # what happened to clients that had connected and got no whole answer
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for_answers(self, more, timeout=20.0):
        """Until `more` whole answers arrived from now on."""
        with self._changed:
            goal = self.outcomes["whole"] + more
            arrived = self._changed.wait_for(lambda: self.outcomes["whole"] >= goal, timeout)
            assert arrived, f"not {more} more answers within {timeout} s: {dict(self.outcomes)}, {self.broken[:5]}"

    def _run(self):
        while not self._stop.is_set():
            outcome, detail = self._one()
            with self._changed:
                self.outcomes[outcome] += 1
                if outcome in ("reset", "short", "stalled"):
                    self.broken.append((outcome, detail))
                self._changed.notify_all()
            if outcome == "refused":
                self._stop.wait(0.01)

    def _connect(self):
        return connect(self._endpoint, timeout=0.5)

    def _one(self):
        try:
            client = self._connect()
        except OSError:
            return "refused", None
        with client:
            began = time.monotonic()
            name = client.getsockname()
            try:
                client.settimeout(PATIENCE)
                if self._request:
                    client.sendall(self._request)
                client.shutdown(socket.SHUT_WR)
                answer = read_to_end(client)
            except socket.timeout:
                return "stalled", name
            except OSError as error:
                return "reset", (name, repr(error), time.monotonic() - began)
            return ("whole", None) if answer == self._expected else ("short", (name, answer[:80]))


def serve_behind_another(endpoint, wait_s):
    """One client of a worker that serves one at a time waits that long for another to be served; returns how long."""
    with connect(endpoint) as first:
        echo(first)
        with connect(endpoint) as second:
            connected = time.monotonic()
            while time.monotonic() - connected < wait_s:
                echo(first)
            first.close()
            echo(second)
            return time.monotonic() - connected


@contextlib.contextmanager
def silent():
    """An address whose queue is full, so that the kernel answers nobody."""
    with socket.socket() as listening, contextlib.ExitStack() as queued:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            client = queued.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listening.getsockname())
        yield f"tcp://127.0.0.1:{listening.getsockname()[1]}"
