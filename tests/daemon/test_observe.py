"""--observe and --agent: the process that answers those who look."""
import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

import proc
from clients import Load, connect as connect_client, exchange, read_exactly, read_to_end
from configured import LISTEN
from key_process import key_process
from observing import ask_agent, connect, connection_to, get, metrics, observed_at, observer_of, wait_observer


def test_all_paths_answer(observed):
    daemon = observed("--handler", "echo")
    for path, kind in {"/": "text/html", "/page.css": "text/css", "/page.js": "text/javascript",
                       "/metrics": "text/plain; version=0.0.4", "/healthz": "text/plain", "/readyz": "text/plain",
                       "/status.json": "application/json", "/page.json": "application/json"}.items():
        answer = get(daemon.observed, path)
        assert (answer.status, answer.headers["Content-Type"].startswith(kind)) == (200, True), path
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"], path
        head = get(daemon.observed, path, method="HEAD")
        assert (head.status, head.text) == (200, "") and int(head.headers["Content-Length"]) > 0, path
    assert get(daemon.observed, "/readyz?verbose").text == "ready\n"
    assert get(daemon.observed, "/secret").status == 404


def test_the_page_asks_for_nothing_that_is_not_there(observed):
    daemon = observed()
    page = get(daemon.observed, "/").text
    asked = re.findall(r'(?:href|src)="([^"#:]+)"', page) + re.findall(r'fetch\("([^"]+)"', get(daemon.observed, "/page.js").text)
    assert {"page.css", "page.js", "page.json", "metrics"} <= set(asked)
    for path in asked:
        assert get(daemon.observed, f"/{path}").status == 200, path
    assert not re.search(r"<script(?![^>]*\bsrc=)|\bon[a-z]+=|style=", page), "a strict policy lets nothing inline run"


def test_status_is_what_preforkctl_tells_but_for_who_and_what(controlled, tmp_path):
    daemon = controlled("--observe", f"unix://{tmp_path}/o", "--handler", "echo", workers=1)
    exchange(daemon.endpoint, b"x")
    told = get(f"unix://{tmp_path}/o", "/status.json").json()
    assert told["pid"] == daemon.pid and told["connections_ever"] == 1
    assert [each["last_peer"] for each in told["workers"]] == [None]


def test_details_are_told_where_they_are_asked_for(observed):
    daemon = observed("--handler", "echo", "--observe-details", "yes", workers=1)
    with connect_client(daemon.endpoint) as client:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
        host, port = client.getsockname()
        told = get(daemon.observed, "/status.json").json()
    assert [each["last_peer"] for each in told["workers"]] == [f"{host}:{port}"]


