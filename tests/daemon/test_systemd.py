"""A service manager's side: passed sockets, notifications, watchdog.  Outside of it all of that is silent."""
import os
import signal
import socket
import subprocess

import pytest

import daemon_process
import proc
import tracer
from activation import Passing, endpoint_of, listening
from clients import connect, exchange, read_exactly, read_to_end
from configured import LISTEN
from log_file import LogFile
from tracer import Tracer


# --- systemd-socket-activate ------------------------------------------------------------------------------------------

class Activated:
    """preforkd behind a real systemd-socket-activate, which starts it when the first client comes."""

    def __init__(self, directory, endpoints, *arguments, options=()):
        self.log = LogFile(str(directory / "activated-log"))
        listen = [word for endpoint in endpoints for word in ("-l", endpoint)]
        command = [*daemon_process.SOCKET_ACTIVATE, *listen, *options, daemon_process.PREFORKD, "--workers", "2",
                   "--log-format", "json", "--log-file", self.log.path, *arguments]
        self.process = subprocess.Popen(command, env=daemon_process.daemon_environment(), stdin=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True, start_new_session=True)
        for _ in endpoints:  # "Listening on ... as ..." once a socket
            assert "Listening" in self.process.stderr.readline()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        assert proc.wait_gone(self.process.pid, 10)
        assert self.process.wait() == 0
        self.process.stderr.close()
        wrong = [line for line in self.log.read() if line["level"] in ("error", "warning") and "root" not in line["message"]]
        assert not wrong and not self.log.malformed
        self.log.close()


@pytest.mark.programs("systemd-socket-activate")
def test_socket_activate_passes_unix_sockets(tmp_path):
    paths = [f"{tmp_path}/a", f"{tmp_path}/b", f"@preforkd-{os.getpid()}-activated"]
    with Activated(tmp_path, paths):
        for path in paths:
            assert exchange(f"unix://{path}") == b"connected\n"
    assert os.path.exists(paths[0]), "an inherited socket file is not ours to remove"


@pytest.mark.programs("systemd-socket-activate")
def test_socket_activate_passes_a_name(tmp_path):
    with Activated(tmp_path, [f"{tmp_path}/a"], "--listen", "fd://web handler=echo", options=["--fdname", "web"]):
        assert exchange(f"unix://{tmp_path}/a", b"abc") == b"abc"


@pytest.mark.root
@pytest.mark.programs("systemd-socket-activate", "unshare", "nsenter", "nc", "ip")
def test_socket_activate_passes_a_tcp_port(tmp_path):
    """It takes no port 0, so a fixed one, in a network namespace of its own."""
    activate = " ".join(daemon_process.SOCKET_ACTIVATE)
    script = f"ip link set lo up; exec {activate} -l 127.0.0.1:7000 {daemon_process.PREFORKD} --workers 1"
    process = subprocess.Popen(["unshare", "--net", "sh", "-c", script], env=daemon_process.daemon_environment(),
                               stderr=subprocess.PIPE, text=True)
    assert "Listening" in process.stderr.readline()
    answer = subprocess.run(["nsenter", "-t", str(process.pid), "-n", "nc", "-N", "127.0.0.1", "7000"], text=True,
                            stdin=subprocess.DEVNULL, capture_output=True, timeout=10)
    process.terminate()
    log = process.communicate(timeout=10)[1]
    assert (answer.stdout, process.returncode) == ("connected\n", 0), log


# --- passed sockets, with descriptors that the test keeps too -----------------------------------------------------------

def test_passed_sockets_replace_the_default_endpoint(preforkd):
    with listening() as bound:
        daemon = preforkd(listen=None, **Passing(bound).arguments())
        assert daemon.endpoints == [endpoint_of(bound)]
        assert exchange(endpoint_of(bound)) == b"connected\n"


