"""workers= of an endpoint: a service, whose workers serve it and nothing else, in one pool with all others."""
import contextlib
import os
import pwd
import re
from collections import Counter
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTTIN
from socket import SO_ACCEPTCONN, SOL_SOCKET

import pytest

import daemon_process
import proc
from clients import Load, connect, exchange, read_to_end
from configured import configured  # noqa: F401: a fixture
from control import ask, endpoint_in, status
from test_privileges import identity
from test_upgrade import Installed

ANY = "tcp://127.0.0.1:0"
CONFIGURATION = 78
WHO = "program = /bin/sh -c 'echo $PPID'"


def said(endpoint):
    with connect(endpoint) as client:
        return read_to_end(client)


def workers_of(control):
    """Pids of the workers that serve, by the name of their service."""
    found = {}
    for worker in status(control)["workers"]:
        if worker["state"] not in ("starting", "leaving", "stopped"):
            found.setdefault(worker["service"], set()).add(worker["pid"])
    return found


def sizes(control):
    return {service: len(pids) for service, pids in workers_of(control).items()}


def listens_at(pid):
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(each) for each in proc.sockets_of(pid)]
        return {f"unix://{each.getsockname()}" for each in held if each.getsockopt(SOL_SOCKET, SO_ACCEPTCONN)}


@pytest.fixture
def three(configured, tmp_path):
    """A service of one worker, one of two, and what two others serve."""
    one, two, rest = (f"unix://{tmp_path}/{name}" for name in ("one", "two", "rest"))
    lines = [f"listen = {rest} handler=echo", f"[{one}]", WHO, "workers = 1", f"[{two}]", WHO, "workers = 2"]
    service = configured(*lines, arguments=["--control", endpoint_in(tmp_path)])
    service.control, service.lines = endpoint_in(tmp_path), lines
    service.one, service.two, service.rest = one, two, rest
    return service


def test_workers_serve_their_endpoint_alone(three):
    workers = workers_of(three.control)
    assert {service: len(pids) for service, pids in workers.items()} == {None: 2, three.one: 1, three.two: 2}
    assert {int(said(three.one)) for _ in range(10)} == workers[three.one]
    assert {int(said(three.two)) for _ in range(10)} <= workers[three.two]
    assert exchange(three.rest, b"abc") == b"abc"
    titles = Counter(re.sub(r"worker \d+", "worker", proc.title(pid)) for pid in three.daemon.workers())
    assert titles == {"preforkd: worker (sh)": 3, "preforkd: worker (echo)": 2}
    for service, pids in workers.items():
        for pid in pids:
            assert listens_at(pid) == {service or three.rest}, "nobody has the sockets of others"


def test_a_worker_that_dies_is_replaced_in_its_service(three):
    three.daemon.expect("killed by SIGKILL")
    for service in (three.one, None, three.two):
        before = workers_of(three.control)
        victim = min(before[service])
        os.kill(victim, SIGKILL)
        assert proc.eventually(lambda: victim not in workers_of(three.control).get(service, {victim})
                               and sizes(three.control) == {None: 2, three.one: 1, three.two: 2})
        assert {key: pids for key, pids in workers_of(three.control).items() if key != service} == {
            key: pids for key, pids in before.items() if key != service}
        assert int(said(three.one)) in workers_of(three.control)[three.one]


def test_a_stopped_worker_has_a_replacement_in_its_service_until_it_continues(three):
    three.daemon.expect("was stopped by SIGSTOP")
    [stopped] = workers_of(three.control)[three.one]
    os.kill(stopped, SIGSTOP)
    assert proc.eventually(lambda: workers_of(three.control).get(three.one, {stopped}) != {stopped})
    assert int(said(three.one)) != stopped
    os.kill(stopped, SIGCONT)
    assert proc.eventually(lambda: sizes(three.control) == {None: 2, three.one: 1, three.two: 2})


