"""queues= of an endpoint: several sockets at its address, which all workers serve, each of them its own first."""
import contextlib
import ctypes
import os
import socket
import time
from collections import Counter
from pathlib import Path
from signal import SIGCONT, SIGHUP, SIGKILL, SIGSTOP

import pytest

import daemon_process
import proc
from clients import PATIENCE, Load, address_of, connect, exchange, port_of, read_to_end
from configured import configured  # noqa: F401: a fixture
from control import ask, endpoint_in, status
from copies import server
from limited_clients import hold
from test_upgrade import Installed

ANY = "tcp://127.0.0.1:0"
CONFIGURATION = 78
CLONE_NEWNET = 0x40000000


def is_at(each, endpoint):
    return (each.family == socket.AF_INET and each.getsockname()[1] == port_of(endpoint)
            and each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) != 0)


def sockets_at(pid, endpoint):
    """How many listening sockets of its own a process has there."""
    return sum(is_at(each, endpoint) for each in proc.sockets_of(pid))


def said(endpoint):
    with connect(endpoint) as client:
        return read_to_end(client)


def row_of(control, endpoint):
    [row] = [each for each in status(control)["listeners"] if each["endpoint"] == endpoint]
    return row


SYN_RECV, LISTEN = "03", "0A"


def count(state, endpoint):
    """Of sockets that the kernel has there in this thread's network; SYN_RECV: handshakes whose end it waits for."""
    rows = [line.split() for line in Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port_of(endpoint):04X}") and row[3] == state for row in rows)


