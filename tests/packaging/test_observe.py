"""Being looked at under systemd: by a line in the file of the service, by a socket of an instance's own."""
import pytest

from machine import Clients, eventually

UNIT = "preforkd.service"
CONFIG = "/etc/preforkd/preforkd.conf"
SOCKET = "/run/preforkd-web-observe.sock"


def get(host, address, path):
    """(status, headers and body)"""
    answer = host.exchange(address, f"GET {path} HTTP/1.0\r\n\r\n".encode()).decode()
    return int(answer.split()[1]), answer


def metrics(host, address):
    text = get(host, address, "/metrics")[1].partition("\r\n\r\n")[2]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if not line.startswith("#")}


def observer_of(host, master):
    """Its pid."""
    def found():
        pids = host.path(f"/proc/{master}/task/{master}/children").read_text().split()
        return [pid for pid in pids if host.path(f"/proc/{pid}/comm").read_text() == "preforkd-look\n"]
    return eventually(found)[0]


def test_a_line_and_a_reload_show_the_service(host):
    host.write(CONFIG, "handler = echo\n")
    host.run("systemctl", "restart", UNIT)
    host.write(CONFIG, "handler = echo\nobserve = tcp://localhost:9090\n")
    with Clients(host, text=b"hello", expect=b"hello"):
        host.run("systemctl", "reload", UNIT)
        assert get(host, 9090, "/readyz")[0] == get(host, 9090, "/")[0] == 200
    assert metrics(host, 9090)["preforkd_up"] == 1
    host.write(CONFIG, "handler = echo\n")
    host.run("systemctl", "reload", UNIT)
    with pytest.raises(ConnectionRefusedError):
        get(host, 9090, "/readyz")


def test_the_unit_lets_the_observer_put_on_its_filter(host):
    host.write(CONFIG, "observe = tcp://localhost:9090\nsandbox = strict\n")
    cursor = host.cursor()
    host.run("systemctl", "restart", UNIT)
    assert get(host, 9090, "/readyz")[0] == 200
    status = host.path(f"/proc/{observer_of(host, host.main_pid(UNIT))}/status").read_text()
    assert "NoNewPrivs:\t1\n" in status and "Seccomp:\t2\n" in status
    assert [entry for entry in host.journal(UNIT, f"--after-cursor={cursor}") if int(entry["PRIORITY"]) < 5] == []


@pytest.fixture
def seen(host):
    """Makes /etc/preforkd/web.conf, and starts both sockets of that instance."""
    host.write("/etc/preforkd/web.conf", "handler = echo\nobserve = fd://observe\n")
    host.run("systemctl", "start", "preforkd-observe@web.socket", "preforkd@web.socket")
    yield host
    host.run("systemctl", "stop", "preforkd@web.service", "preforkd-observe@web.socket", "preforkd@web.socket")


def test_an_instance_without_a_network_is_looked_at_by_its_socket(seen):
    assert get(seen, SOCKET, "/healthz")[0] == 200, "who looks starts it, as a client does"
    assert eventually(lambda: get(seen, SOCKET, "/readyz")[0] == 200)
    assert seen.exchange("/run/preforkd-web.sock", b"hello") == b"hello"
    counted = 'preforkd_connections_accepted_total{listener="unix:///run/preforkd-web.sock"}'
    assert eventually(lambda: metrics(seen, SOCKET)[counted] == 1)
    assert len([name for name in metrics(seen, SOCKET) if name.startswith("preforkd_connections_accepted_total")]) == 1, "no client meets the observer's"
    file = seen.path(SOCKET).stat()
    assert (file.st_uid, file.st_mode & 0o777) == (0, 0o660)


def test_it_is_looked_at_after_a_restart_and_while_it_reloads(seen):
    with Clients(seen, "/run/preforkd-web.sock", text=b"hello", expect=b"hello") as clients:
        for change in ("restart", "reload"):
            seen.run("systemctl", change, "preforkd@web.service")
            status, answer = get(seen, SOCKET, "/readyz")
            assert status == 200, answer
        clients.wait_more()


def test_a_port_for_a_scraper_is_given_to_an_instance_that_runs(host):
    """By the steps of preforkd.conf(5)."""
    host.write("/etc/preforkd/web.conf", "handler = echo\n")
    host.run("systemctl", "start", "preforkd@web.socket")
    assert host.exchange("/run/preforkd-web.sock", b"hello") == b"hello"
    host.write("/etc/preforkd/web.conf", "handler = echo\nobserve = fd://observe\n")
    host.write("/etc/systemd/system/preforkd-observe@web.socket.d/listen.conf",
               "[Socket]\nListenStream=\nListenStream=127.0.0.1:9090\n")
    host.run("systemctl", "daemon-reload")
    host.run("systemctl", "enable", "preforkd-observe@web.socket")
    try:
        with Clients(host, "/run/preforkd-web.sock", text=b"hello", expect=b"hello"):
            host.run("systemctl", "restart", "preforkd@web.service")
            assert metrics(host, 9090)["preforkd_up"] == 1
    finally:
        host.run("systemctl", "disable", "preforkd-observe@web.socket")


def test_the_socket_may_go_without_the_service(seen):
    assert seen.exchange("/run/preforkd-web.sock", b"hello") == b"hello"
    master = seen.main_pid("preforkd@web.service")
    seen.run("systemctl", "stop", "preforkd-observe@web.socket")
    assert seen.exchange("/run/preforkd-web.sock", b"hello") == b"hello"
    assert seen.main_pid("preforkd@web.service") == master
    with pytest.raises(FileNotFoundError):
        get(seen, SOCKET, "/readyz")
