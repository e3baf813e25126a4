"""inetd=wait: one program gets the socket itself, and nobody watches it until that has ended."""
import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
from datetime import datetime

import pytest

import datagram_clients
import proc
from clients import connect, exchange, read_to_end
from control import status
from copies import script
from daemon_process import LOOPBACK
from test_upgrade import Installed

CONFIGURATION, USAGE = 78, 64
UDP = "udp://127.0.0.1:0 inetd=wait"
STREAM = f"{LOOPBACK} inetd=wait"

# Each client is told who answers; `TEST_CLIENTS` of them, then it ends.
STREAM_SERVER = """
import os, socket
queue = socket.socket(fileno=0)
for _ in range(int(os.environ.get("TEST_CLIENTS", "1000000"))):
    client, _ = queue.accept()
    while client.recv(4096):
        pass
    client.sendall(f"{os.getpid()}\\n".encode())
    client.close()
"""
# The same of datagrams.
DATAGRAM_SERVER = """
import os, signal, socket
if "TEST_IGNORES_TERM" in os.environ:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
queue = socket.socket(fileno=0)
for _ in range(int(os.environ.get("TEST_CLIENTS", "1000000"))):
    _, client = queue.recvfrom(4096)
    queue.sendto(str(os.getpid()).encode(), client)
"""


def programs_of(daemon):
    return [child for worker in daemon.workers() for child in proc.children(worker)]


def ask(daemon):
    """The pid of the program that answers a datagram."""
    with datagram_clients.Client(daemon.endpoint) as client:
        return int(client.ask(b"who"))


def reload(daemon):
    after = daemon.log.mark()
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded", after=after)


# --- real programs --------------------------------------------------------------------------------------------------

@pytest.mark.root
@pytest.mark.programs("in.tftpd", "curl")
def test_tftpd_serves_twenty_transfers_while_the_daemon_reloads(preforkd, public):
    wanted = os.urandom(300_000)
    (public / "file").write_bytes(wanted)
    (public / "file").chmod(0o644)
    daemon = preforkd("--", "in.tftpd", "-s", str(public), listen=UDP)
    port = datagram_clients.address_of(daemon.endpoint)[1][1]
    got, wrong = [], []

    def transfer():
        for _ in range(20):
            told = subprocess.run(["curl", "-sS", "--max-time", "60", f"tftp://127.0.0.1:{port}/file"], capture_output=True)
            got.append(told.stdout == wanted)
            if told.returncode != 0:
                wrong.append(told.stderr)

    clients = threading.Thread(target=transfer)
    clients.start()
    reloads = 0
    while clients.is_alive() or reloads < 3:
        reload(daemon)
        reloads += 1
        clients.join(0.05)
    assert not wrong and got == [True] * 20
    assert len([pid for pid in programs_of(daemon) if proc.stat(pid).comm == "in.tftpd"]) <= 1


# --- who has the socket ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("workers", [0, 1, 4])
def test_one_program_accepts_for_all_workers_until_it_ends(preforkd, tmp_path, workers):
    program = script(tmp_path, STREAM_SERVER)
    daemon = preforkd("--", program, listen=STREAM, workers=workers, env={"TEST_CLIENTS": "5"})
    pids = [int(exchange(daemon.endpoint)) for _ in range(15)]
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [5, 5, 5]


def test_a_unix_socket_of_each_kind_is_handed_over_too(preforkd, tmp_path):
    stream = preforkd("--", script(tmp_path, STREAM_SERVER), listen=f"unix://{tmp_path}/stream inetd=wait")
    assert int(exchange(stream.endpoint)) == int(exchange(stream.endpoint))
    datagrams = preforkd("--", script(tmp_path, DATAGRAM_SERVER, "other"), listen=f"unixgram://{tmp_path}/datagrams inetd=wait")
    assert ask(datagrams) == ask(datagrams)


def test_the_program_has_the_socket_on_both_descriptors_as_inetd_gives_it(preforkd, tmp_path):
    look = ("import os, socket\nqueue = socket.socket(fileno=0)\n_, client = queue.recvfrom(9)\n"
            "links = [os.readlink(f'/proc/self/fd/{fd}').split(':')[0] for fd in range(3)]\n"
            "found = [links, os.readlink('/proc/self/fd/0') == os.readlink('/proc/self/fd/1'), os.get_blocking(0),\n"
            "         [fd for fd in range(3, 99) if os.path.exists(f'/proc/self/fd/{fd}')], 'PROTO' in os.environ]\n"
            "queue.sendto(repr(found).encode(), client)\n")
    daemon = preforkd("--", script(tmp_path, look), listen=UDP, env={"PROTO": "forged"})
    with datagram_clients.Client(daemon.endpoint) as client:
        assert eval(client.ask(b"?")) == [["socket", "socket", "pipe"], True, True, [], False]


