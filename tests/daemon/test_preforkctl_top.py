"""`preforkctl top`: a live screen, on a real terminal."""
import contextlib
import os
import re
import signal
import subprocess
import time

import pytest

import proc
from clients import connect, echo, exchange
from control import endpoint_in
from daemon_process import PREFORKCTL, clean_environment
from terminal import Terminal

pytestmark = pytest.mark.terminals
QUICK = ("--interval", "200ms")


@pytest.fixture
def top(tmp_path):
    with contextlib.ExitStack() as stack:
        def start(*arguments, **how):
            return stack.enter_context(Terminal(PREFORKCTL, "top", "--control", endpoint_in(tmp_path), *arguments,
                                                env=clean_environment(), **how))
        yield start


def has_left(terminal):
    """Whether nothing of it is left: the usual screen is back, with its cursor, and keys are as they were."""
    modes = terminal.screen.modes
    return "?1049" not in modes and {"?25", "?7"} <= modes and terminal.attributes() == terminal.usual


@pytest.mark.parametrize("keys", ["q", "Q", "xyzq", "\x03"])
def test_a_key_leaves_and_the_terminal_is_as_it_was(controlled, top, keys):
    controlled("--handler", "echo")
    terminal = top(*QUICK)
    terminal.wait_text("nothing limits it")
    assert "?1049" in terminal.screen.modes and "?25" not in terminal.screen.modes
    assert terminal.attributes() != terminal.usual
    terminal.press(keys)
    assert terminal.wait_exit() == (0, "")
    assert has_left(terminal)


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_ends_it_and_the_terminal_is_as_it_was(controlled, top, signo):
    controlled("--handler", "echo")
    terminal = top(*QUICK)
    terminal.wait_text("nothing limits it")
    terminal.process.send_signal(signo)
    assert terminal.wait_exit() == (-signo, "")
    assert has_left(terminal)


def test_who_goes_away_for_a_while_has_the_terminal_as_it_was(controlled, top):
    controlled("--handler", "echo")
    terminal = top(*QUICK)
    terminal.wait_text("nothing limits it")
    terminal.press("\x1a")
    terminal.wait_stopped()
    assert has_left(terminal)
    terminal.go_on()
    terminal.wait(lambda screen: "?1049" in screen.modes and "nothing limits it" in screen.text())
    assert terminal.attributes() != terminal.usual
    terminal.press("q")
    assert terminal.wait_exit() == (0, "") and has_left(terminal)


def test_it_keeps_to_the_size_of_the_terminal_at_once(controlled, top):
    """It is asked for nothing but the size: the next look is an hour away."""
    controlled("--handler", "echo", workers=9)
    terminal = top("--interval", "1h", rows=30, columns=80)
    terminal.wait(lambda screen: screen.row("9") and "HANDLER" not in screen.text())
    terminal.resize(12, 40)
    terminal.wait(lambda screen: screen.row("WORKER") and len(screen.lines[0]) == 40 and screen.lines[11])
    assert not terminal.screen.row("9")
    terminal.resize(40, 200)
    terminal.wait(lambda screen: screen.row("9") and "HANDLER" in screen.text())
    terminal.resize(1, 1)
    terminal.wait(lambda screen: len(screen.lines[0]) == 1)
    terminal.press("q")
    assert terminal.wait_exit() == (0, "")


def test_numbers_move_by_what_was_done(controlled, top):
    daemon = controlled("--handler", "echo", "--model", "serial", "--backlog", "7", workers=1)
    daemon.expect("clients wait")
    terminal = top(*QUICK, rows=40, columns=200)

    def queued_and_open(screen):
        row = screen.row(daemon.endpoint)
        return row and (row[1], row[2], row[5])
    terminal.wait(lambda screen: queued_and_open(screen) == ("0", "7", "0"))
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(daemon.endpoint)) for _ in range(4)]
        echo(clients[0])
        terminal.wait(lambda screen: queued_and_open(screen) == ("3", "7", "1"))
        terminal.wait_text("limit: listener " + daemon.endpoint + ": 3 clients wait in its queue of 7")
        clients.pop(0).close()
        echo(clients[0])
        terminal.wait(lambda screen: queued_and_open(screen) == ("2", "7", "1"))
    terminal.wait(lambda screen: queued_and_open(screen) == ("0", "7", "0"))
    daemon.expect("killed by SIGKILL", "workers exit early")
    worker, = daemon.workers()
    os.kill(worker, signal.SIGKILL)
    terminal.wait(lambda screen: "deaths 1 signal" in screen.text() and f" {worker}  killed by SIGKILL" in screen.text())


def frames_of(text):
    return re.split(r"(?m)^(?=\d\d:\d\d:\d\d  )", text)[1:]


