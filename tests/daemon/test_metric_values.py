"""Each metric of /metrics is what there is, and moves by exactly what was done."""
import contextlib
import os
import re
import resource
import signal
import socket
import time

import pytest

import proc
from clients import address_of, connect, echo, exchange, read_exactly, read_to_end, say, serve_behind_another
from control import ask
from counting import OUTCOMES, reset
from datagram_clients import ask as ask_datagram
from observing import metrics, starter
from test_deaths import hog, small_group  # noqa: F401: a fixture
from test_limits import starve
from test_upgrade import NEXT, Installed
from tls_authority import openssl
from tls_service import put


def settled(daemon, condition):
    seen = proc.eventually(lambda: condition(now := metrics(daemon.observed)) and now, 20)
    assert seen, metrics(daemon.observed)
    return seen


def comes_to(daemon, expected):
    """These samples have these values, all at one time."""
    def now():
        told = metrics(daemon.observed)
        return {name: told.get(name) for name in expected}
    assert proc.eventually(lambda: now() == expected, 20), (now(), expected)


def moved(before, after):
    """What has changed of counters, and by how much; histograms by their count."""
    return {name: after[name] - before.get(name, 0) for name in after
            if re.match(r"[a-z_]+(_total|_count)\b", name) and after[name] != before.get(name, 0)
            and "cpu_seconds" not in name and "busy" not in name}


def of(endpoint, **labels):
    return "{" + ",".join(f'{name}="{value}"' for name, value in {"listener": endpoint, **labels}.items()) + "}"


@pytest.fixture
def looked_at(controlled, tmp_path):
    """Starts a daemon with a control socket and --observe."""
    return starter(controlled, tmp_path)


# --- the daemon ---------------------------------------------------------------------------------------------------------


def test_versions_generations_reloads_and_upgrades(preforkd, tmp_path):
    started = time.time()
    file = tmp_path / "preforkd.conf"
    file.write_text("handler = echo\n")
    service = Installed(preforkd, tmp_path, "--config", str(file), "--observe", f"unix://{tmp_path}/observe")
    daemon = service.daemon
    daemon.observed, ready = f"unix://{tmp_path}/observe", time.time()
    daemon.expect("reload failed", "upgrade failed")
    first = metrics(daemon.observed)
    assert first['preforkd_build_info{version="0.1.0"}'] == first["preforkd_up"] == first["preforkd_ready"] == 1
    assert int(started) <= first["preforkd_start_time_seconds"] <= ready
    before = first["preforkd_generation"]

    def are(generation, **counts):
        comes_to(daemon, {"preforkd_generation": before + generation, "preforkd_start_time_seconds": first["preforkd_start_time_seconds"]} |
                 {f'{name}{{outcome="{outcome}"}}': counts.get(f"{what}_{outcome}", 0)
                  for what, name in (("reload", "preforkd_reloads_total"), ("upgrade", "preforkd_upgrades_total"))
                  for outcome in ("ok", "failed")})

    are(0)
    daemon.signal(signal.SIGHUP)
    are(1, reload_ok=1)
    file.write_text("colour = red\n")
    daemon.signal(signal.SIGHUP)
    are(1, reload_ok=1, reload_failed=1)
    file.write_text("handler = echo\n")
    service.install_script("exit 3\n")
    assert service.upgrade()["message"].startswith("upgrade failed")
    are(1, reload_ok=1, reload_failed=1, upgrade_failed=1)
    service.install(NEXT)
    assert service.upgrade()["message"].startswith("upgraded")
    are(2, reload_ok=1, reload_failed=1, upgrade_failed=1, upgrade_ok=1)
    told = metrics(daemon.observed)
    assert told['preforkd_build_info{version="99.0.0"}'] == 1 and 'preforkd_build_info{version="0.1.0"}' not in told


