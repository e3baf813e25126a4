"""HUP: new settings without a lost client; what fails changes nothing."""
import contextlib
import json
import os
import select
import socket
from signal import SIGCONT, SIGHUP, SIGSTOP, SIGTERM

import pytest

import proc
import tracer
from clients import Load, connect, echo, exchange, read_exactly, read_to_end, refused
from configured import LISTEN
from control import ask, connect as connect_control, status
from daemon_process import CUT


def test_new_workers_serve_with_the_new_settings_and_the_old_ones_leave(configured):
    service = configured(LISTEN, "greeting = one")
    daemon, before = service.daemon, service.daemon.workers()
    assert exchange(daemon.endpoint) == b"one\n"
    assert service.reload(LISTEN, "greeting = two")["message"].startswith("reloaded")
    assert proc.eventually(lambda: len(daemon.workers()) == 2 and not set(before) & set(daemon.workers()))
    assert exchange(daemon.endpoint) == b"two\n"


def test_no_client_is_refused_or_cut_while_the_service_reloads_under_load(configured):
    request = b"x" * 3000
    service = configured(LISTEN, "handler = echo", "log-connections = no")
    with Load(service.daemon.endpoint, clients=4, request=request, expected=request) as load:
        for generation in range(10):
            load.wait_for_answers(20)
            lines = [LISTEN, "handler = echo", "log-connections = no", f"idle-timeout = {20 + generation}s"]
            assert service.reload(*lines)["message"].startswith("reloaded")
        load.wait_for_answers(20)
    assert set(load.outcomes) == {"whole"}, load.broken


@pytest.mark.parametrize("where", ["tcp://127.0.0.1:0", "unix"])
@pytest.mark.parametrize("model", ["async", "serial", "thread", "fork"])
def test_whoever_calls_when_a_reload_has_returned_meets_the_new_generation(configured, tmp_path, model, where):
    """Asked as preforkctl asks, which then takes its time to exit."""
    control = f"unix://{tmp_path}/control"
    lines = [f"listen = {where.replace('unix', f'unix://{tmp_path}/here')}", f"control = {control}", f"model = {model}"]
    service = configured(*lines, "greeting = 0", workers=4)
    for number in range(1, 16):
        service.write(*lines, f"greeting = {number}")
        assert ask(control, '{"command":"reload"}')["ok"]
        assert [exchange(service.daemon.endpoint) for _ in range(4)] == [f"{number}\n".encode()] * 4


@pytest.mark.skipif(not tracer.SUPPORTED, reason="where epoll_wait returns is known of x86-64 and ARM64")
def test_a_reload_is_over_when_the_old_worker_has_done_what_it_was_told_and_not_before(configured, tmp_path):
    """Held where it has been woken and knows of nothing, it might take the next client."""
    control = f"unix://{tmp_path}/control"
    service = configured(LISTEN, f"control = {control}", workers=1)
    with connect_control(control) as asking:
        with tracer.Tracer(service.daemon.workers()) as old_one:
            asking.sendall(b'{"command":"reload"}\n')
            old_one.wait_held()
            while status(control)["generation"] == 1:
                pass
            assert not select.select([asking], [], [], 0)[0]
        assert json.loads(asking.makefile().readline())["ok"]
    assert {worker["state"] for worker in status(control)["workers"] if worker["generation"] == 1} <= {"leaving"}


@pytest.mark.parametrize("model", ["serial", "thread", "fork"])
def test_so_does_who_calls_while_old_workers_serve_and_when_they_become_free(configured, tmp_path, trouble, model):
    """Each of them serves somebody, so that it would take the next one when that one goes."""
    control = f"unix://{tmp_path}/control"
    lines = [LISTEN, f"control = {control}", f"model = {model}", f"handler = {trouble('counting')}", "connections = 1"]
    service = configured(*lines, "workers = 3", workers=None)
    for _ in range(4):
        with contextlib.ExitStack() as held:
            clients = [held.enter_context(connect(service.daemon.endpoint)) for _ in range(3)]
            for client in clients:
                echo(client, b"x\n")
            before = {worker["pid"] for worker in status(control)["workers"]}
            assert ask(control, '{"command":"reload"}')["ok"]
            for client in clients:
                client.close()
                with connect(service.daemon.endpoint) as following:
                    echo(following, b"y\n")
                    served = {worker["pid"] for worker in status(control)["workers"] if worker["connections"]} - before
                    assert served, status(control)


