"""--handler forward: clients reach another service through this one, in every model, over every kind of socket."""
import contextlib
import fcntl
import os
import signal
import socket
import struct
import threading
import time

import pytest

import proc
from clients import connect, exchange, port_of, read_exactly, read_to_end, silent
from control import status
from tls_clients import CUT_OFF, TlsClient, exchange_tls, read_to_end_tls, trusting

MODELS = ("async", "serial", "thread", "fork")
MUCH = os.urandom(1 << 20) * 4
FIRST_LINE = bytes(range(32, 32 + 72)) + b"\r\n"  # of RFC 864
RESTS = "cannot forward to"


class Service:
    """A target in the test's own hands; each connection is the test's."""

    def __init__(self, path=None, backlog=16):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=backlog) if path is None else socket.socket(socket.AF_UNIX)
        if path is not None:
            self.socket.bind(str(path))
            self.socket.listen(backlog)
        self.socket.settimeout(10)
        self.endpoint = f"unix://{path}" if path else "tcp://127.0.0.1:%d" % self.socket.getsockname()[1]

    def accept(self):
        connection, _ = self.socket.accept()
        connection.settimeout(10)
        return connection

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


@pytest.fixture
def forward(preforkd):
    def start(to, *arguments, keys="", where="tcp://127.0.0.1:0", **how):
        return preforkd("--handler", "forward", "--to", to, *arguments, listen=f"{where} {keys}".strip(), **how)
    return start


def swap(client, data):
    """Sends `data` and the end while it reads whatever comes back, to its end."""
    sender = threading.Thread(target=lambda: (client.sendall(data), client.shutdown(socket.SHUT_WR)))
    sender.start()
    try:
        return read_to_end(client)
    finally:
        sender.join()


def cut_off(client):
    """By a reset where something was left unread."""
    try:
        return read_to_end(client) == b""
    except ConnectionResetError:
        return True


# --- bytes ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("model", MODELS)
def test_what_goes_in_comes_back_from_the_target_however_much(preforkd, forward, model, tmp_path):
    """Over TCP and Unix sockets on both sides."""
    echo = preforkd("--handler", "echo", listen=["tcp://127.0.0.1:0", f"unix://{tmp_path}/echo"])
    for target in echo.endpoints:
        daemon = forward(target, "--model", model, where="tcp://127.0.0.1:0", workers=1)
        assert exchange(daemon.endpoint, b"hello") == b"hello"
        with connect(daemon.endpoint) as client:
            assert swap(client, MUCH) == MUCH
    for number, target in enumerate(echo.endpoints):
        daemon = forward(target, "--model", model, where=f"unix://{tmp_path}/in{number}", workers=1)
        with connect(daemon.endpoint) as client:
            assert swap(client, MUCH) == MUCH


def wide_pipes(pid):
    """How many pipes of 256 KiB the process has."""
    pipes = {link: number for number, link in proc.descriptors(pid).items() if link.startswith("pipe:")}
    return sum(pipe_size(pid, number) == 256 << 10 for number in pipes.values())


def pipe_size(pid, number):
    """0: it has been closed meanwhile."""
    try:
        fd = os.open(f"/proc/{pid}/fd/{number}", os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return 0
    try:
        return fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)
    finally:
        os.close(fd)


def test_a_worker_has_wide_pipes_for_streams_and_gets_them_back(preforkd, forward):
    """Also from clients that break in the middle; none of another's bytes is in them then."""
    source = preforkd("--handler", "chargen", workers=1)
    daemon = forward(source.endpoint, workers=1)
    [worker] = daemon.workers()
    assert wide_pipes(worker) == 4
    for _ in range(6):
        with connect(daemon.endpoint) as client:
            told = read_exactly(client, 4 << 20)
            assert told.startswith(FIRST_LINE) and told.count(b"\r\n") == len(told) // 74
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert proc.eventually(lambda: wide_pipes(worker) == 4)
    assert wide_pipes(*source.workers()) == 0, "no other handler has any"


def test_bytes_are_counted_also_those_that_nobody_copies(preforkd, controlled):
    echo = preforkd("--handler", "echo")
    daemon = controlled("--handler", "forward", "--to", echo.endpoint, workers=1)
    with connect(daemon.endpoint) as client:
        assert swap(client, MUCH) == MUCH
    counted = lambda: (status(daemon.control)["received_bytes"], status(daemon.control)["sent_bytes"])  # noqa: E731
    assert proc.eventually(lambda: counted() == (len(MUCH), len(MUCH))), counted()