def test_a_worker_that_retires_goes_once_its_replacement_is_there(configured, tmp_path):
    one = f"unix://{tmp_path}/one"
    configured("max-requests = 3", f"listen = unix://{tmp_path}/rest", f"[{one}]", WHO, "workers = 1",
               arguments=["--control", endpoint_in(tmp_path)])
    assert len({said(one) for _ in range(20)}) > 3
    assert proc.eventually(lambda: sizes(endpoint_in(tmp_path)) == {None: 2, one: 1})


def test_a_reload_changes_the_program_of_one_service(three):
    changed = [*three.lines[:2], "program = /bin/echo another", *three.lines[3:]]
    assert three.reload(*changed)["message"].startswith("reloaded")
    assert said(three.one) == b"another\n"
    assert int(said(three.two)) in workers_of(three.control)[three.two] and exchange(three.rest, b"abc") == b"abc"
    three.daemon.expect("reload failed")
    assert "a number from 1 to 1024" in three.reload(*changed[:-1], "workers = 0")["cause"]
    assert sizes(three.control) == {None: 2, three.one: 1, three.two: 2}


@pytest.mark.root
def test_what_a_bound_socket_keeps_does_not_take_it_from_its_service(configured, tmp_path):
    """Settings of a socket file cannot be changed by a reload: it is that service's all the same, and no other's."""
    one, two = (f"unix://{tmp_path}/{name}" for name in ("one", "two"))
    lines = [f"[{one}]", WHO, "workers = 1", f"[{two}]", WHO, "workers = 2"]
    service = configured(*lines, "mode = 0600", arguments=["--control", endpoint_in(tmp_path)])
    service.daemon.expect("mode cannot be changed by a reload")
    for mode in ("0660", "0666"):
        assert service.reload(*lines, f"mode = {mode}")["message"].startswith("reloaded")
        assert proc.eventually(lambda: sizes(endpoint_in(tmp_path)) == {one: 1, two: 2})
        assert int(said(two)) in workers_of(endpoint_in(tmp_path))[two]
    assert not service.daemon.log.find(lambda entry: "resize" in entry.get("ordered_by", ""))


def test_copies_are_no_places_for_connections(configured, tmp_path):
    """Nobody counts for them, so explain would take them for full."""
    configured("connections = 40", f"listen = unix://{tmp_path}/rest", f"[unix://{tmp_path}/copies]",
               "program = /bin/sleep 1000", "run = pool", "workers = 3", "ready = alive:0", arguments=["--control", endpoint_in(tmp_path)])
    report = status(endpoint_in(tmp_path))
    assert (report["connection_slots"], report["connection_slots_asked"], report["model"]) == (80, 80, "async")


def test_preforkctl_tells_whose_a_worker_is(three, ctl):
    told = ctl("status").stdout
    table = [line.split() for line in told[told.index("WORKER"):].splitlines()]
    assert table[0][:3] == ["WORKER", "PID", "SERVICE"]
    assert Counter(row[2] for row in table[1:6]) == {"-": 2, three.one: 1, three.two: 2}


def test_no_client_of_ten_services_is_lost_while_they_reload(configured, tmp_path):
    endpoints = [f"unix://{tmp_path}/{number}" for number in range(9)] + [ANY]
    lines = [line for number, endpoint in enumerate(endpoints)
             for line in (f"[{endpoint}]", f"program = /bin/echo {number}", f"workers = {1 + number % 2}")]
    service = configured(*lines, arguments=["--control", endpoint_in(tmp_path)])
    with contextlib.ExitStack() as stack:
        loads = [stack.enter_context(Load(endpoint, clients=2, expected=f"{number}\n".encode()))
                 for number, endpoint in enumerate(service.daemon.endpoints)]
        for round_ in range(4):
            for load in loads:
                load.wait_for_answers(3)
            before = set(service.daemon.workers())
            sized = [line.replace("workers = 2", f"workers = {2 + round_ % 2}") for line in lines]
            assert service.reload(*sized)["message"].startswith("reloaded")
            assert all(proc.wait_gone(pid, 20) for pid in before)
        for load in loads:
            load.wait_for_answers(3)
    for load in loads:
        assert set(load.outcomes) == {"whole"}, load.broken