def test_a_connection_of_an_old_generation_is_served_to_its_end(configured):
    service = configured(LISTEN, "handler = echo")
    client = connect(service.daemon.endpoint)
    for word in (b"before", b"after", b"long after"):
        client.sendall(word)
        assert read_exactly(client, len(word)) == word
        assert service.reload(LISTEN, "handler = echo")["message"].startswith("reloaded")
        if word == b"after":
            break
    client.sendall(b"end")
    client.shutdown(socket.SHUT_WR)
    assert read_to_end(client) == b"end"
    service.daemon.wait_workers(2)


def hold_generations(daemon, control, count, reload):
    """A client on each of so many that `reload` replaces one by one, of a pool of 1."""
    clients = []
    for generation in range(1, count + 1):
        def held():
            clients.append(connect(daemon.endpoint))
            clients[-1].sendall(b"x")
            read_exactly(clients[-1], 1)
            return [each for each in status(control)["workers"] if each["generation"] == generation and each["connections"]]
        assert proc.eventually(held)  # the one before may take one more while it hears that it should leave
        reload()
    return clients


def test_a_reload_waits_where_four_times_the_pool_is_leaving_that_will_be_gone_in_time(configured, tmp_path):
    control = f"unix://{tmp_path}/control"
    lines = [LISTEN, "handler = echo", f"control = {control}"]
    service = configured(*lines, workers=1)

    def reload():
        assert service.reload(*lines)["message"].startswith("reloaded")
    clients = hold_generations(service.daemon, control, 4, reload)
    after = service.daemon.log.mark()
    service.daemon.signal(SIGHUP)
    service.daemon.wait_log("the reload waits", after=after)
    assert exchange(service.daemon.endpoint, b"meanwhile") == b"meanwhile"
    assert not service.daemon.log.find("reloading", after=after)
    for client in clients:
        client.close()
    service.daemon.wait_log("reloaded", after=after)


@pytest.mark.parametrize("force", [False, True])
def test_the_connections_of_an_old_generation_that_are_cut_are_told(configured, tmp_path, force):
    control = f"unix://{tmp_path}/control"
    lines = [LISTEN, "handler = echo", f"control = {control}", f"stop-timeout = {'1h' if force else '200ms'}"]
    service = configured(*lines, workers=1 if force else 2)
    daemon, due = service.daemon, 3
    held = [connect(daemon.endpoint) for _ in range(due)]
    for client in held:
        client.sendall(b"x")
        read_exactly(client, 1)

    def reload():
        assert service.reload(*lines)["message"].startswith("reloaded")
    if force:  # of four old generations the oldest is ended
        held += hold_generations(daemon, control, 4, reload)
        due = sum(each["connections"] for each in status(control)["workers"] if each["generation"] == 1)
        assert ask(control, '{"command":"reload","force":true}')["ok"]
    else:
        reload()
    line = daemon.wait_log(CUT)
    assert (line["level"], line["connections"], line["generation"]) == ("warning", due, 1)
    assert daemon.cut() == [due], "one line for all workers of a generation"
    for client in held[:3]:
        assert read_to_end(client) == b""
    for client in held:
        client.close()


@pytest.mark.parametrize("lines, cause", [
    (["greetin = two"], "unknown option"),
    (["handler = nobody"], "nobody"),
    (["listen = unix:///no/such/directory/x.sock"], "/no/such/directory"),
    (["workers = 0"], "restart"),
    (["user = nobody-of-that-name"], "nobody-of-that-name"),
    (["log-file = /no/such/directory/log"], "/no/such/directory"),
], ids=lambda value: value[0].split(" ")[0] if isinstance(value, list) else "")
def test_bad_settings_change_nothing_and_are_named(configured, lines, cause):
    service = configured(LISTEN, "greeting = one", "workers = 2", workers=None)
    service.daemon.expect("reload failed")
    before = service.daemon.workers()
    failure = service.reload(LISTEN, "greeting = two", *lines)
    assert "reload failed" in failure["message"] and cause in failure["cause"]
    assert service.daemon.workers() == before
    assert exchange(service.daemon.endpoint) == b"one\n"
    assert service.reload(LISTEN, "greeting = three", "workers = 2")["message"].startswith("reloaded")
    assert proc.eventually(lambda: exchange(service.daemon.endpoint) == b"three\n")