@pytest.mark.parametrize("client_is_first", [True, False])
@pytest.mark.parametrize("model", MODELS)
def test_each_side_may_end_its_output_and_go_on_reading(forward, model, client_is_first):
    with Service() as service:
        daemon = forward(service.endpoint, "--model", model)
        with connect(daemon.endpoint) as client, service.accept() as target:
            first, second = (client, target) if client_is_first else (target, client)
            first.sendall(b"question")
            first.shutdown(socket.SHUT_WR)
            assert read_to_end(second) == b"question"
            second.sendall(b"answer")
            assert read_exactly(first, 6) == b"answer"
            second.close()
            assert first.recv(1) == b""


def test_a_client_that_has_gone_is_no_longer_kept_at_the_target(forward):
    with Service() as service:
        daemon = forward(service.endpoint)
        with connect(daemon.endpoint) as client, service.accept() as target:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()  # by a reset
            assert cut_off(target)


def test_a_target_that_breaks_ends_its_client(forward, pair):
    with Service() as service:
        daemon = forward(service.endpoint, where="tls://127.0.0.1:0", keys=str(pair))
        with TlsClient(daemon.endpoint) as client, service.accept() as target:
            target.sendall(b"half an ans")
            assert client.recv() == b"half an ans"
            target.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            target.close()
            with pytest.raises(CUT_OFF):
                client.recv()


def test_who_reads_slowly_holds_up_nobody_else(preforkd, forward):
    source = preforkd("--handler", "chargen", workers=1)
    daemon = forward(source.endpoint, workers=1)
    with connect(daemon.endpoint) as slow:
        read_exactly(slow, 1000)
        with connect(daemon.endpoint) as quick:
            assert len(read_exactly(quick, 8 << 20)) == 8 << 20


# --- time -------------------------------------------------------------------------------------------------------------

def test_a_connection_is_idle_only_when_neither_side_says_anything(forward):
    with Service() as service:
        daemon = forward(service.endpoint, "--idle-timeout", "1s")
        with connect(daemon.endpoint) as client, service.accept() as target:
            began = time.monotonic()
            for _ in range(8):  # the client is silent all the while
                target.sendall(b"x")
                read_exactly(client, 1)
                threading.Event().wait(0.25)
            assert time.monotonic() - began > 1.8
            assert target.recv(1) == b"" and cut_off(client), "now both are"


def test_a_fast_stop_ends_both_sides(forward):
    with Service() as service:
        daemon = forward(service.endpoint, workers=1)
        with connect(daemon.endpoint) as client, service.accept() as target:
            assert daemon.stop(signal.SIGINT) == 0
            assert cut_off(client) and cut_off(target)
        assert daemon.cut() == [1]


def test_a_request_that_takes_too_long_is_cut_off_though_its_client_only_listens(forward):
    with Service() as service:
        daemon = forward(service.endpoint, "--request-timeout", "500ms")
        with connect(daemon.endpoint) as client, service.accept() as target:
            client.shutdown(socket.SHUT_WR)
            assert read_to_end(target) == b"", "what the client has ended"
            assert cut_off(client)
            target.settimeout(5)
            with contextlib.suppress(ConnectionError):  # once it is noticed
                while True:
                    target.sendall(b"x")
                    threading.Event().wait(0.01)


def test_a_target_that_does_not_answer_is_given_up(forward, tmp_path):
    """A Unix socket whose queue is full: its connect(2) says EAGAIN."""
    with Service(tmp_path / "full", backlog=0) as service:
        with connect(service.endpoint):
            daemon = forward(service.endpoint, keys="connect-timeout=200ms")
            daemon.expect(RESTS)
            assert exchange(daemon.endpoint) == b""
            assert "has not answered within 200ms" in daemon.wait_log(RESTS)["cause"]
            with connect(daemon.endpoint) as client:
                service.accept().close()
                with service.accept() as target:
                    target.sendall(b"at last")
                    assert read_exactly(client, 7) == b"at last"


@pytest.mark.parametrize("model", MODELS)
def test_a_machine_that_says_nothing_is_given_up_and_the_next_target_taken(preforkd, forward, model):
    here = preforkd("--handler", "greet", "--greeting", "here", workers=1)
    with silent() as nobody:
        daemon = forward(f"{nobody},{here.endpoint}", "--model", model, keys="connect-timeout=200ms", workers=1)
        daemon.expect(RESTS)
        assert [exchange(daemon.endpoint) for _ in range(4)] == [b"here\n"] * 4
        told = daemon.wait_log(RESTS)
        assert told["target"] == nobody and "has not answered within 200ms" in told["cause"]


