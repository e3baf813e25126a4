"""What the daemon finds around it: a disk that is full or read-only, no /proc, nobody's uid, a kernel that forbids.
It serves, or says in one sentence what is missing."""
import os
import signal
import stat
import subprocess

import pytest

import daemon_process
import proc
from clients import Load, connect, exchange, read_exactly, read_to_end
from control import ask, endpoint_in
from test_bad_input import CONFIGURATION, PERMISSION, is_one_sentence

NOBODY = 12345  # has no passwd entry


def in_mounts(script):
    """A wrapper with a mount namespace of its own, made up by a few shell commands."""
    return ["unshare", "--mount", "sh", "-ec", f'{script}\nexec "$@"', "sh"]


def tmpfs(path, options):
    return in_mounts(f"mount -t tmpfs -o {options} none {path}")


# --- the disk ---------------------------------------------------------------------------------------------------------

def test_with_a_full_disk_it_serves_and_says_once_that_lines_are_lost(preforkd):
    daemon = preforkd("--log-file", "/dev/full", workers=1)
    daemon.expect("the disk is full")
    for _ in range(5):
        assert exchange(daemon.endpoint) == b"connected\n"
    assert daemon.stop() == 0
    said = daemon.log.find("--log-file: the disk is full")
    assert len(said) == len({entry["pid"] for entry in said}) <= 2, "once by the master, once by its worker"


@pytest.mark.mounts
def test_a_log_goes_on_when_the_full_disk_has_space_again(preforkd, tmp_path):
    (tmp_path / "disk").mkdir()
    daemon = preforkd("--log-file", f"{tmp_path}/disk/log", workers=1, wrap=tmpfs(f"{tmp_path}/disk", "size=64k"))
    daemon.expect("the disk is full")
    disk = f"/proc/{daemon.pid}/root{tmp_path}/disk"
    with open(f"{disk}/filler", "wb", buffering=0) as filler, pytest.raises(OSError):
        while True:
            filler.write(b"x" * 1024)
    with open(f"{disk}/log", "r+b") as log:  # what is left of its last page
        log.seek(0, os.SEEK_END)
        log.write(b"\n" * (-log.tell() % 4096))
    assert exchange(daemon.endpoint) == b"connected\n"
    daemon.wait_log("--log-file: the disk is full")
    os.unlink(f"{disk}/filler")
    assert exchange(daemon.endpoint) == b"connected\n"
    with open(f"{disk}/log") as log:
        assert proc.eventually(lambda: "log lines dropped: the disk is full" in log.read())


@pytest.mark.mounts
@pytest.mark.parametrize("arguments, words", [
    (["-l", "unix://DISK/socket"], ["--listen unix://", "Read-only file system", "/run"]),
    (["-l", "tcp://127.0.0.1:0", "--log-file", "DISK/log"], ["--log-file", "Read-only file system"]),
], ids=["socket", "log"])
def test_a_read_only_disk_is_named(run_preforkd, tmp_path, arguments, words):
    told = run_preforkd(*(each.replace("DISK", str(tmp_path)) for each in arguments), wrap=tmpfs(tmp_path, "ro"))
    is_one_sentence(told, CONFIGURATION, words)


@pytest.mark.mounts
def test_a_disk_without_space_for_a_socket_is_named(run_preforkd, tmp_path):
    told = run_preforkd("-l", f"unix://{tmp_path}/socket", wrap=tmpfs(tmp_path, "nr_inodes=1"))
    is_one_sentence(told, 71, ["--listen unix://", "No space left on device"])


@pytest.mark.mounts
def test_on_a_read_only_root_it_serves(preforkd):
    daemon = preforkd(wrap=in_mounts("mount -o bind / /mnt\nmount -o remount,bind,ro /\ntest ! -w /etc"))
    assert exchange(daemon.endpoint) == b"connected\n"


def test_a_missing_runtime_directory_is_named_with_what_makes_it(run_preforkd, tmp_path):
    told = run_preforkd("-l", f"unix://{tmp_path}/none/socket")
    is_one_sentence(told, CONFIGURATION, [f"{tmp_path}/none", "RuntimeDirectory="])


@pytest.mark.parametrize("task", ["--help", "--version", "--list-handlers", "--print-config", "--check-config"])
def test_a_task_whose_answer_finds_no_space_fails(task):
    with open("/dev/full", "w") as full:
        told = subprocess.run([daemon_process.PREFORKD, task], env=daemon_process.clean_environment(None), stdout=full,
                              stderr=subprocess.PIPE, text=True, timeout=20)
    assert told.returncode == 71
    assert told.stderr.endswith("write standard output: No space left on device\n"), told.stderr


