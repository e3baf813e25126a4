"""From the last release's binary to this one, and back, under a load: what the two hand to each other is understood.

`./dev test release` builds that binary, and names it in PREFORKD_RELEASE."""
import os
import signal

import pytest

import daemon_process
import proc
from clients import Load, connect, exchange, read_exactly, read_to_end
from control import endpoint_in, status
from daemon_process import CUT
from limited_clients import hold, hold_once_there_is_place
from test_tls_reload import HERE
from tls_service import TlsLoad
from test_upgrade import Installed
from tls_clients import TlsClient, read_to_end_tls, trusting

RELEASE = os.environ.get("PREFORKD_RELEASE")
THIS = daemon_process.PREFORKD
PLAIN = "tcp://127.0.0.1:0"
LIMITED = "per-source=500 rate=100000/s"
REQUEST = b"x" * 30_000

pytestmark = pytest.mark.skipif(not RELEASE, reason="the last release is not built: ./dev test release")


def upgrade_to(service, source):
    service.install(source)
    line = service.upgrade()
    assert line["message"].startswith("upgraded"), line
    return line["version"]


@pytest.fixture
def released(preforkd, tmp_path):
    """A daemon of the last release, from a file that a test replaces."""
    def start(*arguments, **how):
        return Installed(preforkd, tmp_path, *arguments, source=RELEASE, **how)
    return start


@pytest.mark.parametrize("arguments", [["--model", model, "--handler", "echo"] for model in ("async", "serial", "thread", "fork")]
                         + [["--", "/bin/cat"]], ids=["async", "serial", "thread", "fork", "program"])
def test_no_client_is_lost_there_and_back(released, pair, arguments):
    service = released("--log-connections", "no", *arguments, listen=[f"{HERE} {pair} {LIMITED}", f"{PLAIN} {LIMITED}"])
    tls, plain = service.daemon.endpoints
    with TlsLoad(tls, REQUEST) as clients, Load(plain, clients=2, request=REQUEST, expected=REQUEST) as plain_clients:
        for source in (THIS, RELEASE, THIS):
            clients.wait_for_answers(10)
            plain_clients.wait_for_answers(10)
            upgrade_to(service, source)
        clients.wait_for_answers(10)
        plain_clients.wait_for_answers(10)
    assert not clients.broken and set(plain_clients.outcomes) == {"whole"}, plain_clients.broken


def test_connections_are_served_to_their_end_by_whoever_took_them(released, pair):
    service = released("--handler", "echo", listen=[f"{HERE} {pair}", PLAIN])
    tls, plain = service.daemon.endpoints
    with TlsClient(tls) as over_tls, connect(plain) as in_plain:
        over_tls.sendall(b"before")
        assert over_tls.recv() == b"before"
        in_plain.sendall(b"before")
        assert read_exactly(in_plain, 6) == b"before"
        for source in (THIS, RELEASE):
            upgrade_to(service, source)
        over_tls.sendall(b"after")
        over_tls.end()
        assert read_to_end_tls(over_tls) == b"after"
        in_plain.sendall(b"after")
        in_plain.shutdown(1)
        assert read_to_end(in_plain) == b"after"
    service.daemon.wait_workers(2)


def test_sessions_are_resumed_on_either_side(released, pair):
    service = released(listen=f"{HERE} {pair}")
    context, session = trusting(), None
    for source in (THIS, RELEASE, THIS):
        with TlsClient(service.daemon.endpoint, context, session=session) as client:
            assert read_to_end_tls(client) == b"connected\n"
            assert client.tls.session_reused == (session is not None)
            session = client.tls.session
        upgrade_to(service, source)
    with TlsClient(service.daemon.endpoint, context, session=session) as client:
        assert client.tls.session_reused


def test_counts_and_who_has_been_there_go_along(released, tmp_path):
    control = endpoint_in(tmp_path)
    service = released("--control", control, "--handler", "echo", listen=f"{PLAIN} per-source=1")
    service.daemon.expect("refused")
    with connect(service.daemon.endpoint) as only:
        only.sendall(b"x")
        assert read_exactly(only, 1) == b"x"
        for number, source in enumerate((THIS, RELEASE, THIS), start=1):
            upgrade_to(service, source)
            assert not hold(service.daemon.endpoint), "the place is taken still"
            assert proc.eventually(lambda: status(control)["connections_ever"] >= 1)
    hold_once_there_is_place(service.daemon.endpoint).close()


def test_a_worker_that_dies_between_the_two_is_replaced(released):
    service = released("--handler", "echo")
    daemon = service.daemon
    daemon.expect("killed by SIGKILL", "exit early")
    for source in (THIS, RELEASE):
        upgrade_to(service, source)
        victim = daemon.wait_workers(2)[0]
        os.kill(victim, signal.SIGKILL)
        assert proc.eventually(lambda: victim not in daemon.workers() and len(daemon.workers()) == 2)
        assert exchange(daemon.endpoint, b"z") == b"z"


def test_a_session_that_outlives_a_reload_outlives_upgrades_there_and_back_and_a_stop_ends_it(released, tmp_path):
    control = endpoint_in(tmp_path)
    service = released("--control", control, "--stop-timeout", "300ms", "--", "/bin/cat", workers=1)
    service.daemon.expect(CUT)
    session = connect(service.daemon.endpoint)
    session.sendall(b"x")
    assert read_exactly(session, 1) == b"x"
    [kept] = service.daemon.workers()
    after = service.daemon.log.mark()
    service.daemon.signal(signal.SIGHUP)
    service.daemon.wait_log("reloaded", after=after)
    for source in (THIS, RELEASE, THIS):
        upgrade_to(service, source)
        assert proc.eventually(lambda: min(each["age_ms"] for each in status(control)["workers"]) > 5000, 15)
        session.sendall(b"still there")
        assert read_exactly(session, 11) == b"still there" and kept in service.daemon.workers()
    assert service.daemon.stop(signal.SIGTERM, timeout=5) == 0
    assert read_to_end(session) == b""
