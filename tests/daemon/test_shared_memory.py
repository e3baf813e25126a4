"""Memory that all workers of a service share, over deaths, reloads, upgrades and other versions of it."""
import shutil
import signal

import pytest

import proc
from built_handlers import TROUBLES, pkg_config, run
from clients import connect, exchange, read_to_end
from control import status
from test_upgrade import Installed


@pytest.fixture(scope="module")
def sharing(prefix, tmp_path_factory):
    """Compiles troubles/sharing.cpp in some version and size of what it shares."""
    directory = tmp_path_factory.mktemp("sharing")
    flags = run("pkg-config", "--cflags", "preforkd", env=pkg_config(prefix)).split()

    def build(version, more=0):
        file = directory / f"{version}-{more}.so"
        if not file.exists():
            run("g++", "-std=c++20", "-fPIC", "-shared", *flags, f"-DVERSION={version}", f"-DMORE={more}",
                TROUBLES / "sharing.cpp", "-o", file)
        return str(file)
    return build


def count(daemon):
    return int(exchange(daemon.endpoint, b"x\n").split()[0])


class Held:
    """A client that stays with the worker that has taken it."""

    def __init__(self, daemon):
        self.client = connect(daemon.endpoint)
        self.answers = self.client.makefile("rb")

    def count(self):
        self.client.sendall(b"x\n")
        return int(self.answers.readline().split()[0])


@pytest.mark.parametrize("model", ["serial", "thread", "fork"])
def test_all_workers_have_the_same(preforkd, sharing, model):
    daemon = preforkd("--handler", sharing(1), "--model", model, workers=3)
    assert [count(daemon) for _ in range(9)] == list(range(1, 10))
    daemon.expect("killed by SIGKILL", "workers exit early")
    with connect(daemon.endpoint) as client:
        client.sendall(b"die\n")
        assert read_to_end(client) == b""
    assert count(daemon) == 11, "what a killed one has written stays"


def test_all_workers_of_coroutines_have_the_same(controlled, trouble):
    daemon = controlled("--handler", trouble("counting_coroutine"), "--model", "async", "--connections", "1", workers=3)
    clients = [Held(daemon) for _ in range(3)]
    assert [each.count() for each in clients * 3] == list(range(1, 10)), "each is in a worker of its own"
    assert proc.eventually(lambda: status(daemon.control)["handler_counts"] == {"lines": 9, "bytes": 9})
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded")
    assert [clients[0].count(), count(daemon), clients[0].count()] == [10, 11, 12]


@pytest.mark.root
def test_services_of_one_user_have_the_same_and_those_of_another_their_own(preforkd, sharing):
    any_ = "tcp://127.0.0.1:0 workers=1"
    daemon = preforkd("--handler", sharing(1), "--model", "serial",
                      listen=("tcp://127.0.0.1:0", f"{any_} model=thread", f"{any_} run-user=nobody"))
    everybody, thread, nobody = daemon.endpoints

    def counts(endpoint):
        return int(exchange(endpoint, b"x\n").split()[0])
    assert [counts(endpoint) for endpoint in (everybody, thread, nobody, thread, nobody)] == [1, 2, 1, 3, 2]


def test_one_process_without_a_master_has_its_own(preforkd, sharing):
    daemon = preforkd("--handler", sharing(1), "--model", "fork", workers=0)
    assert [count(daemon) for _ in range(3)] == [1, 2, 3]


def test_it_lasts_over_reloads_and_upgrades(preforkd, sharing, tmp_path):
    service = Installed(preforkd, tmp_path, "--handler", sharing(1), "--model", "thread")
    daemon = service.daemon
    held = Held(daemon)
    assert [held.count(), count(daemon)] == [1, 2]
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded")
    assert [held.count(), count(daemon)] == [3, 4]
    for turn in (1, 2):
        assert service.upgrade()["message"].startswith("upgraded")
        assert [held.count(), count(daemon)] == [3 + 2 * turn, 4 + 2 * turn]
    service.install_script("exit 1")
    daemon.expect("upgrade failed")
    assert service.upgrade()["message"].startswith("upgrade failed")
    assert [held.count(), count(daemon)] == [9, 10]
    assert not daemon.log.find("begins anew")


@pytest.mark.parametrize("version, more, is_now", [(2, 0, "16 bytes and version 2"), (1, 3, "40 bytes and version 1")])
def test_another_version_or_size_begins_anew_and_the_one_before_keeps_its_own(preforkd, sharing, tmp_path, version, more, is_now):
    library = tmp_path / "libsharing.so"
    shutil.copy(sharing(1), library)
    daemon = preforkd("--handler", str(library), "--model", "thread", workers=2)
    held = Held(daemon)
    assert [held.count(), count(daemon)] == [1, 2]
    shutil.copy(sharing(version, more), library)
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded")
    [told] = daemon.log.find("begins anew")
    assert told["level"] == "notice"
    assert told["message"] == f"the handler's shared object hits begins anew: it has {is_now}, and had 16 bytes and version 1"
    assert [count(daemon), held.count(), count(daemon), held.count()] == [1, 3, 2, 4]
    held.client.close()
    held.answers.close()
    shutil.copy(sharing(1), library)
    after = daemon.log.mark()
    assert proc.eventually(lambda: len(daemon.workers()) == 2)
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded", after=after)
    assert count(daemon) == 1, "what nobody had any more was given back"


def test_a_service_that_uses_none_has_none(preforkd, sharing):
    def has_it(pid):
        return "preforkd-shared" in open(f"/proc/{pid}/maps").read() + "".join(proc.descriptors(pid).values())
    without = preforkd("--handler", "echo")
    assert not any(map(has_it, [without.pid, *without.workers()]))
    using = preforkd("--handler", sharing(1))
    assert all(map(has_it, [using.pid, *using.workers()]))
    for pid in using.workers():
        assert not [link for link in proc.descriptors(pid).values() if "preforkd-shared" in link], "mapped, and closed"


@pytest.mark.root
def test_workers_of_another_user_share_nothing_with_those_before(preforkd, sharing, public):
    config = public / "preforkd.conf"
    config.write_text("user = nobody\n")
    library = shutil.copy(sharing(1), public)
    daemon = preforkd("--config", str(config), "--handler", library, "--model", "thread")
    held = Held(daemon)
    assert [held.count(), count(daemon)] == [1, 2]
    config.write_text("user = daemon\n")
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded")
    assert [count(daemon), held.count()] == [1, 3]