@pytest.mark.mounts
def test_a_socket_for_others_where_only_root_may_go_is_warned_of(preforkd):
    """What DynamicUser= makes of RuntimeDirectory=, as the service sees it."""
    wrap = in_mounts("mount -t tmpfs none /run\nmkdir -p /run/private/mine\nln -s private/mine /run/mine")
    daemon = preforkd(listen="unix:///run/mine/socket mode=0666", wrap=wrap)
    daemon.expect("only root may enter /run/private")
    assert daemon.log.find("--listen unix:///run/mine/socket: only root may enter /run/private")
    assert not preforkd(listen="unix:///run/mine/socket mode=0600", wrap=wrap).log.find("/run/private")


# --- who it is --------------------------------------------------------------------------------------------------------

AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


@pytest.mark.root
@pytest.mark.others
@pytest.mark.programs("setpriv")
def test_a_configuration_of_another_user_is_used_if_it_can_be_read(preforkd, run_preforkd, public):
    configuration = public / "preforkd.conf"
    configuration.write_text("greeting = from root\n")
    configuration.chmod(0o600)
    told = run_preforkd("--config", str(configuration), "--check-config", wrap=AS_NOBODY)
    is_one_sentence(told, PERMISSION, ["--config", str(configuration), "Permission denied", "let the user"])
    configuration.chmod(0o644)
    daemon = preforkd("--config", str(configuration), wrap=AS_NOBODY, env={"PREFORKD_CONTROL": "off"})
    assert exchange(daemon.endpoint) == b"from root\n"


@pytest.mark.root
@pytest.mark.others
@pytest.mark.programs("setpriv")
@pytest.mark.parametrize("arguments", [[], ["--", "/bin/cat"]], ids=["handler", "program"])
def test_a_uid_without_a_passwd_entry_serves(preforkd, arguments):
    daemon = preforkd(*arguments, wrap=AS_NOBODY)
    assert exchange(daemon.endpoint, b"connected\n") == b"connected\n"
    assert {proc.status(pid)["Uid"].split()[0] for pid in daemon.workers()} == {str(NOBODY)}


@pytest.mark.root
def test_user_takes_a_number_without_a_passwd_entry(preforkd):
    daemon = preforkd("--user", str(NOBODY))
    assert exchange(daemon.endpoint) == b"connected\n"
    status = proc.status(daemon.workers()[0])
    assert status["Uid"].split()[0] == status["Gid"].split()[0] == str(NOBODY)


# --- what started it --------------------------------------------------------------------------------------------------

IGNORES_SIGCHLD = ["env", "--ignore-signal=CHLD"]


def test_started_with_sigchld_ignored_it_learns_of_every_death(preforkd):
    daemon = preforkd(wrap=IGNORES_SIGCHLD)
    daemon.expect("killed by SIGKILL")
    os.kill(daemon.workers()[0], signal.SIGKILL)
    daemon.wait_log("killed by SIGKILL")
    daemon.wait_workers(2)
    assert daemon.stop() == 0


@pytest.mark.parametrize("arguments", [["--model", "fork"], ["--", "/bin/echo", "connected"]], ids=["fork", "program"])
def test_started_with_sigchld_ignored_and_without_a_master_it_serves_by_children(preforkd, arguments):
    daemon = preforkd("--connections", "1", *arguments, workers=0, wrap=IGNORES_SIGCHLD)
    for _ in range(3):  # each only after the end of the one before
        assert exchange(daemon.endpoint) == b"connected\n"
    assert daemon.stop() == 0


# --- /proc and cgroups ------------------------------------------------------------------------------------------------

WITHOUT_PROC = in_mounts("umount --lazy /proc")
NEEDS_FCHMODAT2 = pytest.mark.skipif(tuple(map(int, os.uname().release.split(".")[:2])) < (6, 6),
                                     reason="fchmodat2 is in Linux since 6.6")


