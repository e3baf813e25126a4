"""preforkd.socket and the instances: systemd binds, the service is given what it serves."""
import json

import pytest

from machine import Clients, eventually, read_to_end

UNIT = "preforkd.service"


@pytest.fixture
def socket_host(host):
    """preforkd.socket waits for clients; the service does not run."""
    host.run("systemctl", "stop", UNIT)
    host.run("systemctl", "start", "preforkd.socket")
    return host


@pytest.fixture
def instance(host):
    """Makes /etc/preforkd/NAME.conf and starts the socket of that instance."""
    def start(name, config, listen=None):
        host.write(f"/etc/preforkd/{name}.conf", config)
        if listen:
            host.write(f"/etc/systemd/system/preforkd@{name}.socket.d/listen.conf",
                       f"[Socket]\nListenStream=\nListenStream={listen}\n")
            host.run("systemctl", "daemon-reload")
        host.run("systemctl", "start", f"preforkd@{name}.socket")
        return host
    return start


def test_the_first_client_starts_the_service(socket_host):
    assert socket_host.show(UNIT, "ActiveState") == "inactive"
    assert socket_host.exchange() == b"connected\n"
    assert eventually(lambda: socket_host.show(UNIT, "ActiveState") == "active")


def test_a_restart_refuses_nobody(socket_host):
    with Clients(socket_host) as clients:
        for _ in range(3):
            socket_host.run("systemctl", "restart", UNIT)
            clients.wait_more()


def test_clients_wait_while_the_service_is_down(socket_host):
    socket_host.exchange()
    socket_host.write("/etc/systemd/system/preforkd.service.d/slow.conf",
                      "[Service]\nExecStartPre=/usr/bin/test -e /run/go-on\nRestart=always\n")
    socket_host.run("systemctl", "daemon-reload")
    socket_host.run("systemctl", "restart", UNIT, check=False)
    queued = [socket_host.connect() for _ in range(20)]
    socket_host.write("/run/go-on", "")
    assert [read_to_end(client) for client in queued] == [b"connected\n"] * len(queued)
    for client in queued:
        client.close()


def test_a_killed_master_comes_back_and_nobody_is_refused(socket_host):
    socket_host.exchange()
    master = socket_host.main_pid(UNIT)
    with Clients(socket_host) as clients:
        socket_host.run("kill", "-KILL", master)
        assert eventually(lambda: socket_host.main_pid(UNIT) not in (0, master))
        clients.wait_more()
        clients.forgive_those_in_service()


def test_an_instance_serves_what_its_file_says(instance):
    host = instance("web", "handler = echo\nworkers = 2\n")
    assert host.exchange("/run/preforkd-web.sock", b"hello") == b"hello"
    assert eventually(lambda: host.show("preforkd@web.service", "ActiveState") == "active")
    assert host.show(UNIT, "ActiveState") == "active", "beside the others"


@pytest.mark.parametrize("name", ["web", "preforkd@web", "preforkd@web.service"])
def test_preforkctl_finds_an_instance_by_its_name(instance, name):
    host = instance("web", "handler = echo\nworkers = 2\n")
    assert host.exchange("/run/preforkd-web.sock", b"hello") == b"hello"
    assert eventually(lambda: host.show("preforkd@web.service", "ActiveState") == "active")
    told = json.loads(host.run("preforkctl", "status", "--json", "-i", name).stdout)
    assert told["pid"] == host.main_pid("preforkd@web.service")


def test_a_restart_of_the_socket_unit_is_one_of_the_service(socket_host):
    """Else the service would serve on with a socket that systemd has closed, and systemd would have none."""
    socket_host.exchange()
    master = socket_host.main_pid(UNIT)
    socket_host.run("systemctl", "restart", "preforkd.socket")
    assert eventually(lambda: socket_host.exchange() == b"connected\n")
    assert eventually(lambda: socket_host.main_pid(UNIT) not in (0, master))
    assert [socket_host.show(unit, "ActiveState") for unit in (UNIT, "preforkd.socket")] == ["active", "active"]


def test_a_unix_socket_for_others_is_bound_beside_what_the_service_binds(host):
    """By the steps of preforkd.conf(5)."""
    host.write("/etc/preforkd/preforkd.conf", "listen = tcp://:10000\nlisten = unix:///run/time.sock handler=daytime\n")
    host.write("/etc/systemd/system/preforkd.socket.d/listen.conf",
               "[Socket]\nListenStream=\nListenStream=/run/time.sock\n")
    host.run("systemctl", "daemon-reload")
    host.run("systemctl", "stop", UNIT)
    host.run("systemctl", "start", "preforkd.socket")
    host.run("systemctl", "start", UNIT)
    as_nobody = host.run("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "nc", "-N", "-U", "/run/time.sock")
    assert " 20" in as_nobody.stdout, "a date"
    assert host.exchange() == b"connected\n"


def test_a_colon_in_the_name_of_an_instance_is_part_of_it(instance):
    host = instance("web:80", "handler = echo\n")
    assert host.exchange("/run/preforkd-web:80.sock", b"hello") == b"hello"
    host.run("systemctl", "reload", "preforkd@web:80.service")


def test_an_instance_without_a_network_serves_the_port_of_its_socket(instance):
    host = instance("web", "handler = echo\n", listen="127.0.0.1:8080")
    assert host.exchange(8080, b"hello") == b"hello"
    own = host.path(f"/proc/{host.main_pid('preforkd@web.service')}/ns/net").readlink()
    assert own != host.path("/proc/1/ns/net").readlink()


def test_clients_of_an_instance_wait_until_its_file_is_mended(instance):
    host = instance("web", "handler = ehco\n")
    client = host.connect("/run/preforkd-web.sock")
    client.sendall(b"hello")
    assert eventually(lambda: int(host.show("preforkd@web.service", "NRestarts")) >= 2)
    host.write("/etc/preforkd/web.conf", "handler = echo\n")
    assert client.recv(5) == b"hello"
    client.close()
    assert host.show("preforkd@web.socket", "ActiveState") == "active"
