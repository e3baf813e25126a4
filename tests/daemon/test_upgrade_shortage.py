"""An upgrade where descriptors, processes or memory are scarce: refused before it, or undone, and nobody notices."""
import os
import re
import resource
from signal import SIGTERM, SIGTTIN

import pytest

import proc
from clients import exchange
from test_upgrade import NEXT, installed  # noqa: F401

WORKERS = 20


def test_an_upgrade_that_has_no_descriptors_is_refused_in_time(installed):
    """Down to some limit it works, and below it is refused; whatever the limit is, the service goes on."""
    service = installed(workers=WORKERS)
    daemon = service.daemon
    daemon.expect("upgrade failed", "open files allow")
    at_rest = proc.open_descriptors(daemon.pid)
    outcomes = []
    for limit in range(8 * WORKERS, at_rest, -7):
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (limit, limit))
        before = daemon.workers()
        service.install(NEXT)
        line = service.upgrade()
        outcomes.append(re.split("[:,]", line["message"])[0])
        daemon.wait_workers(WORKERS)
        if outcomes[-1] == "upgrade failed":
            assert line["message"].startswith("upgrade failed, nothing has changed")
            assert "raise RLIMIT_NOFILE" in line["cause"], line
            assert daemon.workers() == before
        assert exchange(daemon.endpoint) == b"connected\n"
    assert outcomes[0] == "upgraded" and outcomes[-1] == "upgrade failed" and outcomes == sorted(outcomes, reverse=True)
    assert daemon.stop(SIGTERM) == 0


@pytest.mark.parametrize("spare", [8, 30, 55])
def test_an_image_that_finds_no_descriptors_after_the_exec_gives_way_to_the_one_before(installed, tmp_path, spare):
    """Too few to hold its channels twice; or enough, and too few for a second generation that has become larger."""
    file = tmp_path / "preforkd.conf"
    file.write_text(f"workers = {WORKERS}\n")
    service = installed("--config", str(file), workers=None)
    daemon = service.daemon
    daemon.expect("upgrade failed", "reload failed", "cannot fork a worker", "open files allow")
    before = daemon.workers()
    limit = proc.open_descriptors(daemon.pid) + spare
    file.write_text(f"workers = {3 * WORKERS}\n")
    service.install_script(f'[ $$ = {daemon.pid} ] && ulimit -n {limit}\nexec {NEXT} "$@"\n')
    line = service.upgrade()
    assert line["message"].startswith("upgrade failed, version "), line
    assert "Too many open files" in line["cause"], line
    daemon.wait_workers(WORKERS)
    assert daemon.workers() == before
    assert exchange(daemon.endpoint) == b"connected\n"
    assert daemon.stop(SIGTERM) == 0


def test_a_worker_takes_three_descriptors_of_its_master(installed):
    """Orders, reports, and what it prints."""
    service = installed(workers=2)
    few = proc.open_descriptors(service.daemon.pid)
    service.daemon.signal(SIGTTIN)
    service.daemon.wait_workers(3)
    assert proc.open_descriptors(service.daemon.pid) == few + 3


NOBODY_ELSE = 50000 + os.getpid() % 10000  # a user of this process alone: RLIMIT_NPROC counts all tasks of one


def open_to_others(directory):
    for each in (directory, *directory.parents[:-2]):
        each.chmod(0o711)


@pytest.mark.root
@pytest.mark.parametrize("spare, outcome", [
    (1, "upgrade failed, nothing has changed"),       # not enough for a rehearsal
    (4, "upgrade failed, version "),             # nor for a second generation
])
def test_an_upgrade_without_processes_to_spare_changes_nothing(installed, tmp_path, spare, outcome):
    workers = 5
    open_to_others(tmp_path)
    service = installed(workers=workers, user=NOBODY_ELSE, group=NOBODY_ELSE, extra_groups=[],
                        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NPROC, (2 + 2 * workers + spare,) * 2))
    daemon = service.daemon
    daemon.expect("upgrade failed", "reload failed", "cannot start", "exited with code 71", "exit early")
    before = daemon.workers()
    service.install(NEXT)
    line = service.upgrade()
    assert line["message"].startswith(outcome), line
    assert "raise RLIMIT_NPROC" in line["cause"], line
    daemon.wait_workers(workers)
    assert daemon.workers() == before and exchange(daemon.endpoint) == b"connected\n"
    assert daemon.stop(SIGTERM) == 0


def test_an_upgrade_without_memory_to_spare_changes_nothing(installed):
    service = installed()
    daemon = service.daemon
    daemon.expect("upgrade failed")
    daemon.log.accept_foreign(str(service.file))  # what the dynamic linker says
    before = daemon.workers()
    service.install(NEXT)
    limit = int(proc.status(daemon.pid)["VmRSS"].split()[0]) * 1024 // 2
    resource.prlimit(daemon.pid, resource.RLIMIT_AS, (limit, limit))
    assert service.upgrade()["message"].startswith("upgrade failed, nothing has changed")
    assert daemon.workers() == before and exchange(daemon.endpoint) == b"connected\n"
    assert daemon.stop(SIGTERM) == 0


def test_an_image_that_has_no_memory_to_count_in_serves_all_the_same(installed):
    service = installed()
    daemon = service.daemon
    daemon.expect("nothing is counted of listeners", "which ran before")
    service.install(NEXT)
    enough_without = 100 << 20  # for two masters and their workers; the counts alone take as much
    resource.prlimit(daemon.pid, resource.RLIMIT_AS, (enough_without, enough_without))
    assert "upgraded" in service.upgrade()["message"]
    assert daemon.log.find("nothing is counted of listeners")
    assert exchange(daemon.endpoint) == b"connected\n"
    assert daemon.stop(SIGTERM) == 0


def test_a_soft_limit_that_was_lowered_meanwhile_does_not_end_the_daemon(installed):
    """The loader of the new image runs before that can raise the limit."""
    service = installed()
    daemon = service.daemon
    daemon.expect("upgrade failed", "which ran before")
    _, hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    service.install(NEXT)
    outcomes = set()
    for spare in range(1, 12):
        limit = proc.open_descriptors(daemon.pid) + spare
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (limit, hard))
        outcomes.add(service.upgrade()["message"].split(":")[0])
        daemon.wait_workers(2)
        assert exchange(daemon.endpoint) == b"connected\n"
    assert "upgraded" in outcomes
