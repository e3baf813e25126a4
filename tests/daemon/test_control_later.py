"""A control socket that cannot be had yet: its daemon serves, looks again from time to time, and has it as soon as who
had it has left."""
import os
import socket
from signal import SIGKILL, SIGTERM

import pytest

from clients import connect, echo, exchange
from control import ask, endpoint_in, status
from test_upgrade import NEXT, installed  # noqa: F401

HAS_IT = "which could not be had at the start"


@pytest.fixture(params=["a file", "an abstract name"])
def place(request, tmp_path):
    return endpoint_in(tmp_path) if request.param == "a file" else f"unix://@preforkd-later{tmp_path}"


def second_at(preforkd, place, *arguments, **how):
    daemon = preforkd("--control", place, *arguments, **how)
    daemon.expect("without a control socket")
    assert "Address already in use by preforkd" in daemon.wait_log("without a control socket")["message"]
    return daemon


def has_it(daemon, place):
    daemon.wait_log(HAS_IT)
    return status(place)["pid"] == daemon.pid


def test_one_whose_predecessor_still_drains_has_it_when_that_has_left(preforkd, place):
    first = preforkd("--control", place, "--handler", "echo")
    with connect(first.endpoint) as client:
        echo(client)
        first.signal(SIGTERM)
        first.wait_log("stopping")
        second = second_at(preforkd, place)
        assert status(place)["pid"] == first.pid, "which has it to the end"
        assert exchange(second.endpoint) == b"connected\n"
    assert first.wait_exit() == 0
    assert has_it(second, place)
    assert len(second.log.find("without a control socket")) == 1
    assert ask(place, "stop")["ok"] and second.wait_exit() == 0
    assert not os.path.exists(place.removeprefix("unix://"))


def test_one_whose_predecessor_was_killed_has_it_too(controlled, preforkd):
    first = controlled()
    second = second_at(preforkd, first.control)
    first.expect("the master is gone")
    first.process.send_signal(SIGKILL)
    first.wait_exit()
    assert has_it(second, first.control)


def test_its_file_is_watched_from_then_on(controlled, preforkd, tmp_path):
    first = controlled()
    second = second_at(preforkd, first.control)
    first.stop()
    assert has_it(second, first.control)
    (tmp_path / "control.sock").unlink()
    second.wait_log("bound again")
    assert status(first.control)["pid"] == second.pid


def test_one_that_is_upgraded_meanwhile_has_it_afterwards(preforkd, installed, tmp_path):  # noqa: F811
    place = endpoint_in(tmp_path)
    first = preforkd("--control", place)
    service = installed("--control", place)
    service.daemon.expect("without a control socket")
    service.daemon.wait_log("without a control socket")
    service.install(NEXT)
    assert service.upgrade()["message"].startswith("upgraded")
    assert status(place)["pid"] == first.pid
    first.stop()
    assert has_it(service.daemon, place)


def test_one_whose_directory_is_made_later_is_there_then(preforkd, tmp_path):
    place = endpoint_in(tmp_path / "made later")
    daemon = preforkd("--control", place)
    daemon.expect("without a control socket")
    daemon.wait_log("without a control socket until it can be had")
    (tmp_path / "made later").mkdir()
    assert has_it(daemon, place)


def test_one_that_stops_does_not_take_it(controlled, preforkd, tmp_path):
    first = controlled()
    second = second_at(preforkd, first.control, "--handler", "echo")
    with connect(second.endpoint) as client:
        echo(client)
        second.signal(SIGTERM)
        second.wait_log("stopping")
        first.stop()
    assert second.wait_exit() == 0
    assert not second.log.find(HAS_IT) and not (tmp_path / "control.sock").exists()


def test_one_whose_path_another_program_has_taken_is_bound_again_once_that_has_left(controlled, tmp_path):
    daemon = controlled()
    daemon.expect("could not be bound again")
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "new"))
        other.listen()
        (tmp_path / "new").rename(path)
        daemon.wait_log("could not be bound again")
    daemon.wait_log("missing or replaced; bound again")
    assert status(daemon.control)["pid"] == daemon.pid
    assert len(daemon.log.find("could not be bound again")) == 1
