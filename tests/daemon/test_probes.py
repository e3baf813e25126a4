"""USDT: the notes in the program, the manual's table of them, and what bpftrace sees through them."""
import os
import re
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

import daemon_process
import proc
from clients import connect, echo, read_exactly, say
from test_upgrade import Installed

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / "packaging" / "bpftrace").glob("*.bt"))
INSTALLED = "/usr/sbin/preforkd"  # where the scripts look for it
SDT_HEADER = [*Path("/usr/include").glob("sys/sdt.h"), *Path("/usr/include").glob("*/sys/sdt.h")]


def notes_of(program):
    """{probe: [(location, its arguments), ...]} of .note.stapsdt."""
    told = subprocess.run(["readelf", "--notes", "--wide", program], capture_output=True, text=True).stdout
    found = re.findall(r"Provider: preforkd\s+Name: (\w+)\s+Location: (0x\w+),[^\n]*\s+Arguments:([^\n]*)", told)
    notes = {}
    for name, location, arguments in found:
        notes.setdefault(name, []).append((int(location, 16), arguments.split()))
    return notes


@pytest.fixture(scope="module")
def notes():
    found = notes_of(daemon_process.PREFORKD)
    if not found and not SDT_HEADER:
        pytest.skip("built without sys/sdt.h: systemtap-sdt-dev is not installed")
    return found


def manual():
    """{probe: its arguments} of the manual's table."""
    page = (ROOT / "packaging" / "man" / "preforkd.8.scd").read_text()
    section = page.partition("## Probes\n")[2].partition("\n# ")[0]
    rows = re.findall(r"^\*([a-z\\_]+)\*\(([^)]*)\)", section, re.MULTILINE)
    return {name.replace("\\", ""): arguments.replace("\\", "").replace("_", "").split(", ") for name, arguments in rows}


# --- what is in the program -------------------------------------------------------------------------------------------

def test_the_notes_are_those_of_the_manual(notes):
    assert {name: {len(arguments) for _, arguments in places} for name, places in notes.items()} == {
        name: {len(arguments)} for name, arguments in manual().items()}
    assert set(notes) == {"connection_accept", "connection_close", "worker_spawn", "worker_exit", "reload", "upgrade"}


def test_each_is_an_instruction_that_does_nothing(notes):
    for name, places in notes.items():
        for location, _ in places:
            told = subprocess.run(["objdump", "--disassemble", f"--start-address={location}", f"--stop-address={location + 4}",
                                   "--no-show-raw-insn", daemon_process.PREFORKD], capture_output=True, text=True, check=True)
            assert re.search(rf"^\s*{location:x}:\s+nop\b", told.stdout, re.MULTILINE), (name, told.stdout)


def test_they_are_still_there_when_the_program_is_stripped(notes, tmp_path):
    stripped = tmp_path / "preforkd"
    subprocess.run(["strip", "--strip-all", "--remove-section=.comment", "--remove-section=.note", "-o", stripped,
                    daemon_process.PREFORKD], check=True)
    assert notes_of(stripped) == notes


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_uses_what_there_is(script):
    text = re.sub(r"/\*.*?\*/", "", script.read_text(), flags=re.DOTALL)
    clauses = re.findall(r"^(\w[^\n{]*)\n((?:/[^\n]*/\n)?\{.*?^\})", text, re.MULTILINE | re.DOTALL)
    used = [(head.split(":"), body) for head, body in clauses if head.startswith("usdt")]
    assert used and len(used) == text.count("usdt:")
    for (_, program, provider, name), body in used:
        assert (program, provider) == (INSTALLED, "preforkd")
        assert all(int(number) < len(manual()[name]) for number in re.findall(r"\barg(\d+)", body)), name


def test_there_are_scripts_for_what_is_asked_most():
    assert [script.stem for script in SCRIPTS] == ["accept-latency", "hung-workers", "slow-handlers"]


# --- what bpftrace sees -----------------------------------------------------------------------------------------------

def why_no_bpftrace():
    if os.geteuid() != 0:
        return "needs root"
    if not shutil.which("bpftrace"):
        return "bpftrace is not installed"
    tried = subprocess.run(["bpftrace", "-e", "BEGIN { exit(); }"], capture_output=True, text=True, timeout=60)
    if tried.returncode == 0:  # its BEGIN is a probe in a program, too
        return None
    return f"bpftrace cannot attach here: {(tried.stderr.strip() or 'it has failed').splitlines()[-1]}"


