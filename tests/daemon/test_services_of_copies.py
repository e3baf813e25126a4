"""run=pool of an endpoint: its own workers are copies of its program, which accepts by itself, beside handlers and others."""
import contextlib
from signal import SIGHUP

import pytest

import daemon_process
import proc
from clients import Load, exchange, read_to_end, connect
from configured import configured  # noqa: F401: a fixture
from control import endpoint_in, status
from copies import script, server
from test_services import sizes, workers_of
from test_upgrade import Installed

CONFIGURATION = 78
ANY = "tcp://127.0.0.1:0"


@pytest.fixture
def beside(configured, tmp_path):
    """Copies of two programs that take their socket in different ways, and a handler."""
    listening, standard, rest = (f"unix://{tmp_path}/{name}" for name in ("listening", "standard", "rest"))
    lines = [f"listen = {rest} handler=echo",
             f"[{listening}]", f"program = {server(tmp_path, 'one', answer=repr('listening'))}", "run = pool", "workers = 2",
             "ready = alive:0",
             f"[{standard}]", f"program = {server(tmp_path, 'two', answer=repr('standard'), fd='0')}", "run = pool",
             "workers = 1", "pass = fd0", "ready = alive:200ms"]
    service = configured(*lines, arguments=["--control", endpoint_in(tmp_path)])
    service.control, service.lines = endpoint_in(tmp_path), lines
    service.listening, service.standard, service.rest = listening, standard, rest
    return service


def loads(stack, service):
    expected = {service.listening: (b"", b"listening\n"), service.standard: (b"", b"standard\n"), service.rest: (b"abc", b"abc")}
    return [stack.enter_context(Load(endpoint, clients=2, request=request, expected=answer))
            for endpoint, (request, answer) in expected.items()]


def copies_of(worker):
    return proc.children(worker)


def test_copies_accept_beside_handlers(beside):
    assert exchange(beside.listening) == b"listening\n"
    assert exchange(beside.standard) == b"standard\n"
    assert exchange(beside.rest, b"abc") == b"abc"
    workers = workers_of(beside.control)
    assert {name: len(pids) for name, pids in workers.items()} == {None: 2, beside.listening: 2, beside.standard: 1}
    assert all(len(copies_of(pid)) == 1 for name in (beside.listening, beside.standard) for pid in workers[name])
    report = status(beside.control)
    copies = {each["program_pid"] for each in report["workers"]} - {None}
    assert copies == {child for name in (beside.listening, beside.standard) for pid in workers[name] for child in copies_of(pid)}
    accepted = {each["endpoint"]: each.get("accepted") for each in report["listeners"]}
    assert accepted[beside.rest] == 1 and accepted[beside.listening] is None, "nobody counts for copies"


def test_no_client_is_lost_while_they_reload(beside):
    with contextlib.ExitStack() as stack:
        running = loads(stack, beside)
        for _ in range(4):
            for load in running:
                load.wait_for_answers(20)
            before = set(beside.daemon.workers())
            assert beside.reload(*beside.lines)["message"].startswith("reloaded")
            assert all(proc.wait_gone(pid, 20) for pid in before)
        for load in running:
            load.wait_for_answers(20)
    for load in running:
        assert set(load.outcomes) == {"whole"}, load.broken


def test_no_client_is_lost_at_an_upgrade(preforkd, tmp_path):
    copies, rest, control = f"unix://{tmp_path}/copies", f"unix://{tmp_path}/rest", endpoint_in(tmp_path)
    program = server(tmp_path, answer=repr("copy"))
    installed = Installed(preforkd, tmp_path, "--control", control,
                          listen=(f"{rest} handler=echo", f"{copies} program={program} run=pool workers=2 ready=alive:200ms"))
    with Load(copies, clients=2, expected=b"copy\n") as one, Load(rest, clients=2, request=b"abc", expected=b"abc") as two:
        for _ in range(2):
            one.wait_for_answers(20)
            two.wait_for_answers(20)
            before = set(installed.daemon.workers())
            installed.install(daemon_process.PREFORKD)
            assert installed.upgrade()["message"].startswith("upgraded")
            assert all(proc.wait_gone(pid, 20) for pid in before)
            assert proc.eventually(lambda: sizes(control) == {None: 2, copies: 2})
        one.wait_for_answers(20)
        two.wait_for_answers(20)
    assert (set(one.outcomes), set(two.outcomes)) == ({"whole"}, {"whole"}), (one.broken, two.broken)


def test_a_pool_of_all_has_copies_of_their_own_beside_it(preforkd, tmp_path):
    """And a handler."""
    daemon = preforkd("--control", endpoint_in(tmp_path), "--run", "pool", "--ready", "alive:0", "--", server(tmp_path),
                      listen=(ANY, f"{ANY} workers=1", f"{ANY} workers=1 handler=echo"), workers=2)
    everybody, own, handler = daemon.endpoints
    workers = workers_of(endpoint_in(tmp_path))
    copies = {name: {str(child) for pid in pids for child in copies_of(pid)} for name, pids in workers.items()}
    assert {name: len(pids) for name, pids in copies.items()} == {None: 2, own: 1, handler: 0}
    assert exchange(own).decode().strip() in copies[own]
    assert exchange(everybody).decode().strip() in copies[None]
    assert exchange(handler, b"abc") == b"abc"
    before, after = set(daemon.workers()), daemon.log.mark()
    daemon.signal(SIGHUP)
    daemon.wait_log("reloaded", after=after)
    assert all(proc.wait_gone(pid, 20) for pid in before)
    assert exchange(own) and exchange(everybody) and exchange(handler, b"abc") == b"abc"