@contextlib.contextmanager
def inside_network_of(pid):
    """This thread, and those that it starts."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as own, open(f"/proc/{pid}/ns/net") as other:
        assert libc.setns(other.fileno(), CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        try:
            yield
        finally:
            assert libc.setns(own.fileno(), CLONE_NEWNET) == 0


class LateLoad(Load):
    """Of clients whose last ACK of the handshake is late: delayed, as many milliseconds as the kernel does at most."""

    def _connect(self):
        client = socket.socket()
        client.settimeout(PATIENCE)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 1)
        client.connect(address_of(self._endpoint)[1])
        time.sleep(0.15)
        return client


@pytest.fixture
def queues(preforkd, tmp_path):
    """Of as many workers, who tell who they are."""
    daemon = preforkd("--control", endpoint_in(tmp_path), "--model", "fork", "--", "/bin/sh", "-c", "echo $PPID",
                      listen=f"{ANY} queues=4", workers=4)
    daemon.control = endpoint_in(tmp_path)
    return daemon


def test_workers_have_all_queues_and_take_from_their_own(queues):
    assert {sockets_at(pid, queues.endpoint) for pid in queues.workers()} == {4}
    taken = Counter(int(said(queues.endpoint)) for _ in range(400))
    assert set(taken) == set(queues.workers())
    assert max(taken.values()) < 3 * min(taken.values()), taken
    row = row_of(queues.control, queues.endpoint)
    assert (row["queues"], row["accepted"]) == (4, 400)
    assert len(queues.log.find("listening on")) == 1


def test_the_queue_of_a_stopped_or_killed_worker_is_served_by_others(queues):
    queues.expect("was stopped by SIGSTOP", "killed by SIGKILL")
    stopped, killed, *_ = queues.workers()
    os.kill(stopped, SIGSTOP)
    assert stopped not in {int(said(queues.endpoint)) for _ in range(100)}
    os.kill(killed, SIGKILL)
    assert killed not in {int(said(queues.endpoint)) for _ in range(100)}
    os.kill(stopped, SIGCONT)
    assert proc.eventually(lambda: len(queues.workers()) == 4 and {int(said(queues.endpoint)) for _ in range(100)} == set(queues.workers()))


@pytest.mark.parametrize("model", ["async", "serial", "thread", "fork"])
def test_no_client_is_lost_at_reloads_kills_and_upgrades(preforkd, tmp_path, model):
    installed = Installed(preforkd, tmp_path, "--control", endpoint_in(tmp_path), "--handler", "echo", "--model", model,
                          "--log-connections", "no", listen=f"{ANY} queues=3", workers=3)
    daemon = installed.daemon
    with Load(daemon.endpoint, clients=4, request=b"abc", expected=b"abc") as load:
        for turn in range(4):
            load.wait_for_answers(50)
            before, after = set(daemon.workers()), daemon.log.mark()
            if turn % 2:
                installed.install(daemon_process.PREFORKD)
                assert installed.upgrade()["message"].startswith("upgraded")
            else:
                daemon.signal(SIGHUP)
                daemon.wait_log("reloaded", after=after)
            assert all(proc.wait_gone(pid, 20) for pid in before)
        load.wait_for_answers(50)
    assert set(load.outcomes) == {"whole"}, load.broken
    assert {sockets_at(pid, daemon.endpoint) for pid in daemon.workers()} == {3}


def test_a_reload_adds_queues_without_losing_a_client(configured, tmp_path):
    service = configured("handler = echo", "workers = 3", "log-connections = no", f"listen = {ANY}",
                         arguments=["--control", endpoint_in(tmp_path)], workers=None)
    daemon = service.daemon
    with Load(daemon.endpoint, clients=4, request=b"abc", expected=b"abc") as load:
        for queues in (2, 3, 7):
            load.wait_for_answers(100)
            assert service.reload("handler = echo", "workers = 3", "log-connections = no",
                                  f"listen = {ANY} queues={queues}")["message"].startswith("reloaded")
            assert row_of(endpoint_in(tmp_path), daemon.endpoint)["queues"] == queues
            assert proc.eventually(lambda: {sockets_at(pid, daemon.endpoint) for pid in daemon.workers()} == {queues})
            load.wait_for_answers(100)
        assert status(endpoint_in(tmp_path))["accept_errors"] == {}
    assert set(load.outcomes) == {"whole"}, load.broken


# Where the kernel waits for the end of a handshake for a second, and not for one minute.
INSIDE = ["unshare", "--net", "sh", "-c", 'ip link set lo up && echo 0 > /proc/sys/net/ipv4/tcp_synack_retries && exec "$@"', "sh"]


@pytest.mark.root
@pytest.mark.programs("unshare", "ip")
@pytest.mark.parametrize("model", ["async", "serial", "thread", "fork"])
def test_reloads_to_fewer_and_to_more_queues_lose_nobody(preforkd, tmp_path, model):
    file = tmp_path / "preforkd.conf"
    control = endpoint_in(tmp_path)

    def write(queues):
        file.write_text(f"handler = echo\nmodel = {model}\nworkers = 3\nlog-connections = no\nlisten = {ANY} queues={queues}\n")
    write(4)
    installed = Installed(preforkd, tmp_path, "--config", str(file), "--control", control, listen=None, workers=None, wrap=INSIDE)
    daemon = installed.daemon
    endpoint = daemon.endpoint

    def reload(queues):
        write(queues)
        after = daemon.log.mark()
        daemon.signal(SIGHUP)
        daemon.wait_log("reloaded", after=after)
        assert row_of(control, endpoint)["queues"] == queues

    def have(queues):
        return proc.eventually(lambda: count(LISTEN, endpoint) == queues, timeout=20)

    with inside_network_of(daemon.pid), Load(endpoint, 4, b"abc", b"abc") as load, LateLoad(endpoint, 8, b"abc", b"abc") as late:
        assert have(4)
        reload(2)
        assert count(SYN_RECV, endpoint) > 0 and have(2)
        reload(4)
        assert have(4)
        reload(1)
        installed.install(daemon_process.PREFORKD)
        assert installed.upgrade()["message"].startswith("upgraded")
        assert have(1)
        reload(2)
        reload(1)
        reload(3)
        assert have(3)
        load.wait_for_answers(50)
        late.wait_for_answers(20)
        assert status(control)["accept_errors"] == {}
    assert set(load.outcomes) == set(late.outcomes) == {"whole"}, (load.broken, late.broken)
    assert len(daemon.log.find("closed queue 4 of")) == 2


def waiting_by_queue(endpoint):
    """How many clients are in each of the kernel's queues there."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [int(row[4].split(":")[1], 16) for row in rows if row[1].endswith(f":{port_of(endpoint):04X}") and row[3] == LISTEN]


