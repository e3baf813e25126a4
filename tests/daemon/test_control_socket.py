"""Where the control socket is, whom it lets in, and how preforkctl finds it."""
import json
import os
import socket
import stat
import subprocess
from pathlib import Path

import pytest

import proc
from clients import exchange
from control import connect, endpoint_in, status
from daemon_process import PREFORKCTL, clean_environment

NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]


@pytest.mark.programs("nc")
@pytest.mark.parametrize("request_line", ["status", '{"command":"status"}'])
def test_netcat_can_ask(controlled, tmp_path, request_line):
    daemon = controlled()
    told = subprocess.run(["nc", "-N", "-U", f"{tmp_path}/control.sock"], input=request_line + "\n", text=True,
                          capture_output=True, timeout=20)
    assert told.stdout.count("\n") == 1 and json.loads(told.stdout)["status"]["pid"] == daemon.pid


def test_its_file_is_for_its_owner_and_gone_at_the_end(controlled, tmp_path):
    daemon = controlled()
    assert stat.S_IMODE(os.stat(tmp_path / "control.sock").st_mode) == 0o600
    daemon.stop()
    assert not (tmp_path / "control.sock").exists()


@pytest.mark.root
@pytest.mark.programs("setpriv")
def test_another_user_does_not_get_in(controlled, tmp_path):
    daemon = controlled()
    for directory in (tmp_path, *tmp_path.parents[:-2]):
        directory.chmod(directory.stat().st_mode | 0o111)
    told = subprocess.run([*NOBODY, PREFORKCTL, "stop", "--control", daemon.control], capture_output=True, text=True,
                          timeout=20)
    assert told.returncode == 1 and "only root and the user of the daemon may ask it" in told.stderr
    assert status(daemon.control)["phase"] == "running"


@pytest.mark.root
@pytest.mark.programs("setpriv")
def test_another_user_is_refused_where_no_file_keeps_him_out(preforkd, tmp_path):
    name = f"unix://@preforkd-test{tmp_path}"
    daemon = preforkd("--control", name)
    daemon.expect("control: refused another user")
    told = subprocess.run([*NOBODY, PREFORKCTL, "stop", "--control", name], capture_output=True, text=True, timeout=20)
    assert (told.returncode, told.stderr) == (1, "preforkctl: only root and the user of this daemon may ask\n")
    assert daemon.wait_log("refused another user")["uid"] == 65534
    assert status(name)["phase"] == "running"


def test_it_is_in_the_runtime_directory_that_systemd_makes(preforkd, preforkctl, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    daemon = preforkd(env={"PREFORKD_CONTROL": "", "RUNTIME_DIRECTORY": f"{first}:{second}"})
    assert status(f"unix://{first}/control.sock")["pid"] == daemon.pid
    assert not list(second.iterdir())


def test_off_is_off(preforkd, tmp_path):
    daemon = preforkd("--control", "off", env={"RUNTIME_DIRECTORY": str(tmp_path)})
    assert not [held for held in proc.sockets_of(daemon.pid) if held.family == socket.AF_UNIX and
                held.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)]


def test_the_environment_and_the_file_can_name_it(preforkd, tmp_path):
    preforkd(env={"PREFORKD_CONTROL": f"unix://{tmp_path}/a"})
    (tmp_path / "file").write_text(f"control = unix://{tmp_path}/b\n")
    preforkd("--config", f"{tmp_path}/file")
    assert [status(f"unix://{tmp_path}/{name}")["phase"] for name in "ab"] == ["running", "running"]


@pytest.mark.parametrize("wrong", ["tcp://127.0.0.1:1", "unixgram:///x", "yes", ""])
def test_what_is_no_unix_socket_is_refused(run_preforkd, wrong):
    told = run_preforkd("--control", wrong, "--check-config")
    assert told.returncode == 64 and "--control: expected unix:///PATH or unix://@NAME" in told.stderr


