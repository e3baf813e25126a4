"""How a server under test is started, asked for its processes and ended; and preforkd itself."""
import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import tempfile
import time

import procfs
from packages import ROOT

GREETING = b"connected\n"
PROGRAM = ["/bin/echo", "connected"]  # where a program answers each client
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)
START_TIMEOUT_S = 20
STOP_TIMEOUT_S = 20


class Server:
    """One server and its workers.  `with` starts and ends it; on leaving, `log` is what it wrote to stderr."""
    label = "?"
    environment = None
    generator = "load"  # of clients who are greeted
    generator_options = ()

    def __init__(self, workers=1):
        self.workers = workers
        self.port = None
        self.process = None
        self.log = ""
        self.at_rest = (0, 0)

    def __enter__(self):
        self.stderr = tempfile.TemporaryFile()
        try:
            self.start()
        except BaseException as failure:
            self.__exit__(type(failure))
            raise
        return self

    def __exit__(self, failure, *_):
        try:
            if not failure:
                self.must_run()
        finally:
            with self.stderr:
                if self.process:
                    self.stop()
                self.log = self.log_text()
        if not failure and (complaint := self.complaint()):
            raise RuntimeError(f"{self.label} complained: {complaint}")

    def must_run(self):
        """A server that has ended uses no CPU, and would win."""
        status = self.process.poll()
        if status is not None:
            how = f"exit status {status}" if status >= 0 else f"killed by {signal.Signals(-status).name}"
            raise RuntimeError(f"{self.label} ended in the middle: {how} {self.log_text().strip()}")

    def complaint(self):
        """What it wrote that forbids to trust its figures."""
        return ""

    @property
    def pid(self):
        return self.process.pid

    def network(self):
        """Whose clients are started within it reach the server."""
        return contextlib.nullcontext()

    def worker_pids(self):
        """And what they have started; not what writes the log, which is a file here."""
        return [pid for pid in procfs.tree(self.pid)[1:] if not procfs.name(pid).endswith("-log")]

    def launch(self, argv, **options):
        # A session of its own: Ctrl-C ends the benchmark, which ends the servers.  SIGKILL of it ends them as well.
        self.process = subprocess.Popen([str(arg) for arg in argv], stdin=subprocess.DEVNULL, stderr=self.stderr,
                                        env=self.environment, start_new_session=True,
                                        preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM), **options)

    def start(self):
        """Reads the endpoint from stdout, where the peers of this directory print it."""
        self.launch(self.argv(), stdout=subprocess.PIPE)
        with self.process.stdout as output:
            self.port = port_of(self.read_until_ready(output.fileno(), b"\n"))

    def stop(self):
        try:
            if self.process.poll() is None:
                self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_TIMEOUT_S)
        finally:
            self.kill_the_rest()

    def kill_the_rest(self):
        """All that is left of its session: workers outlive a master that was killed."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()

    def log_text(self):
        # Without a seek: the server writes at the same file position.
        return os.pread(self.stderr.fileno(), self.log_bytes(), 0).decode(errors="replace")

    def log_bytes(self):
        return os.fstat(self.stderr.fileno()).st_size

    def read_until_ready(self, fd, end=None):
        """What `fd` says until `end`, or until it is closed."""
        text, deadline = b"", time.monotonic() + START_TIMEOUT_S
        while not (end and text.endswith(end)):
            readable, _, _ = select.select([fd], [], [], max(0, deadline - time.monotonic()))
            chunk = os.read(fd, 65536) if readable else b""
            if not chunk:
                break
            text += chunk
        if not text:
            raise RuntimeError(f"{self.label} did not become ready: {self.log_text().strip()}")
        return text.decode().strip()

    def in_use(self):
        """How many processes there are, and how many descriptors they have open."""
        pids = [pid for pid in procfs.tree(self.pid) if not procfs.is_zombie(pid)]
        with contextlib.suppress(OSError):
            return len(pids), procfs.open_files(pids)
        return self.in_use()  # one ended while it was looked at

    def note_rest(self):
        self.at_rest = self.in_use()

    def wait_for_rest(self):
        """What a child or a lingering close still costs belongs to its client.  Threads that are kept do not count."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            processes, files = self.in_use()
            if processes <= self.at_rest[0] and files <= self.at_rest[1]:
                return
            time.sleep(0.01)


class Preforkd(Server):
    """The daemon.  `start` returns when the whole first generation is ready: --ready-fd is closed."""
    program = ROOT / "build/release/preforkd"

    def __init__(self, workers=1, model="async", linger=True, log_level="warning", endpoints=("tcp://127.0.0.1:0",),
                 options=(), arguments=(), provoked=None):
        """`provoked`: what warnings say that the case is the cause of."""
        super().__init__(workers)
        self.model, self.linger, self.log_level, self.endpoints = model, linger, log_level, endpoints
        self.options, self.arguments, self.provoked = list(options), list(arguments), provoked
        self.said_at_start = 0
        streams = endpoints[0].startswith(("tcp", "tls"))
        self.label = f"preforkd {'program' if arguments else model}" + (
            f", linger{'' if linger else '=off'}" if streams else "")

    def start(self):
        listen = [word for endpoint in self.endpoints
                  for word in ("--listen", endpoint + ("" if self.linger else " linger=off"))]
        model = [] if self.arguments else ["--model", self.model]
        reader, writer = os.pipe()
        with os.fdopen(reader, "rb", buffering=0) as ready:
            self.launch([self.program, *listen, "--workers", self.workers, *model, "--log-connections", "no",
                         "--log-level", self.log_level, "--log-format", "json", "--ready-fd", writer, *self.options,
                         *(["--", *self.arguments] if self.arguments else [])],
                        pass_fds=[writer], stdout=subprocess.DEVNULL)
            os.close(writer)
            self.port = port_of(self.read_until_ready(ready.fileno()).splitlines()[0])
        self.said_at_start = self.log_bytes()

    def complaint(self):
        """The first warning, or worse, since it was ready: before, it says what this machine limits."""
        for line in self.log.encode()[self.said_at_start:].decode(errors="replace").splitlines():
            if not (quiet(line) or (self.provoked and self.provoked in line)):
                return line
        return ""


def quiet(line):
    try:
        return json.loads(line)["level"] in ("debug", "info", "notice")
    except ValueError:
        return False


def port_of(endpoint):
    return int(endpoint.rsplit(":", 1)[1])


def greeting(port, timeout_s=5):
    """What one client is told, to the end."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as client:
        text = b""
        while chunk := client.recv(4096):
            text += chunk
        return text


def answers(port):
    with contextlib.suppress(ConnectionError):
        return greeting(port) == GREETING
    return False