def test_a_reload_adds_services_takes_them_away_and_changes_their_size(three, tmp_path):
    changed = [f"listen = {three.rest} handler=echo workers=1", f"[{three.one}]", WHO, f"[{three.two}]", WHO, "workers = 3"]
    assert three.reload(*changed)["message"].startswith("reloaded")
    assert proc.eventually(lambda: sizes(three.control) == {three.rest: 1, None: 2, three.two: 3})
    assert int(said(three.one)) in workers_of(three.control)[None] and exchange(three.rest, b"abc") == b"abc"
    assert three.reload(*[line for line in changed if not line.startswith("workers")][:-2])["message"].startswith("reloaded")
    assert proc.eventually(lambda: sizes(three.control) == {three.rest: 1, None: 2})
    assert three.reload(f"listen = {three.rest}", f"listen = {three.one}")["message"].startswith("reloaded")
    assert proc.eventually(lambda: sizes(three.control) == {None: 2})
    assert said(three.one) == b"connected\n"


@pytest.mark.root
def test_a_service_has_a_model_a_user_and_as_many_connections_as_it_says(configured, tmp_path):
    daemon = configured("handler = echo", f"listen = {ANY}",
                        f"[{ANY}]", "workers = 1", "model = thread", "connections = 2", "run-user = nobody", "nice = 3",
                        arguments=["--control", endpoint_in(tmp_path)]).daemon
    everybody, own = daemon.endpoints
    workers = workers_of(endpoint_in(tmp_path))
    assert {service: len(pids) for service, pids in workers.items()} == {None: 2, own: 1}
    [worker] = workers[own]
    nobody = pwd.getpwnam("nobody")
    assert identity(worker)[:2] == ([str(nobody.pw_uid)] * 4, [str(nobody.pw_gid)] * 4)
    assert os.getpriority(os.PRIO_PROCESS, worker) == 3
    assert {identity(pid)[0][0] for pid in workers[None]} == {"0"}
    daemon.expect("are full")
    with connect(own) as one, connect(own) as two, connect(own) as three:
        for client in (one, two):
            client.sendall(b"x")
            assert client.recv(1) == b"x"
        assert len(os.listdir(f"/proc/{worker}/task")) >= 3, "a thread for each"
        three.sendall(b"y")
        assert exchange(everybody, b"abc") == b"abc", "others have a place"
        daemon.wait_log(f"all workers of {own} are full and 1 client waits in the queue: raise its workers= or connections=")
        one.close()
        assert three.recv(1) == b"y"


def test_an_upgrade_keeps_services(preforkd, tmp_path):
    one, rest, control = f"unix://{tmp_path}/one", f"unix://{tmp_path}/rest", endpoint_in(tmp_path)
    installed = Installed(preforkd, tmp_path, "--control", control, listen=(f"{rest} handler=echo", f"{one} workers=1"))
    assert sizes(control) == {None: 2, one: 1}
    before = workers_of(control)
    installed.install(daemon_process.PREFORKD)
    assert installed.upgrade()["message"].startswith("upgraded")
    assert proc.eventually(lambda: sizes(control) == {None: 2, one: 1})
    assert not workers_of(control)[one] & before[one]
    assert said(one) == b"connected\n" and exchange(rest, b"abc") == b"abc"