TOO_LONG = "unix:///" + "x" * 107


def test_a_path_that_is_too_long_is_called_so(run_preforkd, preforkctl, preforkd, tmp_path):
    for arguments in (("--control", TOO_LONG), ("--listen", TOO_LONG), ("--listen", TOO_LONG.replace("unix", "unixgram"))):
        told = run_preforkd(*arguments, "--check-config")
        assert told.returncode == 64 and "has a path of 108 bytes; the kernel takes at most 107" in told.stderr
    for arguments in (("status", "--control", TOO_LONG), ("send", TOO_LONG)):
        told = preforkctl(*arguments)
        assert told.returncode == 64 and "has a path of 108 bytes; the kernel takes at most 107" in told.stderr
    daemon = preforkd(env={"PREFORKD_CONTROL": "", "RUNTIME_DIRECTORY": str(tmp_path) + "/" + "x" * 100})
    daemon.expect("--control")
    assert "the kernel takes at most 107" in daemon.wait_log("--control")["message"]


def test_one_that_cannot_be_made_is_a_warning_and_the_daemon_serves(preforkd, tmp_path):
    daemon = preforkd("--control", f"unix://{tmp_path}/missing/control.sock")
    daemon.expect("--control")
    assert "No such file or directory: create the directory" in daemon.wait_log("--control")["message"]
    assert exchange(daemon.endpoint) == b"connected\n"


def test_a_live_one_is_left_to_its_daemon(controlled, preforkd, tmp_path):
    first = controlled()
    second = preforkd("--control", first.control)
    second.expect("--control")
    assert "in use by preforkd" in second.wait_log("--control")["message"]
    second.stop()
    assert status(first.control)["pid"] == first.pid


def test_a_stale_one_is_replaced(controlled, preforkd, tmp_path):
    first = controlled()
    workers = first.workers()
    first.process.kill()
    first.wait_exit()
    first.expect("the master is gone")
    assert all(proc.wait_gone(pid, 10) for pid in workers)
    assert (tmp_path / "control.sock").exists()
    second = controlled()
    assert status(second.control)["pid"] == second.pid


def test_without_a_master_there_is_none_and_that_is_said(preforkd, tmp_path):
    daemon = preforkd("--control", endpoint_in(tmp_path), workers=0)
    daemon.expect("--control has no effect")
    daemon.wait_log("--control has no effect: it is the master's, and --workers 0 has none")
    assert not (tmp_path / "control.sock").exists()


def test_a_daemon_that_is_not_there_is_a_failure_with_a_remedy(tmp_path, preforkctl):
    told = preforkctl("status", "--control", endpoint_in(tmp_path))
    assert told.returncode == 1 and "is preforkd running, and with this --control?" in told.stderr


def test_preforkctl_finds_the_daemon_by_the_environment(controlled, tmp_path):
    daemon = controlled()
    for variable, value in (("PREFORKD_CONTROL", daemon.control), ("RUNTIME_DIRECTORY", f"{tmp_path}:/elsewhere")):
        told = subprocess.run([PREFORKCTL, "status", "--json"], env=clean_environment({variable: value}), text=True,
                              capture_output=True, timeout=20)
        assert told.returncode == 0 and json.loads(told.stdout)["pid"] == daemon.pid


@pytest.mark.parametrize("arguments", [["workers"], ["workers", "0"], ["stop", "--json"], ["status", "--control", "x"]])
def test_a_wrong_command_line_is_usage(preforkctl, arguments):
    told = preforkctl(*arguments)
    assert told.returncode == 64 and told.stderr.startswith("preforkctl: ")


def test_no_worker_holds_the_control_socket(controlled):
    daemon = controlled(workers=1)
    with connect(daemon.control) as client:
        client.sendall(b"workers 3\n")
        client.makefile().readline()
        workers = daemon.wait_workers(3)
        daemon.stop()
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]