def test_one_that_stops_is_up_and_not_ready(observed):
    daemon = observed("--handler", "echo")
    with connect(daemon.endpoint) as client:
        echo(client)
        comes_to(daemon, {"preforkd_up": 1, "preforkd_ready": 1})
        daemon.signal(signal.SIGTERM)
        comes_to(daemon, {"preforkd_up": 1, "preforkd_ready": 0})
    assert daemon.wait_exit() == 0


def test_log_lines_that_nobody_reads(observed):
    daemon = observed("--handler", "echo", "--log-file", "/dev/full", workers=1)
    daemon.expect("the disk is full")
    before = metrics(daemon.observed)["preforkd_log_lines_dropped_total"]
    for number in range(1, 4):
        exchange(daemon.endpoint, b"x")
        comes_to(daemon, {"preforkd_log_lines_dropped_total": before + number})


# --- workers ------------------------------------------------------------------------------------------------------------


def states(**there):
    return {f'preforkd_workers{{state="{state}"}}': there.get(state, 0)
            for state in ("starting", "idle", "busy", "waiting", "retiring", "leaving", "hung", "stopped")}


def test_workers_by_what_they_do(looked_at):
    daemon = looked_at("--handler", "echo", "--model", "serial", "--worker-timeout", "0", workers=3)
    daemon.expect("was stopped")
    comes_to(daemon, states(idle=3))
    with connect(daemon.endpoint) as client:
        echo(client)
        comes_to(daemon, states(idle=2, waiting=1))
    comes_to(daemon, states(idle=3))
    worker = daemon.workers()[0]
    os.kill(worker, signal.SIGSTOP)
    try:
        settled(daemon, lambda now: now['preforkd_workers{state="stopped"}'] == 1)
    finally:
        os.kill(worker, signal.SIGCONT)
    comes_to(daemon, states(idle=3))


def test_how_many_workers_there_should_be(looked_at):
    daemon = looked_at("--connections", "10", workers="2..4")
    size = {"preforkd_workers_wanted": 2, "preforkd_workers_min": 2, "preforkd_workers_max": 4, "preforkd_connection_slots": 20}
    comes_to(daemon, size | states(idle=2))
    assert ask(daemon.control, "workers 3")["ok"]
    comes_to(daemon, {"preforkd_workers_wanted": 3, "preforkd_workers_min": 3, "preforkd_workers_max": 4,
                      "preforkd_connection_slots": 30} | states(idle=3))


def test_deaths_and_boots_by_how_they_came(looked_at):
    daemon = looked_at("--max-requests", "3", workers=1)
    daemon.expect("killed by SIGKILL", "workers exit early")

    def are(boots, **deaths):
        comes_to(daemon, {f'preforkd_worker_deaths_total{{cause="{cause}"}}': deaths.get(cause, 0)
                          for cause in ("exit", "signal", "oom", "hang", "boot", "max_requests", "max_memory", "ordered")} |
                 {"preforkd_worker_boot_seconds_count": boots, "preforkd_workers_wanted": 1, 'preforkd_workers{state="idle"}': 1})

    are(1)
    os.kill(daemon.workers()[0], signal.SIGKILL)
    are(2, signal=1)
    assert ask(daemon.control, "reload")["ok"]
    are(3, signal=1, ordered=1)
    for _ in range(3):
        assert exchange(daemon.endpoint) == b"connected\n"
    are(4, signal=1, ordered=1, max_requests=1)
    assert 0 < metrics(daemon.observed)["preforkd_worker_boot_seconds_sum"] < 4 * 10


@pytest.mark.programs("cmake", "g++", "pkg-config")
@pytest.mark.parametrize("cause", ["hang", "exit", "max_memory"])
def test_deaths_that_a_handler_brings_about(looked_at, trouble, cause):
    how = {"hang": ("block", "--worker-timeout", "400ms"), "exit": ("exit",), "max_memory": ("leak", "--max-memory", "60M")}[cause]
    daemon = looked_at("--handler", trouble("blocking"), "--model", "serial", *how[1:], workers=1)
    daemon.expect("hangs in its handler", "stack of", "killed by SIGABRT", "exited with code 3", "workers exit early")
    with connect(daemon.endpoint) as client:
        for _ in range(9 if cause == "max_memory" else 1):
            say(client, how[0])
        if cause != "max_memory":
            with contextlib.suppress(ConnectionResetError):
                read_to_end(client)
    comes_to(daemon, {f'preforkd_worker_deaths_total{{cause="{cause}"}}': 1, 'preforkd_worker_deaths_total{cause="ordered"}': 0})