def test_after_a_reload_to_fewer_new_clients_come_to_those_that_stay_alone(configured, tmp_path):
    lines = ["handler = echo", "model = serial", "workers = 2", "log-connections = no"]
    service = configured(*lines, f"listen = {ANY} queues=4", arguments=["--control", endpoint_in(tmp_path)], workers=None)
    endpoint = service.daemon.endpoint
    assert service.reload(*lines, f"listen = {ANY} queues=2")["message"].startswith("reloaded")
    assert row_of(endpoint_in(tmp_path), endpoint)["queues"] == 2
    with contextlib.ExitStack() as stack:
        first = [stack.enter_context(connect(endpoint)) for _ in range(2)]
        for client in first:  # has a worker to itself
            client.sendall(b"x")
            assert client.recv(1) == b"x"
        waiting = [stack.enter_context(connect(endpoint)) for _ in range(64)]
        depths = waiting_by_queue(endpoint)
        assert len(depths) == 4 and sum(depths) == 64 and depths.count(0) == 2, depths
        for client in first + waiting:
            client.sendall(b"y")
            client.shutdown(socket.SHUT_WR)
        assert {read_to_end(client) for client in first + waiting} == {b"y"}


def test_queues_that_a_failed_reload_would_have_added_get_nobody(configured, tmp_path):
    failing = tmp_path / "failing.sh"
    service = configured("handler = echo", "log-connections = no", f"listen = {ANY}")
    service.daemon.expect("reload failed", "exit early", "cannot", "exited with code")
    failing.write_text("#!/bin/sh\nexit 9\n")
    failing.chmod(0o755)
    with Load(service.daemon.endpoint, clients=2, request=b"abc", expected=b"abc") as load:
        load.wait_for_answers(50)
        assert "reload failed" in service.reload("handler = echo", "log-connections = no", f"listen = {ANY} queues=5",
                                                 f"[unix://{tmp_path}/failing]", f"program = {failing}", "run = pool", "workers = 1")["message"]
        load.wait_for_answers(200)
    assert set(load.outcomes) == {"whole"}, load.broken
    assert {sockets_at(pid, service.daemon.endpoint) for pid in service.daemon.workers()} == {1}


def test_another_daemon_does_not_share_the_address(queues, run_preforkd):
    told = run_preforkd("--listen", f"{queues.endpoint} queues=2", "--workers", "1")
    assert told.returncode != 0 and "Address already in use" in told.stderr


def test_a_source_counts_over_all_queues(preforkd):
    daemon = preforkd("--handler", "echo", listen=f"{ANY} queues=4 per-source=3", workers=2)
    held = [hold(daemon.endpoint) for _ in range(3)]
    assert all(held)
    assert not any(hold(daemon.endpoint) for _ in range(12))
    for client in held:
        client.close()


def test_auto_is_one_for_each_cpu(preforkd, tmp_path):
    daemon = preforkd("--control", endpoint_in(tmp_path), listen=f"{ANY} queues=auto", workers=1)
    assert row_of(endpoint_in(tmp_path), daemon.endpoint)["queues"] == status(endpoint_in(tmp_path))["processors"]
    assert said(daemon.endpoint) == b"connected\n"


def test_each_copy_of_a_program_has_one_queue_and_its_replacement_gets_it(configured, tmp_path):
    """So a client wakes one of them, and not all."""
    service = configured(f"[{ANY}]", "queues = 3", f"program = {server(tmp_path)}", "run = pool", "workers = 3", "ready = alive:0",
                         arguments=["--control", endpoint_in(tmp_path)], workers=None)
    daemon = service.daemon

    def copies():
        return {str(child) for worker in daemon.workers() for child in proc.children(worker)}
    assert proc.eventually(lambda: len(copies()) == 3)
    assert {sockets_at(int(pid), daemon.endpoint) for pid in copies()} == {1}
    assert {exchange(daemon.endpoint).decode().strip() for _ in range(100)} == copies()
    daemon.expect("killed by SIGKILL")
    os.kill(int(min(copies())), SIGKILL)
    assert proc.eventually(lambda: len(copies()) == 3)
    assert {exchange(daemon.endpoint).decode().strip() for _ in range(100)} == copies()
    assert ask(endpoint_in(tmp_path), "workers 2")["ok"] is False, "each has a queue that must not be left alone"


