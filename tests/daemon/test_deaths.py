"""What workers died of, in the log and in `preforkctl deaths`."""
import contextlib
import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

import proc
from clients import connect as connect_client, exchange, read_exactly
from control import ask, deaths, status

ROOT = Path(__file__).resolve().parents[2]


def wait_death(daemon, pid):
    found = proc.eventually(lambda: [each for each in deaths(daemon.control) if each["pid"] == pid], 10)
    assert found, deaths(daemon.control)
    return found[0]


def useful_worker(daemon):
    """The only worker, as soon as it has counted what it has served: that is after the client's end."""
    found = proc.eventually(lambda: [each for each in status(daemon.control)["workers"] if each["served"]])
    assert found, status(daemon.control)
    return found[0]


def test_a_killed_worker_leaves_a_report(controlled):
    daemon = controlled("--handler", "echo", workers=1)
    daemon.expect("killed by SIGKILL")
    exchange(daemon.endpoint, b"x")
    with connect_client(daemon.endpoint) as client:
        peer = "{}:{}".format(*client.getsockname())
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
        assert deaths(daemon.control) == []
        pid = daemon.workers()[0]
        os.kill(pid, signal.SIGKILL)
        death = wait_death(daemon, pid)
    line = daemon.wait_log("killed by SIGKILL")
    assert (death["number"], death["cause"], death["ordered_by"]) == (1, "killed by SIGKILL", "another process")
    assert (death["served"], death["last_peer"], death["out_of_memory"]) == (1, peer, False)
    assert death["max_rss_bytes"] > 1_000_000 and death["voluntary_switches"] > 0
    assert (line["ordered_by"], line["last_peer"], line["max_rss_bytes"]) == ("another process", peer, death["max_rss_bytes"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", death["time"])
    assert abs(death["age_ms"] / 1000 - line["age_seconds"]) < 0.001


def test_a_crash_that_is_sent_is_ordered_by_who_has_sent_it(controlled):
    daemon = controlled(workers=1)
    daemon.expect("SIGSEGV", "stack of")
    exchange(daemon.endpoint)
    pid = daemon.workers()[0]
    os.kill(pid, signal.SIGSEGV)
    death = wait_death(daemon, pid)
    assert death["cause"].startswith("killed by SIGSEGV") and death["ordered_by"] == "another process"


def test_a_smaller_pool_is_the_order_of_the_master(controlled):
    daemon = controlled(workers=2)
    ask(daemon.control, "workers 1")
    daemon.wait_workers(1)
    death, = proc.eventually(lambda: deaths(daemon.control))
    assert (death["cause"], death["ordered_by"], death["expected"]) == ("exited with code 0", "master: resize", True)


def test_a_recycled_worker_is_the_order_of_the_master(controlled):
    daemon = controlled("--max-requests", "3", workers=1)
    pid = daemon.workers()[0]
    for _ in range(4):
        assert exchange(daemon.endpoint) == b"connected\n"
    death = wait_death(daemon, pid)
    assert (death["ordered_by"], death["expected"]) == ("master: recycle", True)
    assert death["served"] >= 3


def test_the_processor_time_of_a_worker_is_told(controlled):
    daemon = controlled("--handler", "chargen", workers=1)
    daemon.expect("killed by SIGKILL")
    pid = daemon.workers()[0]
    with connect_client(daemon.endpoint) as client:
        while proc.stat(pid).cpu_seconds < 0.05:
            assert client.recv(1 << 20)
        os.kill(pid, signal.SIGKILL)
        death = wait_death(daemon, pid)
    assert death["user_ms"] + death["system_ms"] >= 30


def test_the_last_thirty_two_are_kept(controlled):
    daemon = controlled(workers=1)
    daemon.expect("killed by SIGKILL")
    killed = []
    for _ in range(35):
        assert exchange(daemon.endpoint) == b"connected\n"
        pid = useful_worker(daemon)["pid"]  # only such a one is replaced at once
        os.kill(pid, signal.SIGKILL)
        daemon.wait_log(f"(pid {pid}) killed")
        killed.append(pid)
    assert [each["pid"] for each in deaths(daemon.control)] == killed[-32:]


def test_crashes_are_kept_when_many_workers_leave_in_good_order(controlled):
    daemon = controlled(workers=1)
    daemon.expect("SIGSEGV", "stack of")
    exchange(daemon.endpoint)
    crashed = useful_worker(daemon)["pid"]
    os.kill(crashed, signal.SIGSEGV)
    wait_death(daemon, crashed)
    for size in (21, 1, 21, 1):
        ask(daemon.control, f"workers {size}")
        daemon.wait_workers(size)
    told = deaths(daemon.control)
    assert len(told) == 32 and told[0]["pid"] == crashed
    assert all(each["expected"] for each in told[1:])


def test_the_table_is_for_people(controlled, preforkctl):
    daemon = controlled(workers=1)
    daemon.expect("killed by SIGKILL")
    assert preforkctl("deaths", "--control", daemon.control).stdout == "no worker has died\n"
    exchange(daemon.endpoint)
    pid = daemon.workers()[0]
    os.kill(pid, signal.SIGKILL)
    wait_death(daemon, pid)
    title, row = preforkctl("deaths", "--control", daemon.control).stdout.splitlines()
    assert title.split("  ")[0] == "TIME" and re.search(rf" 1 +{pid}  killed by SIGKILL  another process ", row)
    told = json.loads(preforkctl("deaths", "--json", "--control", daemon.control).stdout)
    assert [each["pid"] for each in told] == [pid]


# --- out of memory -------------------------------------------------------------------------------------------------

HOG = """
#include <preforkd/blocking_connection.hpp>
#include <preforkd/shared_object.hpp>

#include <vector>

struct Hog : preforkd::BlockingHandler {
    static constexpr const char* summary = "eats 400 MiB for each word";
    void serve(preforkd::BlockingConnection& client) override {
        static std::vector<std::vector<char>> kept;
        while (client.read_some()) {
            kept.emplace_back(std::size_t{400} << 20, 'x');
            (void)client.write("eaten");
        }
    }
};
PREFORKD_HANDLER(Hog);
"""


def hog(directory):
    """The shared object."""
    (directory / "hog.cpp").write_text(HOG)
    subprocess.run(["g++", "-std=c++20", "-O1", "-shared", "-fPIC", f"-I{ROOT}/common/include", "hog.cpp", "-o",
                    "libhog.so"], cwd=directory, check=True, timeout=120)
    return str(directory / "libhog.so")


@pytest.fixture
def small_group(tmp_path):
    """A command that starts the rest of its arguments in a memory cgroup of 128 MiB."""
    name = f"preforkd-test-{os.getpid()}"
    v1, v2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    if (v1 / "memory.limit_in_bytes").exists():
        group, limit = v1 / name, "memory.limit_in_bytes"
    elif "memory" in (v2 / "cgroup.subtree_control").read_text().split() if (
            v2 / "cgroup.subtree_control").exists() else False:
        group, limit = v2 / name, "memory.max"
    else:
        pytest.skip("no memory cgroup controller here")
    try:
        group.mkdir()
        (group / limit).write_text(str(128 << 20))
    except OSError as error:
        pytest.skip(f"no memory cgroup can be made: {error}")
    for swap, value in (("memory.swap.max", "0"), ("memory.memsw.limit_in_bytes", str(128 << 20))):
        if (group / swap).exists():
            (group / swap).write_text(value)
    yield ["sh", "-c", f'echo $$ >{group}/cgroup.procs && exec "$@"', "sh"]
    for pid in (group / "cgroup.procs").read_text().split():  # the daemon outlives the test, the group does not
        with contextlib.suppress(OSError):
            (group.parent / "cgroup.procs").write_text(pid)
    assert proc.eventually(lambda: not (group / "cgroup.procs").read_text())
    group.rmdir()


@pytest.mark.root
@pytest.mark.programs("g++")
def test_a_worker_that_the_kernel_kills_for_its_memory_is_told_so(controlled, small_group, tmp_path):
    daemon = controlled("--handler", hog(tmp_path), workers=1, wrap=small_group)
    daemon.expect("killed by SIGKILL")
    pid = daemon.workers()[0]
    with connect_client(daemon.endpoint, timeout=60) as client:
        client.sendall(b"x")
        death = wait_death(daemon, pid)
    assert (death["cause"], death["ordered_by"], death["out_of_memory"]) == (
        "killed by SIGKILL", "kernel: out of memory", True)
    assert daemon.wait_log("killed by SIGKILL")["out_of_memory"] == "yes"
    # Another one's SIGKILL is not the kernel's.
    daemon.expect("workers exit early")
    idle = proc.eventually(lambda: [each for each in status(daemon.control)["workers"] if each["state"] == "idle"])
    os.kill(idle[0]["pid"], signal.SIGKILL)
    assert wait_death(daemon, idle[0]["pid"])["ordered_by"] == "another process"
