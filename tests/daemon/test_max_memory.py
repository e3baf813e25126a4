"""--max-memory: a worker that grows is replaced, and nobody notices."""
import os

import pytest

import proc
from clients import Load, connect, exchange
from test_hang import say

pytestmark = pytest.mark.programs("cmake", "g++", "pkg-config")


def leak(daemon, times):
    """Has one worker leak 8 MiB `times`; its pid."""
    with connect(daemon.endpoint) as client:
        return {say(client, "leak") for _ in range(times)}.pop()


def test_a_worker_that_leaks_is_replaced_first_and_then_leaves(preforkd, trouble):
    daemon = preforkd("--handler", trouble("blocking"), "--model", "serial", "--max-memory", "60M", workers=2)
    pid = leak(daemon, 9)
    line = daemon.wait_log("above --max-memory")
    assert line["pid"] == pid and 54 << 20 < line["private_bytes"] < 120 << 20
    gone = daemon.wait_log(f"(pid {pid}) exited with code 0")
    assert gone["level"] == "info", "it was told to"
    assert pid not in daemon.wait_workers(2)
    assert exchange(daemon.endpoint, b"hello\n").startswith(b"hello ")


def test_one_that_stays_below_stays(preforkd, trouble):
    daemon = preforkd("--handler", trouble("blocking"), "--model", "serial", "--max-memory", "200M", workers=1)
    pid, = daemon.workers()
    assert leak(daemon, 4) == pid
    assert leak(daemon, 4) == pid
    assert daemon.workers() == [pid] and not daemon.log.find("--max-memory")


def test_capacity_does_not_dip_while_leaking_workers_are_replaced(preforkd, trouble):
    daemon = preforkd("--handler", trouble("blocking"), "--model", "serial", "--max-memory", "60M", workers=2,
                      env={"MALLOC_ARENA_MAX": "1"})
    retired = set()
    with Load(daemon.endpoint, clients=4, request=b"", expected=b"") as load:
        for _ in range(2):
            mark = daemon.log.mark()
            leak(daemon, 9)
            retired.add(daemon.wait_log("above --max-memory", after=mark)["pid"])
            load.wait_for_answers(20)
    assert not load.broken and load.outcomes["refused"] == 0, load.broken
    assert len(retired) == 2


def test_a_limit_below_what_a_worker_needs_is_said_and_retires_nobody(preforkd, trouble):
    daemon = preforkd("--handler", trouble("blocking"), "--max-memory", "2M", workers=1, env={"TROUBLE_BYTES": "8388608"})
    daemon.expect("--max-memory")
    daemon.wait_log("less than a worker needs")
    pid, = daemon.workers()
    for _ in range(3):
        exchange(daemon.endpoint)
    assert proc.eventually(lambda: daemon.workers() == [pid])
    os.kill(pid, 0)