def test_passed_sockets_are_matched_by_name(preforkd):
    with listening() as first, listening() as second:
        passing = Passing(first, second, names=["echo", "greet"])
        daemon = preforkd(listen=["fd://greet handler=greet", "fd://echo handler=echo"], **passing.arguments())
        assert exchange(endpoint_of(first), b"abc") == b"abc"
        assert exchange(endpoint_of(second), b"abc") == b"connected\n"
        assert len(daemon.endpoints) == 2


def test_passed_sockets_are_matched_by_address_and_the_rest_is_bound(preforkd, tmp_path):
    with listening() as bound, listening(tmp_path / "passed") as unix:
        wanted = [f"unix://{tmp_path}/own", f"unix://{tmp_path}/passed handler=echo", f"{endpoint_of(bound)} handler=echo"]
        preforkd(listen=wanted, **Passing(bound, unix).arguments())
        assert exchange(f"unix://{tmp_path}/own") == b"connected\n"
        assert exchange(f"unix://{tmp_path}/passed", b"abc") == b"abc"
        assert exchange(endpoint_of(bound), b"abc") == b"abc"


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_passed_socket_outlives_the_daemon(preforkd, tmp_path, kind):
    """Stopped, it neither shuts the socket down nor unlinks it nor loses who comes between two daemons."""
    with listening(tmp_path / "s" if kind == "unix" else "127.0.0.1") as bound:
        first = preforkd(listen=None, **Passing(bound).arguments())
        assert exchange(endpoint_of(bound)) == b"connected\n"
        assert first.stop() == 0
        with connect(endpoint_of(bound)) as between:
            second = preforkd(listen=None, **Passing(bound).arguments())
            assert read_to_end(between) == b"connected\n"
        assert second.stop() == 0
        assert kind == "tcp" or (tmp_path / "s").exists()
        with connect(endpoint_of(bound)):
            bound.accept()[0].close()


def test_several_sockets_of_one_name_are_all_taken(preforkd):
    with listening() as first, listening() as second:
        preforkd(listen="fd://web", **Passing(first, second, names=["web", "web"]).arguments())
        for bound in (first, second):
            assert exchange(endpoint_of(bound)) == b"connected\n"


def test_a_second_stop_under_activation_loses_nobody_in_the_queue(preforkd):
    with listening() as bound:
        daemon = preforkd("--handler", "echo", "--model", "serial", listen=None, workers=1, **Passing(bound).arguments())
        with connect(endpoint_of(bound)) as busy, connect(endpoint_of(bound)) as queued:
            busy.sendall(b"x")
            read_exactly(busy, 1)
            daemon.signal(signal.SIGINT)
            assert daemon.wait_exit() == 0
            assert daemon.cut() == [1], "who is still in the queue is not"
            accepted, peer = bound.accept()
            accepted.close()
            assert peer == queued.getsockname(), "the client still waits for the next daemon"


# --- notifications ------------------------------------------------------------------------------------------------------

def test_ready_is_announced_once_the_whole_generation_serves(preforkd, notify):
    daemon = preforkd(workers=3, env=notify.environment, wait=False)
    notify.wait("READY", "1")
    status = notify.received[-1][1]["STATUS"]
    assert len(daemon.workers()) == 3 and "3" in status
    assert not [message for _, message in notify.received[:-1] if "STATUS" in message], "nothing is promised before"
    daemon.wait_ready(timeout=1)  # the same moment


def test_ready_comes_from_the_master_alone(preforkd, notify):
    notify._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    daemon = preforkd(workers=3, env=notify.environment)
    exchange(daemon.endpoint)
    daemon.stop()
    notify._socket.setblocking(False)
    senders = set()
    while True:
        try:
            _, ancillary, _, _ = notify._socket.recvmsg(65536, 1024)
        except BlockingIOError:
            break
        senders |= {int.from_bytes(data[:4], "little") for _, kind, data in ancillary if kind == socket.SCM_CREDENTIALS}
    assert senders == {daemon.process.pid}


def test_the_status_carries_live_numbers(preforkd, notify):
    daemon = preforkd(workers=2, env=notify.environment)
    first = notify.wait("STATUS")
    assert "2" in first
    daemon.signal(signal.SIGTTIN)
    assert "3" in notify.wait("STATUS", timeout=15)


