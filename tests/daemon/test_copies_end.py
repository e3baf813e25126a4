"""--run pool -- PROGRAM: how copies die, are stopped, and never outlive their master."""
import contextlib
import os
import socket
from signal import SIGKILL, SIGTERM, SIGTTIN, SIGTTOU

import pytest

import proc
from clients import connect, exchange, read_to_end, refused
from control import deaths
from copies import AT_ONCE, answers_of, copies_of, is_gone, pids, script, server


# --- dying ----------------------------------------------------------------------------------------------------------

def test_a_killed_copy_is_replaced_while_others_serve(controlled, tmp_path):
    daemon = controlled(*AT_ONCE, "--", server(tmp_path), workers=2)
    daemon.expect("killed by SIGKILL")
    killed, other = copies_of(daemon)
    os.kill(killed, SIGKILL)
    assert exchange(daemon.endpoint)
    assert proc.eventually(lambda: len(copies_of(daemon)) == 2 and killed not in copies_of(daemon))
    assert other in copies_of(daemon) and answers_of(daemon, pids(copies_of(daemon))) == pids(copies_of(daemon))
    death, = proc.eventually(lambda: deaths(daemon.control))
    assert (death["cause"], death["ordered_by"], death["out_of_memory"]) == ("killed by SIGKILL", "another process", False)
    assert death["served"] is None and "served" not in daemon.wait_log("killed by SIGKILL")


def test_a_death_is_told_of_with_the_last_words(controlled, ctl, tmp_path):
    program = script(tmp_path, "import os, socket, sys\nqueue = socket.socket(fileno=3)\nqueue.accept()\n"
                               "print('beware', file=sys.stderr)\nprint('out of luck', file=sys.stderr)\nos._exit(7)\n")
    daemon = controlled(*AT_ONCE, "--", program, workers=1)
    daemon.expect("exited with code 7")
    with connect(daemon.endpoint) as client:
        assert read_to_end(client) == b""
    death = proc.eventually(lambda: deaths(daemon.control))[0]
    assert (death["cause"], death["ordered_by"], death["last_error"]) == ("exited with code 7", "nobody", "out of luck")
    assert "LAST ERROR\n" in (shown := ctl("deaths").stdout) and "out of luck\n" in shown


def test_one_that_leaves_by_itself_in_good_order_has_not_been_ordered(controlled, tmp_path):
    program = script(tmp_path, "import socket\nsocket.socket(fileno=3).accept()[0].close()\n")
    daemon = controlled(*AT_ONCE, "--", program, workers=1)
    daemon.expect("exited with code 0")
    exchange(daemon.endpoint)
    death = proc.eventually(lambda: deaths(daemon.control))[0]
    assert (death["cause"], death["ordered_by"], death["expected"]) == ("exited with code 0", "nobody", False)


def test_what_a_dead_copy_has_started_ends_with_it(controlled, tmp_path):
    program = script(tmp_path, "#!/bin/sh\nsleep 1000 &\necho \"started $!\"\nwait\n")
    daemon = controlled(*AT_ONCE, "--", program, workers=1)
    daemon.expect("killed by SIGKILL")
    started = int(daemon.wait_log("started ")["text"].split()[1])
    os.kill(copies_of(daemon)[0], SIGKILL)
    assert proc.wait_gone(started, 5)


def test_a_worker_that_is_killed_takes_its_copy_along(preforkd, tmp_path):
    daemon = preforkd(*AT_ONCE, "--", server(tmp_path), workers=1)
    daemon.expect("killed by SIGKILL")
    copy, = copies_of(daemon)
    os.kill(daemon.workers()[0], SIGKILL)
    assert proc.wait_gone(copy, 5)
    assert proc.eventually(lambda: [each for each in copies_of(daemon) if each != copy])


# --- stopping -------------------------------------------------------------------------------------------------------

def test_a_stop_asks_and_waits(preforkd, tmp_path):
    daemon = preforkd(*AT_ONCE, "--", server(tmp_path), workers=2)
    with connect(daemon.endpoint) as client:  # taken, and not served yet: its copy waits for the end of the request
        assert proc.eventually(lambda: proc.socket_connected_to(copies_of(daemon), client.getsockname()))
        daemon.signal(SIGTERM)
        daemon.wait_log("stopping")
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client)
    assert daemon.wait_exit() == 0


