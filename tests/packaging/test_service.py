"""preforkd.service as it is installed: it binds by itself."""
import json
import re
import signal
from pathlib import Path

import pytest

from machine import Clients, eventually

UNIT = "preforkd.service"
CONFIG = "/etc/preforkd/preforkd.conf"


def restart_with(host, config):
    host.write(CONFIG, config)
    host.run("systemctl", "restart", UNIT)


def adapt(host, unit, text):
    """What `systemctl edit` does."""
    host.write(f"/etc/systemd/system/{unit}.d/adapted.conf", text)
    host.run("systemctl", "daemon-reload")


def kill(host, unit, signo):
    host.run("systemctl", "kill", "--kill-whom=main", f"--signal={signo.name}", unit)


def log_of(host, unit, cursor):
    return [entry.get("MESSAGE", "") for entry in host.journal(unit, f"--after-cursor={cursor}")]


def test_it_serves_once_it_is_installed(host):
    assert host.exchange() == b"connected\n"
    assert host.run("systemctl", "is-enabled", UNIT).stdout == "enabled\n"


def test_it_runs_as_a_user_of_its_own_with_nothing_to_gain(host):
    status = host.path(f"/proc/{host.main_pid(UNIT)}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert int(fields["Uid"].split()[0]) >= 61184, "a dynamic user"
    assert (fields["CapBnd"], fields["NoNewPrivs"], fields["Seccomp"]) == ("0" * 16, "1", "2")


def filters_of(host, pid):
    return int(re.search(r"^Seccomp_filters:\s+(\d+)", host.path(f"/proc/{pid}/status").read_text(), re.MULTILINE)[1])


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_the_unit_lets_workers_put_on_their_sandbox(host, mode):
    """On systemd 252 the calls that it takes are in no group."""
    cursor = host.cursor()
    restart_with(host, f"sandbox = {mode}\nworkers = 1\n")
    master = host.main_pid(UNIT)
    [worker] = host.path(f"/proc/{master}/task/{master}/children").read_text().split()
    assert "Seccomp:\t2\n" in host.path(f"/proc/{worker}/status").read_text()
    assert filters_of(host, worker) == filters_of(host, master) + 1
    assert host.exchange() == b"connected\n"
    assert [line for line in log_of(host, UNIT, cursor) if "sandbox" in line] == []


def test_a_unit_that_denies_filters_serves_without_and_refuses_strict(host):
    adapt(host, UNIT, "[Service]\nSystemCallFilter=~seccomp\n")
    cursor = host.cursor()
    host.run("systemctl", "restart", UNIT)
    assert [line for line in log_of(host, UNIT, cursor) if "workers have no filter of system calls" in line]
    assert host.exchange() == b"connected\n"
    host.write(CONFIG, "sandbox = strict\n")
    assert host.run("systemctl", "restart", UNIT, check=False).returncode != 0
    assert host.show(UNIT, "ExecMainStatus") == "78"


def test_it_may_open_as_many_files_as_the_unit_allows(host):
    def open_files(pid):
        limits = host.path(f"/proc/{pid}/limits").read_text()
        return [int(number) for number in re.search(r"^Max open files +(\d+) +(\d+)", limits, re.MULTILINE).groups()]

    most = min(524288, open_files(1)[1])  # systemd has no more to give than this machine has
    assert open_files(host.main_pid(UNIT)) == [most, most]


@pytest.mark.parametrize("model", ["async", "serial", "thread", "fork"])
def test_every_model_serves_with_the_little_that_the_unit_allows(host, model):
    restart_with(host, f"model = {model}\nhandler = echo\nlisten = tcp://:10000\nlisten = udp://:10000\n")
    cursor = host.cursor()
    assert host.exchange(text=b"hello") == b"hello"
    assert host.run("preforkctl", "send", "udp://localhost:10000", "hello").stdout == "hello"
    assert [entry for entry in host.journal(UNIT, f"--after-cursor={cursor}") if int(entry["PRIORITY"]) < 5] == []


def test_programs_run_with_the_little_that_the_unit_allows(host):
    adapt(host, UNIT, "[Service]\nExecStart=\nExecStart=/usr/sbin/preforkd -- /bin/cat\n")
    host.run("systemctl", "restart", UNIT)
    assert host.exchange(text=b"hello") == b"hello"


def test_systemctl_status_shows_what_goes_on(host):
    restart_with(host, "workers = 2\n")
    shown = host.run("systemctl", "status", UNIT).stdout
    assert "2 workers: 2 idle" in shown
    assert "preforkd: master /usr/sbin/preforkd" in shown and "preforkd: worker 2 (greet)" in shown
    kill(host, UNIT, signal.SIGTTIN)
    host.exchange()
    shown = re.compile("3 workers: 3 idle.*1 served")
    assert eventually(lambda: shown.search(host.run("systemctl", "status", UNIT).stdout))


def test_its_log_arrives_in_the_journal_with_its_fields(host):
    cursor = host.cursor()
    host.exchange()
    found = eventually(lambda: host.journal(UNIT, f"--after-cursor={cursor}"))
    assert found
    entry = found[0]
    assert entry["MESSAGE"].startswith("got connection from 127.0.0.1")
    assert (entry["PRIORITY"], entry["SYSLOG_IDENTIFIER"], entry["_TRANSPORT"]) == ("6", "preforkd", "journal")
    assert int(entry["PREFORKD_WORKER"]) >= 1 and entry["PREFORKD_LISTENER"] == "tcp://127.0.0.1:10000"


def test_a_stop_lets_clients_finish(host):
    restart_with(host, "handler = echo\n")
    with host.connect() as client:
        client.sendall(b"before")
        assert client.recv(6) == b"before"
        host.run("systemctl", "stop", "--no-block", UNIT)
        assert eventually(lambda: host.show(UNIT, "ActiveState") == "deactivating")
        client.sendall(b"after")
        assert client.recv(5) == b"after"
    assert eventually(lambda: host.show(UNIT, "ActiveState") == "inactive")
    assert host.show(UNIT, "Result") == "success"


def test_who_has_an_address_is_named_and_systemd_where_only_its_store_has_it(host):
    def refusal():
        told = host.run("preforkd", "--listen", "tcp://localhost:10000", "--control", "off", "--log-format", "text", check=False)
        assert told.returncode == 71, told
        return told.stderr

    def holders():
        shown = host.run("ss", "-Hltnp", "sport", "=", ":10000").stdout
        return set(re.findall(r'\("([^"]+)"', shown))

    assert holders() >= {"systemd", "preforkd"}, "the store has it, too"
    assert f"Address already in use by preforkd (pid {host.main_pid(UNIT)}): stop it or choose another port" in refusal()
    adapt(host, UNIT, "[Service]\nRestartSec=1h\n")
    kill(host, UNIT, signal.SIGKILL)
    assert eventually(lambda: host.show(UNIT, "SubState") == "auto-restart")
    assert eventually(lambda: holders() == {"systemd"}), holders()
    assert ("Address already in use by systemd (pid 1) for a .socket unit, or for a service that has stored it: "
            "`systemctl list-sockets` shows units; stop that unit or choose another port") in refusal()
    cursor = host.cursor()
    host.run("systemctl", "restart", UNIT)
    assert host.exchange() == b"connected\n", "it is not in the way of the service itself"
    assert eventually(lambda: [line for line in log_of(host, UNIT, cursor) if "from systemd's store" in line])


def test_a_wrong_configuration_stays_down_and_says_why(host):
    host.write(CONFIG, "workers = many\n")
    cursor = host.cursor()
    assert host.run("systemctl", "restart", UNIT, check=False).returncode != 0
    assert (host.show(UNIT, "ExecMainStatus"), host.show(UNIT, "ActiveState")) == ("78", "failed")
    assert host.show(UNIT, "NRestarts") == "0"
    assert eventually(lambda: any("workers" in line and "many" in line for line in log_of(host, UNIT, cursor)))


def test_a_configuration_that_it_may_not_read_stays_down(host):
    host.path(CONFIG).chmod(0o600)
    try:
        assert host.run("systemctl", "restart", UNIT, check=False).returncode != 0
        assert (host.show(UNIT, "ExecMainStatus"), host.show(UNIT, "ActiveState")) == ("77", "failed")
        assert host.show(UNIT, "NRestarts") == "0"
    finally:
        host.path(CONFIG).chmod(0o644)


def test_an_address_that_comes_later_is_served_then(host):
    host.write(CONFIG, "listen = tcp://:10000\nlisten = tcp://192.0.2.7:10007\n")
    host.run("systemctl", "restart", UNIT, check=False)
    assert eventually(lambda: int(host.show(UNIT, "NRestarts")) >= 1)
    host.run("ip", "address", "add", "192.0.2.7/32", "dev", "lo")
    try:
        assert eventually(lambda: host.show(UNIT, "ActiveState") == "active")
        assert host.run("preforkctl", "send", "tcp://192.0.2.7:10007").stdout == "connected\n"
    finally:
        host.run("ip", "address", "del", "192.0.2.7/32", "dev", "lo")


def test_a_backlog_that_is_not_cut_is_not_said_to_be(host):
    host.run("sysctl", "--write", "net.core.somaxconn=16384")
    cursor = host.cursor()
    restart_with(host, "listen = tcp://:10000 backlog=8192\n")
    assert not [line for line in log_of(host, UNIT, cursor) if "backlog" in line]
    told = json.loads(host.run("preforkctl", "status", "--json").stdout)
    assert told["listeners"][0]["queue_limit"] == 8192


def test_the_queue_of_a_unix_socket_is_shown(host):
    restart_with(host, "listen = unix:///run/preforkd/own.sock backlog=7\n")
    [listener] = json.loads(host.run("preforkctl", "status", "--json").stdout)["listeners"]
    assert (listener["queued"], listener["queue_limit"]) == (0, 7)


def test_a_socket_file_for_others_where_they_cannot_go_is_warned_of(host):
    cursor = host.cursor()
    restart_with(host, "listen = unix:///run/preforkd/own.sock mode=0666\n")
    assert [line for line in log_of(host, UNIT, cursor) if "only root may enter /run/private" in line]


def test_a_killed_worker_does_not_take_the_service_with_it(host):
    restart_with(host, "workers = 2\n")
    master = host.main_pid(UNIT)
    worker, cursor = host.path(f"/proc/{master}/task/{master}/children").read_text().split()[0], host.cursor()
    with Clients(host) as clients:
        host.run("kill", "-KILL", worker)
        assert eventually(lambda: any(f"pid {worker}" in line for line in log_of(host, UNIT, cursor)))
        clients.forgive_those_in_service()
    assert (host.main_pid(UNIT), host.show(UNIT, "NRestarts")) == (master, "0")


def test_a_master_that_stops_for_ever_is_restarted_by_the_watchdog(host):
    adapt(host, UNIT, "[Service]\nWatchdogSec=1s\n")
    host.run("systemctl", "restart", UNIT)
    master = host.main_pid(UNIT)
    host.run("kill", "-STOP", master)
    assert eventually(lambda: host.main_pid(UNIT) not in (0, master))
    assert eventually(lambda: host.show(UNIT, "ActiveState") == "active")
    assert host.exchange() == b"connected\n"
    assert any("Watchdog timeout" in entry["MESSAGE"] for entry in host.journal(UNIT))


def test_without_systemds_library_it_fails_and_says_what_to_install(host):
    [library] = Path("/usr/lib").glob("*/libsystemd.so.0")
    adapt(host, UNIT, f"[Service]\nRestart=no\nInaccessiblePaths={library}\n")
    cursor = host.cursor()
    assert host.run("systemctl", "restart", UNIT, check=False).returncode != 0
    assert host.show(UNIT, "ExecMainStatus") == "71"
    assert [line for line in log_of(host, UNIT, cursor) if "NOTIFY_SOCKET" in line and "install libsystemd0" in line]


# --- reload ---------------------------------------------------------------------------------------------------------------

def test_a_reload_takes_the_new_configuration_and_loses_nobody(host):
    restart_with(host, "handler = echo\nworkers = 2\n")
    master = host.main_pid(UNIT)
    with host.connect() as stays, Clients(host, text=b"hello", expect=b"hello"):
        stays.sendall(b"before")
        assert stays.recv(6) == b"before"
        host.write(CONFIG, "handler = echo\nworkers = 3\nlisten = tcp://:10000\nlisten = tcp://:10001 handler=greet\n")
        host.run("systemctl", "reload", UNIT)
        assert host.exchange(10001) == b"connected\n", "what reload has promised holds when it returns"
        stays.sendall(b"after")
        assert stays.recv(5) == b"after"
    assert host.main_pid(UNIT) == master
    assert eventually(lambda: "3 workers" in host.show(UNIT, "StatusText"))


def test_a_reload_of_a_wrong_configuration_fails_with_the_reason_and_changes_nothing(host):
    master, cursor = host.main_pid(UNIT), host.cursor()
    host.write(CONFIG, "workers = many\n")
    with Clients(host):
        assert host.run("systemctl", "reload", UNIT, check=False).returncode != 0
    assert (host.main_pid(UNIT), host.show(UNIT, "ActiveState")) == (master, "active")
    said = [entry["MESSAGE"] for entry in host.journal(UNIT, f"--after-cursor={cursor}") if entry["_COMM"] == "preforkctl"]
    assert any("workers" in line and "many" in line for line in said), said


# --- the listeners outlive the master ---------------------------------------------------------------------------------------

def test_a_restart_refuses_nobody(host):
    with Clients(host) as clients:
        for _ in range(3):
            host.run("systemctl", "restart", UNIT)
            clients.wait_more()


def test_a_killed_master_comes_back_and_nobody_is_refused(host):
    master = host.main_pid(UNIT)
    with Clients(host) as clients:
        kill(host, UNIT, signal.SIGKILL)
        assert eventually(lambda: host.main_pid(UNIT) not in (0, master))
        clients.wait_more()
        clients.forgive_those_in_service()


def test_a_restart_keeps_the_path_of_a_socket_file(host):
    restart_with(host, "listen = unix:///run/preforkd/own.sock\n")
    with Clients(host, "/run/preforkd/own.sock") as clients:
        for _ in range(3):
            host.run("systemctl", "restart", UNIT)
            clients.wait_more()