def test_each_is_stopped_and_is_ready_as_it_says(configured, tmp_path):
    """The program ends at QUIT alone, and is ready once it says so."""
    program = script(tmp_path, "import os, signal, socket\n"
                               "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                               "signal.signal(signal.SIGQUIT, lambda *_: os._exit(0))\n"
                               "teller = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
                               "teller.sendto(b'READY=1\\nSTATUS=at your service', os.environ['NOTIFY_SOCKET'].replace('@', '\\0', 1))\n"
                               "while True:\n    signal.pause()\n")
    control = endpoint_in(tmp_path)
    service = configured("stop-timeout = 60s", f"listen = unix://{tmp_path}/rest",
                         f"[unix://{tmp_path}/copies]", f"program = {program}", "run = pool", "workers = 1", "ready = notify",
                         "stop-signal = QUIT", arguments=["--control", control])
    [worker] = workers_of(control)[f"unix://{tmp_path}/copies"]
    assert {each["program_status"] for each in status(control)["workers"]} == {None, "at your service"}
    service.daemon.signal(SIGHUP)
    service.daemon.wait_log("reloaded")
    assert proc.wait_gone(worker, 20)


def test_a_program_with_inetd_wait_is_stopped_as_it_says(configured, tmp_path):
    program = script(tmp_path, "import os, signal, socket\n"
                               "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                               "signal.signal(signal.SIGQUIT, lambda *_: os._exit(0))\n"
                               "client, _ = socket.socket(fileno=0).accept()\nclient.sendall(b'here')\nsignal.pause()\n")
    service = configured("stop-timeout = 60s", f"[{ANY}]", f"program = {program}", "inetd = wait", "stop-signal = QUIT")
    with connect(service.daemon.endpoint) as client:
        assert client.recv(4) == b"here"
        assert service.daemon.stop() == 0
        assert read_to_end(client) == b""


def test_another_program_has_a_socket_that_waits(configured, tmp_path):
    """The first makes it non-blocking for all who share it."""
    first = script(tmp_path, "import select, socket\nqueue = socket.socket(fileno=3)\nqueue.setblocking(False)\n"
                             "while True:\n    select.select([queue], [], [])\n    client, _ = queue.accept()\n"
                             "    client.sendall(b'first')\n    client.close()\n", "first")
    second = script(tmp_path, "import os, socket\nblocks = os.get_blocking(3)\nqueue = socket.socket(fileno=3)\nqueue.setblocking(True)\n"
                              "while True:\n    client, _ = queue.accept()\n    client.sendall(str(blocks).encode())\n    client.close()\n",
                    "second")
    lines = [f"listen = unix://{tmp_path}/rest", f"[{ANY}]", "run = pool", "workers = 1", "ready = alive:0"]
    service = configured(*lines, f"program = {first}")
    [_, endpoint] = service.daemon.endpoints
    assert exchange(endpoint) == b"first"
    assert service.reload(*lines, f"program = {second}")["message"].startswith("reloaded")
    assert proc.eventually(lambda: exchange(endpoint) == b"True")


def test_how_an_endpoint_is_run_takes_a_restart(beside):
    beside.daemon.expect("reload failed")
    changed = [line.replace("run = pool", "run = client") if number < 5 else line for number, line in enumerate(beside.lines)]
    changed.remove("ready = alive:0")
    assert f"{beside.listening}: run= cannot be changed by a reload" in beside.reload(*changed)["cause"]
    assert exchange(beside.listening) == b"listening\n"


def test_what_tells_of_readiness_is_no_socket(run_preforkd):
    told = run_preforkd("--listen", ANY, "--listen", f"{ANY} run=pool program=/bin/cat ready=fd:3")
    assert "--ready fd:3: that descriptor is a socket of --pass; the first that is free is 4" in told.stderr
    assert told.returncode == CONFIGURATION


@pytest.mark.parametrize("listen, words", [
    ("run=pool", "run=pool needs a program, which accepts by itself"),
    ("run=pool program=/bin/cat model=thread", "model= has no effect on programs that accept by themselves (run=pool)"),
    ("run=pool program=/bin/cat allow=127.0.0.1", "allow= has no effect on programs that accept by themselves (run=pool)"),
    ("run=pool program=/bin/cat inetd=wait", "inetd=wait has one program, and run=pool copies of it"),
    ("run=pool program=/bin/cat ready=alive:1m", "ready=alive:1m is no sooner than --boot-timeout 30s"),
    ("program=/bin/cat pass=fd0", "pass= is for a program that accepts by itself; say run=pool, too"),
    ("ready=notify", "ready= is for a program that accepts by itself; say run=pool, too"),
    ("workers=1 stop-signal=INT", "stop-signal= is for a program that accepts by itself; say run=pool, too"),
    ("workers=1 program=/bin/cat --reload-signal HUP", "--reload-signal: does not go with workers of an endpoint's own"),
    ("run=pools", "expected client or pool"),
    ("run=pool program=/bin/cat workers=3 pass=einhorn ready=alive:2s stop-signal=USR1 run-user=nobody backlog=7", ""),
    ("run=client program=/bin/cat", ""),
])
def test_what_makes_no_sense_is_refused(run_preforkd, listen, words):
    keys, *options = listen.split(" --", 1)
    told = run_preforkd("--check-config", "--listen", f"{ANY} {keys}", "--listen", ANY,
                        *(word for option in options for word in f"--{option}".split()))
    assert words in told.stderr and told.returncode in ((64, CONFIGURATION) if words else (0,)), told.stderr
