"""allow= and deny=: who may be a client of a listener."""
import contextlib
import os
import signal
import socket

import pytest

import proc
from activation import Passing, listening
from clients import address_of, connect, exchange, read_to_end
from configured import configured  # noqa: F401
from datagram_clients import ask
from proxy_sender import LINE

MODELS = ["async", "serial", "thread", "fork"]


def comes_in(endpoint, source=None, first=b""):
    """What a client hears; None: it was reset."""
    family, address = address_of(endpoint)
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(10)
        if source:
            client.bind((source, 0))
        try:
            client.connect(address)
            client.sendall(first)
            return read_to_end(client)
        except (ConnectionResetError, BrokenPipeError):
            return None


@pytest.mark.parametrize("model", MODELS)
def test_the_longest_prefix_decides(preforkd, model):
    daemon = preforkd("--model", model, listen="tcp://127.0.0.1:0 allow=127.0.0.0/8,127.0.2.1 deny=127.0.2.0/24")
    assert comes_in(daemon.endpoint, "127.0.0.1") == b"connected\n"
    assert comes_in(daemon.endpoint, "127.0.2.1") == b"connected\n"
    assert comes_in(daemon.endpoint, "127.0.2.2") is None, "by a reset: nobody takes that for an empty answer"
    line = daemon.wait_log("refused 127.0.2.2:")
    assert line["total"] == 1 and "allow= and deny=" in line["cause"]
    assert len(daemon.log.find("got connection from")) == 2
    assert exchange(daemon.endpoint) == b"connected\n"


def test_with_deny_alone_all_others_are_admitted(preforkd):
    daemon = preforkd(listen="tcp://127.0.0.1:0 deny=127.0.0.2")
    assert comes_in(daemon.endpoint, "127.0.0.3") == b"connected\n"
    assert comes_in(daemon.endpoint, "127.0.0.2") is None


@pytest.mark.ipv6
def test_a_mapped_client_is_one_of_ipv4(preforkd):
    daemon = preforkd(listen="tcp://:0 allow=127.0.0.1,::1")
    port = address_of(daemon.endpoint)[1][1]
    assert comes_in(f"tcp://127.0.0.1:{port}", "127.0.0.1") == b"connected\n"
    assert comes_in(f"tcp://127.0.0.1:{port}", "127.0.0.2") is None
    assert comes_in(f"tcp://[::1]:{port}") == b"connected\n"


def test_a_flood_of_those_who_are_refused_is_a_line_a_second_and_costs_nobody_a_place(preforkd):
    daemon = preforkd("--model", "serial", listen="tcp://127.0.0.1:0 allow=127.0.0.1", workers=1)
    for _ in range(100):
        assert comes_in(daemon.endpoint, "127.0.0.2") is None
    assert comes_in(daemon.endpoint, "127.0.0.1") == b"connected\n"
    daemon.wait_log(lambda line: "refused" in line["message"] and line["total"] == 100)
    assert len(daemon.log.find("refused 127.0.0.2:")) < 50


def test_one_who_is_refused_is_none_of_max_requests(preforkd):
    daemon = preforkd("--max-requests", "5", listen="tcp://127.0.0.1:0 deny=127.0.0.2", workers=2)
    before = set(daemon.workers())
    for _ in range(40):
        assert comes_in(daemon.endpoint, "127.0.0.2") is None
    assert comes_in(daemon.endpoint, "127.0.0.1") == b"connected\n"
    assert set(daemon.workers()) == before


@pytest.mark.parametrize("family, keys, words", [
    (socket.AF_INET, "deny=0", "deny: only clients of a Unix socket"), (socket.AF_INET, "proxy=unix", "proxy=unix does not fit"),
    (socket.AF_UNIX, "deny=0.0.0.0/0", "deny: clients of a Unix socket"), (socket.AF_UNIX, "proxy=127.0.0.1", "use proxy=unix")])
def test_what_does_not_fit_a_passed_socket_is_refused_when_that_is_known(run_preforkd, tmp_path, family, keys, words):
    with listening(*([str(tmp_path / "s")] if family == socket.AF_UNIX else [])) as passed:
        told = run_preforkd("--listen", f"fd://web {keys}", **Passing(passed, names=["web"]).arguments())
    assert told.returncode == 78 and words in told.stderr, told


def test_a_program_is_not_started_for_one_who_is_refused(preforkd, tmp_path):
    daemon = preforkd("--", "/bin/sh", "-c", f"touch {tmp_path}/started", listen="tcp://127.0.0.1:0 deny=127.0.0.1")
    assert comes_in(daemon.endpoint) is None
    daemon.wait_log("refused")
    assert not (tmp_path / "started").exists()


def test_whom_a_balancer_announces_is_whom_the_rules_are_about(preforkd):
    daemon = preforkd(listen="tcp://127.0.0.1:0 proxy=127.0.0.1 allow=192.0.2.0/24 deny=192.0.2.77")
    assert comes_in(daemon.endpoint, first=LINE) == b"connected\n"
    assert comes_in(daemon.endpoint, first=LINE.replace(b"192.0.2.1 ", b"192.0.2.77 ")) is None
    assert comes_in(daemon.endpoint, first=b"PROXY UNKNOWN\r\n") is None, "the balancer itself is not named"


def test_a_balancer_at_a_unix_socket_is_known_by_its_user(preforkd, tmp_path):
    daemon = preforkd(listen=f"unix://{tmp_path}/s proxy=unix allow=192.0.2.0/24,{os.geteuid()}")
    for header in (LINE, b"PROXY UNKNOWN\r\n"):
        with connect(daemon.endpoint) as client:
            client.sendall(header)
            assert read_to_end(client) == b"connected\n"