# --- targets ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("model", ["async", "thread", "fork"])
def test_targets_take_turns_and_one_that_is_down_rests(preforkd, forward, model, tmp_path):
    here = [preforkd("--handler", "greet", "--greeting", name, workers=1) for name in ("one", "two")]
    gone = f"unix://{tmp_path}/gone"
    daemon = forward(",".join([here[0].endpoint, gone, here[1].endpoint]), "--model", model, workers=1)
    daemon.expect(RESTS)
    answers = [exchange(daemon.endpoint) for _ in range(12)]
    assert set(answers) == {b"one\n", b"two\n"}, "nobody has met the one that is down"
    assert min(answers.count(answer) for answer in set(answers)) >= 3
    line = daemon.wait_log(RESTS)
    assert (line["target"], line["cause"]) == (gone, "No such file or directory; is that service running?")
    assert len(daemon.log.find(RESTS)) == 1, "it rests"
    here[0].stop()
    assert [exchange(daemon.endpoint) for _ in range(3)] == [b"two\n"] * 3


def test_one_that_rests_is_better_than_none(forward, tmp_path):
    path = tmp_path / "late"
    daemon = forward(f"unix://{path}", workers=1)
    daemon.expect(RESTS)
    assert exchange(daemon.endpoint) == b""
    with Service(path) as service, connect(daemon.endpoint) as client, service.accept() as target:
        target.sendall(b"here")
        assert read_exactly(client, 4) == b"here"
        daemon.wait_log("takes connections again")


def test_each_listener_may_have_targets_of_its_own(preforkd):
    here = [preforkd("--handler", "greet", "--greeting", name, workers=1) for name in ("one", "two")]
    daemon = preforkd("--handler", "forward", "--to", here[0].endpoint,
                      listen=["tcp://127.0.0.1:0", f"tcp://127.0.0.1:0 to={here[1].endpoint}", "tcp://127.0.0.1:0 handler=echo"])
    assert [exchange(endpoint, b"x") for endpoint in daemon.endpoints] == [b"one\n", b"two\n", b"x"]


@pytest.mark.localhost
def test_a_name_with_several_addresses_is_reached_at_the_one_that_answers(preforkd, forward):
    target = preforkd("--handler", "greet", listen="tcp://127.0.0.1:0")
    for host in ("localhost", ""):
        daemon = forward(f"tcp://{host}:{port_of(target.endpoint)}")
        assert exchange(daemon.endpoint) == b"connected\n"


def test_a_reload_changes_the_targets(preforkd, configured):
    here = [preforkd("--handler", "greet", "--greeting", name, workers=1) for name in ("one", "two")]
    daemon = configured("listen = tcp://127.0.0.1:0", "handler = forward", f"to = {here[0].endpoint}")
    assert exchange(daemon.daemon.endpoint) == b"one\n"
    daemon.reload("listen = tcp://127.0.0.1:0", "handler = forward", f"to = {here[1].endpoint}")
    assert exchange(daemon.daemon.endpoint) == b"two\n"


# --- who the client is, and TLS -----------------------------------------------------------------------------------------

def line_from(client):
    line = b""
    while not line.endswith(b"\n"):
        line += read_exactly(client, 1)
    return line.decode()


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_target_is_told_whose_connection_it_gets(preforkd, forward, trouble, version):
    target = preforkd("--handler", trouble("announced_coroutine"), listen="tcp://127.0.0.1:0 proxy=127.0.0.0/8")
    daemon = forward(target.endpoint, keys=f"send-proxy={version}")
    with connect(daemon.endpoint) as client:
        assert line_from(client).startswith("tcp://%s:%d %s " % (*client.getsockname(), daemon.endpoint))


@pytest.mark.localhost
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_so_is_a_target_that_speaks_tls(preforkd, forward, trouble, authority, pair, version):
    """Before the handshake, as it has to know whom it speaks to."""
    target = preforkd("--handler", trouble("announced_coroutine"), listen=f"tls://127.0.0.1:0 {pair} proxy=127.0.0.0/8")
    daemon = forward(target.endpoint.replace("127.0.0.1", "localhost"), keys=f"send-proxy={version} to-ca={authority.certificate}")
    with connect(daemon.endpoint) as client:
        assert line_from(client).startswith("tcp://%s:%d %s " % (*client.getsockname(), daemon.endpoint))


def test_a_client_without_an_address_is_not_announced(forward, tmp_path):
    with Service() as service:
        daemon = forward(service.endpoint, where=f"unix://{tmp_path}/s", keys="send-proxy=v1")
        with connect(daemon.endpoint) as client, service.accept() as target:
            client.sendall(b"x")
            assert read_exactly(target, 16) == b"PROXY UNKNOWN\r\nx"


