"""--reload rolling: a worker at a time, where two generations do not fit."""
import resource

import pytest

from clients import Load, connect, exchange, read_exactly, read_to_end
from configured import Configured, configured  # noqa: F401
from test_upgrade import NEXT, Installed
from test_upgrade_shortage import NOBODY_ELSE, open_to_others

WORKERS = 5
ROLLING = (f"workers = {WORKERS}", "reload = rolling", "handler = echo", "log-connections = no")


def confine(spare):
    """To a user who may have so many tasks beside the master, what writes the log of its workers, and those, which have a
    thread each."""
    limit = 2 + 2 * WORKERS + spare
    return {"workers": None, "user": NOBODY_ELSE, "group": NOBODY_ELSE, "extra_groups": [],
            "preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))}


@pytest.fixture
def confined(preforkd, tmp_path):
    open_to_others(tmp_path)
    return lambda spare, *lines: Configured(preforkd, tmp_path / "preforkd.conf", lines, **confine(spare))


@pytest.mark.root
@pytest.mark.others
@pytest.mark.parametrize("spare", [0, 1, 2])
def test_a_host_with_space_for_one_generation_is_enough(confined, spare):
    service = confined(spare, *ROLLING)
    daemon = service.daemon
    daemon.expect("cannot start", "exited with code 71")  # where the process has capacity, and its thread has none
    before = set(daemon.workers())
    with Load(daemon.endpoint, clients=3, request=b"whole", expected=b"whole") as load:
        load.wait_for_answers(20)
        assert service.reload(*ROLLING)["message"].startswith("reloaded")
        load.wait_for_answers(20)
    assert set(load.outcomes) == {"whole"}, load.broken
    daemon.wait_workers(WORKERS)
    assert not before & set(daemon.workers())


@pytest.mark.root
@pytest.mark.others
def test_without_it_a_reload_fails_at_once_and_names_it(confined):
    generation = (f"workers = {WORKERS}", "boot-timeout = 10m")
    service = confined(2, *generation)
    daemon = service.daemon
    daemon.expect("reload failed", "cannot start", "exited with code 71", "exit early")
    before = daemon.workers()
    cause = service.reload(*generation)["cause"]
    assert "--reload rolling" in cause and "RLIMIT_NPROC" in cause
    daemon.wait_workers(WORKERS)
    assert daemon.workers() == before and exchange(daemon.endpoint) == b"connected\n"
    assert service.reload(*generation, "reload = rolling")["message"].startswith("reloaded"), "the new settings say how"


@pytest.mark.root
@pytest.mark.others
def test_an_upgrade_is_rolling_too(preforkd, tmp_path):
    """What rehearses the new image takes three tasks; so many have space, and no second generation."""
    open_to_others(tmp_path)
    service = Installed(preforkd, tmp_path, "--reload", "rolling", "--workers", str(WORKERS), **confine(3))
    before = set(service.daemon.workers())
    service.install(NEXT)
    assert service.upgrade()["version"] == "99.0.0"
    service.daemon.wait_workers(WORKERS)
    assert not before & set(service.daemon.workers())


def test_who_is_served_keeps_the_next_worker_waiting_and_is_served_to_the_end(configured):
    service = configured("workers = 1", "reload = rolling", "handler = echo", workers=None)
    daemon = service.daemon
    with connect(daemon.endpoint) as client:
        client.sendall(b"before")
        assert read_exactly(client, 6) == b"before"
        assert service.reload("workers = 3", "reload = rolling", "handler = echo")["message"].startswith("reloaded")
        client.sendall(b"after")
        client.shutdown(1)
        assert read_to_end(client) == b"after"
    daemon.wait_workers(3)