def test_a_program_for_each_datagram_is_started_as_often_as_they_come(preforkd, tmp_path):
    daemon = preforkd("--", script(tmp_path, DATAGRAM_SERVER), listen=UDP, env={"TEST_CLIENTS": "1"})
    assert len({ask(daemon) for _ in range(10)}) == 10


def test_what_a_program_set_on_the_socket_is_taken_back_before_the_next(preforkd, tmp_path):
    program = script(tmp_path, DATAGRAM_SERVER + "\nqueue.setblocking(False)\n")
    daemon = preforkd("--", program, listen=UDP, env={"TEST_CLIENTS": "1"})
    assert len({ask(daemon) for _ in range(3)}) == 3


def test_a_program_that_connects_the_socket_to_its_client_leaves_it_to_the_next_as_it_was(preforkd, tmp_path):
    connects = ("import os, socket\nqueue = socket.socket(fileno=0)\n_, client = queue.recvfrom(9)\n"
                "queue.connect(client)\nqueue.send(str(os.getpid()).encode())\n")
    daemon = preforkd("--", script(tmp_path, connects), listen=UDP)
    for _ in range(3):
        with datagram_clients.Client(daemon.endpoint) as client:
            client.socket.settimeout(0.1)

            def is_answered():
                """What comes while the socket is another's is lost, so it asks again, as clients do."""
                try:
                    return client.ask(b"who")
                except (TimeoutError, ConnectionRefusedError):
                    return None
            assert proc.eventually(is_answered, 10)


def test_another_endpoint_of_the_same_program_has_one_for_each_client(preforkd, tmp_path):
    program = script(tmp_path, "#!/bin/sh\necho $$ $PROTO\n")
    daemon = preforkd("--", program, listen=(LOOPBACK, UDP))
    assert exchange(daemon.endpoints[0]).split()[1:] == [b"TCP"]


# --- its end --------------------------------------------------------------------------------------------------------

def test_a_sibling_has_the_socket_when_the_worker_that_had_it_is_killed(preforkd, tmp_path):
    daemon = preforkd("--", script(tmp_path, DATAGRAM_SERVER), listen=UDP, workers=3)
    daemon.expect("killed by SIGKILL", "workers exit early")
    for _ in range(3):
        program = ask(daemon)
        os.kill(proc.stat(program).parent, signal.SIGKILL)
        assert proc.wait_gone(program, 5)
        assert ask(daemon) != program


def test_a_reload_asks_the_program_to_end_and_the_next_begins_with_new_settings(preforkd, tmp_path):
    daemon = preforkd("--", script(tmp_path, DATAGRAM_SERVER), listen=UDP)
    before = ask(daemon)
    old = daemon.workers()
    reload(daemon)
    assert proc.wait_gone(before, 5)
    assert proc.stat(ask(daemon)).parent not in old


def test_no_second_program_is_started_while_that_of_the_old_generation_has_the_socket(preforkd, tmp_path):
    daemon = preforkd("--", script(tmp_path, DATAGRAM_SERVER), listen=UDP, env={"TEST_IGNORES_TERM": "1"}, workers=2)
    before = ask(daemon)
    reload(daemon)
    assert [ask(daemon) for _ in range(5)] == [before] * 5
    with open(f"/proc/{before}/cmdline", "rb") as file:
        command = file.read()
    assert [member.pid for member in daemon.family() if member.pid != before
            and open(f"/proc/{member.pid}/cmdline", "rb").read() == command] == []
    daemon.expect("killed by SIGKILL", "has not ended when asked to")
    os.kill(before, signal.SIGKILL)
    assert proc.wait_gone(before, 5)  # until then it may take a datagram along
    assert proc.stat(ask(daemon)).parent in daemon.workers()


def test_an_upgrade_leaves_the_socket_to_the_program_until_it_has_ended(preforkd, tmp_path):
    daemon = preforkd("--", script(tmp_path, DATAGRAM_SERVER), listen=UDP, env={"TEST_IGNORES_TERM": "1"})
    before = ask(daemon)
    daemon.signal(signal.SIGUSR2)
    daemon.wait_log("upgraded: version")
    assert [ask(daemon) for _ in range(5)] == [before] * 5
    daemon.expect("killed by SIGKILL", "has not ended when asked to")
    os.kill(before, signal.SIGKILL)
    assert proc.wait_gone(before, 5)
    assert proc.stat(ask(daemon)).parent in daemon.workers()


@pytest.mark.parametrize("mode", ["generation", "rolling"])
def test_the_socket_is_somebody_s_after_each_of_many_reloads(preforkd, tmp_path, mode):
    daemon = preforkd("--reload", mode, "--", script(tmp_path, DATAGRAM_SERVER), listen=UDP, workers=4)
    for _ in range(8):
        program = ask(daemon)
        reload(daemon)
        assert proc.wait_gone(program, 5)
    assert ask(daemon)


