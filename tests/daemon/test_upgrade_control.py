"""Who talks to the control socket while another image takes the place of the one that was asked."""
import contextlib
import json
import threading

import pytest

import daemon_process
from control import ask, connect, endpoint_in, status
from test_upgrade import NEXT, installed  # noqa: F401


@pytest.fixture
def service(installed, tmp_path):  # noqa: F811
    started = installed("--control", endpoint_in(tmp_path))
    started.control = endpoint_in(tmp_path)
    return started


@contextlib.contextmanager
def asking(control, lines):
    """Asks these, each over and over by a thread of its own; gives the list of what was no answer."""
    failures, over = [], threading.Event()

    def ask_on(line):
        while not over.is_set():
            try:
                answer = ask(control, line)
                if not answer["ok"]:
                    failures.append((line, answer))
            except (OSError, ValueError) as error:
                failures.append((line, repr(error)))

    threads = [threading.Thread(target=ask_on, args=(line,)) for line in lines]
    for thread in threads:
        thread.start()
    try:
        yield failures
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_every_request_beside_upgrades_is_answered_by_one_image_or_the_other(service):
    with asking(service.control, ["ready", "status", "workers 2", "deaths"] * 2) as failures:
        for source in (NEXT, daemon_process.PREFORKD) * 6:
            service.install(source)
            assert ask(service.control, "upgrade")["ok"]
    assert not failures


def test_reloads_beside_upgrades_return_when_their_outcome_is_known(service):
    with asking(service.control, ["reload --force", '{"command":"reload","force":true}', "upgrade"]) as failures:
        for source in (NEXT, daemon_process.PREFORKD) * 3:
            service.install(source)
            assert ask(service.control, "upgrade")["ok"]
    assert not failures


@pytest.mark.parametrize("begin, end", [(b"", b"status\n"), (b"sta", b"tus\n"), (b'{"command":"status"}', b"\n")])
def test_a_request_that_the_first_image_has_not_heard_out_is_answered_by_the_next(service, begin, end):
    with connect(service.control) as peer:
        lines = peer.makefile()
        peer.sendall(b"ready\n" + begin)
        assert json.loads(lines.readline())["ok"]
        service.install(NEXT)
        assert ask(service.control, "upgrade")["ok"]
        peer.sendall(end)
        assert json.loads(lines.readline())["status"]["version"] == "99.0.0"


def test_bytes_in_no_encoding_do_not_keep_the_next_image_from_reading_its_state(service):
    with connect(service.control) as peer:
        peer.sendall(b"ready\n\xff\xfe\"\\")
        assert json.loads(peer.makefile().readline())["ok"]
        service.install(NEXT)
        assert ask(service.control, "upgrade")["ok"]
        peer.sendall(b"\n")
        assert "unknown command" in json.loads(peer.makefile().readline())["error"]


def test_answers_that_a_slow_peer_has_not_read_yet_are_whole_after_an_upgrade(service):
    """More than the socket holds: the rest of one waits in the master."""
    requests = 1500
    with connect(service.control) as peer:
        peer.sendall(b"status\n" * requests)
        service.install(NEXT)
        assert ask(service.control, "upgrade")["ok"]
        peer.settimeout(20)
        lines = peer.makefile()
        versions = [json.loads(lines.readline())["status"]["version"] for _ in range(requests)]
    assert versions[0] != "99.0.0" and versions[-1] == "99.0.0"


def test_a_reload_that_waits_when_a_new_image_gives_up_is_done_by_the_one_before(service, trouble):
    daemon, version = service.daemon, status(service.control)["version"]
    daemon.expect("upgrade failed", "reload failed", "cannot start", "exited with code", "exit early", "SIGKILL")
    service.install_script(
        f'[ $$ = {daemon.pid} ] && exec {NEXT} "$@" --handler {trouble("throwing_a_number")}\nexec {NEXT} "$@"\n')
    with connect(service.control) as upgrade, connect(service.control) as reload:
        upgrade.sendall(b"upgrade\n")
        daemon.wait_log("took over from")
        reload.sendall(b"reload\n")
        assert not json.loads(upgrade.makefile().readline())["ok"]
        answer = json.loads(reload.makefile().readline())
    assert answer["ok"] and answer["message"].startswith("generation"), answer
    assert status(service.control)["version"] == version