def test_one_that_does_not_stop_is_killed_with_its_group(preforkd, tmp_path):
    program = script(tmp_path, "#!/bin/sh\ntrap '' TERM\n(while :; do sleep 1000; done) &\necho \"started $!\"\n"
                               "while :; do sleep 1000; done\n")
    daemon = preforkd(*AT_ONCE, "--stop-timeout", "300ms", "--", program, workers=1)
    started = int(daemon.wait_log("started ")["text"].split()[1])
    copy, = copies_of(daemon)
    daemon.expect("has not ended within --stop-timeout", "killed by SIGKILL")
    assert daemon.stop(SIGTERM) == 0
    assert is_gone(copy) and proc.wait_gone(started, 1)


@pytest.mark.parametrize("signal", ["TERM", "QUIT", "USR1", "INT"])
def test_the_stop_signal_goes_to_the_leader_alone(preforkd, tmp_path, signal):
    """php-fpm, nginx and unicorn have children that must not get it, too."""
    program = script(tmp_path, "import os, signal, sys\n"
                               "def got(signo, frame):\n    os.write(1, f'{os.getpid() == leader} {signal.Signals(signo).name}\\n'.encode())\n"
                               "    if os.getpid() == leader:\n        os.close(write)\n        os.wait()\n    os._exit(0)\n"
                               f"signal.signal(signal.SIG{signal}, got)\nleader = os.getpid()\nread, write = os.pipe()\n"
                               "if os.fork() == 0:\n    os.close(write)\n    os.read(read, 1)\n    os._exit(0)\n"
                               "os.close(read)\nprint('set', flush=True)\nwhile True:\n    signal.pause()\n")
    daemon = preforkd(*AT_ONCE, "--stop-signal", signal, "--", program, workers=1)
    daemon.wait_log("program: set")
    assert daemon.stop(SIGTERM) == 0
    assert [entry["text"] for entry in daemon.log.find("SIG") if "text" in entry] == [f"True SIG{signal}"]


def test_what_is_left_of_a_wrapper_is_asked_too(preforkd, tmp_path):
    """A shell that waits for its command dies of TERM, and its command has heard nothing."""
    program = script(tmp_path, f"#!/bin/sh\n{server(tmp_path, 'server')} &\nwait\n")
    daemon = preforkd(*AT_ONCE, "--", program, workers=1)
    inner = int(exchange(daemon.endpoint))
    assert inner not in copies_of(daemon)
    assert daemon.stop(SIGTERM, timeout=5) == 0
    assert is_gone(inner)


def test_ttin_and_ttou_start_and_end_copies(preforkd, tmp_path):
    daemon = preforkd(*AT_ONCE, "--", server(tmp_path), workers=1)
    daemon.signal(SIGTTIN)
    assert proc.eventually(lambda: len(copies_of(daemon)) == 2)
    assert answers_of(daemon, pids(copies_of(daemon))) == pids(copies_of(daemon))
    daemon.signal(SIGTTOU)
    assert proc.eventually(lambda: len(copies_of(daemon)) == 1)
    assert exchange(daemon.endpoint)


# --- the master's death ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("wrapped", [False, True])
def test_no_copy_outlives_a_killed_master(preforkd, tmp_path, wrapped):
    program = server(tmp_path, "server")
    if wrapped:
        program = script(tmp_path, f"#!/bin/sh\n{program} &\nwait\n")
    daemon = preforkd(*AT_ONCE, "--", program, workers=2)
    daemon.expect("the master is gone")
    inner = int(exchange(daemon.endpoint))
    copies, workers = copies_of(daemon), daemon.workers()
    os.kill(daemon.pid, SIGKILL)
    daemon.wait_exit()
    assert all(proc.wait_gone(pid, 5) for pid in [*copies, inner, *workers])
    assert refused(daemon.endpoint)


def test_one_that_ignores_the_stop_signal_is_killed_when_the_master_was(preforkd, tmp_path):
    program = script(tmp_path, "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 1000; done\n")
    daemon = preforkd(*AT_ONCE, "--stop-timeout", "300ms", "--", program, workers=1)
    daemon.expect("the master is gone", "has not ended within --stop-timeout")
    copy, = copies_of(daemon)
    os.kill(daemon.pid, SIGKILL)
    daemon.wait_exit()
    assert proc.wait_gone(copy, 5)


def test_none_outlives_master_and_workers_that_are_killed_together(preforkd, tmp_path):
    """As pkill -9 preforkd does."""
    daemon = preforkd(*AT_ONCE, "--", server(tmp_path), workers=2)
    copies = copies_of(daemon)
    victims = [daemon.pid, *daemon.workers()]
    daemon.expect("the master is gone")
    for pid in victims:
        with contextlib.suppress(ProcessLookupError):  # a worker is quick to leave behind its master
            os.kill(pid, SIGKILL)
    daemon.wait_exit()
    assert all(proc.wait_gone(pid, 5) for pid in copies)
