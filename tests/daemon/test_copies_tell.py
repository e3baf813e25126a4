"""What a copy of --run pool says of itself: that it is ready, that it goes on, that it needs time."""
import os
import signal
import subprocess
import sys
from datetime import datetime

import pytest

import proc
from control import deaths, status
from copies import copies_of, script, server
from daemon_process import LOOPBACK

SAY = """
import os, signal, socket, sys, threading, time
told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
def say(text):
    told.sendto(text.encode(), "\\0" + os.environ["NOTIFY_SOCKET"][1:])
"""
NOTIFY = ("--run", "pool", "--ready", "notify")


@pytest.fixture
def fifo(tmp_path):
    """Where a program waits for the test, which opens the other end."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return str(path)


def go_on(fifo):
    os.close(os.open(fifo, os.O_WRONLY))


# --- ready ----------------------------------------------------------------------------------------------------------


def test_ready_is_who_says_so(preforkd, tmp_path, fifo):
    program = script(tmp_path, SAY + f"os.open({fifo!r}, os.O_RDONLY)\nprint('ready now', flush=True)\nsay('READY=1')\nsignal.pause()")
    daemon = preforkd(*NOTIFY, "--", program, workers=1, wait=False)
    assert proc.eventually(lambda: copies_of(daemon))
    go_on(fifo)
    daemon.wait_ready()
    assert daemon.log.find("ready now"), "not before"


def test_one_that_never_says_so_is_given_up(preforkd, tmp_path):
    daemon = preforkd(*NOTIFY, "--boot-timeout", "500ms", "--", server(tmp_path), workers=1, wait=False)
    daemon.expect("was not ready within --boot-timeout", "killed by SIGKILL", "no worker became ready", "exit early")
    assert daemon.wait_exit(30) == 69


def test_what_anybody_else_says_is_not_believed(preforkd, tmp_path, fifo):
    program = script(tmp_path, SAY + "print('at', os.environ['NOTIFY_SOCKET'], flush=True)\n"
                                     f"os.open({fifo!r}, os.O_RDONLY)\nsay('STATUS=mine\\nREADY=1')\nsignal.pause()")
    daemon = preforkd(*NOTIFY, "--", program, workers=1, wait=False)
    address = daemon.wait_log("program: at ")["text"].split()[1]
    stranger = subprocess.run([sys.executable, "-c", SAY + "say('READY=1')"], env={"NOTIFY_SOCKET": address})
    assert stranger.returncode == 0
    assert not daemon.log.find("ready with")
    go_on(fifo)
    daemon.wait_ready()


def test_a_child_of_the_copy_may_say_it(preforkd, tmp_path):
    """As systemd-notify(1) does for a script; its own parent has gone by then."""
    program = script(tmp_path, SAY + "if os.fork() == 0:\n    if os.fork() == 0:\n        time.sleep(0.1)\n        say('READY=1')\n"
                                     "        signal.pause()\n    os._exit(0)\nos.wait()\nsignal.pause()")
    preforkd(*NOTIFY, "--", program, workers=1)


@pytest.mark.programs("systemd-notify")
def test_a_shell_script_may_use_systemd_notify(preforkd, tmp_path):
    program = script(tmp_path, "#!/bin/sh\nsystemd-notify --ready --status=serving || exit 1\nexec sleep 1000\n")
    preforkd(*NOTIFY, "--", program, workers=1)


@pytest.mark.parametrize("how", ["os.write(7, b'\\n')", "os.close(7)"])
def test_ready_is_who_writes_to_a_descriptor_or_closes_it(preforkd, tmp_path, fifo, how):
    program = script(tmp_path, SAY + f"os.open({fifo!r}, os.O_RDONLY)\nprint('ready now', flush=True)\n{how}\nsignal.pause()")
    daemon = preforkd("--run", "pool", "--ready", "fd:7", "--", program, workers=1, wait=False)
    assert proc.eventually(lambda: copies_of(daemon))
    go_on(fifo)
    daemon.wait_ready()
    assert daemon.log.find("ready now"), "not before"


def test_who_dies_is_not_ready_though_its_descriptor_is_closed(run_preforkd, tmp_path):
    told = run_preforkd("--run", "pool", "--ready", "fd:7", "--workers", "1", "--listen", LOOPBACK, "--",
                        script(tmp_path, "#!/bin/sh\nexit 4\n"))
    assert told.returncode == 69 and "exited with code 4 before it was ready" in told.stderr
    assert "ready with" not in told.stderr


def test_a_descriptor_that_is_a_socket_cannot_tell(run_preforkd):
    told = run_preforkd("--run", "pool", "--ready", "fd:3", "--listen", LOOPBACK, "--", "cat")
    assert told.returncode == 78 and "--ready fd:3: that descriptor is a socket of --pass; the first that is free is 4" in told.stderr


# --- what else it says ----------------------------------------------------------------------------------------------


def test_its_status_is_told(controlled, ctl, tmp_path):
    program = script(tmp_path, SAY + "say('STATUS=3 of 8 threads busy\\nREADY=1')\nsignal.pause()")
    daemon = controlled(*NOTIFY, "--", program, workers=1)
    worker, = status(daemon.control)["workers"]
    assert worker["program_status"] == "3 of 8 threads busy" and worker["state"] == "running"
    assert "3 of 8 threads busy" in ctl("status").stdout


def test_one_that_says_that_it_stops_is_replaced_first(controlled, tmp_path):
    program = script(tmp_path, SAY + "def leave(*_):\n    os.write(1, b'asked\\n')\n    sys.exit(0)\n"
                                     "signal.signal(signal.SIGTERM, leave)\n"
                                     "signal.signal(signal.SIGUSR1, lambda *_: say('STOPPING=1'))\nsay('READY=1')\n"
                                     "while True:\n    signal.pause()\n")
    daemon = controlled(*NOTIFY, "--", program, workers=1)
    first, = copies_of(daemon)
    os.kill(first, signal.SIGUSR1)
    daemon.wait_log("program: asked")
    assert proc.wait_gone(first, 5)
    assert proc.eventually(lambda: len(copies_of(daemon)) == 1 and first not in copies_of(daemon))
    death, = proc.eventually(lambda: deaths(daemon.control))
    assert death["expected"] and death["cause"] == "exited with code 0"


def test_one_that_hangs_is_aborted_and_replaced(controlled, tmp_path):
    """From its first WATCHDOG=1 on; it is told how often to say so."""
    program = script(tmp_path, SAY + "assert os.environ['WATCHDOG_PID'] == str(os.getpid())\n"
                                     "print('every', os.environ['WATCHDOG_USEC'], flush=True)\nsay('READY=1')\n"
                                     "say('WATCHDOG=1')\nsignal.pause()")
    daemon = controlled(*NOTIFY, "--worker-timeout", "400ms", "--", program, workers=1)
    daemon.expect("has sent no WATCHDOG=1", "SIGABRT", "exit early", "delaying replacements")
    assert daemon.wait_log("every ")["text"] == "every 400000"
    first, = copies_of(daemon)
    assert daemon.wait_log("its program has sent no WATCHDOG=1 for")
    assert proc.wait_gone(first, 5)
    death = proc.eventually(lambda: deaths(daemon.control))[0]
    assert (death["cause"], death["ordered_by"]) == ("killed by SIGABRT", "master: hang")


def test_one_that_goes_on_is_left_alone(controlled, tmp_path):
    program = script(tmp_path, SAY + "say('READY=1')\nfor _ in range(12):\n    say('WATCHDOG=1')\n    time.sleep(0.1)\n"
                                     "print('went on', flush=True)\nwhile True:\n    say('WATCHDOG=1')\n    time.sleep(0.1)\n")
    daemon = controlled(*NOTIFY, "--worker-timeout", "600ms", "--", program, workers=1)
    daemon.wait_log("went on")
    assert deaths(daemon.control) == []


def test_who_never_says_that_it_goes_on_is_not_watched(preforkd, tmp_path, fifo):
    program = script(tmp_path, SAY + f"say('READY=1')\ntime.sleep(1)\nos.open({fifo!r}, os.O_RDONLY)\nprint('lives', flush=True)\nsignal.pause()")
    daemon = preforkd(*NOTIFY, "--worker-timeout", "200ms", "--", program, workers=1)
    daemon.wait_log("program does not say WATCHDOG=1: --worker-timeout does not hold for it")
    go_on(fifo)
    daemon.wait_log("lives")


def test_who_asks_for_time_to_stop_gets_it(preforkd, tmp_path):
    program = script(tmp_path, SAY + "def leave(*_):\n    say('EXTEND_TIMEOUT_USEC=5000000')\n    time.sleep(1)\n"
                                     "    os.write(1, b'left in order\\n')\n    sys.exit(0)\n"
                                     "signal.signal(signal.SIGTERM, leave)\nsay('READY=1')\nsignal.pause()")
    daemon = preforkd(*NOTIFY, "--stop-timeout", "300ms", "--", program, workers=2)
    daemon.signal(signal.SIGTTOU)
    daemon.wait_log("left in order")
    assert proc.eventually(lambda: len(copies_of(daemon)) == 1)


def test_who_asks_for_time_to_start_gets_it(preforkd, tmp_path):
    program = script(tmp_path, SAY + "say('EXTEND_TIMEOUT_USEC=30000000')\ntime.sleep(2.5)\nsay('READY=1')\nsignal.pause()")
    preforkd(*NOTIFY, "--boot-timeout", "2s", "--", program, workers=2)


def test_it_gets_it_at_a_reload_too(configured, tmp_path):
    lines = ["listen = tcp://127.0.0.1:0", "run = pool", "ready = notify", "boot-timeout = 2s"]
    program = script(tmp_path, SAY + "say('EXTEND_TIMEOUT_USEC=30000000')\ntime.sleep(2.5)\nsay('READY=1')\nsignal.pause()")
    service = configured(*lines, arguments=("--", program), workers=1)
    assert service.reload(*lines)["message"].startswith("reloaded")


def test_who_asks_for_time_to_start_and_is_not_ready_then_is_given_up(preforkd, tmp_path):
    program = script(tmp_path, SAY + "say('EXTEND_TIMEOUT_USEC=4000000')\nprint('asked', flush=True)\nsignal.pause()")
    daemon = preforkd(*NOTIFY, "--boot-timeout", "2s", "--", program, workers=1, wait=False)
    daemon.expect("was not ready within --boot-timeout", "killed by SIGKILL", "no worker became ready", "exit early")
    asked, killed = (datetime.fromisoformat(daemon.wait_log(text)["time"].replace("Z", "+00:00"))
                     for text in ("program: asked", "was not ready within --boot-timeout"))
    assert 3.5 < (killed - asked).total_seconds() < 8
    assert daemon.wait_exit(30) == 69


def test_the_process_that_it_names_is_the_one_that_counts(controlled, tmp_path):
    """A wrapper starts the server in a session of its own, and waits for it."""
    inner = script(tmp_path, SAY + "os.setsid()\ndef leave(*_):\n    os.write(1, f'asked {os.getpid()}\\n'.encode())\n    sys.exit(0)\n"
                                   "signal.signal(signal.SIGTERM, leave)\nsay(f'MAINPID={os.getpid()}\\nREADY=1')\n"
                                   "while True:\n    signal.pause()\n", "inner")
    program = script(tmp_path, f"#!/bin/sh\ntrap '' TERM\n{inner} &\nwait\n")
    daemon = controlled(*NOTIFY, "--", program, workers=1)
    worker, = status(daemon.control)["workers"]
    assert worker["program_pid"] not in copies_of(daemon), "not the wrapper"
    assert daemon.stop(signal.SIGTERM, timeout=5) == 0
    assert daemon.log.find(f"asked {worker['program_pid']}")


# --- reload-signal --------------------------------------------------------------------------------------------------


def test_a_program_that_can_read_its_settings_anew_is_told_to_and_stays(configured, tmp_path):
    program = script(tmp_path, SAY + "signal.signal(signal.SIGUSR1, lambda *_: os.write(1, b'read anew\\n'))\nsay('READY=1')\n"
                                     "while True:\n    signal.pause()\n")
    lines = ["listen = tcp://127.0.0.1:0", "run = pool", "ready = notify", "reload-signal = USR1", "workers = 2"]
    service = configured(*lines, arguments=("--", program), workers=None)
    before = copies_of(service.daemon)
    line = service.reload("# a remark", *lines)
    assert "2 programs told by --reload-signal to read their settings" in line["message"] or \
        "2 programs told" in line.get("outcome", "")
    assert proc.eventually(lambda: len(service.daemon.log.find("read anew")) == 2)
    assert copies_of(service.daemon) == before
    service.reload(*lines, "stop-timeout = 7s")
    assert proc.eventually(lambda: not set(before) & set(copies_of(service.daemon))), "what is ours takes new copies"
