"""The control socket of a daemon that was started plainly, and how preforkctl finds it: as root and as another user."""
import contextlib
import json
import os
import shutil
import signal
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

import proc
from clients import exchange
from daemon_process import PREFORKCTL, clean_environment

NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
BY_ITSELF = {"PREFORKD_CONTROL": ""}  # not `off`, as tests have it otherwise


class Place:
    """Where daemons are started by hand, out of sight of the machine's own."""

    def __init__(self, preforkd, wrap, env, directory, outside):
        self._preforkd, self.wrap, self.env = preforkd, wrap, BY_ITSELF | env
        self.directory = directory  # of sockets, as it is named inside
        self.outside = outside      # the same, as this process reaches it

    def start(self, *arguments, env=None, **how):
        return self._preforkd(*arguments, wrap=self.wrap, env=self.env | (env or {}), **how)

    def ctl(self, *arguments, env=None):
        return subprocess.run([*self.wrap, PREFORKCTL, *arguments], env=clean_environment(self.env | (env or {})),
                              capture_output=True, text=True, timeout=30)

    def names(self):
        return {file.name.removesuffix(".sock") for file in self.outside.iterdir()}


@contextlib.contextmanager
def own_run():
    """The pid of a process in a mount namespace that has a /run of its own."""
    with subprocess.Popen(["unshare", "--mount", "sh", "-c", "mount -t tmpfs -o mode=755 none /run && echo && exec cat"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout.readline() == b"\n"
            yield holder.pid
        finally:
            holder.stdin.close()


@pytest.fixture
def root(preforkd):
    with own_run() as pid:
        yield Place(preforkd, ["nsenter", "--target", str(pid), "--mount"], {}, "/run/preforkd-by-hand",
                    Path(f"/proc/{pid}/root/run/preforkd-by-hand"))


@pytest.fixture
def user(preforkd):
    """Short and open above: a socket's path has at most 107 bytes."""
    runtime = Path(tempfile.mkdtemp(dir="/tmp"))
    if os.geteuid() == 0:
        os.chown(runtime, 65534, 65534)
    yield Place(preforkd, NOBODY if os.geteuid() == 0 else [], {"XDG_RUNTIME_DIR": str(runtime)}, f"{runtime}/preforkd",
                runtime / "preforkd")
    shutil.rmtree(runtime)


@pytest.fixture(params=[pytest.param("root", marks=[pytest.mark.mounts, pytest.mark.programs("nsenter")]),
                        pytest.param("user", marks=[pytest.mark.others, pytest.mark.programs("setpriv")])])
def place(request):
    return request.getfixturevalue(request.param)


def test_a_plain_daemon_can_be_asked(place):
    daemon = place.start()
    assert json.loads(place.ctl("status", "--json").stdout)["pid"] == daemon.pid
    assert daemon.wait_log("control socket: ")["control"] == f"unix://{place.directory}/preforkd.sock"
    assert stat.S_IMODE(place.outside.stat().st_mode) == 0o700
    assert stat.S_IMODE((place.outside / "preforkd.sock").stat().st_mode) == 0o600
    assert place.ctl("-i", "preforkd", "stop").stdout == "stopped\n"
    daemon.wait_exit()
    assert place.names() == set()


def test_it_has_the_name_that_it_is_given(place):
    daemon = place.start("--name", "web")
    assert place.names() == {"web"}
    assert json.loads(place.ctl("-i", "web", "status", "--json").stdout)["pid"] == daemon.pid
    assert json.loads(place.ctl("-i", "preforkd@web.service", "status", "--json").stdout)["pid"] == daemon.pid
    told = place.ctl("status", "-i", "wbe")
    assert told.returncode == 1 and told.stderr.startswith('preforkctl: no running daemon has the name "wbe"')
    assert told.stderr.endswith("; there are web\n")


def test_a_service_of_ones_own_has_the_name_of_its_runtime_directory(root):
    directory = root.outside.parent / "hello"
    directory.mkdir()
    daemon = root.start(env={"RUNTIME_DIRECTORY": "/run/hello"})
    for name in ("hello", "hello.service"):
        assert json.loads(root.ctl("-i", name, "status", "--json").stdout)["pid"] == daemon.pid
    for name in ("../run/hello", "..", ""):
        assert "no running daemon has the name" in root.ctl("-i", name, "status").stderr


def test_of_several_each_has_a_name_and_orders_want_one(place):
    first, second = place.start(), place.start()
    name = f"preforkd-{second.pid}"
    assert place.names() == {"preforkd", name}
    assert second.wait_log("a running daemon has the name preforkd")["level"] == "notice"
    told = place.ctl("status")
    assert told.returncode == 0 and sorted(line.split()[:3] for line in told.stdout.splitlines()[1:]) == [
        ["preforkd", str(first.pid), "running"], [name, str(second.pid), "running"]]
    assert {json.loads(line)["status"]["pid"] for line in place.ctl("--json", "status").stdout.splitlines()} == {
        first.pid, second.pid}
    assert sorted(place.ctl("ready").stdout.splitlines()) == sorted([f"{name}: ready", "preforkd: ready"])
    for order in (["stop"], ["reload"], ["upgrade"], ["workers", "3"], ["deaths"], ["sources"], ["status", "--watch"], ["explain"],
                  ["top", "--batch"]):
        told = place.ctl(*order)
        assert told.returncode == 1 and "2 daemons run; say which is meant" in told.stderr
        assert "-i preforkd" in told.stderr and f"-i {name}" in told.stderr
    assert place.ctl("stop", "-i", name).returncode == 0
    second.wait_exit()
    assert json.loads(place.ctl("status", "--json").stdout)["pid"] == first.pid


def test_one_that_is_not_ready_is_told_among_several(place):
    place.start()
    leaving = place.start("--name", "leaving", "--drain-delay", "1h")
    leaving.signal(signal.SIGTERM)
    leaving.wait_log("serving on for --drain-delay")
    told = place.ctl("ready")
    assert told.returncode == 1 and "preforkd: ready\n" in told.stdout and "leaving: not ready" in told.stdout
    leaving.signal(signal.SIGINT)
    leaving.wait_exit()


def test_of_many_that_start_at_once_one_has_the_name(place):
    daemons = [place.start(wait=False, workers=1) for _ in range(6)]
    for daemon in daemons:
        daemon.wait_ready()
    # Whoever has the plain name has not said another.
    [plain] = [daemon for daemon in daemons if not daemon.log.find("a running daemon has the name")]
    assert place.names() == {"preforkd"} | {f"preforkd-{daemon.pid}" for daemon in daemons if daemon is not plain}
    assert {json.loads(line)["status"]["pid"] for line in place.ctl("--json", "status").stdout.splitlines()} == {
        daemon.pid for daemon in daemons}


def test_the_name_of_one_that_was_killed_is_free(place):
    first = place.start()
    workers = first.workers()
    first.process.kill()
    first.wait_exit()
    first.expect("the master is gone")
    assert all(proc.wait_gone(pid, 10) for pid in workers)
    assert place.names() == {"preforkd"}
    told = place.ctl("status")
    assert told.returncode == 1 and "no running daemon found" in told.stderr
    second = place.start()
    assert place.names() == {"preforkd"}
    assert json.loads(place.ctl("status", "--json").stdout)["pid"] == second.pid


def test_reload_and_upgrade_keep_it(place, tmp_path):
    place.start()
    file = tmp_path / "conf"
    file.write_text("handler = echo\n")
    for directory in (tmp_path, *tmp_path.parents[:-2]):
        directory.chmod(directory.stat().st_mode | 0o111)
    daemon = place.start("--config", str(file), env={"RUNTIME_DIRECTORY": ""})
    name = f"preforkd-{daemon.pid}"
    before = (place.outside / f"{name}.sock").stat()
    for order in ("reload", "upgrade", "reload", "upgrade"):
        told = place.ctl(order, "-i", name)
        assert told.returncode == 0 and "restart" not in told.stdout, told
    file.write_text("handler = echo\nname = other\ncontrol = off\n")
    daemon.expect("cannot be changed by a reload", "name has no effect", "which ran before: install the new release there")
    told = place.ctl("reload", "-i", name)
    assert told.returncode == 0 and "restart to apply: control, name" in told.stdout
    after = (place.outside / f"{name}.sock").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert json.loads(place.ctl("-i", name, "status", "--json").stdout)["generation"] == 6


def test_none_that_runs_is_a_failure_that_says_how_to_start_one(place):
    told = place.ctl("stop")
    assert told.returncode == 1 and place.directory in told.stderr
    assert told.stderr.endswith("; start it, with --name NAME to say -i NAME here, or with --control unix:///PATH to say "
                                "the same --control\n")
    assert len(told.stderr.splitlines()) == 1
    told = place.ctl("stop", "-i", "web")
    assert told.returncode == 1 and "start it with --name web" in told.stderr


def without_one(daemon, reason):
    """It serves, and has said why it cannot be asked, and what to do."""
    told = daemon.wait_log("no control socket")
    assert told["level"] == "info" and reason in told["message"] and "--control unix:///PATH" in told["message"]
    assert exchange(daemon.endpoint) == b"connected\n"


@pytest.mark.parametrize("kind, reason", [("link", "is not a directory, or a symbolic link"), ("open", "mode 0755: chmod 700"),
                                          ("file", "is not a directory"), ("foreign", "belongs to user")])
def test_a_directory_that_is_not_its_own_is_not_used(place, tmp_path, kind, reason):
    if kind == "foreign" and os.geteuid() != 0:
        pytest.skip("needs root")
    if kind == "link":
        (place.outside.parent / "elsewhere").mkdir(mode=0o700)
        place.outside.symlink_to("elsewhere")
    elif kind == "file":
        place.outside.touch()
    else:
        place.outside.mkdir()
        place.outside.chmod(0o755 if kind == "open" else 0o700)
    if os.geteuid() == 0:
        mine, other = (0, 65534) if place.wrap != NOBODY else (65534, 0)
        os.chown(place.outside, other if kind == "foreign" else mine, -1, follow_symlinks=False)
    without_one(place.start(), reason)
    if place.outside.is_dir():
        place.outside.chmod(0o700)
        assert list(place.outside.iterdir()) == []


@pytest.mark.programs("setpriv")
@pytest.mark.parametrize("value, reason", [(None, "XDG_RUNTIME_DIR is not set"), ("relative", "XDG_RUNTIME_DIR is not set"),
                                           ("/nonexistent", "create /nonexistent/preforkd: No such file or directory")])
def test_a_user_without_a_directory_is_served_without_one(user, value, reason):
    user.env = BY_ITSELF | ({"XDG_RUNTIME_DIR": value} if value else {})
    without_one(user.start(), reason)


@pytest.mark.mounts
@pytest.mark.programs("nsenter")
def test_where_run_cannot_be_written_it_serves_without_one(root):
    subprocess.run([*root.wrap, "mount", "-o", "remount,ro", "/run"], check=True)
    without_one(root.start(), "Read-only file system")


@pytest.mark.mounts
@pytest.mark.programs("nsenter")
def test_a_service_and_one_by_hand_are_found_alike(root):
    run = root.outside.parent
    services = {}
    for name, directory in (("preforkd", "preforkd"), ("web", "preforkd-web")):
        (run / directory).mkdir(mode=0o755)
        services[name] = root.start(env={"RUNTIME_DIRECTORY": f"/run/{directory}"})
    by_hand = root.start("--name", "mine")
    assert root.names() == {"mine"} and {file.name for file in (run / "preforkd").iterdir()} == {"control.sock"}
    for name, daemon in (services | {"mine": by_hand}).items():
        assert json.loads(root.ctl("-i", name, "status", "--json").stdout)["pid"] == daemon.pid
    assert len(root.ctl("status").stdout.splitlines()) == 4
    root.start()  # a second one called preforkd
    told = root.ctl("-i", "preforkd", "stop")
    assert told.returncode == 1 and told.stderr == (
        "preforkctl: 2 daemons run; say which is meant: --control unix:///run/preforkd/control.sock, "
        "--control unix:///run/preforkd-by-hand/preforkd.sock\n")