@pytest.mark.mounts
@pytest.mark.parametrize("model", ["async", "serial", "thread", "fork"])
def test_without_proc_it_serves_replaces_and_drains(preforkd, model):
    daemon = preforkd("--model", model, "--log-connections", "no", workers=2, wrap=WITHOUT_PROC)
    daemon.expect("/proc is not mounted", "killed by SIGKILL")
    assert len(daemon.log.find("/proc is not mounted")) == 1
    os.kill(daemon.workers()[0], signal.SIGKILL)
    daemon.wait_log("killed by SIGKILL")
    daemon.wait_workers(2)
    with Load(daemon.endpoint) as load:
        load.wait_for_answers(100)
        assert daemon.stop() == 0
    assert not load.broken, load.broken


@pytest.mark.mounts
def test_without_proc_a_reply_that_is_under_way_at_the_stop_is_whole(preforkd):
    daemon = preforkd("--handler", "echo", wrap=WITHOUT_PROC)
    daemon.expect("/proc is not mounted")
    with connect(daemon.endpoint) as client:
        client.sendall(b"before")
        read_exactly(client, 6)
        daemon.signal(signal.SIGTERM)
        daemon.wait_log("stopping")
        client.sendall(b"x" * 1_000_000)
        client.shutdown(1)
        assert len(read_to_end(client)) == 1_000_000
    assert daemon.wait_exit() == 0


@NEEDS_FCHMODAT2
@pytest.mark.mounts
def test_without_proc_a_socket_file_has_its_mode_and_the_daemon_can_be_asked(preforkd, tmp_path):
    control = endpoint_in(tmp_path)
    daemon = preforkd("--control", control, listen=f"unix://{tmp_path}/socket mode=0666", wrap=WITHOUT_PROC)
    daemon.expect("/proc is not mounted")
    assert stat.S_IMODE(os.stat(tmp_path / "socket").st_mode) == 0o666
    assert stat.S_IMODE(os.stat(tmp_path / "control.sock").st_mode) == 0o600
    assert exchange(daemon.endpoint) == b"connected\n"
    assert ask(control, "ready")["ok"]


@pytest.mark.mounts
def test_without_proc_an_upgrade_says_what_is_missing(preforkd):
    daemon = preforkd("--control", "unix://@preforkd-without-proc", wrap=WITHOUT_PROC)
    daemon.expect("/proc is not mounted", "upgrade failed")
    answer = ask("unix://@preforkd-without-proc", "upgrade")
    assert not answer["ok"] and "/proc" in answer["error"], answer
    assert exchange(daemon.endpoint) == b"connected\n"


@pytest.mark.mounts
@pytest.mark.programs("ip")
def test_where_the_limit_of_the_backlog_cannot_be_read_the_socket_tells_it(preforkd):
    most = 16384
    unreadable = ["unshare", "--mount", "--net", "sh", "-ec", f"echo {most} >/proc/sys/net/core/somaxconn\n"
                  'ip link set lo up\nmount -t tmpfs none /proc/sys\nexec "$@"', "sh"]
    daemon = preforkd(listen=f"tcp://127.0.0.1:0 backlog={most}", wrap=unreadable)
    assert not daemon.log.find("backlog")
    cut = preforkd(listen=f"tcp://127.0.0.1:0 backlog={most + 1}", wrap=unreadable)
    cut.expect(f"backlog {most + 1} is cut to {most}")
    assert cut.log.find(f"backlog {most + 1} is cut to {most}")
    silent = preforkd(listen=f"unix://@preforkd-{os.getpid()} backlog={most + 1}", wrap=unreadable)
    assert not silent.log.find("backlog"), "a Unix socket does not tell, and nothing is guessed"


@pytest.mark.mounts
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor is one worker whatever the quota")
@pytest.mark.parametrize("membership, files", [
    ("0::/", {"cpu.max": "50000 100000"}),  # version 2, as a container with its own namespace sees it
    ("0::/a/b", {"cpu.max": "max 100000", "a/cpu.max": "100000 100000", "a/b/cpu.max": "max 100000"}),
    ("3:cpu,cpuacct:/docker/1234", {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}),
], ids=["version 2", "version 2, of a group above", "version 1"])
def test_auto_workers_follow_the_quota_of_the_cgroup(preforkd, tmp_path, membership, files):
    (tmp_path / "membership").write_text(membership + "\n")
    for name, text in files.items():
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_text(text + "\n")
    daemon = preforkd(workers=None, wrap=in_mounts(f"mount --bind {tmp_path}/membership /proc/$$/cgroup\n"
                                                   f"mount --bind {tmp_path}/tree /sys/fs/cgroup"))
    assert len(daemon.workers()) == 1
