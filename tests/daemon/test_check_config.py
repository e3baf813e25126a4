"""--check-config calls good what a start would serve, and refuses the rest with the words and the exit code of the
start; whatever it finds, it leaves everything as it was."""
import json
import os
import select
import socket

import pytest

from activation import listening
from clients import exchange
from control import status

SYSTEM, PERMISSION, CONFIGURATION = 71, 77, 78
HERE = "tcp://127.0.0.1:0"


def sentence_of(told):
    """Of its one error: in a line of JSON, or of text, `TIME error   ...`."""
    [line] = [line for line in told.stderr.splitlines() if "retrying for" not in line]
    return json.loads(line)["message"] if line.startswith("{") else line.split("error   ", 1)[1]


def everything_below(directory):
    return {path: (path.lstat().st_mode, path.lstat().st_size, path.lstat().st_ino) for path in directory.rglob("*")}


def check_both(run_preforkd, tmp_path, code, words, *arguments, **how):
    good = ("-l", f"unix://{tmp_path}/good", "--control", "off")
    before = everything_below(tmp_path)
    checked = run_preforkd(*good, "--check-config", *arguments, **how)
    assert everything_below(tmp_path) == before
    started = run_preforkd(*good, *arguments, **how)
    assert everything_below(tmp_path) == before
    assert (checked.returncode, sentence_of(checked)) == (started.returncode, sentence_of(started))
    assert checked.returncode == code and words in sentence_of(checked) and not checked.stdout


@pytest.fixture
def places(tmp_path):
    (tmp_path / "file").write_text("precious")
    (tmp_path / "directory").mkdir()
    (tmp_path / "dangling").symlink_to(tmp_path / "none" / "log")
    return tmp_path


@pytest.mark.parametrize("code, words, arguments", [
    (CONFIGURATION, "No such file or directory", ["--log-file", "{tmp}/none/log"]),
    (CONFIGURATION, "Is a directory", ["--log-file", "{tmp}/directory"]),
    (CONFIGURATION, "Is a directory", ["--log-file", "{tmp}/directory/"]),
    (CONFIGURATION, "Not a directory", ["--log-file", "{tmp}/file/log"]),
    (CONFIGURATION, "No such file or directory", ["--log-file", "{tmp}/dangling"]),
    (CONFIGURATION, "create the directory {tmp}/none first", ["-l", "unix://{tmp}/none/s"]),
    (CONFIGURATION, "Not a directory", ["-l", "unix://{tmp}/file/s"]),
    (CONFIGURATION, "a file that is not a socket is there", ["-l", "unix://{tmp}/file"]),
    (CONFIGURATION, "a file that is not a socket is there", ["-l", "unixgram://{tmp}/directory", "--handler", "echo"]),
    (CONFIGURATION, "user=no-such-one: no such user", ["-l", "unix://{tmp}/s user=no-such-one"]),
    (CONFIGURATION, "group=no-such-one: no such group", ["-l", "unix://{tmp}/s group=no-such-one"]),
    (CONFIGURATION, "a link-local address needs its interface", ["-l", "tcp://[fe80::1]:0"]),
    (SYSTEM, "no interface of this machine has it", ["-l", "udp://192.0.2.1:0", "--handler", "echo"]),
    (CONFIGURATION, "create the directory {tmp}/none first", ["--observe", "unix://{tmp}/none/s"]),
    (CONFIGURATION, "a file that is not a socket is there", ["--agent", "unix://{tmp}/file"]),
    (SYSTEM, "no interface of this machine has it", ["--agent", "tcp://192.0.2.1:1"]),
    (CONFIGURATION, "No such file or directory", ["-l", "tls://127.0.0.1:0 certificate={tmp}/none key={tmp}/none"]),
    (CONFIGURATION, "No such file or directory", ["-l", HERE + " allow=@{tmp}/none"]),
    (CONFIGURATION, "no such directory", ["--chdir", "{tmp}/none"]),
    (CONFIGURATION, "none", ["--sandbox", "strict", "--allow-read", "{tmp}/none"]),
    (CONFIGURATION, "none", ["--", "{tmp}/none"]),
    (CONFIGURATION, "file", ["--", "{tmp}/file"]),
    (CONFIGURATION, "--pass fd0 gives one socket, and there are 2",
     ["-l", "unix://{tmp}/s", "--run", "pool", "--pass", "fd0", "--", "cat"]),
])
def test_it_refuses_what_the_start_refuses_with_the_same_words(run_preforkd, places, code, words, arguments):
    arguments = [argument.format(tmp=places) for argument in arguments]
    check_both(run_preforkd, places, code, words.format(tmp=places), *arguments)