@pytest.mark.root
@pytest.mark.programs("g++")
def test_deaths_for_want_of_memory(looked_at, small_group, tmp_path):
    daemon = looked_at("--handler", hog(tmp_path), workers=1, wrap=small_group)
    daemon.expect("killed by SIGKILL")
    with connect(daemon.endpoint, timeout=60) as client:
        client.sendall(b"x")
        comes_to(daemon, {'preforkd_worker_deaths_total{cause="oom"}': 1, 'preforkd_worker_deaths_total{cause="signal"}': 0})


@pytest.mark.programs("cmake", "g++", "pkg-config")
def test_what_workers_use(looked_at, trouble):
    daemon = looked_at("--handler", trouble("blocking"), "--model", "thread", workers=1)
    worker, = daemon.workers()

    def descriptors():
        return metrics(daemon.observed)['preforkd_worker_open_fds{worker="1"}']

    with connect(daemon.endpoint) as client:
        while (used := proc.stat(worker).cpu_seconds) < 0.2:
            say(client, "work")  # for 300 ms, as far as it gets a processor
            say(client, "hello")
        first = settled(daemon, lambda now: now["preforkd_worker_cpu_seconds_total"] >= used - 0.02)
        assert first["preforkd_worker_cpu_seconds_total"] <= proc.stat(worker).cpu_seconds + 0.02
        before = descriptors()
        assert before == proc.open_descriptors(worker)
        with connect(daemon.endpoint) as another:
            say(another, "hello")
            comes_to(daemon, {'preforkd_worker_open_fds{worker="1"}': proc.open_descriptors(worker)})
            assert descriptors() > before
        memory = 'preforkd_worker_resident_memory_bytes{worker="1"}'
        before = metrics(daemon.observed)[memory]
        for _ in range(4):
            say(client, "leak")  # 8 MiB
        settled(daemon, lambda now: 31 << 20 <= now[memory] - before <= 34 << 20)


@pytest.mark.programs("cmake", "g++", "pkg-config")
def test_the_processor_time_is_not_forgotten_while_descriptors_lack(looked_at, trouble):
    """They lack the master, which reads it in /proc."""
    daemon = looked_at("--handler", trouble("blocking"), "--model", "thread", workers=1)
    name = "preforkd_worker_cpu_seconds_total"
    with connect(daemon.endpoint) as client:
        while (used := metrics(daemon.observed)[name]) < 0.1:
            say(client, "work")
    before = starve(daemon.pid)
    seen = settled(daemon, lambda now: 'preforkd_worker_resident_memory_bytes{worker="1"}' not in now)
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, before)
    assert seen[name] >= used


# --- listeners ----------------------------------------------------------------------------------------------------------


def test_a_connection_moves_what_is_its_own(observed):
    daemon = observed("--handler", "echo", workers=1, listen=("tcp://127.0.0.1:0", "tcp://127.0.0.1:0"))
    first, second = map(of, daemon.endpoints)
    before = metrics(daemon.observed)
    with connect(daemon.endpoint) as client:
        client.sendall(b"hello")
        assert read_exactly(client, 5) == b"hello"
        comes_to(daemon, {f"preforkd_connections{first}": 1, f"preforkd_connections{second}": 0})
    after = settled(daemon, lambda now: now[f"preforkd_connections{first}"] == 0)
    change = moved(before, after)
    waited = change.pop(f"preforkd_accept_wait_seconds_count{first}", 0)  # of a sample
    assert waited in (0, 1)
    assert change == {
        f"preforkd_connections_accepted_total{first}": 1,
        f"preforkd_connections_closed_total{of(daemon.endpoint, outcome='ok')}": 1,
        f"preforkd_connection_duration_seconds_count{first}": 1,
        f"preforkd_received_bytes_total{first}": 5,
        f"preforkd_sent_bytes_total{first}": 5}
    assert after[f"preforkd_connections_max{first}"] == 1


