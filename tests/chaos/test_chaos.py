"""A chaos run can fail: damage that is not the script's own is found."""
import os
import signal

import arena
import proc
from events import Event


def run(monkeypatch, tmp_path, act, provoked=(), model="async"):
    monkeypatch.setattr(arena, "STRIKES", [Event("planted", 1, act)])
    monkeypatch.setattr(arena, "PROVOKED", (*arena.PROVOKED, *provoked))
    return arena.Arena(model, 1, tmp_path).run(2)


def test_a_worker_that_somebody_else_kills_is_found(monkeypatch, tmp_path):
    def kill(the_arena, _):
        for worker in the_arena.workers():
            os.kill(worker, signal.SIGKILL)
        return "done"
    result = run(monkeypatch, tmp_path, kill)
    assert result["reset"] + result["cut"] > 0 and result["by strikes"] == 0
    assert any("taken by" in finding for finding in result["findings"])


def test_a_line_that_nobody_provoked_is_found(monkeypatch, tmp_path):
    def kill(the_arena, _):
        for worker in the_arena.workers():  # told twice to end, they do not wait for successors
            for signo in (signal.SIGQUIT, signal.SIGTERM):
                the_arena.strike(worker, signo)
        return "done"
    result = run(monkeypatch, tmp_path, kill)
    assert any("exited with code 0" in finding for finding in result["findings"])


def test_a_daemon_that_is_gone_is_found(monkeypatch, tmp_path):
    def kill(the_arena, _):
        the_arena.daemon.signal(signal.SIGKILL)
        the_arena.daemon.process.wait()
        return "done"
    result = run(monkeypatch, tmp_path, kill, ["the master is gone"])
    assert result["refused"] > 0
    assert any("the daemon ended with -9" in finding for finding in result["findings"])


def test_clients_of_copies_of_a_program_are_served_through_all_that_is_ordered(monkeypatch, tmp_path):
    result = run(monkeypatch, tmp_path, lambda *_: "nothing", model="pool")
    assert result["connections"] > 50 and result["operations"] > 2 and not result["findings"], result["findings"]


def test_a_copy_of_a_program_that_somebody_else_kills_is_found(monkeypatch, tmp_path):
    def kill(the_arena, _):
        for worker in the_arena.workers():
            for copy in proc.children(worker):
                os.kill(copy, signal.SIGKILL)
        return "done"
    result = run(monkeypatch, tmp_path, kill, model="pool")
    assert result["reset"] + result["cut"] > 0 and result["by strikes"] == 0
    assert any("taken by" in finding for finding in result["findings"])
