"""What status counts of the service and its workers, and that nothing of it is lost with these."""
import contextlib
import os

import pytest

import proc
from clients import connect, echo, exchange, read_to_end, say
from control import ask, endpoint_in, status
from counting import comes_to, deaths_come_to, ends_come_to, ever, kill, listener, times
from test_upgrade import NEXT, Installed


# --- over the death of workers, reloads and upgrades ----------------------------------------------------------------


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
    file.write_text("umask = 077\n")
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
