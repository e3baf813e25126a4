"""What the package serves: where it is new this machine alone, after an upgrade what was served before."""
import re
import shutil
import subprocess

import pytest

from machine import Clients, eventually

UNIT, SOCKET = "preforkd.service", "preforkd.socket"
OWN = "/etc/preforkd/preforkd.conf.d/00-listen.conf"
EVERYWHERE = {"*:10000"}


def addresses(host):
    """Where anybody listens on the port."""
    return {line.split()[3] for line in host.run("ss", "-Hltn", "sport", "=", ":10000").stdout.splitlines()}


@pytest.fixture
def before(host, package, tmp_path):
    """The machine with a package that serves every address by default, as those before this one did."""
    tree = tmp_path / "before"
    subprocess.run(["dpkg-deb", "--raw-extract", package("preforkd"), tree], check=True)
    for path, found, was in (("DEBIAN/control", r"^Version: .*$", "Version: 0.0.9"),
                             ("etc/preforkd/preforkd.conf", r"^listen = .*$", "#listen = tcp://:10000"),
                             ("lib/systemd/system/preforkd.socket", r"^ListenStream=.*$", "ListenStream=10000")):
        text, changes = re.subn(found, was, (tree / path).read_text(), flags=re.MULTILINE)
        assert changes, path
        (tree / path).write_text(text)
    (tree / "DEBIAN/preinst").unlink()
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", "-Znone", tree, tmp_path / "before.deb"], check=True,
                   stdout=subprocess.DEVNULL)
    shutil.copy(tmp_path / "before.deb", host.path("/root/before.deb"))
    host.run("dpkg", "--purge", "preforkd")
    host.run("dpkg", "--install", "/root/before.deb")
    assert addresses(host) == EVERYWHERE
    yield host
    host.run("dpkg", "--purge", "preforkd")


def upgrade(host, *options):
    host.run("dpkg", "--install", *options, "/root/preforkd.deb")


def test_a_new_installation_serves_this_machine_alone(host):
    assert addresses(host) - {"[::1]:10000"} == {"127.0.0.1:10000"}, "what the machine calls localhost"
    assert host.exchange() == b"connected\n"


def test_the_socket_unit_has_an_address_of_the_file(host):
    host.run("systemctl", "stop", UNIT)
    host.run("systemctl", "start", SOCKET)
    assert addresses(host) == {"127.0.0.1:10000"}
    assert host.exchange() == b"connected\n"
    assert eventually(lambda: host.show(UNIT, "ActiveState") == "active")


def test_a_file_of_the_operator_s_own_takes_the_place_of_what_the_package_serves(host):
    host.write("/etc/preforkd/preforkd.conf.d/mine.conf", "listen =\nlisten = tcp://:10000\n")
    host.run("systemctl", "restart", UNIT)
    assert addresses(host) == EVERYWHERE


def test_an_upgrade_goes_on_serving_every_address(before):
    host = before
    master = host.main_pid(UNIT)
    with Clients(host):
        upgrade(host)
        assert "listen = tcp://localhost:10000" in host.path("/etc/preforkd/preforkd.conf").read_text().splitlines()
        assert (host.main_pid(UNIT), addresses(host)) == (master, EVERYWHERE)
        host.run("systemctl", "restart", UNIT)
    assert addresses(host) == EVERYWHERE
    host.run("dpkg", "--purge", "preforkd")
    assert not host.path("/etc/preforkd").exists()


def test_an_upgrade_writes_nothing_where_somebody_has_said_what_is_served(before):
    host = before
    host.write("/etc/preforkd/preforkd.conf", "listen = tcp://127.0.0.1:10000\n")
    host.run("systemctl", "restart", UNIT)
    upgrade(host, "--force-confold")
    assert addresses(host) == {"127.0.0.1:10000"} and not host.path(OWN).exists()


def test_an_upgrade_leaves_the_addresses_of_a_socket_unit_that_is_used(before):
    host = before
    host.run("systemctl", "disable", "--now", UNIT)
    host.run("systemctl", "enable", "--now", SOCKET)
    assert host.exchange() == b"connected\n"
    with Clients(host):
        upgrade(host)
        host.run("systemctl", "restart", UNIT)
        assert addresses(host) == EVERYWHERE
    host.run("systemctl", "restart", SOCKET)
    assert addresses(host) == EVERYWHERE and host.exchange() == b"connected\n"
