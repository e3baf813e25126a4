"""The file of a Unix socket that somebody removed or replaced: the daemon notices, and leads clients back to it; so does
a reload."""
import json
import socket

import pytest

import control
import proc
from activation import Passing, listening
from clients import connect, echo, exchange, read_to_end
from configured import LISTEN
from control import ask, endpoint_in, status
from datagram_clients import ask as ask_datagram
from observing import ask_agent, get


@pytest.fixture
def serving(configured, tmp_path):
    def start(endpoint, *lines):
        lines = (f"listen = {endpoint}", "handler = echo", *lines)
        service = configured(*lines, arguments=["--control", endpoint_in(tmp_path)])
        service.daemon.control = endpoint_in(tmp_path)
        service.again = lambda: service.reload(*lines)
        return service
    return start


def remove(path):
    path.unlink()


def replace(path):
    """By the socket of a program that did not clean up behind it."""
    path.unlink()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))


def check_new_and_held(daemon, path, held):
    """A client finds the new file, and `held`, which came before, is served on until the old generation is gone."""
    assert exchange(daemon.endpoint, b"new") == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    held.sendall(b"after")
    held.shutdown(socket.SHUT_WR)
    assert read_to_end(held) == b"after"
    daemon.wait_workers(2)


@pytest.mark.parametrize("lose", [remove, replace])
def test_a_stream_socket_is_bound_anew_and_its_clients_are_served_on(serving, tmp_path, lose):
    path = tmp_path / "s"
    service = serving(f"unix://{path} mode=0600")
    daemon = service.daemon
    held = connect(daemon.endpoint)
    echo(held, b"before")
    lose(path)
    assert service.again()["message"].startswith("reloaded")
    daemon.wait_log("binding it again")
    check_new_and_held(daemon, path, held)
    assert exchange(daemon.endpoint, b"still") == b"still", "the old generation has not taken the new file with it"
    after = daemon.log.mark()
    assert service.again()["message"].startswith("reloaded")
    assert not daemon.log.find("binding it again", after=after), "nothing is lost now"
    assert daemon.stop() == 0
    assert not path.exists()


@pytest.mark.parametrize("lose", [remove, replace])
def test_a_datagram_socket_is_bound_anew(serving, tmp_path, lose):
    path = tmp_path / "d"
    service = serving(f"unixgram://{path}")
    lose(path)
    assert service.again()["message"].startswith("reloaded")
    assert ask_datagram(service.daemon.endpoint, b"new") == b"new"


def move_away(path):
    path.rename(path.with_suffix(".old"))


def move_the_directory(path):
    path.parent.rename(path.parent.with_suffix(".old"))
    path.parent.mkdir()


@pytest.mark.parametrize("lose", [remove, replace, move_away, move_the_directory])
def test_it_is_noticed_and_bound_anew_with_the_settings_in_force(serving, tmp_path, lose):
    path = tmp_path / "directory" / "s"
    path.parent.mkdir()
    service = serving(f"unix://{path} mode=0600")
    daemon = service.daemon
    held = connect(daemon.endpoint)
    echo(held, b"before")
    service.write("nonsense")  # nobody has asked for that to be read
    lose(path)
    daemon.wait_log("binding it again")
    daemon.wait_log("reloaded")
    check_new_and_held(daemon, path, held)
    assert ask(daemon.control, "ready")["ok"]
    remove(path)
    assert proc.eventually(lambda: status(daemon.control)["generation"] == 3), "and the new one is watched too"
    assert exchange(daemon.endpoint, b"again") == b"again"


def test_one_whose_directory_comes_back_later_is_bound_again_then(serving, tmp_path):
    path = tmp_path / "directory" / "s"
    path.parent.mkdir()
    daemon = serving(f"unix://{path}").daemon
    daemon.expect("its directory is gone")
    path.parent.rename(tmp_path / "elsewhere")
    daemon.wait_log(f"its directory is gone; make {path.parent} again")
    path.parent.mkdir()
    daemon.wait_log("reloaded")
    assert exchange(daemon.endpoint, b"new") == b"new"
    assert len(daemon.log.find("its directory is gone")) == 1


