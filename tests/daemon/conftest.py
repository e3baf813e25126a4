"""Ring 3: the built binary, real sockets, real signals.  PREFORKD_BUILD names the build directory."""
import ctypes
import functools
import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

import daemon_process
from built_handlers import prefix, program, trouble  # noqa: F401
from configured import configured  # noqa: F401
from control import controlled, ctl  # noqa: F401
from denying import LANDLOCK_CREATE_RULESET
from notify_socket import NotifySocket
from observing import observed  # noqa: F401
from tls_authority import authority, pair, rsa_pair  # noqa: F401
from tls_service import own  # noqa: F401


def pytest_addoption(parser):
    parser.addoption("--seconds", type=float, default=3, help="how long a taken-over worker does its worst (3)")


def pytest_configure(config):
    # A shell ignores SIGINT in what it starts with `&`, and every program below would inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name, (_, missing) in NEEDS.items():
        config.addinivalue_line("markers", f"{name}: else skipped, {missing}")
    config.addinivalue_line("markers", "programs(names): needs these programs")


def _has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


def _has_terminals():
    try:
        for end in os.openpty():
            os.close(end)
        return True
    except OSError:
        return False


def _has_localhost():
    try:
        return bool(socket.getaddrinfo("localhost", 0))
    except socket.gaierror:
        return False


def _others_may_run_it():
    build = daemon_process.BUILD.resolve()
    return os.geteuid() != 0 or all(directory.stat().st_mode & 0o001 for directory in [build, *build.parents])


def _may_mount():
    return os.geteuid() == 0 and subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode == 0


def _may_be_strict():
    """Not with sanitizers, which need more than that leaves; nor without Landlock."""
    program = Path(daemon_process.PREFORKD).read_bytes()
    version = ctypes.CDLL(None).syscall(LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    return b"__asan_init" not in program and b"__tsan_init" not in program and version > 0


def _has_sqlite():
    return subprocess.run(["pkg-config", "--exists", "sqlite3"], stderr=subprocess.DEVNULL).returncode == 0


# What a test may be marked to need: whether it is here, and what is said where it is not.
NEEDS = {
    "root": (lambda: os.geteuid() == 0, "needs root"),
    "ipv6": (_has_ipv6, "this machine has no ::1"),
    "terminals": (_has_terminals, "there are no pseudo-terminals here: /dev/pts is not mounted"),
    "localhost": (_has_localhost, "localhost has no address here: /etc/hosts does not name it"),
    "others": (_others_may_run_it, "other users cannot enter the directory of the build: test a checkout elsewhere"),
    "hosts": (lambda: os.path.exists("/etc/hosts"), "there is no /etc/hosts here"),
    "strict": (functools.cache(_may_be_strict), "--sandbox strict takes Landlock, and a build without sanitizers"),
    "sqlite": (_has_sqlite, "libsqlite3-dev is not installed"),
    "mounts": (functools.cache(_may_mount), "needs root, and a root directory that is a mount point, which a chroot's is not"),
}


def pytest_runtest_setup(item):
    for name, (is_here, missing) in NEEDS.items():
        if item.get_closest_marker(name) and not is_here():
            pytest.skip(missing)
    for marker in item.iter_markers("programs"):
        for name in marker.args:
            if not shutil.which(name):
                # There they are installed before, so that one would be missing because somebody has forgotten it.
                (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"{name} is not installed")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for number, path in enumerate(getattr(item, "daemon_logs", [])):
            with open(path, errors="replace") as file:
                lines = file.read().splitlines()
            report.sections.append((f"log of daemon {number}", "\n".join(lines[:20] + ["..."] + lines[-30:]
                                                                         if len(lines) > 50 else lines)))


@pytest.fixture
def preforkd(request, tmp_path):
    """Starts daemons; after the test each is stopped and must have left nothing wrong behind."""
    assert os.access(daemon_process.PREFORKD, os.X_OK), f"build it first: {daemon_process.PREFORKD}"
    started, request.node.daemon_logs = [], []

    def start(*arguments, **how):
        how.setdefault("directory", tmp_path)
        wait = how.pop("wait", True)
        daemon = daemon_process.Daemon(*arguments, wait=False, **how)
        started.append(daemon)
        request.node.daemon_logs.append(daemon.log.path)
        if wait:
            daemon.wait_ready()
        return daemon

    yield start
    wrong = [sentence for daemon in reversed(started) for sentence in daemon.finish()]
    assert not wrong, "\n".join(wrong)


@pytest.fixture
def run_preforkd(tmp_path):
    """Runs it to its end, for what does not serve: --help, --check-config, bad input."""
    def run(*arguments, env=None, timeout=20, wrap=(), **how):
        env = {"RUNTIME_DIRECTORY": str(tmp_path)} | (env or {})  # for one that serves for a moment
        return subprocess.run([*wrap, daemon_process.PREFORKD, *arguments], env=daemon_process.clean_environment(env),
                              capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL, **how)
    return run


@pytest.fixture
def preforkctl():
    def run(*arguments, timeout=20, **how):
        return subprocess.run([daemon_process.PREFORKCTL, *arguments], env=daemon_process.clean_environment(),
                              capture_output=True, text=True, timeout=timeout, **how)
    return run


@pytest.fixture
def open_directory():
    """Where any user may go, which none may below pytest's own; and as short as a socket's path has to be."""
    directory = Path(tempfile.mkdtemp(dir="/tmp"))
    directory.chmod(0o777)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def notify(tmp_path):
    listening = NotifySocket(tmp_path)
    yield listening
    listening.close()


@pytest.fixture
def public(tmp_path_factory):
    """A directory that anybody may read, as tmp_path is not."""
    path = tmp_path_factory.mktemp("public")
    for directory in (path, *path.parents):
        if directory.stat().st_uid == os.geteuid() and not directory.stat().st_mode & stat.S_IXOTH:
            directory.chmod(directory.stat().st_mode | stat.S_IXOTH)
    return path
