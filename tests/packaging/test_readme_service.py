"""The commands of README's "As a service" do what it says, in the order it says."""
import re
import shutil

import pytest

from places import ROOT

SECTION = re.split(r"^## ", (ROOT / "README.md").read_text().partition("## As a service\n")[2], flags=re.MULTILINE)[0]
LINES = "".join(re.findall(r"^```sh\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)).splitlines()


@pytest.fixture
def checkout(host, package):
    """A machine without preforkd, and a directory in it with the packages that `./dev package` has built."""
    host.run("dpkg", "--purge", "preforkd")
    directory = host.path("/root/checkout/build/package")
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copy(package("preforkd"), directory)
    yield host
    host.run("dpkg", "--purge", "preforkd")


def test_the_commands_work_as_the_readme_says(checkout):
    assert LINES[0].startswith("sudo apt install ")
    for line in LINES:
        command, _, answer = line.partition("  # ")
        command = re.sub(r"\bsudo ", "", command)  # who runs this is root
        done = checkout.shell(f"cd /root/checkout && {command}", check=False)
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        assert not answer or done.stdout.strip() == answer, (line, done.stdout)
