"""per-source=, rate= and max= for datagrams: requests of a source, and of all, over all workers."""
import os
import signal
import time

import pytest

import proc
from configured import configured  # noqa: F401
from control import controlled, ctl, status  # noqa: F401
from datagram_clients import Client
from test_proxy_datagrams import header

LOCAL = "udp://127.0.0.1:0"
MODELS = ("async", "serial", "thread", "fork")
SERVICES = [(name, model) for name in ("holding_datagram", "holding_datagram_coroutine") for model in MODELS]
GREEDY, POLITE = "127.0.0.2", "127.0.0.1"
AT_ONCE = "one source had as many in work as per-source= allows"
TOO_OFTEN = "one source sent more than rate= allows"
TOO_MANY = "one source sent more than replies-per-source= allows"


@pytest.fixture(params=SERVICES, ids="-".join)
def service(request, preforkd, trouble):
    """Starts a daemon whose handler keeps a request in work for as long as it is told to."""
    name, model = request.param
    return lambda keys, *arguments, where=LOCAL, workers=3: preforkd(
        "--handler", trouble(name), "--model", model, "--worker-timeout", "0", *arguments, listen=f"{where} {keys}", workers=workers)


class Held:
    """Requests that are in work until they are let go."""

    def __init__(self, directory):
        self._directory = directory
        self._number = 0

    def hold(self, client, first=b""):
        self._number += 1
        file = self._directory / f"held{self._number}"
        file.touch()
        client.send(first + f"hold {file}".encode())
        # A reply of a handler that blocks may leave with those of its batch.
        assert proc.eventually((self._directory / f"{file.name}.held").exists)
        return file


@pytest.fixture
def held(tmp_path):
    return Held(tmp_path)


def client_at(daemon, host=POLITE):
    client = Client(daemon.endpoints[0])
    if daemon.endpoints[0].startswith("udp"):
        client.socket.bind((host, 0))
    return client


def let_go(client, file):
    file.unlink()
    assert client.receive() == b"let go"


def unserved(daemon, reason):
    return daemon.wait_log(lambda line: line.get("reason") == reason)


# --- per-source -------------------------------------------------------------------------------------------------------

def test_a_source_has_no_more_requests_in_work_than_per_source_allows(service, held):
    daemon = service("per-source=1")
    with client_at(daemon, GREEDY) as greedy, client_at(daemon, GREEDY) as same, client_at(daemon) as polite:
        file = held.hold(greedy)
        same.send(b"too many")
        assert unserved(daemon, AT_ONCE)["total"] == 1
        assert polite.ask(b"another") == b"another"
        let_go(greedy, file)
        assert served_again(same)


def served_again(client):
    """A place is free when its worker has seen that its request is done."""
    return proc.eventually(lambda: client.send(b"again") or proc.eventually(lambda: not client.hears_nothing(), 0.2))


def test_a_killed_worker_gives_back_what_its_source_had(service, held):
    daemon = service("per-source=1 max=1", workers=2)
    daemon.expect("killed by SIGKILL", "exit early")
    with client_at(daemon, GREEDY) as greedy, client_at(daemon, GREEDY) as same:
        held.hold(greedy)
        os.kill(daemon.wait_log("got datagram from")["pid"], signal.SIGKILL)
        assert served_again(same)


# --- max --------------------------------------------------------------------------------------------------------------

def test_more_than_max_wait_in_the_queue_until_one_is_done(service, held):
    daemon = service("max=2", "--listen", LOCAL, workers=4)
    with client_at(daemon) as first, client_at(daemon) as second, client_at(daemon) as third, \
            Client(daemon.endpoints[1]) as beside:
        files = held.hold(first), held.hold(second)
        third.send(b"waits")
        for _ in range(5):
            assert beside.ask(b"beside") == b"beside", "another listener is not kept waiting"
        assert third.hears_nothing()
        let_go(first, files[0])
        assert third.receive() == b"waits"
        let_go(second, files[1])
        for _ in range(20):
            assert third.ask(b"x") == b"x"
    assert not daemon.log.find("were not served")


def test_max_is_for_unix_senders_too(service, held, tmp_path):
    daemon = service("max=1", where=f"unixgram://{tmp_path}/s", workers=2)
    with client_at(daemon) as first, client_at(daemon) as second:
        file = held.hold(first)
        second.send(b"waits")
        assert second.hears_nothing()
        let_go(first, file)
        assert second.receive() == b"waits"


# --- rate, replies-per-source -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("keys, reason, reserve", [("rate=3/s", TOO_OFTEN, 3), ("replies-per-source=3/s", TOO_MANY, 6)])
@pytest.mark.parametrize("model", MODELS)
def test_a_source_is_served_as_often_as_its_rate_allows(preforkd, model, keys, reason, reserve):
    daemon = preforkd("--handler", "echo", "--model", model, listen=f"{LOCAL} {keys}", workers=3)
    began = time.monotonic()
    with client_at(daemon, GREEDY) as greedy, client_at(daemon) as polite:
        for _ in range(60):
            greedy.send(b"x")
        assert polite.ask(b"y") == b"y"
        unserved(daemon, reason)
        daemon.stop()
        seconds = time.monotonic() - began
        answered = 0
        while not greedy.hears_nothing():  # which takes one
            answered += 1
    assert reserve <= answered <= reserve + 3 * seconds
    assert answered + sum(per_worker(daemon, reason).values()) == 60