def test_a_stop_ends_the_program_at_once_or_within_the_stop_timeout(preforkd, tmp_path):
    program = script(tmp_path, DATAGRAM_SERVER)
    obedient = preforkd("--stop-timeout", "60s", "--", program, listen=UDP)
    answers = ask(obedient)
    assert obedient.stop() == 0 and not os.path.exists(f"/proc/{answers}")
    deaf = preforkd("--stop-timeout", "500ms", "--", program, listen=UDP, env={"TEST_IGNORES_TERM": "1"})
    deaf.expect("has not ended when asked to", "killed by SIGKILL")
    answers = ask(deaf)
    assert deaf.stop() == 0 and not os.path.exists(f"/proc/{answers}")
    assert deaf.cut() == [1]


def test_the_stop_signal_is_what_the_program_is_asked_with(preforkd, tmp_path):
    says = "import signal, sys\nsignal.signal(signal.SIGUSR1, lambda *_: sys.exit('asked by USR1'))\n" + DATAGRAM_SERVER
    daemon = preforkd("--stop-signal", "USR1", "--", script(tmp_path, says), listen=UDP)
    ask(daemon)
    assert daemon.stop() == 0
    assert daemon.log.find(lambda entry: entry.get("text") == "asked by USR1")


# --- a storm --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("program", ["false", "true"])
def test_a_program_that_takes_nothing_is_started_less_and_less_often_and_goes_on(preforkd, program):
    daemon = preforkd("--log-level", "debug", "--", program, listen=UDP)
    daemon.expect("ended at once and left what waits")
    with datagram_clients.Client(daemon.endpoint) as client:
        client.send(b"nobody takes it")
        daemon.wait_log("exited with code", count=5)
    starts = [datetime.fromisoformat(entry["time"].replace("Z", "+00:00")) for entry in daemon.log.find("exited with code")]
    # 100, 200, 400, 800 ms; what starting takes comes on top.
    assert (starts[4] - starts[0]).total_seconds() >= 1.5
    assert (starts[4] - starts[3]).total_seconds() >= 0.8
    assert len(daemon.log.find("ended at once and left what waits")) == 1


def test_a_program_that_cannot_be_started_is_tried_again_after_pauses(preforkd, tmp_path):
    program = script(tmp_path, DATAGRAM_SERVER)
    daemon = preforkd("--", program, listen=UDP)
    daemon.expect("cannot serve", "ended at once and left what waits")
    os.rename(program, program + ".away")
    with datagram_clients.Client(daemon.endpoint) as client:
        client.send(b"who")
        daemon.wait_log("cannot serve", count=2)
        os.rename(program + ".away", program)
        assert int(client.receive()) in programs_of(daemon)


@pytest.mark.parametrize("endpoint", [LOOPBACK, "unix://{tmp}/s"])
def test_a_program_that_leaves_its_client_is_started_less_often_although_it_ends_well(controlled, ctl, tmp_path, endpoint):
    daemon = controlled("--log-level", "debug", "--", "true", listen=endpoint.format(tmp=tmp_path) + " inetd=wait", workers=1)
    daemon.expect("ended at once and left what waits")
    with connect(daemon.endpoint), connect(daemon.endpoint):
        daemon.wait_log("exited with code 0", count=6)
        starts = [datetime.fromisoformat(entry["time"].replace("Z", "+00:00"))
                  for entry in daemon.log.find("exited with code 0")]
        # 20 ms after the first, since somebody else might have come; then 100, 200, 400, 800 ms.
        assert (starts[5] - starts[1]).total_seconds() >= 1.5
        told = ctl("explain", "--interval", "300ms")
        assert told.returncode == 1 and "--workers" not in told.stdout
        assert f"listener {daemon.endpoint}: its program true has ended at once and left what it was started for: it is " \
               "started again after a pause, now " in told.stdout
        assert "inetd=nowait starts one for each client" in told.stdout
        seen = status(daemon.control)
        [listener] = seen["listeners"]
        assert listener["program"]["starts"] >= 6 and listener["program"]["pause_ms"] >= 1600
        assert (seen["connections_ever"], seen["served"]) == (0, 0) and "accepted" not in listener, "nobody was served"
        assert re.search(r"\(inetd=wait, \d+ starts, with pauses of \S+ as it leaves its clients\)", ctl("status").stdout)
    assert len(daemon.log.find("ended at once and left what waits")) == 1