def test_one_whose_path_another_program_has_taken_is_left_alone_and_is_not_ready(serving, tmp_path):
    path = tmp_path / "s"
    service = serving(f"unix://{path}")
    daemon = service.daemon
    daemon.expect("is left alone")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "new"))
        other.listen()
        (tmp_path / "new").rename(path)
        daemon.wait_log("is left alone")
        assert ask(daemon.control, "ready") == {
            "ok": False, "error": f"not ready: the socket file of unix://{path} was removed or replaced"}
        with connect(daemon.endpoint), other.accept()[0]:
            now = status(daemon.control)
            assert now["generation"] == 1 and [listener["lost"] for listener in now["listeners"]] == [True]
    assert service.again()["message"].startswith("reloaded"), "it is a stale one now"
    assert exchange(daemon.endpoint, b"new") == b"new"
    assert ask(daemon.control, "ready")["ok"]


def test_that_of_the_control_socket_is_noticed_and_who_is_connected_stays(controlled, tmp_path):
    daemon = controlled()
    with control.connect(daemon.control) as connected:
        remove(tmp_path / "control.sock")
        daemon.wait_log("bound again")
        assert status(daemon.control)["generation"] == 1
        connected.sendall(b"ready\n")
        assert json.loads(connected.makefile().readline())["ok"]
    assert (tmp_path / "control.sock").stat().st_mode & 0o777 == 0o600
    assert daemon.stop() == 0
    assert not (tmp_path / "control.sock").exists()


@pytest.mark.parametrize("lose", [remove, replace])
def test_those_at_which_the_observer_answers_are_bound_anew(configured, tmp_path, lose):
    observed, agent = tmp_path / "observed", tmp_path / "agent"
    service = configured(LISTEN, f"observe = unix://{observed} mode=0600", f"agent = unix://{agent}")
    for path, look in ((observed, lambda: get(f"unix://{observed}", "/readyz").text == "ready\n"),
                       (agent, lambda: ask_agent(f"unix://{agent}") == "ready up 100%\n")):
        mark = service.daemon.log.mark()
        lose(path)
        assert service.daemon.wait_log("binding it again", after=mark)["endpoint"].startswith(f"unix://{path}")
        service.daemon.wait_log("reloaded", after=mark)
        assert proc.eventually(look)
    assert observed.stat().st_mode & 0o777 == 0o600
    assert service.daemon.stop() == 0
    assert not observed.exists() and not agent.exists()


def test_a_daemon_is_ready_without_those_at_which_the_observer_answers(serving, tmp_path):
    path = tmp_path / "observed"
    daemon = serving(f"unix://{tmp_path}/s", f"observe = unix://{path}").daemon
    daemon.expect("is left alone")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "new"))
        other.listen()
        (tmp_path / "new").rename(path)
        daemon.wait_log("is left alone")
        assert ask(daemon.control, "ready")["ok"]


def test_one_that_is_in_use_by_another_program_fails_the_reload_and_is_named(serving, tmp_path):
    path = tmp_path / "s"
    service = serving(f"unix://{path}", "listen = tcp://127.0.0.1:0")
    daemon = service.daemon
    daemon.expect("reload failed", "clients cannot reach")  # if the master looks at its files just now
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        failed = service.again()
        assert "reload failed" in failed["message"] and str(path) in failed["cause"]
    assert exchange(daemon.endpoints[1], b"on") == b"on"
    assert path.exists() and status(daemon.control)["generation"] == 1


def test_clients_who_wait_at_the_old_socket_are_served(configured, tmp_path):
    path = tmp_path / "s"
    lines = [f"listen = unix://{path}", "handler = echo", "model = serial"]
    service = configured(*lines, workers=1)
    busy = connect(service.daemon.endpoint)
    echo(busy)
    queued = connect(service.daemon.endpoint)
    queued.sendall(b"queued")
    queued.shutdown(socket.SHUT_WR)
    path.unlink()
    assert service.reload(*lines)["message"].startswith("reloaded")
    busy.close()
    assert read_to_end(queued) == b"queued"


def test_a_passed_one_is_named_with_the_remedy(configured, tmp_path):
    path = tmp_path / "s"
    service = configured("handler = echo", **Passing(listening(path)).arguments())
    path.unlink()
    service.daemon.expect("is missing")
    outcome = service.reload("handler = echo")["outcome"]
    assert outcome.endswith(f"; the socket file of unix://{path} is missing: restart its .socket unit")
    service.daemon.wait_log("restart its .socket unit")
    assert proc.eventually(lambda: len(service.daemon.workers()) == 2)