def per_worker(daemon, reason):
    """The last number that each worker has told."""
    return {line["pid"]: line["total"] for line in daemon.log.find("were not served") if line["reason"] == reason}


def test_replies_are_counted_over_all_workers(preforkd, trouble, held):
    daemon = preforkd("--handler", trouble("holding_datagram"), "--model", "serial", "--worker-timeout", "0", workers=3,
                      listen=f"{LOCAL} replies-per-source=1/s")
    began = time.monotonic()
    with client_at(daemon, GREEDY) as client, client_at(daemon, GREEDY) as same:
        files = held.hold(client), held.hold(client)  # two workers, and the reserve of two seconds
        for _ in range(5):
            same.send(b"x")
        unserved(daemon, TOO_MANY)
        seconds = time.monotonic() - began
        answered = 0
        while not same.hears_nothing():
            answered += 1
        assert answered <= seconds, "the third worker knows of what the others have answered"
        for file in files:
            let_go(client, file)


def test_the_source_is_whom_a_balancer_announces(preforkd, trouble, held, tmp_path):
    for where, proxy in ((LOCAL, "proxy=127.0.0.1"), (f"unixgram://{tmp_path}/s", "proxy=unix")):
        daemon = preforkd("--handler", trouble("holding_datagram_coroutine"), workers=2,
                          listen=f"{where} {proxy} per-source=1 source-prefix=24:56")
        with client_at(daemon) as client:
            file = held.hold(client, header(("192.0.2.1", 1)))
            client.send(header(("192.0.2.2", 1)) + b"same network")
            assert unserved(daemon, AT_ONCE)["total"] == 1
            assert client.ask(header(("192.0.3.1", 1)) + b"another") == b"another"
            let_go(client, file)


# --- what is told, a reload -------------------------------------------------------------------------------------------

def test_status_and_sources_tell_of_datagrams_that_were_refused(controlled, ctl):
    daemon = controlled("--handler", "echo", listen=f"{LOCAL} deny=127.0.0.3 rate=1/s", workers=1)
    with client_at(daemon, GREEDY) as greedy, client_at(daemon, "127.0.0.3") as denied, client_at(daemon) as polite:
        assert greedy.ask(b"x") == b"x"
        denied.send(b"x")
        for _ in range(20):
            greedy.send(b"x")
        assert polite.ask(b"y") == b"y", "all before it have been looked at"
        refused = status(daemon.control)["listeners"][0]["refused"]
        assert refused["denied"] == 1 and refused["per_source"] == 0 and 10 < refused["rate"] <= 20
    told = [line.split() for line in ctl("sources").stdout.splitlines()]
    assert told[1] == [daemon.endpoint, GREEDY, "0", str(refused["rate"])]


def test_a_reload_keeps_what_a_source_has_in_work(configured, trouble, held):
    lines = [f"handler = {trouble('holding_datagram')}", "model = thread", "workers = 1"]
    service = configured(*lines, f"listen = {LOCAL} per-source=1")
    daemon = service.daemon
    with client_at(daemon, GREEDY) as greedy, client_at(daemon, GREEDY) as same:
        file = held.hold(greedy)
        assert service.reload(*lines, f"listen = {LOCAL} per-source=1 max=7")["message"].startswith("reloaded")
        same.send(b"too many")
        assert unserved(daemon, AT_ONCE)["total"] == 1
        let_go(greedy, file)
        assert served_again(same)


# --- what is written wrong --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("listen, words", [
    ("unixgram:///run/x per-source=1", "per-source= and rate= do not fit unixgram"),
    ("unixgram:///run/x rate=1/s", "unless proxy=unix has them announced; max= does"),
    ("udp://:0 deny=127.0.0.1 refuse-with=no", "refuse-with= does not fit udp"),
    ("udp://:0 rate=1/s replies-per-source=1/s", "limit the same datagrams; keep one"),
    ("udp://:0 source-prefix=24:56", "source-prefix= needs per-source= or rate=, or over udp replies-per-source="),
])
def test_what_does_not_fit_is_refused_with_the_remedy(run_preforkd, tmp_path, listen, words):
    told = run_preforkd("--check-config", "-l", listen)
    assert told.returncode == 64 and words in told.stderr, told.stderr
    (tmp_path / "conf").write_text(f"listen = {listen}\n")
    told = run_preforkd("--check-config", "--config", str(tmp_path / "conf"))
    assert told.returncode == 78 and words in told.stderr, told.stderr