def test_connections_by_how_they_end(observed):
    daemon = observed("--handler", "echo", "--idle-timeout", "300ms", workers=1)

    def are(**ends):
        comes_to(daemon, {f"preforkd_connections_closed_total{of(daemon.endpoint, outcome=outcome)}": ends.get(outcome, 0)
                          for outcome in OUTCOMES} |
                 {f"preforkd_connections{of(daemon.endpoint)}": 0})

    exchange(daemon.endpoint, b"x")
    are(ok=1)
    client = connect(daemon.endpoint)
    echo(client)
    reset(client)
    are(ok=1, error=1)
    with connect(daemon.endpoint) as silent:
        assert read_to_end(silent) == b""
    are(ok=1, error=1, idle_timeout=1)


def test_the_most_that_were_open_at_once(observed):
    daemon = observed("--handler", "echo", workers=1)
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            echo(stack.enter_context(connect(daemon.endpoint)))
        comes_to(daemon, {f"preforkd_connections{of(daemon.endpoint)}": 5, f"preforkd_connections_max{of(daemon.endpoint)}": 5})
    comes_to(daemon, {f"preforkd_connections{of(daemon.endpoint)}": 0, f"preforkd_connections_max{of(daemon.endpoint)}": 5})


def test_how_long_connections_waited_and_lasted(observed):
    daemon = observed("--handler", "echo", "--model", "serial", workers=1)
    began = time.monotonic()
    waited = serve_behind_another(daemon.endpoint, 0.3)
    seen = settled(daemon, lambda now: now[f"preforkd_connection_duration_seconds_count{of(daemon.endpoint)}"] == 2)
    assert 0.3 <= seen[f"preforkd_connection_duration_seconds_sum{of(daemon.endpoint)}"] <= time.monotonic() - began
    assert seen[f"preforkd_accept_wait_seconds_count{of(daemon.endpoint)}"] == 2
    assert 0.299 <= seen[f"preforkd_accept_wait_seconds_sum{of(daemon.endpoint)}"] <= waited + 0.02
    slow = {bound: seen[f"preforkd_accept_wait_seconds_bucket{of(daemon.endpoint, le=bound)}"] for bound in ("0.1", "+Inf")}
    assert slow == {"0.1": 1, "+Inf": 2}


def test_datagrams_keep_handlers_busy_once_each(observed):
    daemon = observed("--handler", "echo", workers=1, listen="udp://127.0.0.1:0")
    for number in range(1, 4):
        assert ask_datagram(daemon.endpoint, b"hello") == b"hello"
        comes_to(daemon, {"preforkd_handler_busy_seconds_count": number,
                          f"preforkd_connections_accepted_total{of(daemon.endpoint)}": number,
                          f"preforkd_received_bytes_total{of(daemon.endpoint)}": 5 * number})


@pytest.mark.programs("cmake", "g++", "pkg-config")
def test_how_long_handlers_keep_their_threads(observed, trouble):
    daemon = observed("--handler", trouble("blocking"), "--model", "serial", workers=1)
    began = time.monotonic()
    with connect(daemon.endpoint) as client:
        say(client, "work")  # 300 ms
        say(client, "hello")
    took = time.monotonic() - began
    seen = settled(daemon, lambda now: now["preforkd_handler_busy_seconds_sum"] >= 0.3)
    assert seen["preforkd_handler_busy_seconds_sum"] <= took + 0.02
    assert seen['preforkd_handler_busy_seconds_bucket{le="+Inf"}'] - seen['preforkd_handler_busy_seconds_bucket{le="0.1"}'] == 1


