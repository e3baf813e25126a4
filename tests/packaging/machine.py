"""A machine of its own: a real systemd as PID 1 over a throw-away copy of this system, with a network of its own.

An overlay over / takes every change; it and the processes end with the machine."""
import ctypes
import json
import os
import signal
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path

# In a mount namespace of its own, so that nothing has to be unmounted.  What this system starts at boot is not wanted,
# nor its policy on what packages may start, nor an index of the manual.
_BOOT = """
set -e
cd "$1"
mkdir -p up work root
mount -t overlay overlay -o lowerdir=/,upperdir=up,workdir=work root
: >root/etc/machine-id
rm -rf root/etc/systemd/system/*.wants root/var/log/journal root/etc/preforkd root/usr/sbin/policy-rc.d root/var/lib/man-db/auto-update
ln -sf /dev/null root/etc/systemd/system/systemd-logind.service
ln -sf /dev/null root/etc/systemd/system/getty.target
exec systemd-nspawn --quiet --directory=root --boot --register=no --keep-unit --private-network --console=pipe \\
    --link-journal=no --setenv=LANG=C.UTF-8 \\
    --system-call-filter='landlock_create_ruleset landlock_add_rule landlock_restrict_self'  # not nspawn's to deny here
"""
_CLONE_NEWNET, _PR_SET_PDEATHSIG = 0x40000000, 1
_libc = ctypes.CDLL(None, use_errno=True)


def eventually(condition, timeout=20.0):
    """Whether `condition` becomes true in time; its value."""
    deadline = time.monotonic() + timeout
    while not (value := condition()) and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    return value


class Machine:
    """One booted system."""

    def __init__(self, directory: Path):
        self._output, self._changes = open(directory / "console", "w+b"), directory / "up"
        self._nspawn = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-c", _BOOT, "sh",
                                         directory], stdin=subprocess.DEVNULL, stdout=self._output,
                                        stderr=subprocess.STDOUT, start_new_session=True,
                                        preexec_fn=lambda: _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM))
        try:
            self.init = eventually(self._find_init)
            assert self.init, f"no PID 1 in it: {self.console()}"
            state = self._wait_booted()
            assert state in ("running", "degraded"), f"{state}: {self.console()}"
            self._network = os.open(f"/proc/{self.init}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        except BaseException:
            self.close()
            raise

    def _find_init(self):
        assert self._nspawn.poll() is None, f"systemd-nspawn ended: {self.console()}"
        for pid in Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children").read_text().split():
            if Path(f"/proc/{pid}/comm").read_text() == "systemd\n":
                return int(pid)
        return None

    def _wait_booted(self):
        connected = eventually(lambda: self.run("systemctl", "is-system-running", check=False).stdout.strip()
                               not in ("", "offline", "unknown"))
        assert connected, self.console()
        return self.run("systemctl", "is-system-running", "--wait", check=False, timeout=60).stdout.strip()

    def console(self):
        return Path(self._output.name).read_text(errors="replace")

    def close(self):
        if self._nspawn.poll() is None:
            self._nspawn.terminate()  # to nspawn: shut down in order
            try:
                self._nspawn.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(self._nspawn.pid, signal.SIGKILL)
                self._nspawn.wait()
        self._output.close()

    # --- in it ----------------------------------------------------------------------------------------------------

    def run(self, *command, check=True, timeout=60, **how):
        done = subprocess.run(["nsenter", "--target", str(self.init), "--all", "--", *map(str, command)], text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout,
                              env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}, **how)
        assert not check or done.returncode == 0, (command, done.returncode, done.stdout, done.stderr)
        return done

    def shell(self, script, **how):
        return self.run("sh", "-c", script, **how)

    def path(self, name):
        """A file of it, as seen from here."""
        return Path(f"/proc/{self.init}/root{name}")

    def write(self, name, text):
        self.path(name).parent.mkdir(parents=True, exist_ok=True)
        self.path(name).write_text(text)

    def changed(self):
        """What its disk has and the system it began as has not."""
        return ["/" + str(path.relative_to(self._changes)) for path in self._changes.rglob("*")
                if not path.is_char_device()]  # so the overlay marks what is gone

    def show(self, unit, property_):
        return self.run("systemctl", "show", "--property", property_, "--value", unit).stdout.strip()

    def main_pid(self, unit):
        """As it is called in the machine."""
        return int(self.show(unit, "MainPID"))

    def journal(self, unit, *options):
        """Its entries since the boot, oldest first."""
        text = self.run("journalctl", "--output=json", "--all", f"--unit={unit}", *options).stdout
        return [json.loads(line) for line in text.splitlines()]

    def cursor(self):
        """A place in the journal: what comes after it is what `--after-cursor` gives."""
        shown = self.run("journalctl", "--sync", check=False) and self.run("journalctl", "--show-cursor", "-n", "0")
        return shown.stdout.rpartition("-- cursor: ")[2].strip()

    # --- its network ------------------------------------------------------------------------------------------------

    @contextmanager
    def network(self):
        """What this thread opens meanwhile is in the machine's network, and stays there."""
        with open("/proc/thread-self/ns/net", "rb") as home:
            self._enter(self._network)
            try:
                yield
            finally:
                self._enter(home.fileno())

    @staticmethod
    def _enter(namespace):
        if _libc.setns(namespace, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")

    def connect(self, address=10000, timeout=20.0):
        """A client of a port on its loopback, or of a socket file."""
        if isinstance(address, int):
            with self.network():
                client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            target = ("127.0.0.1", address)
        else:
            client, target = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), str(self.path(address))
        client.settimeout(timeout)
        try:
            client.connect(target)
        except BaseException:
            client.close()
            raise
        return client

    def exchange(self, address=10000, text=b"", timeout=20.0):
        """Sends, half-closes, reads to the end."""
        with self.connect(address, timeout) as client:
            client.sendall(text)
            client.shutdown(socket.SHUT_WR)
            return read_to_end(client)