def test_rates_are_of_what_was_done_between_two_looks(controlled, ctl, tmp_path):
    daemon = controlled("--handler", "echo", workers=2)
    command = [PREFORKCTL, "top", "--batch", "--interval", "500ms", "-n", "6", "--control", endpoint_in(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=clean_environment()) as running:
        first = running.stdout.readline()
        began = time.monotonic()
        for _ in range(40):
            assert exchange(daemon.endpoint, b"12345") == b"12345"
        took = time.monotonic() - began
        frames = frames_of(first + running.stdout.read())
    assert running.returncode == 0 and len(frames) == 6
    rows = [next(line.split() for line in frame.splitlines() if line.startswith(daemon.endpoint)) for frame in frames]
    # At least half a second lies between two looks, and the last is long behind the last client.
    told = sum(float(row[6]) for row in rows) * 0.5
    assert took < 2.5 and 0 < told <= 41, rows
    busiest = max(rows, key=lambda row: float(row[6]))
    assert busiest[4].startswith("<") and int(busiest[10].partition(".")[0]) > 0 and busiest[10] == busiest[11]
    assert rows[-1][6] == "0" and rows[-1][4] == "-", "nothing has ended since the look before"


def test_workers_are_sorted_by_their_processor_time(controlled, top):
    daemon = controlled("--handler", "chargen", workers=3)
    terminal = top(*QUICK, rows=40, columns=200)
    terminal.wait_text("nothing limits it")

    def first_worker(screen):
        rows = [line.split() for line in screen.lines]
        heading = next((at for at, row in enumerate(rows) if row[:1] == ["WORKER"]), None)
        return rows[heading + 1] if heading else None
    with connect(daemon.endpoint) as client:
        def reads_and_sees(screen):
            client.recv(1 << 20)
            return (row := first_worker(screen)) and row[2] not in ("-", "0") and row
        deadline = time.monotonic() + 20
        while not (row := reads_and_sees(terminal.screen)):
            terminal.read(0)
            assert time.monotonic() < deadline, terminal.screen.text()
        busiest = max(daemon.workers(), key=lambda pid: proc.stat(pid).cpu_seconds)
        assert int(row[1]) == busiest


def test_of_workers_that_have_no_space_it_is_told_how_many_there_are_below_those_that_have(controlled, top):
    controlled("--handler", "echo", workers=9)
    terminal = top(*QUICK, rows=16, columns=80)
    terminal.wait_text("nothing limits it")
    terminal.wait(lambda screen: "QUEUED  LIMIT  WAIT P99  TOOK P99" in screen.text()
                  and any(re.fullmatch(r"\(and \d more\)", line.strip()) for line in screen.lines))


def test_a_daemon_that_goes_and_comes_back_is_told_of(controlled, top):
    daemon = controlled("--handler", "echo")
    terminal = top(*QUICK)
    terminal.wait_text(f"pid {daemon.pid}, running")
    daemon.stop()
    terminal.wait_text("NO NEWS: ")
    terminal.wait_text("No such file or directory; is preforkd running")
    assert f"pid {daemon.pid}, running" in terminal.screen.text(), "what was known of it is left there"
    again = controlled("--handler", "echo")
    terminal.wait_text(f"ready; started anew as pid {again.pid} at ")
    terminal.wait_text(f"pid {again.pid}, running")
    assert again.workers() and terminal.screen.row(again.endpoint)


def test_an_upgrade_and_a_reload_are_told_of(controlled, top):
    daemon = controlled("--handler", "echo")
    terminal = top(*QUICK)
    terminal.wait_text("nothing limits it")
    daemon.signal(signal.SIGHUP)
    terminal.wait_text("ready; reloaded: generation 2 at ")
    daemon.signal(signal.SIGUSR2)
    terminal.wait_text("ready; upgraded to the same version at ")
    assert "NO NEWS" not in terminal.screen.text() and f"pid {daemon.pid}, running" in terminal.screen.text()


def test_a_daemon_that_is_silent_is_told_of_and_keeps_nobody(controlled, top):
    daemon = controlled("--handler", "echo")
    terminal = top(*QUICK)
    terminal.wait_text("nothing limits it")
    daemon.signal(signal.SIGSTOP)
    try:
        terminal.wait_text("NO NEWS: ")
        assert re.search(r"the daemon has not answered for \d+s", terminal.screen.text())
        terminal.wait(lambda screen: "are of the last answer" in screen.text() and "nothing limits it" not in screen.text())
    finally:
        daemon.signal(signal.SIGCONT)
    terminal.wait(lambda screen: "NO NEWS" not in screen.text() and "ready" in screen.text())
    daemon.signal(signal.SIGSTOP)
    try:
        terminal.press("q")
        assert terminal.wait_exit(timeout=2) == (0, "")
    finally:
        daemon.signal(signal.SIGCONT)


def test_where_nobody_is_to_begin_with_the_screen_is_not_taken(top, tmp_path):
    terminal = top()
    code, said = terminal.wait_exit()
    assert code == 1 and said == (f"preforkctl: {endpoint_in(tmp_path)}: No such file or directory; is preforkd running, and "
                                  "with this --control?\n")
    assert terminal.screen.modes == set() and terminal.attributes() == terminal.usual


def test_without_a_terminal_there_is_a_batch(controlled, ctl):
    daemon = controlled("--handler", "echo")
    told = ctl("top")
    assert told.returncode == 64
    assert told.stderr == "preforkctl: top: standard output is no terminal; add --batch, and -n 1 for one look\n"
    told = ctl("top", "-b", "-n", "2", "--interval", "100ms")
    assert (told.returncode, told.stderr, len(frames_of(told.stdout))) == (0, "", 2)
    assert f"pid {daemon.pid}, running" in told.stdout and "\x1b" not in told.stdout


def test_a_batch_ends_with_the_daemon(controlled, tmp_path):
    daemon = controlled("--handler", "echo")
    with subprocess.Popen([PREFORKCTL, "top", "--batch", *QUICK, "--control", endpoint_in(tmp_path)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, env=clean_environment()) as running:
        assert running.stdout.readline()
        daemon.stop()
        running.stdout.read()
        assert running.stderr.read() == "preforkctl: the daemon has stopped\n"
    assert running.returncode == 0
