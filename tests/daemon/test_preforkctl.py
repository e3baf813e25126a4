"""`preforkctl send`: the classic client."""
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from activation import endpoint_of, listening
from clients import exchange, read_to_end
from daemon_process import PREFORKCTL


def test_send_prints_the_answer(preforkd, preforkctl):
    told = preforkctl("send", preforkd().endpoint)
    assert (told.returncode, told.stdout, told.stderr) == (0, "connected\n", "")


@pytest.mark.parametrize("transport", ["tcp", "unix", "abstract"])
def test_send_says_hello_from_client_and_half_closes(preforkd, preforkctl, tmp_path, transport):
    endpoint = {"tcp": "tcp://127.0.0.1:0", "unix": f"unix://{tmp_path}/s", "abstract": f"unix://@{tmp_path}"}[transport]
    daemon = preforkd("--handler", "echo", listen=endpoint)
    told = preforkctl("send", daemon.endpoint)
    assert (told.returncode, told.stdout.strip()) == (0, "hello from client")


@pytest.mark.ipv6
def test_send_reaches_ipv6(preforkd, preforkctl):
    assert preforkctl("send", preforkd(listen="tcp://[::1]:0").endpoint).stdout == "connected\n"


def test_send_sends_what_it_is_told(preforkd, preforkctl):
    daemon = preforkd("--handler", "print")
    assert preforkctl("send", daemon.endpoint, "a text of my own").returncode == 0
    daemon.wait_log("a text of my own")


def test_what_is_sent_is_exactly_the_text(preforkctl):
    with listening() as bound:
        received = []

        def serve():
            client, _ = bound.accept()
            with client:
                client.settimeout(10)
                received.append(read_to_end(client))
                client.sendall(b"thanks")
        server = threading.Thread(target=serve)
        server.start()
        told = preforkctl("send", endpoint_of(bound))
        server.join()
    assert received[0].rstrip(b"\n") == b"hello from client"
    assert told.stdout.startswith("thanks") and told.returncode == 0


@pytest.mark.parametrize(("expected", "code"), [("connected", 0), ("disconnected", 1)])
def test_expect_makes_it_a_health_check(preforkd, preforkctl, expected, code):
    told = preforkctl("send", preforkd().endpoint, "--expect", expected)
    assert told.returncode == code
    assert code == 0 or len(told.stderr.strip().splitlines()) == 1


def test_expect_accepts_no_answer_for_no_text(preforkd, preforkctl):
    daemon = preforkd("--handler", "discard")
    assert preforkctl("send", daemon.endpoint, "--expect", "something").returncode == 1


def test_a_refused_connection_is_1_and_one_sentence(preforkctl, tmp_path):
    with listening() as bound:
        endpoint = endpoint_of(bound)
    for target in (endpoint, f"unix://{tmp_path}/none"):
        told = preforkctl("send", target)
        assert told.returncode == 1 and len(told.stderr.strip().splitlines()) == 1
        assert target.partition("//")[2] in told.stderr


def test_no_answer_in_time_is_1(preforkctl):
    with listening() as silent:
        began = time.monotonic()
        told = preforkctl("send", endpoint_of(silent), "--timeout", "300ms")
        assert told.returncode == 1 and 0.25 < time.monotonic() - began < 3
        assert len(told.stderr.strip().splitlines()) == 1


def test_a_connection_that_is_cut_is_1(preforkctl):
    with listening() as bound:
        def reset():
            client, _ = bound.accept()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
        server = threading.Thread(target=reset)
        server.start()
        told = preforkctl("send", endpoint_of(bound), "x" * 100_000)
        server.join()
    assert told.returncode == 1


def test_a_long_answer_is_printed_whole(preforkd, preforkctl):
    daemon = preforkd("--handler", "echo")
    text = "0123456789" * 12_000
    assert preforkctl("send", daemon.endpoint, text).stdout.strip() == text