def test_the_status_keeps_why_a_reload_was_refused_until_one_works(configured, notify):
    service = configured(LISTEN, env=notify.environment)
    service.daemon.expect("reload failed")
    notify.wait("STATUS")
    service.reload(LISTEN, "greetings = one")
    assert "did you mean greeting?" in notify.wait("STATUS")
    service.daemon.signal(signal.SIGTTIN)  # what the pool does is news, too
    later = notify.wait("STATUS", timeout=15)
    assert "3 workers" in later and later.startswith("reload failed: ") and "did you mean greeting?" in later
    service.reload(LISTEN, "greeting = one")
    assert "failed" not in notify.wait("STATUS")


def test_stopping_is_announced_and_the_drain_asks_for_more_time(preforkd, notify):
    daemon = preforkd("--handler", "echo", env=notify.environment)
    with connect(daemon.endpoint) as client:
        client.sendall(b"x")
        read_exactly(client, 1)
        daemon.signal(signal.SIGTERM)
        notify.wait("STOPPING", "1")
        assert int(notify.wait("EXTEND_TIMEOUT_USEC")) > 0
    assert daemon.wait_exit() == 0


def test_the_watchdog_is_fed_and_the_idle_pool_is_not_woken_for_it(preforkd, notify):
    daemon = preforkd(workers=2, env=notify.environment | {"WATCHDOG_USEC": "200000"})
    workers = daemon.workers()
    assert proc.eventually(lambda: all(proc.stat(pid).state == "S" for pid in workers))
    notify.wait("WATCHDOG", "1")
    before = [proc.voluntary_switches(pid) for pid in workers]
    times = []
    for _ in range(8):
        notify.wait("WATCHDOG", "1", timeout=2)
        times.append(notify.received[-1][0])
    assert max(later - earlier for earlier, later in zip(times, times[1:])) < 0.2
    assert [proc.voluntary_switches(pid) for pid in workers] == before


@pytest.mark.parametrize("model", ["async", "serial"])
def test_the_watchdog_is_fed_without_a_master_too(preforkd, trouble, notify, model):
    """Also while a blocking handler waits for its client."""
    handler = trouble("blocking") if model == "serial" else "echo"
    daemon = preforkd("--handler", handler, "--model", model, workers=0,
                      env=notify.environment | {"WATCHDOG_USEC": "400000"})
    for _ in range(2):
        notify.wait("WATCHDOG", "1", timeout=2)
    with connect(daemon.endpoint) as client:
        client.sendall(b"hello\n")
        assert client.recv(100)
        notify.pending()
        for _ in range(3):
            notify.wait("WATCHDOG", "1", timeout=2)


def test_the_watchdog_of_another_process_is_not_fed(preforkd, notify):
    daemon = preforkd(env=notify.environment | {"WATCHDOG_USEC": "50000", "WATCHDOG_PID": "1"})
    exchange(daemon.endpoint)
    assert notify.wait("READY", "1")
    with pytest.raises(AssertionError):
        notify.wait("WATCHDOG", timeout=0.4)


@pytest.mark.skipif(not tracer.SUPPORTED, reason="the system call numbers of this machine are not known here")
def test_the_watchdog_starves_while_all_workers_hang(preforkd, notify):
    daemon = preforkd("--worker-timeout", "300ms", workers=1, env=notify.environment | {"WATCHDOG_USEC": "100000"})
    daemon.expect("hang", "stack of", "killed by SIG", "has not died")
    notify.wait("WATCHDOG", "1")
    with Tracer(daemon.workers(), where="sending") as held, connect(daemon.endpoint):
        held.wait_held()
        daemon.wait_log("most workers hang", timeout=5)
        notify.pending()
        with pytest.raises(AssertionError):  # five periods of silence
            notify.wait("WATCHDOG", timeout=0.5)
        assert len(daemon.log.find("most workers hang")) == 1, "said once, not once a period"
    notify.wait("WATCHDOG", "1")
