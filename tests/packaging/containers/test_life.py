"""A container's life: published port, health, the death of a worker, orphans, and the end."""
import os
import signal
import socket
import subprocess
import time

import pytest

import proc
from clients import Load, connect, exchange, read_exactly, read_to_end, refused


def test_netcat_is_answered_through_the_published_port(container):
    port = container().endpoint.rpartition(":")[2]
    done = subprocess.run(["nc", "-N", "127.0.0.1", port], stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
    assert (done.returncode, done.stdout) == (0, b"connected\n")


def test_the_log_is_json_on_stderr_and_the_master_is_pid_1(container):
    running = container()
    exchange(running.endpoint)
    running.wait_log("got connection")
    entries = running.log()  # each was read as JSON, and stdout was empty
    assert [entry["pid"] for entry in entries if entry["message"].startswith("ready with")] == [1]


def test_the_health_state_follows_the_service(container, docker):
    running = container()
    check = ["healthcheck", "run", running.id]
    assert docker.attempt(*check).returncode == 0
    assert running.inspect()["State"]["Health"]["Status"] == "healthy"
    everybody = [running.pid, *running.workers()]  # the master first, which would replace stopped workers
    for pid in everybody:
        os.kill(pid, signal.SIGSTOP)
    retries = 3  # what HEALTHCHECK says when it says nothing
    for _ in range(retries):
        assert docker.attempt(*check).returncode == 1
    assert running.inspect()["State"]["Health"]["Status"] == "unhealthy"
    for pid in reversed(everybody):
        os.kill(pid, signal.SIGCONT)
    assert docker.attempt(*check).returncode == 0
    assert running.inspect()["State"]["Health"]["Status"] == "healthy"


@pytest.mark.parametrize("model", ["async", "thread", "fork"])
def test_stop_under_load_breaks_no_connection(container, model):
    running = container("--env=PREFORKD_LOG_CONNECTIONS=no", command=["--workers", "3", "--model", model])
    with Load(running.endpoint, clients=8) as load:
        load.wait_for_answers(200)
        assert running.stop() == 0
    assert not load.broken, load.broken


def test_stop_finishes_what_runs_within_the_ten_seconds_of_the_engine(container):
    running = container("--env=PREFORKD_HANDLER=echo", expect=["connections were cut"])
    with connect(running.endpoint) as finishing, connect(running.endpoint) as idle:
        for client in (finishing, idle):
            client.sendall(b"before")
            read_exactly(client, 6)
        running.signal("TERM")
        assert proc.eventually(lambda: refused(running.endpoint))
        finishing.sendall(b"after")
        read_exactly(finishing, 5)
        finishing.shutdown(socket.SHUT_WR)
        assert read_to_end(finishing) == b""
        began = time.monotonic()
        assert running.wait_exit() == 0, "not 137: the engine had nobody to kill"
        assert time.monotonic() - began < 10
        assert read_to_end(idle) == b""
    [line] = running.find("connections were cut")
    assert line["connections"] == 1


def test_more_time_than_ten_seconds_is_two_settings(container):
    """What the Dockerfile and the README say; an idle container shows that neither makes a stop slower."""
    running = container("--stop-timeout=60", "--env=PREFORKD_STOP_TIMEOUT=55s")
    assert running.inspect()["Config"]["StopTimeout"] == 60
    assert running.stop() == 0


def test_a_drain_delay_serves_on_after_the_stop_was_asked_for(container):
    running = container("--env=PREFORKD_DRAIN_DELAY=1h")
    running.signal("TERM")
    running.wait_log("serving on for --drain-delay")
    assert exchange(running.endpoint) == b"connected\n"
    running.signal("TERM")
    assert running.wait_exit() == 0


def test_hup_takes_over_a_configuration_that_was_mounted(container, tmp_path):
    (tmp_path / "preforkd.conf").write_text("workers = 1\n")
    tmp_path.chmod(0o755)  # for uid 65532
    running = container("--env=PREFORKD_LOG_CONNECTIONS=no", f"--volume={tmp_path}:/etc/preforkd:ro",
                        command=["--config", "/etc/preforkd/preforkd.conf"])
    with Load(running.endpoint) as load:
        load.wait_for_answers(50)
        (tmp_path / "preforkd.conf").write_text("workers = 3\n")
        running.signal("HUP")
        assert proc.eventually(lambda: len(running.workers()) == 3)
        load.wait_for_answers(50)
    assert not load.broken and not load.outcomes["refused"], (load.outcomes, load.broken)


def test_a_killed_worker_is_replaced_while_others_serve(container):
    running = container("--env=PREFORKD_LOG_CONNECTIONS=no", command=["--workers", "2"], expect=["killed by SIGKILL"])
    victim = running.workers()[0]
    with Load(running.endpoint, clients=2) as load:
        load.wait_for_answers(50)
        os.kill(victim, signal.SIGKILL)
        running.wait_log("killed by SIGKILL")
        load.wait_for_answers(50)
    assert len(load.broken) <= 2, "those whom the victim was serving, and nobody else"
    assert proc.eventually(lambda: len(running.workers()) == 2) and victim not in running.workers()


def test_pid_1_reaps_orphans(container):
    """Nothing in the image makes one.  A process of the host's, in the container's pid namespace, leaves its child to
    PID 1 there."""
    running = container("--env=PREFORKD_LOG_LEVEL=debug")
    orphan = subprocess.run(["nsenter", f"--target={running.pid}", "--pid", "--", "sh", "-c", "sh -c 'exit 3' & exit 0"],
                            timeout=20)
    assert orphan.returncode == 0
    running.wait_log("reaped an orphan")
    assert proc.eventually(lambda: not proc.zombies(running.pid))


def test_ctrl_c_and_term_before_it_is_ready_end_it_at_once(docker):
    """PID 1 has no default actions: a signal that nobody handles is lost, and the engine would wait, and kill."""
    for name in ("INT", "TERM"):
        started = docker("run", "--detach", "preforkd")
        docker("kill", f"--signal={name}", started)
        assert docker("wait", started, timeout=20) == "0"
