"""--log-file and symbolic links: root is not led elsewhere by somebody else."""
import os

import pytest

from proc import eventually

SOMEBODY = 65534


def link_of(user, link, target):
    link.symlink_to(target)
    os.lchown(link, user, user)
    return link


@pytest.mark.root
@pytest.mark.parametrize("where", ["last", "directory", "behind a link of root", "dangling"])
def test_a_link_of_another_user_is_not_followed(run_preforkd, tmp_path, where):
    precious = tmp_path / "precious"
    precious.mkdir()
    victim = precious / "victim"
    if where == "directory":
        path = link_of(SOMEBODY, tmp_path / "link", precious) / "victim"
    else:
        path = link_of(SOMEBODY, tmp_path / "link", "precious/victim")
    if where == "behind a link of root":
        path = link_of(0, tmp_path / "outer", "link")
    if where != "dangling":
        victim.write_text("precious\n")
    told = run_preforkd("-l", "tcp://127.0.0.1:0", "--log-file", str(path))
    assert told.returncode == 78
    assert f'--log-file {path}: link is a symbolic link of user 65534' in told.stderr and told.stderr.count("\n") == 1
    assert victim.read_text() == "precious\n" if where != "dangling" else not victim.exists()


@pytest.mark.root
def test_links_of_root_are_followed(preforkd, tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    directory = link_of(0, tmp_path / "directory", logs)
    link_of(0, logs / "current", f"{tmp_path}/directory/../logs/today")
    preforkd("--log-file", str(directory / "current"))
    assert eventually(lambda: "ready with" in (logs / "today").read_text())


@pytest.mark.root
@pytest.mark.programs("setpriv")
def test_ones_own_links_are_followed(preforkd, open_directory):
    preforkd("--log-file", str(link_of(SOMEBODY, open_directory / "link", "log")), wrap=[
        "setpriv", "--reuid", str(SOMEBODY), "--regid", str(SOMEBODY), "--clear-groups"])
    assert eventually(lambda: "ready with" in (open_directory / "log").read_text())


@pytest.mark.parametrize("path", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_what_proc_shows_of_a_descriptor_is_opened(run_preforkd, tmp_path, path):
    """A pipe has no path that could be walked."""
    (tmp_path / "file").write_text("no socket")
    told = run_preforkd("-l", f"unix://{tmp_path}/file", "--log-file", path)
    assert told.returncode == 78 and f"unix://{tmp_path}/file" in told.stdout


def test_a_directory_that_proc_shows_is_gone_through(preforkd, tmp_path):
    preforkd("--log-file", "/proc/self/cwd/log", cwd=tmp_path)
    assert eventually(lambda: "ready with" in (tmp_path / "log").read_text())


def test_links_that_lead_in_circles_are_refused(run_preforkd, tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    told = run_preforkd("-l", "tcp://127.0.0.1:0", "--log-file", str(tmp_path / "a"))
    assert told.returncode == 78 and "Too many levels of symbolic links" in told.stderr


@pytest.mark.parametrize("path, reason", [("none/log", "No such file or directory"), ("file/log", "Not a directory"),
                                          ("directory", "Is a directory"), ("directory/", "Is a directory")])
def test_a_path_that_leads_nowhere_is_refused_as_ever(run_preforkd, tmp_path, path, reason):
    (tmp_path / "file").write_text("")
    (tmp_path / "directory").mkdir()
    told = run_preforkd("-l", "tcp://127.0.0.1:0", "--log-file", f"{tmp_path}/{path}")
    assert told.returncode == 78 and f"--log-file {tmp_path}/{path}: {reason}" in told.stderr
