"""What status counts of listeners, workers and the service: each number moves by exactly what was done."""
import contextlib
import os
import signal
import socket
import struct
import time

import pytest

import proc
from clients import address_of, connect, echo, exchange, read_to_end, say
from control import ask, endpoint_in, status
from datagram_clients import ask as ask_datagram
from test_request_timeout import is_cut_off
from test_upgrade import NEXT, Installed

MODELS = ["async", "serial", "thread", "fork"]
OUTCOMES = ["ok", "error", "idle_timeout", "request_timeout", "cut", "refused", "tls_handshake"]
EACH = [["--handler", "echo", "--model", model] for model in MODELS] + [["--", "/bin/cat"]]
IDS = [*MODELS, "program"]


def listener(daemon, number=0):
    return status(daemon.control)["listeners"][number]


def comes_to(look, expected, what=lambda seen: seen):
    """A worker counts an end when the client may have heard of it already."""
    assert proc.eventually(lambda: what(look()) == expected, 20), (what(look()), expected)


def ends_come_to(daemon, number=0, **expected):
    """Connections closed, by outcome; and nothing else has been, or is open."""
    closed = dict.fromkeys(OUTCOMES, 0) | expected
    comes_to(lambda: listener(daemon, number), (closed, sum(closed.values()), 0),
             lambda seen: (seen["closed"], seen["accepted"], seen["connections"]))