def test_an_upgrade_that_fails_keeps_the_workers_of_services_and_replaces_them(preforkd, tmp_path):
    one, rest, control = f"unix://{tmp_path}/one", f"unix://{tmp_path}/rest", endpoint_in(tmp_path)
    installed = Installed(preforkd, tmp_path, "--control", control, listen=(f"{rest} handler=echo", f"{one} workers=1"))
    before = workers_of(control)
    installed.daemon.expect("upgrade failed", "killed by SIGKILL")
    installed.install_script("exit 3\n")
    assert installed.upgrade()["message"].startswith("upgrade failed")
    assert workers_of(control) == before
    [victim] = before[one]
    os.kill(victim, SIGKILL)
    assert proc.eventually(lambda: workers_of(control).get(one, {victim}) != {victim})
    assert said(one) == b"connected\n" and sizes(control) == {None: 2, one: 1}


def test_the_size_of_services_is_what_the_settings_say(three):
    three.daemon.signal(SIGTTIN)
    three.daemon.wait_log("endpoints have workers of their own (workers=): change these or --workers")
    told = ask(three.control, "workers 7")
    assert not told["ok"] and "endpoints have workers of their own" in told["error"]
    assert sizes(three.control) == {None: 2, three.one: 1, three.two: 2}


def test_all_endpoints_may_have_workers_of_their_own(configured, tmp_path):
    one, two = f"unix://{tmp_path}/one", f"unix://{tmp_path}/two"
    configured(f"listen = {one} workers=1", f"listen = {two} workers=1 handler=echo", arguments=["--control", endpoint_in(tmp_path)])
    assert sizes(endpoint_in(tmp_path)) == {one: 1, two: 1}
    assert said(one) == b"connected\n" and exchange(two, b"abc") == b"abc"


def test_an_endpoint_that_says_how_its_workers_serve_has_as_many_as_the_others(configured, tmp_path):
    rest, one, two = (f"unix://{tmp_path}/{name}" for name in ("rest", "one", "two"))
    configured(f"listen = {rest}", f"[{one}]", "connections = 5", f"[{two}]", "model = thread", "handler = echo",
               arguments=["--control", endpoint_in(tmp_path)])
    assert sizes(endpoint_in(tmp_path)) == {None: 2, one: 2, two: 2}
    assert said(one) == b"connected\n" and exchange(two, b"abc") == b"abc"


def test_what_is_asked_for_twice_is_one_service(preforkd, tmp_path):
    daemon = preforkd("--control", endpoint_in(tmp_path), listen=(f"{ANY} workers=1", f"{ANY} workers=1"))
    assert sizes(endpoint_in(tmp_path)) == {daemon.endpoints[0]: 1}
    assert all(said(endpoint) == b"connected\n" for endpoint in daemon.endpoints)


@pytest.mark.parametrize("arguments, words", [
    ([f"{ANY} model=fork", "--workers", "0"], "--workers: 0 is one process for all"),
    ([f"{ANY} workers=0"], 'workers: expected a number from 1 to 1024, not "0"'),
    ([f"{ANY} workers=1", "--workers", "0"], "--workers: 0 is one process for all"),
    ([f"{ANY} workers=1", "--workers", "1..3"], "--workers: MIN..MAX does not go with workers of an endpoint's own"),
    ([f"{ANY} workers=1000", "--listen", f"{ANY} handler=echo", "--workers", "100"],
     "--workers: 1100 with those of endpoints are more than 1024; ask for fewer there (workers=), or here"),
    ([f"{ANY} workers=1024"], ""),
    ([f"{ANY} workers=1", "--reload", "rolling"], "--reload: rolling does not go with workers of an endpoint's own"),
    ([f"{ANY} nice=5"], 'the handler "greet" runs in a worker that serves others, too; give it workers of its own (workers=)'),
    ([f"{ANY} workers=1 chdir=/"], "of workers run-user=, run-group= and nice= can be said"),
    ([f"{ANY} workers=1 model=thread handler=chargen", "--listen", "udp://127.0.0.1:0 workers=1 model=fork"], ""),
])
def test_what_does_not_go_together_is_refused(run_preforkd, arguments, words):
    told = run_preforkd("--check-config", "--listen", *arguments)
    assert words in told.stderr and told.returncode in ((64, CONFIGURATION) if words else (0,)), told.stderr
