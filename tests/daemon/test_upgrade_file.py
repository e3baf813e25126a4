"""Which file an upgrade executes: the one that the operator named at the start, wherever its links lead by now."""
import os
import shutil

import pytest

import daemon_process
from clients import exchange
from test_upgrade import NEXT, Installed, installed  # noqa: F401


class Releases(Installed):
    """A directory for each release, and a symbolic link to the current one, which a deployment turns."""

    def __init__(self, preforkd, directory, how_named):
        self.root = directory
        for name, source in (("one", daemon_process.PREFORKD), ("two", NEXT)):
            (directory / name / "bin").mkdir(parents=True)
            shutil.copy(source, directory / name / "bin" / "preforkd")
        self.turn("one")
        self.daemon = preforkd(**how_named(directory))

    def turn(self, release):
        new = self.root / "new"
        new.symlink_to(release)
        new.rename(self.root / "current")


class Started(Installed):
    def __init__(self, daemon, file):
        self.daemon, self.file = daemon, file


def by_path(root):
    return {"executable": "preforkd", "env": {"PATH": f"/nowhere:{root}/current/bin:{os.environ['PATH']}"}}


def by_absolute_path(root):
    return {"executable": f"{root}/current/bin/preforkd"}


def from_a_directory_that_is_a_link(root):
    """As a shell that went there by `cd`: it keeps the name in PWD, the kernel does not."""
    return {"executable": "./bin/preforkd", "cwd": f"{root}/current", "env": {"PWD": f"{root}/current"}}


def by_a_relative_path_from_elsewhere(root):
    return {"executable": "../current/bin/preforkd", "cwd": f"{root}/one", "env": {"PWD": "/nowhere"}}


def by_a_relative_entry_of_path(root):
    return {"executable": "preforkd", "cwd": str(root), "env": {"PATH": f"current/bin:{os.environ['PATH']}"}}


@pytest.mark.parametrize("how_named", [by_path, by_absolute_path, from_a_directory_that_is_a_link,
                                       by_a_relative_path_from_elsewhere, by_a_relative_entry_of_path])
def test_the_release_that_the_link_leads_to_by_now_takes_over(preforkd, tmp_path, how_named):
    service = Releases(preforkd, tmp_path, how_named)
    for release in "two", "one":
        service.turn(release)
        line = service.upgrade()
        file = str(tmp_path / release / "bin" / "preforkd")
        assert service.running() == file and line["level"] == "notice"
        assert f"version {line['version']} runs, from {file}" in line["message"]
        assert (line["version"] == "99.0.0") == (release == "two")
        assert exchange(service.daemon.endpoint) == b"connected\n"


def test_an_upgrade_to_the_file_that_ran_before_is_a_warning_that_says_where_to_install(installed, preforkctl, tmp_path):
    control = f"unix://{tmp_path}/control.sock"
    service = installed("--control", control)
    line = service.upgrade()
    assert line["level"] == "warning" and f"from {service.file}, which ran before" in line["message"]
    answer = preforkctl("upgrade", "--control", control)
    assert answer.returncode == 0 and f"from {service.file}, which ran before" in answer.stdout + answer.stderr
    service.install(daemon_process.PREFORKD)
    assert service.upgrade()["level"] == "notice"


LAUNCHER = """#!/usr/bin/python3
import os, sys
fd = os.open("{file}", os.O_RDONLY)
if {replaced}: os.rename("{file}.next", "{file}")
os.execve(fd, ["server", *sys.argv[1:]], os.environ)
"""


@pytest.mark.parametrize("replaced", [False, True])
def test_a_name_that_is_no_file_is_no_hindrance(preforkd, tmp_path, replaced):
    """argv[0] as behind `exec -a`; of a file that was replaced before we looked, the kernel says `FILE (deleted)`."""
    file, launcher = tmp_path / "preforkd", tmp_path / "launcher"
    shutil.copy(daemon_process.PREFORKD, file)
    shutil.copy(NEXT, f"{file}.next")
    launcher.write_text(LAUNCHER.format(file=file, replaced=replaced))
    launcher.chmod(0o755)
    service = Started(preforkd(executable=str(launcher)), file)
    if not replaced:
        service.install(NEXT)
    assert service.upgrade()["version"] == "99.0.0" and service.running() == str(file)
