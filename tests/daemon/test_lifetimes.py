"""The handler is there as long as whatever a request or a task of it may still look at, however fast the stop is."""
import contextlib
from signal import SIGINT

import pytest

from clients import connect, read_exactly, silent

SAYS = "the handler that all of them refer to: "
IS_GONE = SAYS + "has gone"


@contextlib.contextmanager
def waiting(daemon, for_what):
    with connect(daemon.endpoint) as client:
        client.sendall(for_what.encode() + b"\n")
        assert read_exactly(client, 3) == b"in\n"
        yield


@pytest.mark.parametrize("model", ["async", "serial", "thread"])
@pytest.mark.parametrize("for_what", ["read", "timer", "offload", "tcp"])
@pytest.mark.parametrize("workers", [0, 1])
def test_nothing_of_a_request_is_destroyed_after_its_handler(preforkd, trouble, tmp_path, model, for_what, workers):
    """A worker may be killed before it has said anything; one process without a master says all of it."""
    printed = tmp_path / "printed"
    with open(printed, "w") as file:
        daemon = preforkd("--handler", trouble("outliving"), "--model", model, workers=workers, stdout=file)
    daemon.expect("handler failed", "exiting although", "SIGKILL")
    with silent() as nobody, waiting(daemon, nobody if for_what == "tcp" else for_what):
        assert daemon.stop(SIGINT) == 0
    daemon.cut()
    told = printed.read_text().splitlines() if workers == 0 else \
        [entry["message"].removeprefix("stdout: ") for entry in daemon.log.find("stdout: ")]
    assert all(line.startswith(SAYS) for line in told), told
    assert IS_GONE not in told[:-1], told
    if workers == 0 and model == "async":
        assert sorted(told) == sorted([SAYS + "request", SAYS + "task", IS_GONE] + [SAYS + "part"] * (for_what == "timer"))