def test_workers_that_cannot_start_are_given_up_and_the_old_ones_serve_on(configured, tmp_path, trouble):
    added = tmp_path / "added.sock"
    service = configured(LISTEN, "greeting = one")
    daemon, before = service.daemon, service.daemon.workers()
    daemon.expect("reload failed", "cannot start", "exited with code", "exit early", "SIGKILL")
    failure = service.reload(LISTEN, f"listen = unix://{added}", f"handler = {trouble('throwing_a_number')}")
    assert "it threw something" in failure["cause"]
    daemon.wait_workers(2)
    assert daemon.workers() == before and exchange(daemon.endpoint) == b"one\n"
    assert not added.exists(), "what the failed reload had bound is gone"


def test_what_was_bound_before_a_bad_log_file_is_found_is_closed_again(configured, tmp_path):
    added = tmp_path / "added.sock"
    service = configured(LISTEN)
    service.daemon.expect("reload failed")
    failure = service.reload(LISTEN, f"listen = unix://{added}", "log-file = /no/such/directory/log")
    assert "/no/such/directory" in failure["cause"]
    assert not added.exists()
    assert service.reload(LISTEN, f"listen = unix://{added}")["message"].startswith("reloaded")
    assert exchange(f"unix://{added}") == b"connected\n"


def test_listeners_come_and_go_and_the_others_keep_their_queue(configured, tmp_path):
    path = tmp_path / "x.sock"
    service = configured(LISTEN, f"listen = unix://{path} mode=0600")
    daemon, (tcp, unix) = service.daemon, service.daemon.endpoints
    second = tmp_path / "y.sock"
    with Load(tcp, clients=2) as load:
        load.wait_for_answers(10)
        assert service.reload(LISTEN, f"listen = unix://{second}")["message"].startswith("reloaded")
        assert proc.eventually(lambda: refused(unix)) and not path.exists()
        assert exchange(f"unix://{second}") == b"connected\n"
        assert service.reload(f"listen = unix://{path}", LISTEN)["message"].startswith("reloaded")
        assert exchange(unix) == b"connected\n"
        load.wait_for_answers(10)
    assert set(load.outcomes) == {"whole"}, load.broken
    assert service.reload(f"listen = unix://{path}")["message"].startswith("reloaded")
    assert proc.eventually(lambda: refused(tcp))


def test_clients_queued_on_a_listener_that_goes_are_served_first(configured):
    """Serial workers that are all busy leave others in the queue."""
    service = configured(LISTEN, "listen = tcp://127.0.0.1:0 handler=echo", "model = serial", workers=1)
    goes = service.daemon.endpoints[1]
    busy = connect(goes)
    busy.sendall(b"x")
    read_exactly(busy, 1)
    queued = [connect(goes) for _ in range(3)]
    for client in queued:
        client.sendall(b"queued")
        client.shutdown(socket.SHUT_WR)
    assert service.reload(LISTEN, "model = serial")["message"].startswith("reloaded")
    busy.close()
    assert [read_to_end(client) for client in queued] == [b"queued"] * 3


def test_two_listeners_on_ports_of_the_kernels_are_two_after_a_reload(configured):
    service = configured(LISTEN, LISTEN + " handler=echo")
    greets, echoes = service.daemon.endpoints
    assert service.reload(LISTEN + " handler=echo", LISTEN)["message"].startswith("reloaded")
    assert proc.eventually(lambda: exchange(greets, b"x") == b"x")
    assert proc.eventually(lambda: exchange(echoes, b"x") == b"connected\n")


