"""The peers: each says "connected" and a newline on a port of 127.0.0.1, or echoes."""
import contextlib
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import packages
from packages import ROOT
from servers import PROGRAM, START_TIMEOUT_S, Server, answers

HERE = pathlib.Path(__file__).resolve().parent
TOOLS = ROOT / "build/release/tests/bench"


class Raw(Server):
    """A C loop of peers/ in N processes."""
    label = "raw C"
    loop = "raw_greet"

    def argv(self):
        return [TOOLS / self.loop, self.workers]


class RawEcho(Raw):
    loop = "raw_echo"


class RawUdpEcho(Raw):
    loop = "raw_udp_echo"


class RawThread(Raw):
    loop = "raw_thread"


class RawFork(Raw):
    label = "raw C, its own libraries"
    loop = "raw_fork"


class RawForkLinked(Raw):
    """What the fork of a process costs that maps the libraries preforkd maps."""
    loop = "raw_fork_linked"


class RawSpawn(Raw):
    loop = "raw_spawn"

    def argv(self):
        return [*super().argv(), *PROGRAM]


class SocketServer(Server):
    """Python's: one process, whatever `workers` says."""
    kind = "plain"

    def __init__(self, workers=1):
        super().__init__(workers)
        self.label = f"socketserver {self.kind}"

    def argv(self):
        return [sys.executable, HERE / "peers/socketserver_greet.py", self.kind]


class ThreadingSocketServer(SocketServer):
    kind = "threading"


class ForkingSocketServer(SocketServer):
    kind = "forking"


class OnReservedPort(Server):
    """A server that cannot bind port 0 and say which it got."""
    environment = packages.environment()

    @classmethod
    def found(cls):
        return packages.program(cls.label) is not None

    def start(self):
        with socket.socket() as reserved:
            reserved.bind(("127.0.0.1", 0))
            self.port = reserved.getsockname()[1]
        self.directory = tempfile.TemporaryDirectory(prefix="preforkd-bench-")
        self.launch(self.argv(), stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.complete():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.label} did not start: {self.log_text().strip()}")
            time.sleep(0.005)

    def complete(self):
        return answers(self.port)

    def stop(self):
        super().stop()
        self.directory.cleanup()

    def write(self, name, text):
        file = pathlib.Path(self.directory.name, name)
        file.write_text(text)
        return file


class Nginx(OnReservedPort):
    """nginx stream `return`."""
    label = "nginx"

    @classmethod
    def found(cls):
        return super().found() and packages.nginx_stream() is not None

    def argv(self):
        config = self.write("nginx.conf", f"""
            load_module {packages.nginx_stream()};
            worker_processes {self.workers};
            daemon off;
            pid {self.directory.name}/nginx.pid;
            error_log stderr warn;
            events {{ worker_connections 1024; }}
            stream {{ server {{ {self.server_block()} }} }}
            """)
        return [packages.program("nginx"), "-p", self.directory.name, "-c", config, "-e", "stderr"]

    def server_block(self):
        return f'listen 127.0.0.1:{self.port} backlog=4096; return "connected\\n";'

    def answers(self):
        return super().complete()

    def complete(self):
        return len(self.worker_pids()) == self.workers and self.answers()


class NetServer(OnReservedPort):
    """Perl's Net::Server::PreFork."""
    label = "Net::Server::PreFork"

    @classmethod
    def found(cls):
        return shutil.which("perl") is not None and packages.perl_net_server() is not None

    def argv(self):
        return ["perl", HERE / "peers/net_server_greet.pl", self.port, self.workers]

    def complete(self):
        return len(self.worker_pids()) == self.workers and super().complete()


class Tcpserver(OnReservedPort):
    """ucspi-tcp: forks and executes the program for each client.  -H -R -l0: looks no name up."""
    label = "tcpserver"

    def argv(self):
        return [packages.program("tcpserver"), "-HR", "-l0", "-c1000", "-b4096", "127.0.0.1", self.port, *PROGRAM]


class Xinetd(OnReservedPort):
    label = "xinetd"

    def argv(self):
        # A brace stands alone on its line.
        config = self.write("xinetd.conf", f"""
            defaults
            {{
                cps = 1000000 1
                instances = UNLIMITED
                per_source = UNLIMITED
            }}
            service greet
            {{
                type = UNLISTED
                socket_type = stream
                protocol = tcp
                bind = 127.0.0.1
                port = {self.port}
                wait = no
                user = {pwd.getpwuid(os.geteuid()).pw_name}
                server = {PROGRAM[0]}
                server_args = {" ".join(PROGRAM[1:])}
            }}
            """)
        return [packages.program("xinetd"), "-dontfork", "-f", config, "-pidfile", f"{self.directory.name}/pid",
                "-filelog", f"{self.directory.name}/log"]

    def log_text(self):
        """It says why it does not start only there."""
        log = pathlib.Path(self.directory.name, "log")
        return super().log_text() + (log.read_text(errors="replace") if log.exists() else "")


class Socat(OnReservedPort):
    label = "socat"

    def argv(self):
        return [packages.program("socat"),
                f"TCP-LISTEN:{self.port},bind=127.0.0.1,reuseaddr,fork,backlog=4096", f"EXEC:{' '.join(PROGRAM)}"]


class SocketActivate(OnReservedPort):
    """systemd-socket-activate --accept --inetd: a debugging tool of systemd's, not its Accept=yes."""
    label = "systemd-socket-activate"

    def argv(self):
        return [packages.program(self.label), "--listen", f"127.0.0.1:{self.port}", "--accept", "--inetd", *PROGRAM]


def found(*kinds):
    """Those of `kinds` that this machine has."""
    return [kind for kind in kinds if not issubclass(kind, OnReservedPort) or kind.found()]


@contextlib.contextmanager
def running(servers):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(server) for server in servers]
