"""The log: one line an event, whole, true, and never a reason for a client to wait."""
import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import termios

import pytest

from clients import Load, connect, exchange
from log_file import LogFile
from proc import descriptors, eventually

NEEDS_SYSTEMD = pytest.mark.skipif(not os.path.isdir("/run/systemd"), reason="no /run/systemd to bind a journal over")
FORGERIES = {
    "newline": b'\n{"time":"2020-01-01T00:00:00Z","level":"error","pid":1,"worker":0,"message":"forged"}\n',
    "carriage return": b"\rforged\r\n",
    "escape": b"\x1b[2J\x1b]0;forged\x07\x1b[31m",
    "c1 controls": b"\x9b31m\xc2\x9b31m\xc2\x85next",
    "quotes": b'","level":"error","message":"forged',
    "backslashes": b"\\\\\" \\u000a \\n \\",
    "null": b"a\x00b",
    "bad utf-8": b"\xff\xfe\xc0\x80\xed\xa0\x80 overlong \xf4\x90\x80\x80",
    "cut utf-8": "é".encode()[:1],
    "line separators": "\u2028forged\u2029\u0085\u200b\u202e\u200e\u200f\ufeff".encode(),
    "everything": bytes(range(256)),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_nothing_a_client_sends_forges_a_line_of_json(preforkd, forgery):
    daemon = preforkd("--handler", "print", "--log-connections", "no", workers=1)
    exchange(daemon.endpoint, FORGERIES[forgery])
    mark = daemon.log.mark()
    exchange(daemon.endpoint, b"the end")
    daemon.wait_log("the end")
    assert mark >= 1 and not daemon.log.malformed
    assert not [entry for entry in daemon.log.entries if entry["message"] == "forged" or entry["level"] == "error"]
    with open(daemon.log.path, "rb") as file:
        assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", file.read()), "no raw control character"


def terminal_lines(controller, until, timeout=10.0):
    """What a terminal was shown, up to `until`."""
    shown = b""
    while until not in shown:
        assert select.select([controller], [], [], timeout)[0], f"{until!r} is not in {shown!r}"
        shown += os.read(controller, 65536)
    return shown.replace(b"\r\n", b"\n")


@pytest.mark.terminals
@pytest.mark.parametrize("forgery", FORGERIES)
def test_nothing_a_client_sends_reaches_a_terminal_raw(preforkd, forgery):
    controller, terminal = pty.openpty()
    daemon = preforkd("--handler", "print", "--log-connections", "no", workers=1, stderr=terminal, log_format=None,
                      env={"TERM": "xterm"})
    os.close(terminal)
    exchange(daemon.endpoint, FORGERIES[forgery])
    exchange(daemon.endpoint, b"the end")
    shown = terminal_lines(controller, b"the end")
    text = re.sub(rb"^\x1b\[2m(\S+)\x1b\[0m (?:\x1b\[[\d;]+m(\w+)\x1b\[0m)?", rb"\1 \2", shown, flags=re.MULTILINE)
    assert text != shown, "colours of our own"
    assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", text), text
    for character in ("\u2028", "\u2029", "\u0085", "\u202e", "\u009b", "\u200e", "\u200f", "\ufeff"):
        assert character.encode() not in shown
    assert not [line for line in text.splitlines() if line.startswith((b"forged", b"{", b"next"))]
    os.close(controller)


@pytest.mark.terminals
def test_on_a_terminal_the_log_is_text(preforkd):
    controller, terminal = pty.openpty()
    daemon = preforkd(stderr=terminal, log_format=None)
    os.close(terminal)
    exchange(daemon.endpoint)
    shown = terminal_lines(controller, b"got connection from").decode()
    for line in shown.splitlines()[:-1]:
        with pytest.raises(ValueError):
            json.loads(line)
    os.close(controller)


def in_a_session_with_a_terminal(controller_name):
    """Makes the terminal of that name the controlling one of a session of the child's own."""
    def take():
        terminal = os.open(controller_name, os.O_RDWR)
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
        os.close(terminal)
    return take


@pytest.mark.terminals
def test_behind_tee_the_log_is_text_for_the_one_who_looks_on(preforkd):
    controller, terminal = pty.openpty()
    reading, writing = os.pipe()
    daemon = preforkd(stderr=writing, log_format=None, workers=1,
                      preexec_fn=in_a_session_with_a_terminal(os.ttyname(terminal)))
    os.close(writing)
    exchange(daemon.endpoint)
    shown = terminal_lines(reading, b"got connection from").decode()
    assert "\x1b" not in shown
    assert all(re.match(r"\d{4}-\S+Z (info|notice|warning) ", line) for line in shown.splitlines()), shown
    for descriptor in (reading, controller, terminal):
        os.close(descriptor)


@pytest.mark.terminals
def test_no_color_is_respected(preforkd):
    controller, terminal = pty.openpty()
    daemon = preforkd(stderr=terminal, log_format=None, env={"NO_COLOR": "1"})
    os.close(terminal)
    exchange(daemon.endpoint)
    assert b"\x1b" not in terminal_lines(controller, b"got connection from")
    os.close(controller)


def test_elsewhere_the_log_is_json(preforkd):
    daemon = preforkd(log_format=None)
    exchange(daemon.endpoint)
    daemon.wait_log("got connection from")
    assert not daemon.log.malformed


def test_a_line_carries_its_fields(preforkd):
    daemon = preforkd()
    exchange(daemon.endpoint)
    line = daemon.wait_log("got connection from")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*(Z|[+-]\d\d:\d\d)", line["time"])
    assert line["pid"] in daemon.workers() and line["worker"] in (1, 2)
    assert line["listener"] == daemon.endpoint
    assert {entry["worker"] for entry in daemon.log.entries if entry["pid"] == daemon.pid} == {0}


def test_a_line_is_understood_without_its_fields(preforkd):
    daemon = preforkd("--handler", "print", workers=1)
    with connect(daemon.endpoint) as client:
        peer = "%s:%d" % client.getsockname()
        client.sendall(b"hello {peer}\n")
    said = daemon.wait_log("hello")
    assert said["message"] == f"received from {peer}: hello {{peer}}\n"
    assert (said["peer"], said["text"]) == (peer, "hello {peer}\n")
    assert daemon.log.find(lambda entry: entry["message"] == f"listening on {daemon.endpoint}")


def test_the_level_is_a_threshold(preforkd):
    daemon = preforkd("--log-level", "warning")
    exchange(daemon.endpoint)
    daemon.stop()
    assert {entry["level"] for entry in daemon.log.read()} <= {"warning", "error"}


def test_lines_of_many_writers_are_never_torn(preforkd):
    daemon = preforkd("--handler", "print", workers=4)
    with Load(daemon.endpoint, clients=8, request=b"y" * 1024, expected=b"") as load:
        load.wait_for_answers(500)
    daemon.wait_log(lambda entry: entry.get("text") == "y" * 1024, count=500)
    assert not daemon.log.malformed
    with open(daemon.log.path, "rb") as file:
        assert max(map(len, file)) <= select.PIPE_BUF


# --- a reader that stopped reading --------------------------------------------------------------------------------------

def stopped_reader():
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    return reading, writing


def test_a_stopped_log_reader_stalls_nobody(preforkd):
    reading, writing = stopped_reader()
    daemon = preforkd(stderr=writing)
    with Load(daemon.endpoint, clients=4) as load:
        load.wait_for_answers(1000)
    assert set(load.outcomes) == {"whole"}, load.outcomes
    assert daemon.stop() == 0
    os.close(writing)
    os.close(reading)


def test_dropped_lines_are_counted_and_what_was_written_is_whole(preforkd):
    reading, writing = stopped_reader()
    daemon = preforkd(stderr=writing, workers=1)
    os.close(writing)
    for _ in range(200):
        exchange(daemon.endpoint)
    seen = os.read(reading, 1 << 16)  # the reader goes on
    exchange(daemon.endpoint)
    exchange(daemon.endpoint)
    daemon.stop()
    while chunk := os.read(reading, 1 << 16):
        seen += chunk
    os.close(reading)
    entries = [json.loads(line) for line in seen.splitlines()]
    told = [number for entry in entries if "dropped" in json.dumps(entry)
            for number in re.findall(r"\d+", json.dumps({**entry, "time": 0, "pid": 0}))]
    missing = 202 - len([entry for entry in entries if "got connection from" in entry["message"]])
    assert missing > 50 and any(abs(int(number) - missing) <= 5 for number in told), (missing, told)


def test_a_log_reader_that_is_gone_harms_nobody(preforkd):
    reading, writing = stopped_reader()
    daemon = preforkd(stderr=writing)
    os.close(writing)
    os.close(reading)
    for _ in range(50):
        assert exchange(daemon.endpoint) == b"connected\n"
    assert len(daemon.workers()) == 2
    assert daemon.stop() == 0


def test_the_log_pipe_stays_blocking_for_others(preforkd):
    """O_NONBLOCK belongs to the description, which the shell and its other programs share."""
    reading, writing = os.pipe()
    daemon = preforkd(stderr=writing)
    exchange(daemon.endpoint)
    assert os.get_blocking(writing)
    daemon.stop()
    os.close(writing)
    os.close(reading)


# --- files and the journal ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("workers", [0, 2])
def test_usr1_reopens_the_log_file_for_every_process(preforkd, tmp_path, workers):
    daemon = preforkd("--log-file", f"{tmp_path}/out", workers=workers)
    exchange(daemon.endpoint)
    old = LogFile(f"{tmp_path}/out")
    old.wait("got connection from")
    os.rename(f"{tmp_path}/out", f"{tmp_path}/out.1")
    daemon.signal(signal.SIGUSR1)
    new = LogFile(f"{tmp_path}/out")
    old.wait(lambda entry: True)

    def moved():
        try:
            links = [link for member in daemon.family() for link in descriptors(member.pid).values()]
        except FileNotFoundError:  # it was open for a moment only
            return False
        return f"{tmp_path}/out.1" not in links and links.count(f"{tmp_path}/out") == (2 if workers else 1)
    assert eventually(moved)
    before = old.mark()
    for _ in range(20):
        exchange(daemon.endpoint)
    new.wait("got connection from", count=20)
    assert old.mark() == before, "nobody writes to the old file any more"
    assert not old.malformed and not new.malformed
    old.close()
    new.close()


@contextlib.contextmanager
def journal_in(directory):
    """A journal's socket, and the command that starts a program which takes it for the machine's."""
    (directory / "journal").mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(f"{directory}/journal/socket")
        journal.settimeout(10)
        yield journal, ["unshare", "--mount", "sh", "-c", f'mount --bind "{directory}" /run/systemd && exec "$@"', "sh"]


@pytest.mark.mounts
@NEEDS_SYSTEMD
def test_into_the_journal_it_speaks_the_native_protocol(preforkd, tmp_path):
    with journal_in(tmp_path) as (journal, wrap):
        daemon = preforkd(log_format="journal", wrap=wrap)
        exchange(daemon.endpoint)
        while b"got connection from" not in (datagram := journal.recv(65536)):
            pass
    assert b"PRIORITY=6\n" in datagram and re.search(rb"PREFORKD_WORKER=[12]\n", datagram)
    assert b"MESSAGE=got connection from" in datagram


@pytest.mark.mounts
@NEEDS_SYSTEMD
def test_an_error_before_the_log_is_open_reaches_the_journal(run_preforkd, tmp_path):
    with journal_in(tmp_path) as (journal, wrap):
        told = run_preforkd("--log-format", "journal", "--workers", "many", wrap=wrap)
        datagram = journal.recv(65536)
    assert (told.returncode, told.stderr) == (64, "")
    assert b"PRIORITY=3\n" in datagram and b"MESSAGE=--workers: " in datagram


@pytest.mark.programs("prlimit")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_log_file_at_its_size_limit_loses_lines_and_is_reopened_like_any_other(preforkd, tmp_path, workers):
    path, limit, space, line = tmp_path / "full", 256 << 20, 5000, 150  # the counts are in a file, too
    path.touch()
    os.truncate(path, limit - space)
    daemon = preforkd("--log-file", str(path), workers=workers, wrap=["prlimit", f"--fsize={limit}"])
    daemon.expect("has reached its size limit")
    for _ in range(2 * space // line):
        assert exchange(daemon.endpoint) == b"connected\n"
    assert limit - line < path.stat().st_size <= limit
    path.rename(tmp_path / "old")
    fresh = LogFile(str(path))
    daemon.signal(signal.SIGUSR1)
    fresh.wait("log file reopened")
    # A worker adopts it a moment after its master, and then says how many of its lines are missing.
    assert eventually(lambda: exchange(daemon.endpoint) and fresh.find("log lines dropped"))
    assert not fresh.malformed
    fresh.close()