class Bpftrace:
    """One that looks on, with what it has printed."""

    def __init__(self, text, program, directory, *arguments):
        file = directory / "script.bt"
        file.write_text(text.replace(INSTALLED, str(program)))
        self._process = subprocess.Popen(["bpftrace", "-B", "line", str(file), *arguments], stdout=subprocess.PIPE,
                                         stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        os.set_blocking(self._process.stdout.fileno(), False)
        self.printed = ""

    def finds(self, pattern, timeout):
        """The first match in what it prints, within that time."""
        deadline = time.monotonic() + timeout
        while not (found := re.search(pattern, self.printed, re.MULTILINE)):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                return None
            chunk = self._process.stdout.read()
            assert chunk, f"it has ended: {self.printed}"
            self.printed += chunk.decode()
        return found

    def sees(self, pattern, happen, times=40, patience=1.0):
        """The same, once it has attached: it does not say when that is, so what is to be seen happens again."""
        for _ in range(times):
            happen()
            if found := self.finds(pattern, patience):
                return found
        raise AssertionError(f"it has not seen {pattern!r}: {self.printed}")

    def end(self):
        """All that it has printed."""
        for _ in range(10):
            self._process.send_signal(signal.SIGINT)  # again: it misses one that comes while it prints
            try:
                self._process.wait(3)
                break
            except subprocess.TimeoutExpired:
                pass
        self._process.kill()
        os.set_blocking(self._process.stdout.fileno(), True)
        self.printed += self._process.stdout.read().decode()
        assert self._process.wait() != -signal.SIGKILL, "it does not end"
        return self.printed


@pytest.fixture
def bpftrace(notes, tmp_path):
    if why := why_no_bpftrace():
        pytest.skip(why)
    started = []

    def start(text, program, *arguments):
        started.append(Bpftrace(text, program, tmp_path, *arguments))
        return started[0]
    yield start
    for each in started:
        each.end()


def kept_for(daemon, seconds):
    """A client whom a handler serves for so long."""
    with connect(daemon.endpoint) as client:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
        assert not select.select([client], [], [], seconds)[0]


EVERY_PROBE = """
usdt:/usr/sbin/preforkd:preforkd:connection_accept {
    $peer = (struct sockaddr_in *)arg4;
    $port = ($peer->sin_port >> 8) | (($peer->sin_port & 255) << 8);
    printf("accept %s %lld %d %d %d %d\\n", str(arg0), arg1, arg2, (int64)arg3, $port, pid);
}
usdt:/usr/sbin/preforkd:preforkd:connection_close {
    printf("close %s %lld %lld %s %d\\n", str(arg0), arg1, arg2, str(arg3), pid);
}
usdt:/usr/sbin/preforkd:preforkd:worker_spawn { printf("spawn %d %d %d\\n", arg0, arg1, arg2); }
usdt:/usr/sbin/preforkd:preforkd:worker_exit { printf("exit %d %d %s %d\\n", arg0, arg1, str(arg2), arg3); }
usdt:/usr/sbin/preforkd:preforkd:reload { printf("reload %d %d\\n", arg0, arg1); }
usdt:/usr/sbin/preforkd:preforkd:upgrade { printf("upgrade %d %s\\n", arg0, str(arg1)); }
"""


@pytest.mark.parametrize("sandbox", ["auto", "strict"])
@pytest.mark.parametrize("model", ["async", "serial", "thread", "fork"])
def test_each_probe_tells_what_the_manual_says(preforkd, bpftrace, tmp_path, model, sandbox):
    """With a stripped program, as it is installed, and whatever its workers are kept from."""
    stripped = tmp_path / "stripped"
    subprocess.run(["strip", "--strip-all", "-o", stripped, daemon_process.PREFORKD], check=True)
    service = Installed(preforkd, tmp_path, "--handler", "echo", "--model", model, "--sandbox", sandbox, source=stripped,
                        workers=1)
    daemon = service.daemon
    daemon.expect("killed by SIGKILL", "workers exit early")
    looking = bpftrace(EVERY_PROBE, service.file)
    ports = []

    def come_and_go():
        before = time.monotonic_ns()
        with connect(daemon.endpoint) as client:
            echo(client)
            ports.append((client.getsockname()[1], before, time.monotonic_ns()))
    where = re.escape(daemon.endpoint)
    looking.sees(rf"^close {where} \d+ \d+ ok \d+$", come_and_go)
    come_and_go()
    port, before, after = ports[-1]
    accepted = looking.finds(rf"^accept {where} (\d+) (\d+) (-?\d+) {port} (\d+)$", 10)
    began, descriptor, waited, pid = map(int, accepted.groups())
    assert before <= began <= after and descriptor > 2 and -1 <= waited < 1000 and [pid] == daemon.workers()
    closed = looking.finds(rf"^close {where} {began} (\d+) ok (\d+)$", 10)
    assert 0 < int(closed[1]) <= time.monotonic_ns() - began and (int(closed[2]) == pid) == (model != "fork")

    victims = []

    def die():
        victims.append(daemon.wait_workers(1)[0])
        os.kill(victims[-1], signal.SIGKILL)
        assert proc.wait_gone(victims[-1], 10)
    die()
    found = looking.finds(rf"^exit (\d+) {victims[-1]} signal (\d+)$", 10)
    worker, = daemon.wait_workers(1)
    assert looking.finds(rf"^spawn \d+ {worker} \d+$", 10) and 0 < int(found[2]) < 600_000

    daemon.signal(signal.SIGHUP)
    generation = int(looking.finds(r"^reload 1 (\d+)$", 10)[1])
    worker, = set(daemon.wait_workers(1)) - {worker}
    assert looking.finds(rf"^spawn \d+ {worker} {generation}$", 10)
    assert looking.finds(r"^exit \d+ \d+ ordered \d+$", 10)
    daemon.signal(signal.SIGUSR2)
    version = subprocess.run([service.file, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    assert looking.finds(rf"^upgrade 1 {re.escape(version)}$", 20)


def test_what_fails_is_seen_as_that(preforkd, bpftrace, tmp_path):
    conf = tmp_path / "conf"
    conf.write_text("handler = echo\n")
    service = Installed(preforkd, tmp_path, "--config", str(conf), workers=1)
    daemon = service.daemon
    daemon.expect("reload failed", "upgrade failed")
    looking = bpftrace(EVERY_PROBE, service.file)
    conf.write_text("handler = nobody\n")
    looking.sees(r"^reload 0 1$", lambda: daemon.signal(signal.SIGHUP))
    service.install_script("exit 1\n")
    daemon.signal(signal.SIGUSR2)
    assert looking.finds(r"^upgrade 0 \S+$", 20)


# --- the scripts ------------------------------------------------------------------------------------------------------

def script(name):
    return (ROOT / "packaging" / "bpftrace" / f"{name}.bt").read_text()


def test_accept_latency_shows_how_long_clients_have_waited(preforkd, bpftrace):
    daemon = preforkd("--handler", "echo", "--log-connections", "end", workers=1)
    looking = bpftrace(script("accept-latency"), daemon_process.PREFORKD, "1")

    def wait_in_queue():
        stopped = daemon.workers()
        proc.stop_all(daemon.pid, stopped)
        with connect(daemon.endpoint) as client:
            assert not select.select([client], [], [], 0.3)[0]
            for pid in (*stopped, daemon.pid):
                os.kill(pid, signal.SIGCONT)
            echo(client)
    longest = looking.sees(rf"^@longest_ms\[{re.escape(daemon.endpoint)}\]: (\d+)$", wait_in_queue, patience=2)
    assert int(longest[1]) >= 290
    assert re.search(r"^\[256, 512\) +\d+ \|", looking.end(), re.MULTILINE), looking.printed


def test_slow_handlers_names_those_that_take_longer(preforkd, bpftrace):
    daemon = preforkd("--handler", "echo", workers=1)
    looking = bpftrace(script("slow-handlers"), daemon_process.PREFORKD, "250")
    worker, = daemon.workers()

    def slow_and_fast():
        kept_for(daemon, 0.3)
        kept_for(daemon, 0)
    found = looking.sees(rf"^\d\d:\d\d:\d\d +{worker} +(\d+) ok +{re.escape(daemon.endpoint)}$", slow_and_fast)
    assert int(found[1]) >= 250
    printed = looking.end()
    assert all(int(time_ms) >= 250 for time_ms in re.findall(rf"^\d\d:\d\d:\d\d +{worker} +(\d+) ok ", printed, re.MULTILINE))
    assert re.search(rf"^@taken_ms\[{re.escape(daemon.endpoint)}, ok\]:", printed, re.MULTILINE)


@pytest.mark.parametrize("model", ["serial", "fork"])
def test_hung_workers_names_the_one_that_hangs(preforkd, bpftrace, trouble, model):
    daemon = preforkd("--handler", trouble("blocking"), "--model", model)
    daemon.expect("killed by SIGKILL", "workers exit early")
    looking = bpftrace(script("hung-workers"), daemon_process.PREFORKD, "1")
    for _ in range(10):
        with connect(daemon.endpoint) as client:
            hung = say(client, "block")
            worker = hung if model == "serial" else proc.stat(hung).parent
            # It sees all daemons of this program.
            found = looking.finds(rf"^\d\d:\d\d:\d\d worker {worker}: no client has come or gone for [1-9]\d* s, clients: 1$", 4)
            os.kill(hung, signal.SIGKILL)
        if found:
            break
    assert found, looking.printed