@pytest.mark.root
@pytest.mark.parametrize("arguments", [[], ["--", "cat"]])
def test_it_refuses_a_directory_that_the_workers_may_not_enter(run_preforkd, tmp_path, arguments):
    (tmp_path / "closed").mkdir(mode=0o700)
    check_both(run_preforkd, tmp_path, CONFIGURATION, "Permission denied for workers of --user nobody",
               "--user", "nobody", "--chdir", f"{tmp_path}/closed", *arguments)


@pytest.mark.programs("setpriv")
@pytest.mark.parametrize("arguments", [["-l", "unix://{tmp}/closed/s"], ["--log-file", "{tmp}/closed/log"],
                                       ["--log-file", "{tmp}/unwritable"], ["-l", "unix://{tmp}/s user=root"],
                                       ["-l", "unix://{tmp}/s group=root"]])
def test_it_refuses_what_its_user_may_not(run_preforkd, open_directory, arguments):
    (open_directory / "closed").mkdir(mode=0o500)
    (open_directory / "unwritable").touch(mode=0o400)
    wrap = []
    if os.geteuid() == 0:
        wrap = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    check_both(run_preforkd, open_directory, PERMISSION, "", *[each.format(tmp=open_directory) for each in arguments],
               wrap=wrap)


@pytest.mark.root
@pytest.mark.programs("setpriv")
def test_it_refuses_a_port_that_its_user_may_not_have(run_preforkd, tmp_path):
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start") as file:
        if int(file.read()) <= 80:
            pytest.skip("every port is free here")
    for scheme in "tcp", "udp":
        check_both(run_preforkd, tmp_path, PERMISSION, "grant CAP_NET_BIND_SERVICE", "-l", f"{scheme}://127.0.0.1:80",
                   "--handler", "echo",
                   wrap=["setpriv", "--bounding-set", "-net_bind_service", "--inh-caps", "-net_bind_service"])


def test_a_control_socket_that_cannot_be_had_is_a_warning_as_it_is_at_the_start(run_preforkd, preforkd, tmp_path):
    told = run_preforkd("-l", HERE, "--control", f"unix://{tmp_path}/none/control.sock", "--check-config")
    assert (told.returncode, told.stdout) == (0, "configuration is valid\n")
    daemon = preforkd("--control", f"unix://{tmp_path}/none/control.sock")
    daemon.expect("without a control socket")
    [line] = told.stderr.splitlines()
    assert line.endswith(daemon.wait_log("without a control socket")["message"])


def test_what_the_running_daemon_has_is_no_fault(preforkd, run_preforkd, tmp_path):
    endpoints = [HERE, f"unix://{tmp_path}/s"]
    arguments = ["--control", f"unix://{tmp_path}/control.sock", "--observe", f"unix://{tmp_path}/observed"]
    daemon = preforkd(*arguments, listen=endpoints)
    checked = run_preforkd("-l", daemon.endpoint, "-l", endpoints[1], *arguments, "--check-config")
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "configuration is valid\n", "")
    assert exchange(endpoints[1]) == b"connected\n" and status(f"unix://{tmp_path}/control.sock")["pid"] == daemon.pid


@pytest.mark.programs("ip")
@pytest.mark.mounts
def test_a_machine_without_ipv6_listens_on_what_it_has(run_preforkd):
    told = run_preforkd("-l", "tcp://:0", "-l", "tcp://127.0.0.1:0", "--check-config", wrap=[
        "unshare", "--net", "sh", "-ec", 'ip link set lo up; ip -6 addr flush dev lo; exec "$@"', "sh"])
    assert (told.returncode, told.stdout) == (0, "configuration is valid\n"), told.stderr


def test_nothing_is_made_or_opened_of_what_is_good(run_preforkd, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "stale"))
    before = everything_below(tmp_path)
    for log in "new", "fifo":
        told = run_preforkd("-l", f"unix://{tmp_path}/s mode=0600", "-l", f"unix://{tmp_path}/stale",
                            "--log-file", f"{tmp_path}/{log}", "--check-config")
        assert (told.returncode, told.stdout, told.stderr) == (0, "configuration is valid\n", "")
    assert everything_below(tmp_path) == before
    poll = select.poll()
    poll.register(reader, 0)
    assert not poll.poll(0), "the FIFO's reader has not met anybody who writes, and left"
    os.close(reader)


@pytest.mark.programs("prlimit")
def test_what_a_start_warns_of_it_warns_of(run_preforkd):
    told = run_preforkd("-l", HERE, "--connections", "1000000", "--check-config", wrap=["prlimit", "--nofile=256:256"])
    assert told.returncode == 0 and "--connections 1000000 is more than 256 open files allow" in told.stderr


def test_a_port_in_use_is_not_taken_for_a_moment(run_preforkd):
    with listening() as other:
        told = run_preforkd("-l", f"tcp://127.0.0.1:{other.getsockname()[1]}", "--check-config")
        assert (told.returncode, told.stderr) == (0, "")
