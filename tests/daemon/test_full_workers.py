"""Clients that queue because all workers are full: the log says so, and what helps."""
import contextlib

import pytest

from clients import connect, exchange


@pytest.mark.parametrize("arguments, remedy", [
    (["--handler", "echo", "--model", "serial"], "raise --workers, or serve several at once with --model thread"),
    (["--handler", "echo", "--model", "thread", "--connections", "1"], "raise --connections or --workers"),
    (["--handler", "echo", "--connections", "1"], "raise --connections or --workers"),
    (["--model", "serial", "--", "/bin/cat"], "raise --workers, or serve several at once with --model fork"),
], ids=["serial", "thread", "async", "program"])
def test_clients_that_wait_for_long_are_told_of_with_what_helps(preforkd, arguments, remedy):
    daemon = preforkd(*arguments, workers=2)
    daemon.expect("all workers are full")
    assert exchange(daemon.endpoint, b"x") == b"x"
    with contextlib.ExitStack() as clients:
        for _ in range(2):  # silent: they keep the workers
            clients.enter_context(connect(daemon.endpoint))
        daemon.wait_log("got connection", count=3)
        waiting = clients.enter_context(connect(daemon.endpoint))
        line = daemon.wait_log("all workers are full")
        assert line["message"] == f"all workers are full and 1 client waits in the queue: {remedy}"
        assert (line["level"], line["queued"], line["workers"]) == ("warning", 1, 2)
    waiting.close()
