"""program =, of the daemon and of an endpoint: several programs and handlers in one file, as xinetd has them."""
import pytest

import proc
from clients import connect, exchange, read_to_end
from configured import configured  # noqa: F401: a fixture
from control import endpoint_in, status
from datagram_clients import Client as DatagramClient, ask as ask_datagram

ANY = "tcp://127.0.0.1:0"
UPPER = "program = /usr/bin/tr a-z A-Z"


def said(endpoint):
    with connect(endpoint) as client:
        return read_to_end(client)


def test_each_endpoint_has_a_program_of_its_own(configured, tmp_path):
    daemon = configured(
        f"listen = {ANY} handler=echo", f"listen = {ANY} program=/usr/bin/tr%20a-z%20A-Z",
        f"[{ANY}]", "program = /bin/sh -c 'read -r word; echo \"$word, of $PROTO\"'",
        f"[{ANY}]", 'program = /usr/bin/printf "%s|" "a b" c\\x21', arguments=["--control", endpoint_in(tmp_path)]).daemon
    echo, upper, shell, printf = daemon.endpoints
    assert exchange(echo, b"abc") == b"abc" and exchange(upper, b"abc") == b"ABC"
    assert exchange(shell, b"hello\n") == b"hello, of TCP\n" and said(printf) == b"a b|c!|"
    assert [each["handler"] for each in status(endpoint_in(tmp_path))["listeners"]] == [
        "echo", "/usr/bin/tr", "/bin/sh", "/usr/bin/printf"]


def test_the_daemon_s_program_serves_who_has_none_of_his_own(configured):
    daemon = configured("program = tr a-z A-Z", f"listen = {ANY}", f"listen = {ANY} handler=echo",
                        f"[{ANY}]", "program = cat").daemon
    assert [exchange(endpoint, b"abc") for endpoint in daemon.endpoints] == [b"ABC", b"abc", b"abc"]


def test_a_program_of_its_own_may_get_the_socket_itself(configured, tmp_path):
    """As inetd.conf has `wait` beside `nowait`."""
    program = tmp_path / "once.py"
    program.write_text("import socket\nservice = socket.socket(fileno=0)\ndata, peer = service.recvfrom(99)\n"
                       "service.sendto(data.upper(), peer)\n")
    daemon = configured("handler = echo", f"listen = {ANY}", "[udp://127.0.0.1:0]", f"program = /usr/bin/python3 {program}",
                        "inetd = wait").daemon
    stream, datagram = daemon.endpoints
    assert exchange(stream, b"abc") == b"abc"
    assert [ask_datagram(datagram, text) for text in (b"abc", b"def")] == [b"ABC", b"DEF"]


def test_one_that_gets_the_socket_and_takes_nothing_is_named(configured):
    daemon = configured("[udp://127.0.0.1:0]", "program = /bin/false", "inetd = wait").daemon
    daemon.expect("ended at once and left what waits")
    with DatagramClient(daemon.endpoint) as client:
        client.send(b"abc")
        daemon.wait_log("/bin/false has ended at once and left what waits at udp://127.0.0.1:")


def test_a_handler_serves_beside_the_program_of_an_endpoint(configured):
    daemon = configured("handler = echo", f"listen = {ANY}", f"[{ANY}]", UPPER).daemon
    assert [exchange(endpoint, b"abc") for endpoint in daemon.endpoints] == [b"abc", b"ABC"]


def test_a_reload_changes_programs_and_keeps_sessions(configured, tmp_path):
    one, two = f"unix://{tmp_path}/one", f"unix://{tmp_path}/two"
    service = configured("program = cat", f"listen = {one}", f"[{two}]", "program = cat")
    with connect(one) as client:
        client.sendall(b"abc")
        assert client.recv(3) == b"abc"
        assert service.reload(UPPER, f"listen = {one}", f"[{two}]", "program = tr a b")["message"].startswith("reloaded")
        assert proc.eventually(lambda: exchange(one, b"abc") == b"ABC" and exchange(two, b"abc") == b"bbc")
        client.sendall(b"def")
        assert client.recv(3) == b"def"
    assert service.reload("handler = echo", f"listen = {one}", f"listen = {two}")["message"].startswith("reloaded")
    assert proc.eventually(lambda: exchange(one, b"abc") == exchange(two, b"abc") == b"abc")


