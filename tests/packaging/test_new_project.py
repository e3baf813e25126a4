"""From nothing to a tested service under systemd, by the commands of preforkd-new(1)."""
import re
import shutil

import pytest

from places import ROOT

PAGE = (ROOT / "packaging/man/preforkd-new.1.scd").read_text()


@pytest.fixture
def authors(machine, package):
    """Where the package for authors is installed, and the daemon's is not at that port."""
    for name in ("preforkd", "libpreforkd-dev"):
        shutil.copy(package(name), machine.path(f"/root/{name}.deb"))
    machine.shell("systemctl stop 'preforkd*' || true; dpkg --install /root/libpreforkd-dev.deb; rm -rf /root/hello")
    yield machine
    machine.shell("systemctl disable --now hello || true; rm -rf /usr/local/bin/hello /usr/local/lib/systemd/system/hello.service")


def test_the_commands_of_the_page_make_a_service(authors):
    block = re.search(r"```\n(.*?)```", PAGE, re.DOTALL)[1].replace("sudo ", "")
    commands = block.splitlines()
    asked = commands.pop()
    assert "nc -N localhost" in asked
    authors.shell("cd /root; set -e\n" + "\n".join(commands), timeout=300)
    assert authors.shell(asked).stdout == "hi\n"
    assert authors.run("systemctl", "is-active", "hello").stdout == "active\n"
    before = authors.main_pid("hello.service")
    authors.run("systemctl", "reload", "hello")
    assert authors.shell(asked).stdout == "hi\n" and authors.main_pid("hello.service") == before
    authors.run("systemctl", "stop", "hello")
    assert authors.run("systemctl", "show", "--property=Result", "--value", "hello").stdout == "success\n"