def test_open_metrics_are_told_to_who_asks_for_them(observed):
    daemon = observed()
    answer = get(daemon.observed, "/metrics", Accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.endswith("# EOF\n")
    assert "# TYPE preforkd_log_lines_dropped counter\npreforkd_log_lines_dropped_total 0\n" in answer.text
    plain = get(daemon.observed, "/metrics").text
    assert "# TYPE preforkd_log_lines_dropped_total counter\n" in plain and "EOF" not in plain


@pytest.mark.programs("promtool")
@pytest.mark.parametrize("workers", [1, 3])
def test_promtool_finds_nothing_wrong(observed, workers):
    daemon = observed("--handler", "echo", workers=workers, listen=("tcp://127.0.0.1:0", "udp://127.0.0.1:0"))
    exchange(daemon.endpoint, b"x")
    check = subprocess.run(["promtool", "check", "metrics"], input=get(daemon.observed, "/metrics").text, text=True,
                           capture_output=True)
    assert (check.returncode, check.stdout, check.stderr) == (0, "", "")


def test_busy_workers_and_a_full_queue_do_not_keep_anybody_from_looking(observed):
    daemon = observed("--handler", "echo", "--model", "serial", "--backlog", "3", workers=1)
    daemon.expect("clients wait")
    with contextlib.ExitStack() as clients:
        first = clients.enter_context(connect_client(daemon.endpoint))
        first.sendall(b"x")
        assert read_exactly(first, 1) == b"x"
        for _ in range(2):
            clients.enter_context(connect_client(daemon.endpoint))
        seen = proc.eventually(lambda: (now := metrics(daemon.observed)) and
                               now[f'preforkd_listener_queued{{listener="{daemon.endpoint}",unit="connections"}}'] == 2 and now)
        assert seen, metrics(daemon.observed)
        assert seen['preforkd_workers{state="waiting"}'] == 1


@pytest.mark.parametrize("request_text, status", [
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405), (b"junk\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nsomething", 405),
    (b"GET / HTTP/1.1\r\n\r\n", 400), (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nsomething", 413),
    (b"GET / HTTP/1.1\r\nX: " + b"x" * 9000 + b"\r\n\r\n", 431), (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400)],
    ids=["a method", "junk", "a method with a body", "no host", "two hosts", "a body", "too long", "TLS"])
def test_what_is_no_request_of_ours_is_refused(observed, request_text, status):
    daemon = observed()
    with connect(daemon.observed) as client:
        client.sendall(request_text)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := client.recv(65536):
            answer += chunk
    assert answer.split(b" ", 2)[1] == str(status).encode(), answer
    assert (b"Allow: GET, HEAD" in answer) == (status == 405) and b"\r\nDate: " in answer, answer
    assert get(daemon.observed, "/readyz").status == 200


def told_by(endpoint, request_text):
    with connect(endpoint) as client:
        client.sendall(request_text)
        client.shutdown(socket.SHUT_WR)
        return read_to_end(client)


def test_a_whole_url_is_a_request_too(observed):
    daemon = observed()
    assert told_by(daemon.observed, b"GET http://x/readyz HTTP/1.1\r\nHost: x\r\n\r\n").endswith(b"\r\n\r\nready\n")


def test_one_on_loopback_answers_to_no_name_of_the_web(preforkd):
    daemon = preforkd("--observe", "tcp://127.0.0.1:0")
    endpoint = observed_at(daemon)
    port = endpoint.rsplit(":", 1)[1]
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", "LocalHost", "[::1]:1", "192.0.2.1"):
        assert get(endpoint, "/status.json", Host=host).status == 200, host
    for host in (f"evil.example:{port}", "localhost.evil.example", "127.0.0.1.evil.example", ""):
        refused = get(endpoint, "/status.json", Host=host)
        assert refused.status == 421 and "as localhost" in refused.text, host
    assert b" 421 " in told_by(endpoint, b"GET http://evil.example/readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b" 200 " in told_by(endpoint, b"GET /readyz HTTP/1.0\r\n\r\n"), "what is no browser"


def test_a_request_takes_five_seconds_at_most(observed):
    daemon = observed()
    with connect(daemon.observed) as client:
        began = time.monotonic()
        client.sendall(b"GET / HTTP/1.1\r\n")  # and no end
        assert read_to_end(client) == b""
        assert 4 < time.monotonic() - began < 15


def test_silent_clients_give_their_places_to_others(observed):
    daemon = observed()
    with contextlib.ExitStack() as clients:
        for _ in range(40):
            clients.enter_context(connect(daemon.observed))
        assert get(daemon.observed, "/readyz").status == 200


@pytest.fixture
def pollers(observed):
    """Starts pages that stay open: each asks, and asks again over the same connection as long as it may."""
    over, threads, failed = threading.Event(), [], []

    def poll(endpoint):
        connection = connection_to(endpoint)
        while not over.is_set():
            try:
                connection.request("GET", "/readyz")
                connection.getresponse().read()
            except (http.client.HTTPException, ConnectionError):
                connection.close()  # it was closed while idle: a browser, too, connects anew then
            except OSError as error:
                return failed.append(error)
            over.wait(0.05)
        connection.close()

    def start(endpoint, number):
        threads.extend(threading.Thread(target=poll, args=(endpoint,)) for _ in range(number))
        for thread in threads:
            thread.start()
    yield start
    over.set()
    for thread in threads:
        thread.join()
    assert not failed


def test_nobody_who_is_idle_silent_or_slow_keeps_a_probe_out(observed, pollers):
    daemon = observed()
    pollers(daemon.observed, 16)
    with contextlib.ExitStack() as clients:
        for _ in range(3):
            for number in range(100):
                client = clients.enter_context(connect(daemon.observed))
                client.setblocking(False)
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    if number % 3 == 1:
                        client.send(b"GET /healthz HTTP/1.1\r\n")  # and never the rest
                    while number % 3 == 2:
                        client.send(b"GET /page.js HTTP/1.1\r\nHost: x\r\n\r\n")  # and never reads
            for path in ("/healthz", "/readyz"):
                began = time.monotonic()
                assert get(daemon.observed, path).status == 200
                assert time.monotonic() - began < 4, "a probe waits for a second or a few"


def test_who_asks_last_is_told_that_its_place_is_wanted(observed):
    daemon = observed()
    polling = connection_to(daemon.observed)
    polling.request("GET", "/healthz")
    answer = polling.getresponse()
    assert answer.read() and answer.headers["Connection"] != "close"
    with contextlib.ExitStack() as clients:
        for _ in range(64 - 1):
            clients.enter_context(connect(daemon.observed))
        last = connection_to(daemon.observed)
        last.request("GET", "/healthz")
        assert last.getresponse().read() == b"alive\n"
        for _ in range(2):  # two may have left: who was told to, and the one whose place was taken
            clients.enter_context(connect(daemon.observed))
        with connect(daemon.observed) as asking:
            asking.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"Connection: close" in read_to_end(asking)
        last.close()
    polling.close()


def test_no_scraper_loads_the_master(observed):
    """It is asked four times a second at most, however often somebody looks."""
    daemon = observed("--log-level", "error")
    connection = connection_to(daemon.observed)
    before, told, until = proc.voluntary_switches(daemon.pid), 0, time.monotonic() + 1.5
    while time.monotonic() < until:
        connection.request("GET", "/metrics")
        assert connection.getresponse().read()
        told += 1
    connection.close()
    assert told > 50
    assert proc.voluntary_switches(daemon.pid) - before < 40


def test_a_killed_observer_comes_back_and_costs_no_client(observed):
    daemon = observed("--handler", "echo")
    daemon.expect("observer (pid")
    with Load(daemon.endpoint, clients=2, request=b"hello", expected=b"hello") as load:
        for _ in range(3):
            pid = wait_observer(daemon)
            assert get(daemon.observed, "/readyz").text == "ready\n"
            os.kill(pid, signal.SIGKILL)
            wait_observer(daemon, other_than=pid)
            load.wait_for_answers(20)
    assert get(daemon.observed, "/readyz").text == "ready\n"


def test_a_hung_master_is_told_of(observed):
    daemon = observed()
    assert get(daemon.observed, "/readyz").status == 200
    daemon.signal(signal.SIGSTOP)
    try:
        seen = proc.eventually(lambda: (answer := get(daemon.observed, "/readyz")).status == 503 and answer)
        assert seen.text == "the master does not answer\n"
        assert get(daemon.observed, "/status.json").status == 503
        now = metrics(daemon.observed)
        assert (now["preforkd_up"], now["preforkd_ready"], now["preforkd_workers_wanted"]) == (0, 0, 2)
        assert get(daemon.observed, "/healthz").status == 200, "for a moment only, it may be"
        assert proc.eventually(lambda: get(daemon.observed, "/healthz").status == 503, timeout=20)
    finally:
        daemon.signal(signal.SIGCONT)
    assert proc.eventually(lambda: get(daemon.observed, "/readyz").status == 200)
    assert get(daemon.observed, "/healthz").status == 200


def test_a_stopping_daemon_is_not_ready_while_it_finishes(observed):
    daemon = observed("--handler", "echo")
    with connect_client(daemon.endpoint) as client:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
        daemon.signal(signal.SIGTERM)
        seen = proc.eventually(lambda: (answer := get(daemon.observed, "/readyz")).status == 503 and answer)
        assert seen.text == "not ready: draining\n"
        assert get(daemon.observed, "/healthz").status == 200
        os.kill(observer_of(daemon), signal.SIGTERM)  # as systemd does to all of a service
        assert get(daemon.observed, "/readyz").status == 503
    assert daemon.wait_exit() == 0
    assert not os.path.exists(daemon.observed.removeprefix("unix://"))


def test_a_reload_changes_where_it_is_observed(configured, tmp_path):
    set_up = configured(LISTEN, f"observe = unix://{tmp_path}/one")
    first = wait_observer(set_up.daemon)
    assert get(f"unix://{tmp_path}/one", "/readyz").status == 200
    set_up.reload(LISTEN, f"observe = unix://{tmp_path}/two", f"agent = unix://{tmp_path}/agent")
    second = wait_observer(set_up.daemon, other_than=first)
    assert get(f"unix://{tmp_path}/two", "/readyz").status == 200
    assert ask_agent(f"unix://{tmp_path}/agent") == "ready up 100%\n"
    assert proc.wait_gone(first, 5) and not os.path.exists(tmp_path / "one")
    set_up.reload(LISTEN)
    assert proc.wait_gone(second, 5) and observer_of(set_up.daemon) is None
    assert not os.path.exists(tmp_path / "two") and not os.path.exists(tmp_path / "agent")


def test_an_upgrade_carries_it(observed):
    daemon = observed("--handler", "echo", "--agent", "tcp://127.0.0.1:0")
    agent, first = observed_at(daemon, "answering agent-checks at"), wait_observer(daemon)
    with Load(daemon.endpoint, clients=2, request=b"hello", expected=b"hello") as load:
        daemon.signal(signal.SIGUSR2)
        while not daemon.log.find("upgraded"):
            assert get(daemon.observed, "/healthz").status == 200
        load.wait_for_answers(20)
    wait_observer(daemon, other_than=first)
    assert proc.wait_gone(first, 5)
    assert get(daemon.observed, "/readyz").text == "ready\n"
    assert proc.eventually(lambda: ask_agent(agent) == "ready up 100%\n"), ask_agent(agent)


@pytest.mark.root
def test_as_root_it_is_a_user_of_its_own_without_rights(observed, tmp_path):
    daemon = observed("--user", "nobody")
    pid = wait_observer(daemon)
    assert proc.eventually(lambda: proc.status(pid)["Seccomp"] == "2"), "the last that it does before it serves"
    status = proc.status(pid)
    assert status["Uid"].split() == status["Gid"].split() == [str(61185 + 2 * (daemon.pid % 2168))] * 4
    assert status["Groups"].strip() == ""
    assert (status["CapEff"], status["CapPrm"], status["NoNewPrivs"]) == ("0" * 16, "0" * 16, "1")


@pytest.mark.root
def test_observers_and_key_processes_are_all_different_users(preforkd, pair, tmp_path):
    """Else one daemon's could send signals to another's."""
    keys = f"tls://127.0.0.1:0 {pair} key-process=yes"
    daemons = [preforkd("--observe", f"unix://{tmp_path}/{number}", listen=keys) for number in range(2)]
    pids = [pid for daemon in daemons for pid in (wait_observer(daemon), key_process(daemon))]
    # Each is root until it has become somebody else.
    assert proc.eventually(lambda: len({proc.status(pid)["Uid"].split()[0] for pid in pids} - {"0"}) == 4)


def test_it_holds_nothing_that_it_does_not_need(observed):
    daemon = observed(listen=("tcp://127.0.0.1:0", "tcp://127.0.0.1:0"))
    assert get(daemon.observed, "/readyz").status == 200
    pid = wait_observer(daemon)
    sockets = proc.eventually(lambda: (seen := {name for name in proc.descriptors(pid).values() if name.startswith("socket:")})
                              and len(seen) == 1 and seen)
    assert sockets, "its listener, and no client that has gone"
    held = proc.descriptors(pid)
    log = held[2]
    assert len({name for name in held.values() if name.startswith("pipe:")} - {log}) == 2, held
    assert not any(sockets & set(proc.descriptors(worker).values()) for worker in daemon.workers())