def reset(client):
    """Ends the connection as a client that has crashed does."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def ever(seen):
    return {key: seen[key] for key in ("accepted", "closed", "received_bytes", "sent_bytes", "duration", "accept_wait")}


def times(histogram):
    return sum(histogram["buckets"])


# --- how connections end --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", EACH, ids=IDS)
def test_connections_that_end_well_and_those_that_break(controlled, arguments):
    daemon = controlled(*arguments, workers=1)
    for _ in range(3):
        assert exchange(daemon.endpoint, b"hello") == b"hello"
    ends_come_to(daemon, ok=3)
    client = connect(daemon.endpoint)
    echo(client)
    reset(client)
    ends_come_to(daemon, ok=3, error=1)


@pytest.mark.parametrize("model", MODELS)
def test_clients_that_are_waited_for_in_vain(controlled, model):
    daemon = controlled("--handler", "echo", "--model", model, "--idle-timeout", "200ms", workers=1)
    for _ in range(2):
        with connect(daemon.endpoint) as client:
            assert read_to_end(client) == b""
    ends_come_to(daemon, idle_timeout=2)


@pytest.mark.parametrize("arguments", [["--handler", "discard", "--model", model] for model in MODELS] + [["--", "/bin/cat"]],
                         ids=IDS)
def test_clients_that_take_too_long(controlled, arguments):
    daemon = controlled("--request-timeout", "300ms", *arguments, workers=1)
    with connect(daemon.endpoint) as client:
        assert is_cut_off(client)
    ends_come_to(daemon, request_timeout=1)


@pytest.mark.parametrize("arguments", EACH, ids=IDS)
def test_clients_that_a_reload_does_not_wait_for(controlled, arguments):
    daemon = controlled("--stop-timeout", "300ms", *arguments, workers=1)
    daemon.expect("connections were cut", "1 connection was cut")
    with connect(daemon.endpoint) as client:
        echo(client)
        assert ask(daemon.control, "reload")["ok"]
        read_to_end(client)
    ends_come_to(daemon, cut=1)


@pytest.mark.parametrize("model", ["async", "thread"])
def test_clients_of_a_worker_that_dies(controlled, model):
    daemon = controlled("--handler", "echo", "--model", model, workers=1)
    with connect(daemon.endpoint) as client:
        echo(client)
        kill(daemon)
        ends_come_to(daemon, cut=1)


def test_clients_that_are_refused(controlled, tmp_path):
    daemon = controlled("--handler", "echo", listen=("tcp://127.0.0.1:0 per-source=1", "tcp://127.0.0.1:0"), workers=1)
    with connect(daemon.endpoint) as client:
        echo(client)
        with contextlib.suppress(ConnectionResetError), connect(daemon.endpoint) as another:
            assert read_to_end(another) == b""
    ends_come_to(daemon, ok=1, refused=1)
    ends_come_to(daemon, number=1)


def test_handshakes_that_fail(controlled, pair):
    daemon = controlled("--handler", "echo", listen=f"tls://127.0.0.1:0 {pair}", workers=1)
    with connect(daemon.endpoint.replace("tls://", "tcp://")) as client, contextlib.suppress(ConnectionResetError):
        client.sendall(b"this is no handshake\n" * 10)
        read_to_end(client)
    ends_come_to(daemon, tls_handshake=1)


# --- what else is counted of a listener ------------------------------------------------------------------------------


def test_each_listener_counts_for_itself(controlled, tmp_path):
    daemon = controlled("--handler", "echo", workers=2,
                        listen=("tcp://127.0.0.1:0", f"unix://{tmp_path}/s", "udp://127.0.0.1:0"))
    for _ in range(3):
        exchange(daemon.endpoints[0], b"12345")
    exchange(daemon.endpoints[1], b"123")
    assert ask_datagram(daemon.endpoints[2], b"1234567") == b"1234567"
    for number, connections, size in ((0, 3, 15), (1, 1, 3), (2, 1, 7)):
        ends_come_to(daemon, number, ok=connections)
        seen = listener(daemon, number)
        assert (seen["received_bytes"], seen["sent_bytes"]) == (size, size)
        assert times(seen["duration"]) == (0 if number == 2 else connections)


@pytest.mark.parametrize("model", MODELS)
def test_datagrams_are_counted_in_every_model(controlled, model):
    daemon = controlled("--handler", "echo", "--model", model, workers=1, listen="udp://127.0.0.1:0")
    for text in (b"one", b"three"):
        assert ask_datagram(daemon.endpoint, text) == text
    ends_come_to(daemon, ok=2)


def test_the_most_that_were_open_at_once(controlled):
    daemon = controlled("--handler", "echo", workers=1)
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            echo(stack.enter_context(connect(daemon.endpoint)))
        comes_to(lambda: listener(daemon), (5, 5), lambda seen: (seen["connections"], seen["connections_most"]))
    comes_to(lambda: listener(daemon), (0, 5), lambda seen: (seen["connections"], seen["connections_most"]))


def test_the_most_outlives_the_worker_a_reload_and_an_upgrade(controlled):
    daemon = controlled("--handler", "echo", workers=2)
    daemon.expect("killed by SIGKILL")
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            echo(stack.enter_context(connect(daemon.endpoint)))
        comes_to(lambda: listener(daemon), 5, lambda seen: seen["connections"])
    comes_to(lambda: listener(daemon), (0, True), lambda seen: (seen["connections"], seen["connections_most"] >= 5))
    most = listener(daemon)["connections_most"]

    def has_it_still(how):
        seen = listener(daemon)
        assert (seen["connections"], seen["connections_most"]) == (0, most), how
    for pid in daemon.workers():
        os.kill(pid, signal.SIGKILL)
        assert proc.wait_gone(pid, 5)
    has_it_still("killed")
    before = daemon.workers()
    assert ask(daemon.control, "reload")["ok"]
    assert all(proc.wait_gone(pid, 5) for pid in before)
    has_it_still("reloaded")
    before = daemon.workers()
    daemon.signal(signal.SIGUSR2)
    daemon.wait_log("upgraded")
    assert all(proc.wait_gone(pid, 5) for pid in before)
    has_it_still("upgraded")


@pytest.mark.parametrize("arguments", EACH, ids=IDS)
def test_a_connection_counts_with_the_time_that_it_took(controlled, arguments):
    daemon = controlled(*arguments, workers=1)
    began = time.monotonic()
    with connect(daemon.endpoint) as client:
        echo(client)
        accepted = time.monotonic()
        while time.monotonic() - accepted < 0.3:
            echo(client)
    ends_come_to(daemon, ok=1)
    took_us = (time.monotonic() - began) * 1e6
    seen = listener(daemon)["duration"]
    assert times(seen) == 1 and 300_000 <= seen["sum_us"] <= took_us
    bounds = status(daemon.control)["histogram_bounds_us"]
    place = seen["buckets"].index(1)
    assert len(bounds) == 14 and bounds[0] == 100 and bounds[-1] == 60_000_000 and len(seen["buckets"]) == 15
    assert bounds[place - 1] < seen["sum_us"] <= bounds[place]


def test_the_time_in_the_accept_queue_is_told(controlled):
    daemon = controlled("--handler", "echo", "--model", "serial", workers=1)
    with connect(daemon.endpoint) as first:
        echo(first)
        with connect(daemon.endpoint) as second:
            connected = time.monotonic()
            while time.monotonic() - connected < 0.3:
                echo(first)
            first.close()
            echo(second)
            waited_us = (time.monotonic() - connected) * 1e6
    ends_come_to(daemon, ok=2)
    seen = listener(daemon)["accept_wait"]
    assert times(seen) == 2 and sum(seen["buckets"][:6]) == 1, "the first has not waited"
    assert 299_000 <= seen["sum_us"] <= waited_us + 20_000


def test_clients_that_find_the_queue_full_are_dropped(controlled):
    daemon = controlled("--handler", "echo", "--model", "serial", "--backlog", "1", workers=1)
    assert listener(daemon)["dropped"] == 0
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(connect(daemon.endpoint))
        echo(first)
        for _ in range(2):  # a queue of one holds two
            stack.enter_context(connect(daemon.endpoint))
        family, address = address_of(daemon.endpoint)
        began = time.monotonic()
        lost = stack.enter_context(socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
        lost.connect_ex(address)
        dropped = proc.eventually(lambda: listener(daemon)["dropped"])
        assert 1 <= dropped <= 1 + (time.monotonic() - began), "it tries again after a second, and after two"


def test_accept_errors_are_counted_by_name(controlled):
    daemon = controlled("--handler", "echo", workers=1)
    daemon.expect("Too many open files")
    from test_limits import starve  # noqa: PLC0415
    import resource  # noqa: PLC0415
    worker, = daemon.workers()
    before = starve(worker)
    with connect(daemon.endpoint) as client:
        comes_to(lambda: status(daemon.control)["accept_errors"].get("EMFILE", 0) > 0, True)
        resource.prlimit(worker, resource.RLIMIT_NOFILE, before)
        echo(client)


def test_listeners_behind_the_64th_are_counted_together(controlled, tmp_path):
    daemon = controlled("--handler", "echo", workers=1, listen=[f"unix://{tmp_path}/{n}" for n in range(67)])
    for number in (0, 63, 64, 66):
        exchange(daemon.endpoints[number], b"1")
    ends_come_to(daemon, 0, ok=1)
    ends_come_to(daemon, 63, ok=1)
    comes_to(lambda: status(daemon.control)["other_listeners"], (2, 2),
             lambda seen: (seen["accepted"], seen["closed"]["ok"]))
    assert "accepted" not in listener(daemon, 64)


# --- over the death of workers, reloads and upgrades ----------------------------------------------------------------


def kill(daemon):
    daemon.expect("killed by SIGKILL", "workers exit early")
    workers = daemon.workers()
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    assert all(proc.wait_gone(pid, 10) for pid in workers)


@pytest.mark.parametrize("change", ["kill", "reload", "upgrade"])
def test_nothing_is_forgotten(controlled, change):
    daemon = controlled("--handler", "echo", workers=2)
    for number in range(1, 4):
        assert exchange(daemon.endpoint, b"12345") == b"12345"
        ends_come_to(daemon, ok=number)
        comes_to(lambda: {each["state"] for each in status(daemon.control)["workers"]}, {"idle"})  # that is counted last
        before = status(daemon.control)
        assert times(before["handler_busy"]) > 0
        if change == "kill":
            kill(daemon)
        else:
            assert ask(daemon.control, change)["ok"]
        daemon.wait_workers(2)
        comes_to(lambda: listener(daemon), ever(before["listeners"][0]), ever)
        assert times(status(daemon.control)["handler_busy"]) == times(before["handler_busy"])
    after = status(daemon.control)
    assert (after["reloads"], after["upgrades"]) == (
        {"done": 3 * (change == "reload"), "failed": 0}, {"done": 3 * (change == "upgrade"), "failed": 0})
    assert after["deaths"] == dict.fromkeys(after["deaths"], 0) | {"signal" if change == "kill" else "ordered": 6}
    comes_to(lambda: times(status(daemon.control)["worker_boot"]), 8)  # the last may be on its way


def test_a_client_that_lives_through_an_upgrade_is_counted_where_it_was(preforkd, tmp_path):
    control = endpoint_in(tmp_path)
    service = Installed(preforkd, tmp_path, "--handler", "echo", "--control", control, workers=1)
    service.daemon.control = control
    with connect(service.daemon.endpoint) as client:
        echo(client)
        service.install(NEXT)
        assert service.upgrade()["message"].startswith("upgraded")
        comes_to(lambda: listener(service.daemon), (1, 1), lambda seen: (seen["accepted"], seen["connections"]))
        echo(client, b"12345")
    ends_come_to(service.daemon, ok=1)
    seen = listener(service.daemon)
    assert (seen["received_bytes"], seen["sent_bytes"]) == (6, 6)
    assert status(control)["version"] == "99.0.0"


def test_a_listener_that_a_reload_removes_leaves_the_list_and_the_others_go_on(controlled, tmp_path):
    file = tmp_path / "preforkd.conf"
    file.write_text(f"handler = echo\nlisten = unix://{tmp_path}/a\nlisten = unix://{tmp_path}/b\n")
    daemon = controlled("--config", str(file), listen=None, workers=1)
    for endpoint in daemon.endpoints:
        exchange(endpoint, b"1")
    ends_come_to(daemon, 1, ok=1)
    file.write_text(f"handler = echo\nlisten = unix://{tmp_path}/c\nlisten = unix://{tmp_path}/b\n")
    assert ask(daemon.control, "reload")["ok"]
    seen = status(daemon.control)["listeners"]
    assert [(each["endpoint"], each["accepted"]) for each in seen] == [(f"unix://{tmp_path}/b", 1), (f"unix://{tmp_path}/c", 0)]
    exchange(f"unix://{tmp_path}/c", b"1")
    ends_come_to(daemon, 1, ok=1)


# --- workers, reloads, upgrades ---------------------------------------------------------------------------------------


def deaths_come_to(daemon, **expected):
    comes_to(lambda: {cause: count for cause, count in status(daemon.control)["deaths"].items() if count}, expected)


def test_deaths_are_counted_by_cause(controlled):
    daemon = controlled("--max-requests", "3", workers=1)
    deaths_come_to(daemon)
    kill(daemon)
    deaths_come_to(daemon, signal=1)
    daemon.wait_workers(1)
    ask(daemon.control, "workers 2")
    daemon.wait_workers(2)
    ask(daemon.control, "workers 1")
    daemon.wait_workers(1)
    deaths_come_to(daemon, signal=1, ordered=1)
    for _ in range(3):
        assert exchange(daemon.endpoint) == b"connected\n"
    deaths_come_to(daemon, signal=1, ordered=1, max_requests=1)


@pytest.mark.programs("cmake", "g++", "pkg-config")
def test_workers_that_hang_die_of_that(controlled, trouble):
    daemon = controlled("--handler", trouble("blocking"), "--model", "serial", "--worker-timeout", "400ms", workers=1)
    daemon.expect("hangs in its handler", "stack of", "killed by SIGABRT", "workers exit early")
    with connect(daemon.endpoint) as client:
        say(client, "block")
        with contextlib.suppress(ConnectionResetError):
            read_to_end(client)
    deaths_come_to(daemon, hang=1)
    ends_come_to(daemon, cut=1)


@pytest.mark.programs("cmake", "g++", "pkg-config")
def test_workers_that_need_too_much_memory_die_of_that(controlled, trouble):
    daemon = controlled("--handler", trouble("blocking"), "--model", "serial", "--max-memory", "60M", workers=1)
    with connect(daemon.endpoint) as client:
        for _ in range(9):
            say(client, "leak")
    deaths_come_to(daemon, max_memory=1)


def test_workers_that_never_become_ready_die_in_their_boot(controlled, tmp_path):
    file = tmp_path / "preforkd.conf"
    file.write_text("greeting = one\n")
    daemon = controlled("--config", str(file), "--", "/bin/cat", workers=1)
    daemon.expect("reload failed", "cannot start", "exited with code")
    file.write_text(f"chdir = {tmp_path}/gone\n")
    assert not ask(daemon.control, "reload")["ok"]
    seen = status(daemon.control)
    assert seen["reloads"] == {"done": 0, "failed": 1}
    assert seen["deaths"]["boot"] == sum(seen["deaths"].values())


def test_upgrades_that_fail_are_counted(preforkd, tmp_path):
    control = endpoint_in(tmp_path)
    service = Installed(preforkd, tmp_path, "--control", control)
    service.daemon.expect("upgrade failed")
    service.install_script("exit 3\n")
    assert service.upgrade()["message"].startswith("upgrade failed")
    assert status(control)["upgrades"] == {"done": 0, "failed": 1}
    service.install(NEXT)
    assert service.upgrade()["message"].startswith("upgraded")
    seen = status(control)
    assert seen["upgrades"] == {"done": 1, "failed": 1} and seen["reloads"] == {"done": 0, "failed": 0}


def test_what_workers_use_is_told(controlled):
    daemon = controlled("--handler", "chargen", workers=1)
    worker, = daemon.workers()
    with connect(daemon.endpoint) as client:
        while proc.stat(worker).cpu_seconds < 0.05:
            assert client.recv(1 << 20)
        seen = status(daemon.control)["workers"][0]
        assert 50 <= seen["cpu_ms"] <= 20_000
        assert seen["open_descriptors"] in (None, proc.open_descriptors(worker))
        resident = int(proc.status(worker)["VmRSS"].split()[0]) << 10
        assert abs(seen["resident_bytes"] - resident) < 4 << 20
    seen = status(daemon.control)
    assert (seen["workers_min"], seen["workers_max"]) == (1, 1) and seen["connection_slots"] > 0
    assert seen["model"] == "async" and 1 <= seen["processors"] <= len(os.sched_getaffinity(0))
    kill(daemon)
    comes_to(lambda: status(daemon.control)["cpu_ms"] >= 50, True)


def test_the_table_tells_what_was_counted(controlled, ctl):
    daemon = controlled("--handler", "echo", workers=1)
    exchange(daemon.endpoint, b"12345")
    client = connect(daemon.endpoint)
    echo(client)
    reset(client)
    ends_come_to(daemon, ok=1, error=1)
    assert ask(daemon.control, "reload")["ok"]
    deaths_come_to(daemon, ordered=1)
    told = ctl("status").stdout
    assert "\nworker deaths: 1 ordered; reloads: 1 done\n" in told
    titles, row = (line.split() for line in told.splitlines()[4:6])
    assert titles[:4] == ["LISTENER", "HANDLER", "QUEUED", "LIMIT"] and titles[-1] == "FAILED"
    assert row[0] == daemon.endpoint and row[-2:] == ["1", "error"]