@pytest.mark.root
@pytest.mark.parametrize("allow, admitted", [(f"allow={os.geteuid()}", True), ("allow=65534", False),
                                             (f"deny={os.geteuid()}", False), ("deny=65534", True)])
def test_a_client_of_a_unix_socket_is_known_by_its_user(preforkd, tmp_path, allow, admitted):
    daemon = preforkd(listen=f"unix://{tmp_path}/s {allow}")
    if admitted:
        assert exchange(daemon.endpoint) == b"connected\n"
    else:
        with contextlib.suppress(ConnectionResetError), connect(daemon.endpoint) as client:
            assert read_to_end(client) == b""
        daemon.wait_log("refused")


@pytest.mark.parametrize("model", MODELS)
def test_a_datagram_of_one_who_is_refused_is_not_answered(preforkd, model):
    daemon = preforkd("--handler", "echo", "--model", model, listen="udp://127.0.0.1:0 deny=127.0.0.2", workers=1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind(("127.0.0.2", 0))
        client.sendto(b"hello", address_of(daemon.endpoint.replace("udp", "tcp"))[1])
    line = daemon.wait_log("were not served: allow= and deny=")
    assert line["total"] == 1
    assert ask(daemon.endpoint, b"a client") == b"a client"


# --- files ----------------------------------------------------------------------------------------------------------------

def test_a_file_is_read_again_by_a_reload_and_one_that_is_bad_changes_nothing(configured, tmp_path):
    rules = tmp_path / "rules"
    rules.write_text("# our own\n127.0.0.1 127.0.0.2\n")
    line = f"listen = tcp://127.0.0.1:0 allow=@{rules}"
    service = configured(line)
    daemon = service.daemon
    daemon.expect("reload failed")
    assert comes_in(daemon.endpoint, "127.0.0.2") == b"connected\n" and comes_in(daemon.endpoint, "127.0.0.3") is None
    rules.write_text("127.0.0.3\n")
    before = set(daemon.workers())
    assert service.reload(line)["message"].startswith("reloaded")
    assert proc.eventually(lambda: not before & set(daemon.workers())), "those of before have left"
    assert comes_in(daemon.endpoint, "127.0.0.2") is None and comes_in(daemon.endpoint, "127.0.0.3") == b"connected\n"
    rules.write_text("127.0.0.3\n127.0.0.4/8\n")
    assert f"allow=@{rules}: line 2: 127.0.0.4/8 names a host and a network: write 127.0.0.0/8" in service.reload(line)["cause"]
    rules.unlink()
    assert f"preforkd.conf:1: listen tcp://127.0.0.1:0: allow=@{rules}: " in service.reload(line)["cause"]
    assert comes_in(daemon.endpoint, "127.0.0.2") is None and comes_in(daemon.endpoint, "127.0.0.3") == b"connected\n"


def test_a_fifo_in_the_place_of_a_file_keeps_no_reload_waiting(configured, tmp_path):
    rules = tmp_path / "rules"
    rules.write_text("127.0.0.1\n")
    line = f"listen = tcp://127.0.0.1:0 allow=@{rules}"
    service = configured(line)
    service.daemon.expect("reload failed")
    rules.unlink()
    os.mkfifo(rules)
    assert f"allow=@{rules}: " in service.reload(line)["cause"]
    assert exchange(service.daemon.endpoint) == b"connected\n"


@pytest.mark.parametrize("listen, code, words", [
    ("tcp://:0 allow=10.0.0.1/8", 64, ["allow: 10.0.0.1/8 names a host and a network: write 10.0.0.0/8, or 10.0.0.1"]),
    ("tcp://:0 deny=10.0.0.0/33", 64, ["deny: expected addresses or prefixes"]),
    ("tcp://:0 allow=1000", 64, ["allow: only clients of a Unix socket"]),
    ("unix:///run/x deny=10.0.0.0/8", 64, ["deny: clients of a Unix socket have no address"]),
    ("unixgram:///run/x deny=0", 64, ["deny= does not fit unixgram"]),
    ("tcp://127.0.0.1:0 allow=@/none", 78, ["--listen tcp://127.0.0.1:0: allow=@/none: ", "No such file", "name another"]),
])
def test_what_does_not_fit_is_refused(run_preforkd, listen, code, words):
    for more in ([], ["--check-config"]):
        told = run_preforkd("-l", listen, *more)
        assert told.returncode == code and all(word in told.stderr for word in words), told.stderr


@pytest.mark.others
@pytest.mark.root
@pytest.mark.programs("setpriv")
def test_a_file_that_may_not_be_read_is_answered_with_who_has_to(run_preforkd, tmp_path):
    rules = tmp_path / "rules"
    rules.write_text("127.0.0.1\n")
    rules.chmod(0o000)
    told = run_preforkd("--check-config", "-l", f"tcp://127.0.0.1:0 allow=@{rules}", wrap=["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"])
    assert told.returncode == 78 and "let the user who starts the daemon read it" in told.stderr, told.stderr


def test_an_upgrade_keeps_the_rules(preforkd, tmp_path):
    rules = tmp_path / "rules"
    rules.write_text("127.0.0.1\n")
    daemon = preforkd(listen=f"tcp://127.0.0.1:0 allow=@{rules}")
    daemon.signal(signal.SIGUSR2)
    daemon.wait_log("upgraded: version")
    assert comes_in(daemon.endpoint, "127.0.0.2") is None and comes_in(daemon.endpoint, "127.0.0.1") == b"connected\n"