def test_a_full_queue_and_who_finds_it_so(observed):
    daemon = observed("--handler", "echo", "--model", "serial", "--backlog", "1", workers=1)
    daemon.expect("clients wait")
    listener = of(daemon.endpoint)
    queue = of(daemon.endpoint, unit="connections")
    comes_to(daemon, {f"preforkd_listener_queued{queue}": 0, f"preforkd_listener_queue_limit{queue}": 1,
                      f"preforkd_listener_dropped_total{listener}": 0})
    with contextlib.ExitStack() as stack:
        echo(stack.enter_context(connect(daemon.endpoint)))
        for number in (1, 2):  # a queue of one holds two
            stack.enter_context(connect(daemon.endpoint))
            comes_to(daemon, {f"preforkd_listener_queued{queue}": number})
        family, address = address_of(daemon.endpoint)
        began = time.monotonic()
        lost = stack.enter_context(socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
        lost.connect_ex(address)
        seen = settled(daemon, lambda now: now[f"preforkd_listener_dropped_total{listener}"] >= 1)
        tries = 1 + (time.monotonic() - began)  # again after a second, and after two
        assert 1 <= seen[f"preforkd_listener_dropped_total{listener}"] <= tries
        assert seen[f"preforkd_listener_queued{queue}"] == 2


@pytest.mark.parametrize("reason, rule", [("denied", "deny=127.0.0.0/8"), ("per_source", "per-source=1"), ("rate", "rate=1/s")])
def test_clients_that_a_rule_refuses(observed, reason, rule):
    daemon = observed("--handler", "echo", workers=1, listen=(f"tcp://127.0.0.1:0 {rule}", "tcp://127.0.0.1:0"))
    clients = 1 if reason == "denied" else 2
    with contextlib.ExitStack() as stack:
        for _ in range(clients - 1):
            echo(stack.enter_context(connect(daemon.endpoint)))
        with contextlib.suppress(ConnectionResetError):
            assert read_to_end(stack.enter_context(connect(daemon.endpoint))) == b""
        comes_to(daemon, {f"preforkd_clients_refused_total{of(daemon.endpoint, reason=each)}": each == reason
                          for each in ("denied", "per_source", "rate")} |
                 {f"preforkd_connections_closed_total{of(daemon.endpoint, outcome='refused')}": 1,
                  f"preforkd_connections_accepted_total{of(daemon.endpoint)}": clients,
                  f"preforkd_connections_closed_total{of(daemon.endpoints[1], outcome='refused')}": 0})


def test_errors_of_accept(observed):
    daemon = observed("--handler", "echo", workers=1)
    daemon.expect("Too many open files")
    worker, = daemon.workers()
    assert not [name for name in metrics(daemon.observed) if name.startswith("preforkd_accept_errors_total")]
    before, began = starve(worker), time.monotonic()
    with connect(daemon.endpoint) as client:
        seen = settled(daemon, lambda now: 'preforkd_accept_errors_total{errno="EMFILE"}' in now)
        tries = 1 + (time.monotonic() - began) / 0.5  # it tries again every 500 ms
        assert 1 <= seen['preforkd_accept_errors_total{errno="EMFILE"}'] <= tries
        resource.prlimit(worker, resource.RLIMIT_NOFILE, before)
        echo(client)


def expiry_of(pair):
    told = openssl("x509", "-in", pair.certificate, "-noout", "-enddate", "-dateopt", "iso_8601").decode()
    return time.mktime(time.strptime(told.strip().removeprefix("notAfter="), "%Y-%m-%d %H:%M:%SZ")) - time.timezone


def test_when_a_certificate_expires(observed, authority, own):
    daemon = observed("--handler", "echo", workers=1, listen=f"tls://127.0.0.1:0 {own}")
    name = f"preforkd_listener_certificate_expiry_seconds{of(daemon.endpoint)}"
    comes_to(daemon, {name: expiry_of(own)})
    put(authority.issue("server-of-next-year", "localhost", days=400), own)
    daemon.signal(signal.SIGHUP)
    comes_to(daemon, {name: expiry_of(own)})
    assert 399 * 86400 < metrics(daemon.observed)[name] - time.time() < 401 * 86400