def test_tls_is_spoken_on_either_side(preforkd, forward, authority, pair):
    """Ended here and spoken anew there, with a target that is believed by its name."""
    echo = preforkd("--handler", "echo", listen=f"tls://127.0.0.1:0 {pair}")
    secret = echo.endpoint.replace("127.0.0.1", "localhost")
    keys = f"to-ca={authority.certificate}"
    plain = forward(secret, keys=keys)
    assert exchange(plain.endpoint, b"hello") == b"hello"
    with connect(plain.endpoint) as client:
        assert swap(client, MUCH) == MUCH
    both = forward(secret, where="tls://127.0.0.1:0", keys=f"{pair} {keys}")
    assert exchange_tls(both.endpoint, b"hello", trusting(authority)) == b"hello"
    with TlsClient(both.endpoint, trusting(authority)) as client:
        assert client.swap(MUCH) == MUCH
        assert client.ends()


def test_a_target_that_is_not_believed_gets_nobody(preforkd, forward, authority, pair):
    echo = preforkd("--handler", "echo", listen=f"tls://127.0.0.1:0 {pair}")
    for target, keys, cause in ((echo.endpoint.replace("127.0.0.1", "localhost"), "", "to-ca="),
                                (echo.endpoint, f"to-ca={authority.certificate} to-name=wrong.example", "to-name=")):
        daemon = forward(target, keys=keys)
        daemon.expect(RESTS)
        assert exchange(daemon.endpoint, b"secret") == b""
        assert "its certificate is not believed" in (said := daemon.wait_log(RESTS)["cause"]) and cause in said


def test_a_client_of_tls_hears_no_proper_end_where_nobody_answers(forward, pair, tmp_path):
    daemon = forward(f"unix://{tmp_path}/gone", where="tls://127.0.0.1:0", keys=str(pair))
    daemon.expect(RESTS)
    with TlsClient(daemon.endpoint) as client, pytest.raises(CUT_OFF):
        assert read_to_end_tls(client) == "not reached"


# --- mistakes ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("arguments, words", [
    (["--handler", "forward"], ["--handler", "--to"]),
    (["-l", "tcp://127.0.0.1:0 handler=forward"], ["to=tcp://HOST:PORT"]),
    (["--to", "tcp://127.0.0.1:1"], ["--to", "--handler forward"]),
    (["-l", "tcp://127.0.0.1:0 to=tcp://127.0.0.1:1"], ["handler=forward"]),
    (["--handler", "forward", "--to", "udp://127.0.0.1:1"], ["--to", "udp://127.0.0.1:1", "tcp://10.0.0.1:80"]),
    (["--handler", "forward", "--to", "tcp://127.0.0.1:0"], ["tcp://127.0.0.1:0"]),
    (["--handler", "forward", "--to", "unix:///a,,unix:///b"], ["--to"]),
    (["--handler", "forward", "--to", "tls+unix:///run/x"], ["to-name="]),
    (["-l", "tcp://127.0.0.1:0 to-ca=/x", "--handler", "forward", "--to", "tcp://127.0.0.1:1"], ["to-ca=", "tls://"]),
    (["-l", "tcp://127.0.0.1:7", "--handler", "forward", "--to", "tcp://127.0.0.1:7"], ["itself"]),
    (["-l", "udp://127.0.0.1:0", "--handler", "forward", "--to", "tcp://127.0.0.1:1"], ["forward"]),
    (["--sandbox", "strict", "--handler", "forward", "--to", "tcp://127.0.0.1:1"], ["--sandbox", "auto"]),
], ids=lambda value: " ".join(value) if value[0].startswith("-") else "")
def test_a_mistake_is_answered_with_the_remedy(run_preforkd, arguments, words):
    told = run_preforkd("--check-config", *arguments)
    assert told.returncode in (64, 78) and len(told.stderr.splitlines()) == 1, told.stderr
    assert [word for word in words if word not in told.stderr] == []


def test_settings_are_printed_as_they_are_read(run_preforkd):
    listen = "tcp://127.0.0.1:7 handler=forward to=tcp://h:1,tls+unix:///r send-proxy=v2 connect-timeout=2s to-ca=/c to-name=n"
    told = run_preforkd("--print-config", "-l", listen)
    assert listen in told.stdout, told.stdout


def test_a_target_that_nobody_knows_is_said_at_start(run_preforkd):
    told = run_preforkd("-l", "tcp://127.0.0.1:0", "-w", "1", "--handler", "forward", "--to", f"tcp://{'x' * 64}:1")
    assert told.returncode == 69 and "name what can be looked up" in told.stderr