def test_what_a_reload_cannot_change_is_named(configured, tmp_path):
    path = tmp_path / "x.sock"
    service = configured(f"listen = unix://{path} mode=0600")
    service.daemon.expect("cannot be changed by a reload")
    for _ in range(2):  # as long as it holds
        after = service.daemon.log.mark()
        reloaded = service.reload(f"listen = unix://{path} mode=0666 backlog=7")
        assert reloaded["outcome"].endswith(f"; not changed by a reload, restart to apply: unix://{path} mode")
        named = service.daemon.log.find("by a reload: restart", after=after)
        assert [entry["setting"] for entry in named] == [f"unix://{path} mode"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_size_of_the_pool_follows_the_settings(configured):
    service = configured(LISTEN, "workers = 1", workers=None)
    for workers in (4, 2):
        assert service.reload(LISTEN, f"workers = {workers}")["message"].startswith("reloaded")
        service.daemon.wait_workers(workers)


def test_new_lines_go_to_a_new_log_file(configured, tmp_path):
    service = configured(LISTEN)
    file = tmp_path / "new.log"
    service.write(LISTEN, f"log-file = {file}")
    service.daemon.signal(SIGHUP)
    assert proc.eventually(lambda: file.exists() and '"reloaded: ' in file.read_text())
    service.daemon.wait_workers(2)  # the old ones write to the old log
    assert exchange(service.daemon.endpoint) == b"connected\n"
    assert proc.eventually(lambda: "got connection" in file.read_text())


def test_many_reloads_in_a_row_end_with_the_last_settings(configured):
    service = configured(LISTEN, "greeting = one")
    for word in range(5):
        service.write(LISTEN, f"greeting = {word}")
        service.daemon.signal(SIGHUP)
    assert proc.eventually(lambda: exchange(service.daemon.endpoint) == b"4\n")
    service.daemon.wait_workers(2)


def test_a_reload_during_the_start_is_done_after_it(configured):
    service = configured(LISTEN, "greeting = one", wait=False)
    service.daemon.wait_log("listening")
    service.write(LISTEN, "greeting = two")
    service.daemon.signal(SIGHUP)
    service.daemon.wait_log("reloaded")
    service.daemon.wait_ready()
    assert proc.eventually(lambda: exchange(service.daemon.endpoint) == b"two\n")


@pytest.mark.parametrize("both_at_once", [True, False])
def test_a_stop_during_a_reload_stops_and_says_that_there_is_no_reload(configured, both_at_once):
    service = configured(LISTEN)
    daemon = service.daemon
    if both_at_once:
        daemon.signal(SIGSTOP)  # it finds both signals when it goes on
    daemon.signal(SIGHUP)
    if not both_at_once:
        daemon.wait_log("reloading")
    daemon.signal(SIGTERM)
    daemon.signal(SIGCONT)
    assert daemon.wait_exit() == 0
    given_up = daemon.log.find("reload canceled: the service is stopping")
    assert len(given_up) + len(daemon.log.find("reloaded")) == 1
    assert given_up or not both_at_once


def test_descriptors_and_workers_do_not_grow_with_reloads(configured):
    service = configured(LISTEN)
    service.reload(LISTEN)
    service.daemon.wait_workers(2)
    at_rest = proc.open_descriptors(service.daemon.pid)
    for _ in range(10):
        service.reload(LISTEN)
    service.daemon.wait_workers(2)
    assert proc.eventually(lambda: proc.open_descriptors(service.daemon.pid) <= at_rest)


def test_systemd_hears_of_a_reload_and_of_a_failed_one(configured, notify):
    service = configured(LISTEN, env=notify.environment)
    service.daemon.expect("reload failed")
    notify.wait("READY")
    service.reload(LISTEN)
    notify.wait("RELOADING", "1")
    assert "MONOTONIC_USEC" in notify.received[-1][1]
    notify.wait("READY")
    service.reload(LISTEN, "nonsense = 1")
    notify.wait("RELOADING", "1")
    notify.wait("READY")
    assert "reload failed" in notify.received[-1][1]["STATUS"]