def test_no_client_is_lost_while_copies_with_a_queue_each_reload(preforkd, tmp_path):
    daemon = preforkd(listen=f"{ANY} queues=3 program={server(tmp_path, answer=repr('served'))} run=pool workers=3 ready=alive:200ms",
                      workers=None)
    with Load(daemon.endpoint, clients=3, expected=b"served\n") as load:
        for _ in range(3):
            load.wait_for_answers(20)
            before, after = set(daemon.workers()), daemon.log.mark()
            daemon.signal(SIGHUP)
            daemon.wait_log("reloaded", after=after)
            assert all(proc.wait_gone(pid, 20) for pid in before)
        load.wait_for_answers(20)
    assert set(load.outcomes) == {"whole"}, load.broken


@pytest.mark.parametrize("listen, words", [
    ("queues=0", "a number from 1 to 256"),
    ("queues=some", "a number from 1 to 256"),
    ("queues=2 inetd=wait program=/bin/cat", "queues= has no effect on programs that accept by themselves (inetd=wait)"),
    ("queues=2 program=/bin/cat run=pool workers=2 pass=fd0", ""),
    ("queues=3 program=/bin/cat run=pool workers=2 pass=fd0", "pass=fd0 gives a copy one socket, and there are queues=3 for 2 copies"),
    ("queues=256", ""),
])
def test_what_makes_no_sense_is_refused(run_preforkd, listen, words):
    told = run_preforkd("--check-config", "--listen", f"{ANY} {listen}")
    assert words in told.stderr and told.returncode in ((64, CONFIGURATION) if words else (0,)), told.stderr


def test_services_whose_queues_a_reload_cannot_change_keep_their_workers(configured, tmp_path):
    copies = (f"[{ANY}]", f"program = {server(tmp_path, answer=repr('copy'))}", "run = pool", "workers = 2", "ready = alive:300ms")
    handlers = (f"[unix://{tmp_path}/s]", "handler = echo", "workers = 1")
    service = configured(*copies, "queues = 2", *handlers, arguments=["--control", endpoint_in(tmp_path)])
    service.daemon.expect("queues cannot be changed by a reload")
    [endpoint] = {each for each in service.daemon.endpoints if each.startswith("tcp")}
    with Load(endpoint, clients=2, expected=b"copy\n") as load:
        for queues in (4, 1):
            load.wait_for_answers(20)
            assert service.reload(*copies, f"queues = {queues}", *handlers)["message"].startswith("reloaded")
        load.wait_for_answers(20)
    assert set(load.outcomes) == {"whole"}, load.broken
    assert not service.daemon.log.find(lambda entry: "resize" in entry.get("ordered_by", ""))


@pytest.mark.parametrize("endpoint", ["unix:///tmp/x", "udp://127.0.0.1:0", "fd://web"])
def test_only_tcp_has_queues(run_preforkd, endpoint):
    told = run_preforkd("--check-config", "--listen", f"{endpoint} queues=2")
    assert "queues=" in told.stderr and told.returncode in (64, CONFIGURATION)


def test_all_queues_come_back_from_systemd_with_their_clients_and_one_daemon_may_have_asked_for_fewer(preforkd, notify):
    first = preforkd("--handler", "echo", listen=f"{ANY} queues=3", workers=2, env=notify.environment_with_store)
    endpoint, workers = first.endpoint, first.workers()
    assert first.stop() == 0
    assert all(proc.wait_gone(pid, 5) for pid in workers)
    notify.pending()
    assert len(notify.stored) == 3
    clients = [connect(endpoint) for _ in range(30)]
    for client in clients:
        client.sendall(b"abc")
        client.shutdown(socket.SHUT_WR)
    second = preforkd("--handler", "echo", listen=ANY, workers=2, **notify.restart())
    assert second.endpoint == endpoint
    for client in clients:
        assert read_to_end(client) == b"abc"
        client.close()
    assert {sockets_at(pid, endpoint) for pid in second.workers()} == {3}
