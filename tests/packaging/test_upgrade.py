"""A new version of the package arrives while clients are served."""
import re
import shutil
import subprocess

import pytest

from machine import Clients

UNIT = "preforkd.service"


@pytest.fixture
def newer(host, package, tmp_path):
    """Makes the next version of the package, with `change(directory)` made to its files, and gives its path there."""
    def make(change=lambda directory: None):
        tree = tmp_path / "newer"
        subprocess.run(["dpkg-deb", "--raw-extract", package("preforkd"), tree], check=True)
        control = tree / "DEBIAN/control"
        control.write_text(re.sub(r"^Version: (.*)$", r"Version: \1+newer", control.read_text(), flags=re.MULTILINE))
        change(tree)
        subprocess.run(["dpkg-deb", "--build", "--root-owner-group", "-Znone", tree, tmp_path / "newer.deb"], check=True,
                       stdout=subprocess.DEVNULL)
        shutil.copy(tmp_path / "newer.deb", host.path("/root/newer.deb"))
        return "/root/newer.deb"
    yield make
    host.run("dpkg", "--purge", "preforkd")  # the next test wants the version that was built


def runs_the_installed_binary(host, unit):
    running, installed = (host.path(path).stat() for path in (f"/proc/{host.main_pid(unit)}/exe", "/usr/sbin/preforkd"))
    return (running.st_dev, running.st_ino) == (installed.st_dev, installed.st_ino)


def test_an_upgrade_of_the_package_upgrades_the_daemon_in_place_and_loses_nobody(host, newer):
    host.write("/etc/preforkd/preforkd.conf", "handler = echo\n")
    host.run("systemctl", "restart", UNIT)
    master = host.main_pid(UNIT)
    with host.connect() as stays:
        stays.sendall(b"before")
        assert stays.recv(6) == b"before"
        with Clients(host, text=b"hello", expect=b"hello"):
            host.run("dpkg", "--install", "--force-confold", newer())
        assert host.main_pid(UNIT) == master
        assert runs_the_installed_binary(host, UNIT)
        stays.sendall(b"after")
        assert stays.recv(5) == b"after", "who was there before is served to the end"
    assert (host.show(UNIT, "NRestarts"), host.show(UNIT, "ActiveState")) == ("0", "active")


def test_an_upgrade_of_the_package_upgrades_instances(host, newer):
    host.write("/etc/preforkd/web.conf", "handler = greet\n")
    host.run("systemctl", "start", "preforkd@web.service")
    master = host.main_pid("preforkd@web.service")
    with Clients(host, "/run/preforkd-web.sock"):
        host.run("dpkg", "--install", newer())
    assert host.main_pid("preforkd@web.service") == master
    assert runs_the_installed_binary(host, "preforkd@web.service")


def test_a_policy_against_restarts_is_kept(host, newer):
    """invoke-rc.d(8): 101 is `forbidden`."""
    host.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n")
    host.path("/usr/sbin/policy-rc.d").chmod(0o755)
    try:
        master = host.main_pid(UNIT)
        done = host.run("dpkg", "--install", newer())
        assert host.main_pid(UNIT) == master and not runs_the_installed_binary(host, UNIT)
        assert f"{UNIT} runs on with the old binary, as policy-rc.d says" in done.stderr
        assert host.exchange() == b"connected\n"
    finally:
        host.path("/usr/sbin/policy-rc.d").unlink()


def test_a_new_binary_that_does_not_start_leaves_the_daemon_running(host, newer):
    def break_it(tree):
        (tree / "usr/sbin/preforkd").write_text("#!/bin/sh\nexit 70\n")

    master = host.main_pid(UNIT)
    with Clients(host):
        done = host.run("dpkg", "--install", newer(break_it))
    assert (host.main_pid(UNIT), host.show(UNIT, "ActiveState")) == (master, "active")
    assert f"{UNIT} runs on with the old binary" in done.stderr


def test_a_daemon_that_cannot_upgrade_in_place_is_restarted(host, newer):
    """Without a control socket nobody can tell it to."""
    host.shell("echo 'control = off' >>/etc/preforkd/preforkd.conf && systemctl restart preforkd.service")
    master = host.main_pid(UNIT)
    with Clients(host):
        host.run("dpkg", "--install", newer())
    assert host.main_pid(UNIT) not in (0, master)
    assert runs_the_installed_binary(host, UNIT)