def test_a_program_that_takes_one_client_of_many_is_started_for_each_without_growing_pauses(controlled, tmp_path):
    daemon = controlled("--", script(tmp_path, STREAM_SERVER), listen=STREAM, env={"TEST_CLIENTS": "1"}, workers=1)
    with contextlib.ExitStack() as held:
        clients = [held.enter_context(connect(daemon.endpoint)) for _ in range(30)]
        for client in clients:
            client.shutdown(socket.SHUT_WR)
        pids = {read_to_end(client) for client in clients}
    assert len(pids) == 30
    [listener] = status(daemon.control)["listeners"]
    assert listener["program"]["starts"] == 30 and listener["program"]["pause_ms"] <= 20
    assert not daemon.log.find("ended at once and left what waits")


def test_of_clients_that_its_program_does_not_take_explain_blames_that(controlled, ctl):
    daemon = controlled("--", "sleep", "1000", listen=f"{STREAM} backlog=4", workers=2)
    with contextlib.ExitStack() as held:
        for _ in range(3):
            held.enter_context(connect(daemon.endpoint))
        assert proc.eventually(lambda: status(daemon.control)["listeners"][0]["queued"] == 3)
        told = ctl("explain", "--interval", "300ms")
        assert told.stdout.splitlines()[0] == (
            f"listener {daemon.endpoint}: 3 clients wait in its queue of 4, because its program, which has the socket "
            "(inetd=wait), takes no more of them; see what that does; inetd=nowait starts one for each client")
        assert [worker["connections_ever"] for worker in status(daemon.control)["workers"]] == [0, 0]
        assert status(daemon.control)["listeners"][0]["program"] == {"starts": 1, "pause_ms": 0}
    assert ctl("stop").returncode == 0


# --- what is refused ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("key", ["handler=echo", "max=3", "per-source=3", "allow=::1", "rate=3/s", "proxy=::1", "linger=1s",
                                 "log-connections=no"])
def test_what_is_about_clients_is_refused(run_preforkd, key):
    told = run_preforkd("--check-config", "--listen", f"{LOOPBACK} inetd=wait {key}", "--", "cat")
    assert told.returncode == USAGE and f"{key.split('=')[0]}= has no effect on programs that accept by themselves" in told.stderr


@pytest.mark.parametrize("arguments, sentence", [
    (("--listen", UDP), "inetd=wait needs a program"),
    (("--listen", UDP, "--run", "pool", "--", "cat"), "inetd= has no effect on programs that accept by themselves (--run pool)"),
    (("--listen", UDP, "--idle-timeout", "9s", "--", "cat"), "has no effect on programs that accept by themselves (inetd=wait)"),
    (("--listen", f"{LOOPBACK} inetd=perhaps", "--", "cat"), 'expected wait or nowait, not "perhaps"'),
    (("--listen", "tls://127.0.0.1:0 inetd=wait certificate=/x key=/x", "--", "cat"), "would have to speak TLS"),
])
def test_what_makes_no_sense_is_refused_with_a_sentence(run_preforkd, arguments, sentence):
    told = run_preforkd("--check-config", *arguments)
    assert told.returncode == USAGE and sentence in told.stderr and len(told.stderr.splitlines()) == 1


def test_a_file_that_makes_no_sense_is_a_wrong_configuration(run_preforkd, tmp_path):
    (tmp_path / "file").write_text(f"listen = {UDP} max=3\n")
    told = run_preforkd("--check-config", "--config", str(tmp_path / "file"), "--", "cat")
    assert told.returncode == CONFIGURATION and "max= has no effect" in told.stderr


def test_a_reload_does_not_change_who_accepts(configured, tmp_path):
    service = configured("listen = udp://127.0.0.1:0 inetd=wait", arguments=("--", script(tmp_path, DATAGRAM_SERVER)))
    service.daemon.expect("reload failed")
    line = service.reload("listen = udp://127.0.0.1:0 handler=echo")
    assert "inetd= cannot be changed by a reload" in line["cause"]
    assert ask(service.daemon)


@pytest.mark.parametrize("before, now", [("inetd=wait", "handler=echo"), ("handler=echo", "inetd=wait")])
def test_nor_does_an_upgrade(preforkd, tmp_path, before, now):
    file = tmp_path / "preforkd.conf"
    file.write_text(f"listen = udp://127.0.0.1:0 {before}\n")
    service = Installed(preforkd, tmp_path, "--config", str(file), "--", script(tmp_path, DATAGRAM_SERVER), listen=None)
    workers = service.daemon.workers()
    file.write_text(f"listen = udp://127.0.0.1:0 {now}\n")
    service.daemon.expect("upgrade failed")
    line = service.upgrade()
    assert "inetd= cannot be changed by a reload or an upgrade" in line["message"] + line.get("cause", "")
    assert service.daemon.workers() == workers
    assert (datagram_clients.ask(service.daemon.endpoint, b"said") == b"said") == (before == "handler=echo")