def test_a_reload_with_a_program_that_is_not_there_changes_nothing(configured, tmp_path):
    service = configured(UPPER, f"listen = unix://{tmp_path}/one")
    service.daemon.expect("reload failed")
    told = service.reload(f"listen = unix://{tmp_path}/one", f"[{ANY}]", "program = no-such-program -x")
    assert "preforkd.conf:2: listen tcp://127.0.0.1:0: program: no-such-program: not found in PATH" in told["cause"]
    assert exchange(f"unix://{tmp_path}/one", b"abc") == b"ABC"


def test_what_stands_behind_the_dashes_goes_before_the_file(preforkd, tmp_path):
    file = tmp_path / "preforkd.conf"
    file.write_text(f"program = cat\nlisten = {ANY}\n")
    daemon = preforkd("--config", str(file), "--", "tr", "a-z", "A-Z", listen=None)
    assert exchange(daemon.endpoint, b"abc") == b"ABC"


@pytest.mark.parametrize("lines, words", [
    (["program = /no/such"], "preforkd.conf:1: program: /no/such: No such file or directory; expected a program"),
    (["program = 'cat"], "preforkd.conf:1: program: expected a closing ' at the end, not \"'cat\""),
    ([f"[{ANY}]", "program = cat", "handler = echo"], "program= and handler= cannot both serve; keep one"),
    (["[udp://127.0.0.1:0]", "program = cat"], "the program cat serves connections only"),
    (["run = pool", "program = cat", f"[{ANY}]", "program = cat"],
     "tcp://127.0.0.1:0: program= has no effect on programs that accept by themselves (--run pool)"),
    (["handler = echo", "program = cat"], "preforkd.conf:1: handler: \"echo\" and the program \"cat\" cannot both serve"),
])
def test_what_cannot_be_is_refused_where_it_stands(run_preforkd, tmp_path, lines, words):
    file = tmp_path / "preforkd.conf"
    file.write_text("".join(f"{line}\n" for line in lines))
    told = run_preforkd("--config", str(file), "--check-config")
    assert told.returncode == 78 and words in told.stderr, told.stderr


def test_what_is_printed_is_such_a_file(run_preforkd, tmp_path):
    first = run_preforkd("--listen", f"{ANY} program=cat%20-u", "--print-config", "--", "/bin/sh", "-c", "echo 'a # b'\n")
    assert first.returncode == 0, first.stderr
    file = tmp_path / "preforkd.conf"
    file.write_text(first.stdout)
    second = run_preforkd("--config", str(file), "--print-config")

    def settings(told):
        return [line.rpartition("  # ")[0] for line in told.stdout.splitlines() if not line.startswith("#")]
    assert settings(second) == settings(first)
    assert f"listen = {ANY} program=cat%20-u" in settings(first)


def test_copies_of_a_program_in_the_file_are_replaced_by_a_reload(configured, tmp_path):
    answer = tmp_path / "answer.py"
    answer.write_text("import socket, sys\nlistener = socket.socket(fileno=3)\n"
                      "while True:\n    client = listener.accept()[0]\n    client.sendall(sys.argv[1].encode())\n    client.close()\n")
    lines = ["run = pool", "ready = alive:100ms", "workers = 2", f"listen = unix://{tmp_path}/one"]
    service = configured(*lines, f"program = /usr/bin/python3 {answer} 'a b'", workers=None)
    assert said(f"unix://{tmp_path}/one") == b"a b"
    assert service.reload(*lines, f"program = /usr/bin/python3 {answer} c")["message"].startswith("reloaded")
    assert proc.eventually(lambda: said(f"unix://{tmp_path}/one") == b"c")