@pytest.fixture
def talking():
    """Starts preforkctl with pipes, for a conversation; 10 seconds end one that hangs."""
    started = []

    def start(*arguments, **pipes):
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE) | pipes
        started.append(subprocess.Popen(["timeout", "10", PREFORKCTL, *arguments], **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_input_is_sent_while_it_lasts_and_the_answer_is_printed_as_it_comes(preforkd, talking):
    process = talking("send", preforkd("--handler", "echo").endpoint, "-")
    for line in (b"one\n", b"two\n"):
        process.stdin.write(line)
        process.stdin.flush()
        assert process.stdout.readline() == line
    assert process.communicate() == (b"", b"") and process.returncode == 0


def test_a_large_file_comes_back_whole(preforkd, talking, tmp_path):
    data = bytes(range(256)) * 20_000
    (tmp_path / "data").write_bytes(data)
    with open(tmp_path / "data", "rb") as file:
        process = talking("send", preforkd("--handler", "echo").endpoint, "-", stdin=file)
    assert process.communicate() == (data, b"") and process.returncode == 0


def test_a_reader_who_has_seen_enough_ends_it_quietly(preforkd, talking):
    process = talking("send", preforkd("--handler", "chargen").endpoint, "--timeout", "0")
    assert process.stdout.readline()
    process.stdout.close()
    assert process.wait() == -signal.SIGPIPE and process.stderr.read() == b""  # as cat does


def test_an_answer_that_cannot_be_written_is_1(preforkd, preforkctl):
    with open("/dev/full", "w") as full:
        told = subprocess.run([PREFORKCTL, "send", preforkd().endpoint], stdout=full, stderr=subprocess.PIPE, text=True,
                              timeout=20)
    assert (told.returncode, told.stderr) == (1, "preforkctl: write the answer: No space left on device\n")


def test_without_standard_descriptors_it_is_still_a_health_check(preforkd):
    endpoint = preforkd().endpoint
    for expected, code in (("connected", 0), ("disconnected", 1)):
        command = f"exec {PREFORKCTL} send {endpoint} --expect {expected} <&- >&- 2>&-"
        assert subprocess.run(["sh", "-c", command], timeout=20).returncode == code


def test_an_endless_answer_ends_with_the_timeout(preforkd, preforkctl):
    told = preforkctl("send", preforkd("--handler", "chargen").endpoint, "--timeout", "300ms")
    assert told.returncode == 1 and told.stdout and re.search(r"within --timeout 300ms, after \d+ bytes$", told.stderr)


def test_verbose_tells_addresses_times_and_bytes_beside_the_answer(preforkd, preforkctl):
    endpoint = preforkd().endpoint
    told = preforkctl("send", endpoint, "ping", "--verbose")
    where = endpoint.removeprefix("tcp://")
    assert told.stdout == "connected\n"
    assert re.sub(r"[0-9]+\.[0-9]+ ms", "T", told.stderr).splitlines() == [
        f"* trying {where}", f"* connected to {where} after T", "* first byte after T",
        "* ended after T: 4 bytes sent, 10 received"]


@pytest.fixture(params=["udp", "unixgram"])
def datagrams(request, tmp_path):
    return {"udp": "udp://127.0.0.1:0", "unixgram": f"unixgram://{tmp_path}/d"}[request.param]


def test_a_datagram_is_answered_by_one(preforkd, preforkctl, datagrams, tmp_path):
    endpoint = preforkd("--handler", "echo", listen=datagrams).endpoint
    before = sorted(tmp_path.iterdir())
    told = preforkctl("send", endpoint, "ping", "--expect", "ping")
    assert (told.returncode, told.stdout, told.stderr) == (0, "ping", "")
    assert preforkctl("send", endpoint, "ping", "--expect", "pong").returncode == 1
    assert preforkctl("send", endpoint, "-", input="from a pipe").stdout == "from a pipe"
    assert preforkctl("send", endpoint, "").returncode == 0  # an empty one, and its empty echo
    assert sorted(tmp_path.iterdir()) == before


def test_a_handler_that_never_replies_needs_no_reply(preforkd, preforkctl, datagrams):
    daemon = preforkd("--handler", "print", listen=datagrams)
    silent = preforkctl("send", daemon.endpoint, "first", "--timeout", "200ms")
    assert silent.returncode == 1 and "--no-reply" in silent.stderr and len(silent.stderr.splitlines()) == 1
    told = preforkctl("send", daemon.endpoint, "second", "--no-reply")
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")
    daemon.wait_log("second")


def test_a_datagram_over_the_limit_is_a_sentence(preforkctl):
    with listening(kind=socket.SOCK_DGRAM) as bound:
        endpoint = endpoint_of(bound).replace("tcp:", "udp:")
        for told in (preforkctl("send", endpoint, "x" * 65_508), preforkctl("send", endpoint, "-", input="x" * 70_000)):
            assert told.returncode == 64 and len(told.stderr.splitlines()) == 1
            assert "TEXT" in told.stderr and "at most 655" in told.stderr


def test_a_datagram_that_nobody_takes_is_1(preforkctl, tmp_path):
    with listening(kind=socket.SOCK_DGRAM) as bound:
        endpoint = endpoint_of(bound).replace("tcp:", "udp:")
    for target in (endpoint, f"unixgram://{tmp_path}/none"):
        told = preforkctl("send", target)
        assert told.returncode == 1 and len(told.stderr.splitlines()) == 1 and target in told.stderr


@pytest.mark.parametrize(("arguments", "usage"), [
    (("--help",), "COMMAND"), (("-h",), "COMMAND"), (("help",), "COMMAND"), (("send", "--help"), "send"),
    (("send", ":1", "-h"), "send"), (("help", "status"), "status"), (("--timeout", "3s", "status", "-h"), "status")])
def test_help_is_there_wherever_it_is_asked_for(preforkctl, arguments, usage):
    told = preforkctl(*arguments)
    assert told.returncode == 0 and told.stdout.startswith(f"Usage: preforkctl {usage} ") and not told.stderr
    assert ("--expect" in told.stdout) == (usage != "status") and ("--json" in told.stdout) == (usage != "send")


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_version_is_a_line(preforkctl, run_preforkd, option):
    assert re.fullmatch(r"preforkctl \d\S*\n", preforkctl(option).stdout)
    assert re.fullmatch(r"preforkd \d\S*\n", run_preforkd(option).stdout)


def test_options_may_stand_before_the_command(preforkd, controlled, preforkctl):
    daemon = controlled("--handler", "echo")
    told = preforkctl("--control", daemon.control, "--json", "status")
    assert told.returncode == 0 and f'"pid":{daemon.pid}' in told.stdout
    assert preforkctl("--timeout", "3s", "-v", "send", daemon.endpoint, "hello").stdout == "hello"


@pytest.mark.parametrize("arguments", [("--expect", "another"), ("--verbose",)])
def test_what_is_said_behind_an_answer_begins_a_line(preforkd, preforkctl, arguments):
    arguments = ("send", preforkd("--handler", "echo").endpoint, "no newline", *arguments)
    together = subprocess.run([PREFORKCTL, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20)
    lines = together.stdout.splitlines()
    assert "no newline" in lines and lines[-1].startswith(("preforkctl: ", "* ended "))
    apart = preforkctl(*arguments)
    assert apart.stdout == "no newline" and apart.stderr.splitlines()[-1] and not apart.stderr.startswith("\n")


@pytest.mark.parametrize(("arguments", "remedy"), [
    (("tcp://127.0.0.1:1",), "preforkctl send tcp://127.0.0.1:1"), (("sned", ":1"), "did you mean send?"),
    (("start",), "there are status, ready, workers, reload, upgrade, stop, deaths, sources, explain, top, send"), (("send", ":1", "--verbos"), "did you mean --verbose?"),
    (("send", "hello", ":1"), "send ENDPOINT TEXT"), (("send", ":1", "-hello"), "send ENDPOINT -- TEXT"),
    (("send", ":1", "--timeout", "soon"), "500ms"), (("send", ":1", "--no-reply"), "udp and unixgram")])
def test_a_slip_is_answered_with_what_to_write(preforkctl, arguments, remedy):
    told = preforkctl(*arguments)
    assert told.returncode == 64 and remedy in told.stderr and len(told.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments", [
    (), ("send",), ("shout",), ("send", "http://127.0.0.1:1"), ("send", "tcp://127.0.0.1:99999"),
    ("send", "tcp://127.0.0.1:1", "text", "more"), ("send", "tcp://127.0.0.1:1", "--timeout", "soon"),
    ("send", "tcp://127.0.0.1:1", "--colour", "red"), ("send", "tcp://127.0.0.1:1", "--expect")])
def test_a_wrong_command_is_64(preforkctl, arguments):
    told = preforkctl(*arguments)
    assert told.returncode == 64 and told.stderr and not told.stdout


def test_a_health_check_of_a_daemon_that_was_stopped_fails(preforkd, preforkctl):
    daemon = preforkd()
    assert exchange(daemon.endpoint) == b"connected\n"
    assert preforkctl("send", daemon.endpoint, "--expect", "connected").returncode == 0
    daemon.stop()
    assert preforkctl("send", daemon.endpoint, "--expect", "connected").returncode == 1