def read_to_end(client):
    answer = b""
    while chunk := client.recv(65536):
        answer += chunk
    return answer


class Clients:
    """Clients that come without a pause, each after the answer to the one before it, while something happens to the
    server.  Every one must be answered."""

    def __init__(self, machine, address=10000, text=b"", expect=b"connected\n", at_once=4):
        self._machine, self._request, self._expect = machine, (address, text), expect
        self._end, self._lock, self._answered, self.failures = threading.Event(), threading.Lock(), 0, []
        self._threads = [threading.Thread(target=self._come, daemon=True) for _ in range(at_once)]

    def _come(self):
        while not self._end.wait(0.003):
            try:
                answer = self._machine.exchange(*self._request)
                failure = None if answer == self._expect else f"answered {answer!r}"
            except OSError as error:
                failure = repr(error)
            with self._lock:
                if failure:
                    self.failures.append(failure)
                else:
                    self._answered += 1

    @property
    def answered(self):
        with self._lock:
            return self._answered

    def forgive_those_in_service(self):
        """After a kill: whom the killed process had taken was cut off, at most one of those who came at once."""
        with self._lock:
            cut = [failure for failure in self.failures if "Refused" not in failure]
            if len(cut) <= len(self._threads):
                self.failures = [failure for failure in self.failures if failure not in cut]

    def wait_more(self, count=20, timeout=20.0):
        """Until `count` more have been answered."""
        goal = self.answered + count
        assert eventually(lambda: self.answered >= goal, timeout), f"{self.answered} of {goal}, {self.failures[:5]}"

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        self.wait_more()
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.wait_more()
        finally:
            self._end.set()
            for thread in self._threads:
                thread.join(30)
        if kind is None:
            assert self.failures == [], f"{len(self.failures)} of {self.answered}: {self.failures[:5]}"
