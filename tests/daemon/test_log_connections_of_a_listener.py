"""log-connections= behind an endpoint: the lines of its connections, whatever --log-connections says."""
import socket

import pytest

import daemon_process
import proc
from clients import connect, echo
from configured import configured  # noqa: F401
from test_log_connections import BEGINS, EACH_THAT_ECHOES, ENDS, name_of
from test_upgrade import NEXT, Installed

HERE = "tcp://127.0.0.1:0"
SAID = {"begin": (1, 0), "end": (0, 1), "both": (1, 1), "no": (0, 0)}  # how many lines there are of a connection


def visit(endpoint):
    """The name of a client that has been there."""
    with connect(endpoint) as client:
        echo(client)
        return name_of(client)


def lines_of(daemon, clients):
    """How many lines tell of the begin and of the end of each of `clients`; when all has been said."""
    assert daemon.stop() == 0
    messages = [[entry["message"] for entry in daemon.log.find(lambda entry: entry.get("peer") == client)]
                for client in clients]
    return [(sum(BEGINS in line for line in each), sum(ENDS in line for line in each)) for each in messages]


@EACH_THAT_ECHOES
def test_a_listener_says_for_itself_which_lines_there_are(preforkd, served):
    daemon = preforkd("--log-connections", "begin", *served,
                      listen=[*(f"{HERE} log-connections={value}" for value in SAID), HERE])
    clients = [visit(endpoint) for endpoint in daemon.endpoints]
    assert lines_of(daemon, clients) == [*SAID.values(), SAID["begin"]]


@pytest.mark.parametrize("of_all", SAID)
def test_what_it_does_not_say_the_option_says(preforkd, of_all):
    daemon = preforkd("--handler", "echo", "--log-connections", of_all, listen=[f"{HERE} log-connections=both", HERE])
    assert lines_of(daemon, [visit(endpoint) for endpoint in daemon.endpoints]) == [SAID["both"], SAID[of_all]]


def test_of_datagrams_it_says_whether_there_is_a_line(preforkd):
    values = ["begin", "both", "no", "end"]
    daemon = preforkd("--handler", "echo", "--log-connections", "no", workers=1,
                      listen=[f"udp://127.0.0.1:0 log-connections={value}" for value in values])
    for endpoint in daemon.endpoints:
        host, _, port = endpoint.removeprefix("udp://").rpartition(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(10)
            client.sendto(b"x", (host, int(port)))
            assert client.recv(10) == b"x"
    assert daemon.stop() == 0
    lines = daemon.log.find("got datagram from")
    assert [line["listener"] for line in lines] == daemon.endpoints[:2]


def test_a_section_of_the_file_may_say_it_and_a_reload_changes_it(configured):
    def file(*keys):
        return ("handler = echo", f"[{HERE}]", *keys)
    service = configured(*file("log-connections = no"))
    clients = [visit(service.daemon.endpoint)]
    for keys in (["log-connections = both"], [], ["handler = echo", "log-connections = end"]):
        before = service.daemon.workers()
        assert service.reload(*file(*keys))["message"].startswith("reloaded")
        assert all(proc.wait_gone(worker, 10) for worker in before), "which may still have taken somebody"
        clients.append(visit(service.daemon.endpoint))
    assert lines_of(service.daemon, clients) == [SAID[value] for value in ("no", "both", "begin", "end")]


def test_an_upgrade_carries_it(preforkd, tmp_path):
    service = Installed(preforkd, tmp_path, "--handler", "echo", listen=[f"{HERE} log-connections=end"])
    clients = [visit(service.daemon.endpoint)]
    for source in (NEXT, daemon_process.PREFORKD):
        before = service.daemon.workers()
        service.install(source)
        assert service.upgrade()["message"].startswith("upgraded")
        assert all(proc.wait_gone(worker, 10) for worker in before)
        clients.append(visit(service.daemon.endpoint))
    assert lines_of(service.daemon, clients) == [SAID["end"]] * 3


def test_it_is_printed_with_the_configuration(run_preforkd):
    told = run_preforkd("--listen", f"{HERE} log-connections=yes handler=echo", "--print-config")
    assert f"listen = {HERE} handler=echo log-connections=begin" in told.stdout


@pytest.mark.parametrize("keys, words", [
    ("log-connections=maybe", "log-connections: expected begin, end, both or no, not \"maybe\""),
    ("log-connections=", "log-connections: expected begin, end, both or no"),
    ("log-connections=no log-connections=end", "log-connections= is given twice; keep one"),
    ("log-connection=no", "unknown key \"log-connection\"; tcp takes"),
])
def test_what_is_written_wrong_is_refused_with_the_remedy(run_preforkd, tmp_path, keys, words):
    told = run_preforkd("--check-config", "-l", f"{HERE} {keys}")
    assert told.returncode == 64 and words in told.stderr, told.stderr
    (tmp_path / "conf").write_text(f"listen = {HERE} {keys}\n")
    told = run_preforkd("--check-config", "--config", str(tmp_path / "conf"))
    assert told.returncode == 78 and words in told.stderr, told.stderr
    (tmp_path / "conf").write_text(f"[{HERE}]\n" + keys.replace(" ", "\n").replace("=", " = ") + "\n")
    told = run_preforkd("--check-config", "--config", str(tmp_path / "conf"))
    assert told.returncode == 78 and words in told.stderr, told.stderr
