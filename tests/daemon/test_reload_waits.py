"""What a reload may have to wait for: the master goes on meanwhile."""
import os
import socket
from signal import SIGHUP, SIGKILL, SIGTERM, SIGUSR2

import pytest

import control
import proc
from clients import connect, exchange, read_exactly, read_to_end
from configured import LISTEN

needs_compiler = pytest.mark.programs("cmake", "g++", "pkg-config")


def the_master_goes_on(daemon, endpoint):
    """It answers, and replaces a worker that dies."""
    assert control.status(endpoint)["phase"] == "running"
    victim, mark = daemon.workers()[0], daemon.log.mark()
    os.kill(victim, SIGKILL)
    daemon.wait_log("killed by SIGKILL", after=mark)
    assert exchange(daemon.endpoint) == b"connected\n"
    assert control.status(endpoint)["phase"] == "running"


@pytest.fixture
def taken():
    """A port that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        yield holder


def endpoint_of(holder):
    return "tcp://127.0.0.1:{}".format(holder.getsockname()[1])


def test_the_master_goes_on_while_a_reload_tries_to_bind_a_taken_port(configured, taken, tmp_path):
    endpoint = control.endpoint_in(tmp_path)
    service = configured(LISTEN, f"control = {endpoint}")
    daemon = service.daemon
    daemon.expect("reload failed", "killed by SIGKILL")
    service.write(LISTEN, f"control = {endpoint}", f"listen = {endpoint_of(taken)}")
    daemon.signal(SIGHUP)
    daemon.wait_log("retrying for 2500 ms")
    the_master_goes_on(daemon, endpoint)
    assert not daemon.log.find("reload failed"), "it has been waited for meanwhile"
    failure = daemon.wait_log("reload failed")
    assert endpoint_of(taken) in failure["cause"] and f"pid {os.getpid()}" in failure["cause"]
    assert len(daemon.log.find("retrying")) == 1
    assert exchange(daemon.endpoint) == b"connected\n"


def test_a_port_that_becomes_free_meanwhile_is_bound(configured, taken):
    service = configured(LISTEN)
    service.write(LISTEN, f"listen = {endpoint_of(taken)}")
    service.daemon.signal(SIGHUP)
    service.daemon.wait_log("retrying")
    endpoint = endpoint_of(taken)
    taken.close()
    service.daemon.wait_log("reloaded")
    assert exchange(endpoint) == b"connected\n"


def test_a_port_that_workers_of_the_generation_before_hold_is_waited_for(configured):
    """A serial worker leaves a listener that goes only when its client has left."""
    service = configured(LISTEN, "listen = tcp://127.0.0.1:0 handler=echo", "model = serial", workers=1)
    goes = service.daemon.endpoints[1]
    with connect(goes) as busy:
        busy.sendall(b"x")
        read_exactly(busy, 1)
        queued = connect(goes)  # so that it holds on to the queue
        assert service.reload(LISTEN, "model = serial")["message"].startswith("reloaded")
        mark = service.daemon.log.mark()
        service.write(LISTEN, f"listen = {goes}", "model = serial")
        service.daemon.signal(SIGHUP)
        service.daemon.wait_log("retrying", after=mark)
    queued.shutdown(socket.SHUT_WR)
    assert read_to_end(queued) == b""
    queued.close()
    service.daemon.wait_log("reloaded", after=mark)
    assert exchange(goes) == b"connected\n"


@pytest.mark.parametrize("lines", [[], ["greeting = two"]])
def test_who_asks_while_a_port_is_waited_for_has_the_settings_read_anew(configured, taken, lines):
    service = configured(LISTEN, "greeting = one")
    daemon = service.daemon
    service.write(LISTEN, "greeting = one", f"listen = {endpoint_of(taken)}")
    daemon.signal(SIGHUP)
    daemon.wait_log("retrying")
    service.write(LISTEN, *lines)
    daemon.signal(SIGHUP)
    daemon.wait_log("reloaded")
    assert proc.eventually(lambda: exchange(daemon.endpoint) == (b"two\n" if lines else b"connected\n"))


def test_a_stop_while_a_port_is_waited_for_stops(configured, taken):
    service = configured(LISTEN)
    service.write(LISTEN, f"listen = {endpoint_of(taken)}")
    service.daemon.signal(SIGHUP)
    service.daemon.wait_log("retrying")
    assert service.daemon.stop(SIGTERM) == 0
    assert service.daemon.log.find("reload canceled: the service is stopping")


@needs_compiler
def test_the_master_goes_on_while_a_shared_object_is_on_trial(configured, trouble, tmp_path):
    barrier, endpoint = tmp_path / "barrier", control.endpoint_in(tmp_path)
    os.mkfifo(barrier)
    service = configured(LISTEN, f"control = {endpoint}", env={"BARRIER": str(barrier)})
    daemon = service.daemon
    daemon.expect("killed by SIGKILL")
    service.write(LISTEN, f"control = {endpoint}", f"handler = {trouble('barrier')}")
    daemon.signal(SIGHUP)
    with open(barrier, "w"):  # waits for the trial
        the_master_goes_on(daemon, endpoint)
        assert not daemon.log.find("reloaded")
        barrier.unlink()
    daemon.wait_log("reloaded")
    assert proc.eventually(lambda: exchange(daemon.endpoint) == b"passed\n")


@needs_compiler
@pytest.mark.parametrize("end", ["timeout", "stop", "killed"])
def test_a_trial_that_does_not_end_is_over_at_its_time_and_at_a_stop(configured, trouble, tmp_path, end):
    barrier = tmp_path / "barrier"
    os.mkfifo(barrier)
    limit = "boot-timeout = " + ("500ms" if end == "timeout" else "30s")
    service = configured(LISTEN, limit, env={"BARRIER": str(barrier)})
    daemon = service.daemon
    daemon.expect("reload failed", "the master is gone")
    before = set(proc.children(daemon.pid))
    service.write(LISTEN, limit, f"handler = {trouble('barrier')}")
    daemon.signal(SIGHUP)
    with open(barrier, "w"):
        trial, = set(proc.children(daemon.pid)) - before
        if end == "timeout":
            assert "did not return within --boot-timeout 500ms" in daemon.wait_log("reload failed")["cause"]
        elif end == "stop":
            assert daemon.stop(SIGTERM) == 0
            assert daemon.log.find("reload canceled: the service is stopping")
        else:
            daemon.signal(SIGKILL)
            daemon.wait_exit()
        assert proc.wait_gone(trial, 5)


def test_a_file_that_was_emptied_is_no_reload(configured, tmp_path, preforkctl):
    endpoint = control.endpoint_in(tmp_path)
    service = configured(LISTEN, "greeting = one", f"control = {endpoint}")
    daemon = service.daemon
    daemon.expect("reload failed")
    before = daemon.workers()
    assert f"{tmp_path}/preforkd.conf" in service.reload()["cause"]
    failed = preforkctl("reload", "--control", endpoint)
    assert failed.returncode == 1 and f"{tmp_path}/preforkd.conf: is empty" in failed.stderr
    assert daemon.workers() == before and exchange(daemon.endpoint) == b"one\n"
    assert service.reload(LISTEN, "greeting = two", f"control = {endpoint}")["message"].startswith("reloaded")


def test_an_emptied_file_is_no_upgrade_either(configured):
    service = configured(LISTEN)
    service.daemon.expect("upgrade failed")
    service.write()
    service.daemon.signal(SIGUSR2)
    assert "is empty" in service.daemon.wait_log("upgrade failed")["cause"]
    assert exchange(service.daemon.endpoint) == b"connected\n"


def test_that_all_settings_are_commented_out_is_said(preforkd, preforkctl, tmp_path):
    file, endpoint = tmp_path / "preforkd.conf", control.endpoint_in(tmp_path)
    file.write_text("greeting = one\n")
    daemon = preforkd("--config", str(file), "--control", endpoint)
    daemon.expect("holds no setting any more")
    file.write_text("# greeting = one\n")
    done = preforkctl("reload", "--control", endpoint)
    said = f"{file} holds no setting any more, only comments"
    assert done.returncode == 0 and said in done.stdout + done.stderr
    assert daemon.wait_log("holds no setting")["message"] == said
    assert proc.eventually(lambda: exchange(daemon.endpoint) == b"connected\n")
    after = daemon.log.mark()
    daemon.signal(SIGHUP)
    daemon.wait_log("reloaded", after=after)
    assert not daemon.log.find("holds no setting", after=after), "once"


def test_an_empty_file_that_never_held_a_setting_is_fine(preforkd, tmp_path):
    file = tmp_path / "preforkd.conf"
    file.touch()
    daemon = preforkd("--config", str(file))
    daemon.signal(SIGHUP)
    daemon.wait_log("reloaded")
