"""Installing, removing and purging, by Debian's conventions."""
import pytest

from machine import eventually

UNIT = "preforkd.service"


def dpkg(host, *arguments):
    return host.run("dpkg", *arguments).stdout


def test_it_starts_when_installed_and_stops_when_removed(host):
    with pytest.raises(ConnectionError):
        dpkg(host, "--remove", "preforkd")
        host.exchange()
    assert not host.path("/usr/sbin/preforkd").exists()
    assert host.path("/etc/preforkd/preforkd.conf").exists(), "what the operator wrote stays"
    dpkg(host, "--install", "/root/preforkd.deb")
    assert host.exchange() == b"connected\n"


def test_a_purge_leaves_nothing(host):
    host.run("systemctl", "enable", "preforkd.socket", "preforkd@again.socket", "preforkd@again.service",
             "preforkd-observe@again.socket")
    dpkg(host, "--purge", "preforkd")
    of_others = ("/root/", "/var/log/", "/var/cache/man/")
    left = [path for path in host.changed() if "preforkd" in path and not path.startswith(of_others)]
    assert left == []
    assert host.run("getent", "passwd", "preforkd", check=False).stdout == ""


def test_a_disabled_service_stays_down_through_an_installation(host):
    host.run("systemctl", "disable", "--now", UNIT)
    dpkg(host, "--install", "/root/preforkd.deb")
    assert (host.show(UNIT, "ActiveState"), host.show(UNIT, "UnitFileState")) == ("inactive", "disabled")
    host.run("systemctl", "enable", UNIT)


def test_the_configuration_of_the_operator_survives_an_installation(host):
    host.write("/etc/preforkd/preforkd.conf", "handler = echo\n")
    dpkg(host, "--install", "/root/preforkd.deb")
    assert host.path("/etc/preforkd/preforkd.conf").read_text() == "handler = echo\n"


def test_removing_stops_instances_and_their_sockets(host):
    host.write("/etc/preforkd/web.conf", "listen = fd://preforkd\nobserve = fd://observe\n")
    host.run("systemctl", "start", "preforkd-observe@web.socket", "preforkd@web.socket")
    assert host.exchange("/run/preforkd-web.sock") == b"connected\n"
    assert eventually(lambda: host.show("preforkd@web.service", "ActiveState") == "active")
    dpkg(host, "--remove", "preforkd")
    running = host.shell("systemctl list-units --plain --no-legend --state=active 'preforkd*'").stdout
    assert running == ""
    assert not host.path("/run/preforkd-web.sock").exists() and not host.path("/run/preforkd-web-observe.sock").exists()
