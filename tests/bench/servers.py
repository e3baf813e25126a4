"""The servers under test, each started the same way: N workers on a port of 127.0.0.1 that the kernel chose, the answer
"connected" and a newline."""
import contextlib
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time

import procfs

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
GREETING = b"connected\n"
START_TIMEOUT_S = 10
STOP_TIMEOUT_S = 10


class Server:
    """One server and its workers.  `with` starts and ends it; on leaving, `log` is what it wrote to stderr."""
    label = "?"

    def __init__(self, workers):
        self.workers = workers
        self.port = None
        self.process = None
        self.log = ""

    def __enter__(self):
        self.stderr = tempfile.TemporaryFile()
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.process:
            self.stop()
        with self.stderr:
            self.log = self.log_text()

    @property
    def pid(self):
        return self.process.pid

    def worker_pids(self):
        return procfs.tree(self.pid)[1:]

    def launch(self, argv, **options):
        # A session of its own: Ctrl-C ends the benchmark, which ends the servers.
        self.process = subprocess.Popen([str(arg) for arg in argv], stdin=subprocess.DEVNULL, stderr=self.stderr,
                                        start_new_session=True, **options)

    def start(self):
        """Reads the endpoint from stdout, where the peers of this directory print it."""
        self.launch(self.argv(), stdout=subprocess.PIPE)
        with self.process.stdout as output:
            self.port = port_of(self.read_until_ready(output.fileno(), b"\n"))

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(OSError):
                for pid in procfs.tree(self.pid):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()

    def log_text(self):
        self.stderr.seek(0)
        return self.stderr.read().decode(errors="replace")

    def read_until_ready(self, fd, end=None):
        """What `fd` says until `end`, or until it is closed."""
        text, deadline = b"", time.monotonic() + START_TIMEOUT_S
        while not (end and text.endswith(end)):
            readable, _, _ = select.select([fd], [], [], max(0, deadline - time.monotonic()))
            chunk = os.read(fd, 4096) if readable else b""
            if not chunk:
                break
            text += chunk
        if not text:
            raise RuntimeError(f"{self.label} did not become ready: {self.log_text().strip()}")
        return text.decode().strip()


class Preforkd(Server):
    """The daemon.  `start` returns when the whole first generation is ready: --ready-fd is closed."""
    program = ROOT / "build/release/preforkd"

    def __init__(self, workers, model="async", linger=True, log_level="warning"):
        super().__init__(workers)
        self.model, self.linger, self.log_level = model, linger, log_level
        self.label = f"preforkd {model}, linger{'' if linger else '=off'}"

    def start(self):
        endpoint = "tcp://127.0.0.1:0" + ("" if self.linger else " linger=off")
        reader, writer = os.pipe()
        with os.fdopen(reader, "rb", buffering=0) as ready:
            self.launch([self.program, "--listen", endpoint, "--workers", self.workers, "--model", self.model,
                         "--log-connections", "no", "--log-level", self.log_level, "--log-format", "json",
                         "--ready-fd", writer], pass_fds=[writer], stdout=subprocess.DEVNULL)
            os.close(writer)
            self.port = port_of(self.read_until_ready(ready.fileno()).splitlines()[0])


class Raw(Server):
    """Blocking accept, send, close in N processes."""
    label = "raw C"
    program = ROOT / "build/release/tests/bench/raw_greet"

    def argv(self):
        return [self.program, self.workers]


class SocketServer(Server):
    """Python's socketserver.TCPServer: one process, connections in turn, whatever `workers` says."""
    label = "socketserver"

    def argv(self):
        return [sys.executable, HERE / "peers/socketserver_greet.py"]


class Nginx(Server):
    """nginx stream `return`."""
    label = "nginx"
    root = pathlib.Path("/")  # where its packages are unpacked

    @classmethod
    def program(cls):
        return cls.root / "usr/sbin/nginx"

    @classmethod
    def module(cls):
        return cls.root / "usr/lib/nginx/modules/ngx_stream_module.so"

    def start(self):
        with socket.socket() as reserved:  # nginx cannot bind port 0 and say which it got
            reserved.bind(("127.0.0.1", 0))
            self.port = reserved.getsockname()[1]
        self.directory = tempfile.TemporaryDirectory(prefix="preforkd-bench-")
        config = pathlib.Path(self.directory.name, "nginx.conf")
        config.write_text(f"""
            load_module {self.module()};
            worker_processes {self.workers};
            daemon off;
            pid {self.directory.name}/nginx.pid;
            error_log stderr warn;
            events {{ worker_connections 1024; }}
            stream {{ server {{ listen 127.0.0.1:{self.port} backlog=4096; return "connected\\n"; }} }}
            """)
        self.launch([self.program(), "-p", self.directory.name, "-c", config, "-e", "stderr"],
                    stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + START_TIMEOUT_S
        while len(self.worker_pids()) < self.workers or not answers(self.port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"nginx did not start: {self.log_text().strip()}")
            time.sleep(0.002)

    def stop(self):
        super().stop()
        self.directory.cleanup()


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
