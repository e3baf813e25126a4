"""Everything that may be taken away from a container is taken away, and it serves all the same."""
import json
import os

import pytest

import proc
from clients import Load, connect, exchange, read_exactly
from container import RESTRICTED


def serves(running):
    return exchange(running.endpoint) == b"connected\n"


def test_no_capability_no_new_privileges_and_a_read_only_root(container):
    running = container(*RESTRICTED)
    assert serves(running)
    status = proc.status(running.pid)
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"].strip() == "1"
    assert running.stop() == 0


@pytest.mark.parametrize("user", ["12345", "1:1", "65532", "2147483647:2147483647"])
def test_any_number_will_do_as_user(container, user):
    running = container(*RESTRICTED, f"--user={user}")
    assert serves(running)
    assert proc.status(running.workers()[0])["Uid"].split()[0] == user.partition(":")[0]
    assert running.exec("preforkctl", "ready").stdout == "ready\n"


def test_root_makes_its_workers_somebody_by_number(container):
    running = container("--user=0", command=["--user", "12345", "--listen", "tcp://:10000"])
    assert serves(running)
    assert {proc.status(pid)["Uid"].split()[0] for pid in running.workers()} == {"12345"}
    assert {proc.status(pid)["Gid"].split()[0] for pid in running.workers()} == {"12345"}
    assert proc.status(running.pid)["Uid"].split()[0] == "0"


def test_a_root_without_capabilities_is_told_which_it_takes_to_be_somebody_else(run_once):
    done = run_once("--user=0", "--cap-drop=ALL", command=["--user", "12345"])
    assert done.returncode == 77
    assert "--user" in done.stderr and "CAP_SETUID, CAP_SETGID, CAP_KILL" in done.stderr
    assert "worker" not in done.stderr.partition("message")[2], "none was started"


def test_a_name_is_refused_where_there_is_no_user_database(run_once):
    done = run_once("--user=0", command=["--user", "www-data"])
    assert done.returncode == 78
    assert "--user www-data: no such user" in done.stderr and "number" in done.stderr


def test_without_any_network_it_serves_its_unix_socket(container, docker):
    running = container(*RESTRICTED, "--network=none", "--tmpfs=/run/preforkd:mode=1777", publish=False,
                        command=["--listen", "unix:///run/preforkd/socket"])
    told = running.exec("preforkctl", "send", "unix:///run/preforkd/socket", "--expect", "connected")
    assert told.returncode == 0, told.stderr


def test_the_number_of_workers_follows_the_cpu_quota(container):
    for cpus, workers in (("0.5", 1), ("1", 1)):
        running = container(f"--cpus={cpus}")
        assert len(running.workers()) == workers
    affine = len(os.sched_getaffinity(0))
    assert len(container().workers()) == affine


def test_at_its_limit_of_processes_it_serves_with_those_it_has(container):
    """Master, four workers and one child are six: the second client waits for the first one's child to end."""
    running = container("--pids-limit=6", command=["--workers", "4", "--model", "fork", "--handler", "echo"],
                        expect=["fork", "Resource temporarily unavailable"])
    held = [connect(running.endpoint)]
    held[0].sendall(b"x")
    read_exactly(held[0], 1)
    waiting = connect(running.endpoint)
    waiting.sendall(b"y")
    running.wait_log("Resource temporarily unavailable")
    held[0].close()
    assert read_exactly(waiting, 1) == b"y", "served as soon as there is space"
    waiting.close()


def test_a_limit_on_open_files_becomes_a_limit_on_connections(container):
    # Said nothing of nproc, podman would ask for more of it than a root without CAP_SYS_RESOURCE may have.
    running = container("--ulimit=nofile=64:64", "--ulimit=nproc=1000:1000", command=["--workers", "1"],
                        expect=["open files"])
    assert running.find("raise RLIMIT_NOFILE")
    clients = [connect(running.endpoint) for _ in range(100)]  # those beyond it wait in the kernel's queue
    for client in clients:
        client.close()
    assert serves(running)


def test_it_fits_into_sixteen_mebibytes(container):
    running = container("--memory=16m", "--memory-swap=16m", "--env=PREFORKD_LOG_CONNECTIONS=no",
                        command=["--workers", "2"])
    with Load(running.endpoint, clients=8) as load:
        load.wait_for_answers(500)
    assert not load.broken
    assert not running.inspect()["State"]["OOMKilled"]


# --- system calls that a profile forbids --------------------------------------------------------------------------------

def profile(path, errno, *names):
    """A seccomp profile that allows everything but `names`."""
    path.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": list(names), "action": "SCMP_ACT_ERRNO", "errnoRet": errno}]}))
    return f"--security-opt=seccomp={path}"


def test_a_profile_without_pidfds_is_named_before_anything_is_bound(run_once, tmp_path):
    for errno, said in ((1, "Operation not permitted"), (38, "Function not implemented")):
        done = run_once(profile(tmp_path / "profile.json", errno, "pidfd_open", "pidfd_send_signal"))
        assert done.returncode == 71
        assert f"pidfd_open: {said}: preforkd needs" in done.stderr and "seccomp profile" in done.stderr
        assert "listening" not in done.stderr


def test_a_profile_without_accept4_is_named_before_a_client_waits_in_vain(run_once, tmp_path):
    done = run_once(profile(tmp_path / "profile.json", 1, "accept4"))
    assert done.returncode == 71
    assert "accept4: Operation not permitted: preforkd needs" in done.stderr and "listening" not in done.stderr


@pytest.mark.parametrize("names", [["io_uring_setup", "io_uring_enter", "io_uring_register"], ["pwritev2"],
                                   ["clone3", "openat2", "statx", "rseq", "faccessat2"]], ids=lambda names: names[0])
def test_a_profile_without_what_is_new_changes_nothing(container, tmp_path, names):
    running = container(*RESTRICTED, profile(tmp_path / "profile.json", 38, *names))
    assert serves(running)
    assert running.stop() == 0
