"""The built daemon as a user starts it, and what must be true of it whatever a test does."""
import itertools
import os
import re
import select
import subprocess
import tempfile
import time
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM

import proc
from log_file import LogFile, text_of

BUILD = Path(os.environ.get("PREFORKD_BUILD") or Path(__file__).resolve().parents[2] / "build" / "release").resolve()
PREFORKD = str(BUILD / "preforkd")
PREFORKCTL = str(BUILD / "preforkctl")
CUT = "connections were cut"  # what a daemon says that did not wait for its clients
_numbers = itertools.count()
LOOPBACK = "tcp://127.0.0.1:0"

# A warning that no test has to expect, about an upgrade, that it has found nothing new: most tests install nothing.
_ALWAYS_ALLOWED = ("which ran before",)
_NOT_INHERITED = ("PREFORKD_", "NOTIFY_", "WATCHDOG_", "LISTEN_", "JOURNAL_STREAM", "INVOCATION_ID",
                  "RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR")


def clean_environment(extra=None):
    """This process's environment without what would configure a daemon, plus `extra`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
    return kept | (extra or {})


def daemon_environment(extra=None):
    """The same for a daemon that a test starts: no control socket where other tests, and the machine's owner, see it.
    Who wants one says --control; or leaves PREFORKD_CONTROL empty, and says where it is by default.  Tests look into
    its workers, which only root may without --core-dumps."""
    own = {"PREFORKD_CONTROL": "off"} | ({} if os.geteuid() == 0 else {"PREFORKD_CORE_DUMPS": "yes"})
    return clean_environment(own | (extra or {}))


# It passes nothing of the environment on that it is not told to.
SOCKET_ACTIVATE = ["systemd-socket-activate", "--setenv=PREFORKD_CONTROL"]


def _with_a_control_socket_of_its_own(env, directory):
    """What a file says of it, or does not say, shall hold, whoever the daemon is."""
    runtime = tempfile.mkdtemp(prefix="r", dir=directory)
    os.chmod(runtime, 0o1777)
    return {"PREFORKD_CONTROL": "", "RUNTIME_DIRECTORY": runtime} | (env or {})


class Daemon:
    """One run of preforkd.  Logs JSON into a file, says on a pipe when it is ready, leads a session of its own.

    listen, workers: None leaves the option out.  wrap: a command that starts the rest of its arguments.
    stderr: a descriptor instead of the log file.  Other arguments go to Popen."""

    def __init__(self, *arguments, directory, listen=(LOOPBACK,), workers=2, env=None, wrap=(), stderr=None,
                 log_format="json", wait=True, ready_fd=True, executable=PREFORKD, **popen):
        self.log = LogFile(str(directory / f"log{sum(1 for _ in directory.glob('log*')) or ''}"))
        self.log.before_reading = self._let_lines_arrive
        self.endpoints = []
        self.stopped_by_test = False
        self._expected = []
        self._wrapped = bool(wrap)
        self._forked = "--fork" in wrap  # then the wrapper lives on and holds the pipe open
        self._ready, ready = os.pipe()
        command = [*wrap, executable]
        for endpoint in ([listen] if isinstance(listen, str) else listen or ()):
            command += ["--listen", endpoint]
        command += ["--workers", str(workers)] if workers is not None else []
        command += ["--log-format", log_format] if log_format else []
        command += ["--ready-fd", str(ready)] if ready_fd else []
        log_fd = os.open(self.log.path, os.O_WRONLY | os.O_APPEND) if stderr is None else stderr
        if "--config" in arguments:
            env = _with_a_control_socket_of_its_own(env, directory)
        self._mark = f"DAEMON_UNDER_TEST={os.getpid()}-{next(_numbers)}"
        env = (env or {}) | dict([self._mark.split("=")])
        self.started_at = time.monotonic()
        self.process = subprocess.Popen([*command, *arguments], env=daemon_environment(env), start_new_session=True,
                                        stderr=log_fd, stdin=popen.pop("stdin", subprocess.DEVNULL),
                                        pass_fds=(ready, *popen.pop("pass_fds", ())), **popen)
        os.close(ready)
        if stderr is None:
            os.close(log_fd)
        if wait:
            self.wait_ready()

    # --- who and where -------------------------------------------------------------------------------------------

    @property
    def endpoint(self):
        return self.endpoints[0]

    @property
    def pid(self):
        """The master, also behind a wrapper that forks (unshare --fork)."""
        pid = self.process.pid
        while self._wrapped and (found := proc.stat(pid)) and found.comm != "preforkd" and proc.children(pid):
            pid = proc.children(pid)[0]
        return pid

    def workers(self):
        """Pids of the living workers, which have told their names by the time they serve."""
        return [pid for pid in proc.children(self.pid)
                if (found := proc.stat(pid)) and found.state not in "ZX" and re.search(r"-w\d+$", found.comm)]

    def log_writers(self):
        """Pids of the living processes that write what workers log."""
        return [pid for pid in proc.children(self.pid)
                if (found := proc.stat(pid)) and found.state not in "ZX" and found.comm.endswith("-log")]

    def _let_lines_arrive(self):
        """What workers have logged goes through a pipe; who reads the file shall find what they said before."""
        alive = self.process.poll() is None  # else it writes on for the workers that are still there
        for pid in self.log_writers() if alive else self._orphaned_log_writers():
            proc.eventually(lambda: proc.has_read_all(pid), timeout=1.0)  # it may have been stopped

    def _orphaned_log_writers(self):
        return [member.pid for member in self.family() if (found := proc.stat(member.pid)) and found.comm.endswith("-log")]

    def family(self):
        """The master, its workers and whatever they have started and not ended."""
        return proc.family(self.process.pid, self._mark)

    def wait_workers(self, count, timeout=10.0):
        found = proc.eventually(lambda: len(self.workers()) == count, timeout)
        assert found, f"{len(self.workers())} workers instead of {count}\n{self.log.text()}"
        return self.workers()

    # --- events ---------------------------------------------------------------------------------------------------

    def wait_ready(self, timeout=15.0):
        """Reads the resolved endpoints until the daemon closes the pipe."""
        poll = select.poll()
        poll.register(self._ready, select.POLLIN | select.POLLHUP)
        deadline, text = time.monotonic() + timeout, b""
        while True:
            assert poll.poll(max(deadline - time.monotonic(), 0) * 1000), f"not ready in time\n{self.log.text()}"
            chunk = os.read(self._ready, 65536)
            if not chunk:
                break
            text += chunk
            if self._forked and text.endswith(b"\n"):
                break
        self.endpoints = text.decode().splitlines()
        assert self.endpoints, f"ended before it was ready\n{self.log.text()}"
        return self.endpoints

    def wait_log(self, wanted, **how):
        return self.log.wait(wanted, **how)

    def signal(self, signo):
        os.kill(self.pid, signo)

    def wait_exit(self, timeout=10.0):
        """The exit code; of a signal, its negative number."""
        assert proc.wait_gone(self.process.pid, timeout), f"still runs after {timeout} s\n{self.log.text()}"
        self.stopped_by_test = True
        return self.process.wait()

    def stop(self, signo=SIGTERM, timeout=10.0):
        self.signal(signo)
        return self.wait_exit(timeout)

    def expect(self, *texts):
        """Allows lines of level warning or error that contain one of `texts`."""
        self._expected += texts

    def cut(self):
        """How many connections were cut, a number for each line that says so; allows these lines."""
        self.expect(CUT)
        return [entry["connections"] for entry in self.log.find(CUT)]

    # --- what must always be true -----------------------------------------------------------------------------------

    def complaints(self):
        """Lines that nobody expected: errors, warnings, and lines that are no JSON."""
        self.log.read()
        allowed = (*_ALWAYS_ALLOWED, *self._expected)
        bad = [entry for entry in self.log.entries if entry["level"] in ("error", "warning")
               and not any(text in text_of(entry) for text in allowed)]
        return bad + self.log.malformed

    def finish(self):
        """Stops it if the test did not, and returns what is wrong, a sentence each."""
        wrong = []
        if self.process.poll() is None:
            if not proc.eventually(lambda: not proc.zombies(self.pid)):
                wrong.append(f"zombies: {proc.zombies(self.pid)}")
            self.expect(CUT)  # by this INT: a test may leave clients behind
            self.signal(SIGINT)
            if not proc.wait_gone(self.process.pid, 10):
                wrong.append("does not stop on SIGINT")
                self._kill_family()
            elif self.process.wait() != 0:
                wrong.append(f"exit code {self.process.returncode} after SIGINT")
        left = [member for member in self.family() if not proc.wait_gone(member.pid, 2)]
        if left:
            wrong.append(f"processes left behind: {left}")
            self._kill_family()
        wrong += [f"unexpected line in the log: {line}" for line in self.complaints()]
        os.close(self._ready)
        self.log.close()
        return wrong

    def _kill_family(self):
        for member in self.family():
            try:
                os.kill(member.pid, SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
