"""key-process=yes: when the process dies or does not answer, over a reload and over an upgrade."""
import os
import shutil
import signal
import ssl

import pytest

import proc
from clients import exchange
from key_process import FAILED, HERE, KEYS, fails, key_process, key_processes, stop
from test_hanging_files import Hanging
from test_upgrade import NEXT, Installed
from tls_clients import TlsClient, exchange_tls, read_to_end_tls, trusting
from tls_service import TlsLoad, in_file, lose_nobody_over_changes, put, serial_of


# --- its death ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("model", ["async", "thread", "fork"])
def test_its_death_costs_nobody_more_than_a_moment(preforkd, authority, pair, model):
    daemon = preforkd("--handler", "echo", "--model", model, "--log-connections", "no", listen=f"{HERE} {pair} {KEYS}")
    daemon.expect("key process", *FAILED)
    with TlsClient(daemon.endpoint, trusting(authority)) as client, TlsLoad(daemon.endpoint, b"hello") as load:
        for _ in range(3):
            load.wait_for_answers(10)
            pid, after = key_process(daemon), daemon.log.mark()
            os.kill(pid, signal.SIGKILL)
            line = daemon.wait_log("killed by SIGKILL: starting another", after=after)
            assert line["key_process_pid"] == pid
            daemon.wait_log("signs again", after=after)
            assert key_process(daemon) != pid
        load.wait_for_answers(10)
        client.sendall(b"here still")
        assert client.recv() == b"here still"
    assert load.broken == [], "who was under way has been signed for by the next one"


def test_one_that_cannot_read_its_files_again_is_tried_for_until_it_can(preforkd, authority, rsa_pair, own):
    daemon = preforkd("--handler", "echo", listen=(f"{HERE} {own} {KEYS}", "tcp://127.0.0.1:0"))
    daemon.expect("key process", *FAILED)
    shutil.move(own.key, own.key + ".away")
    os.kill(key_process(daemon), signal.SIGKILL)
    line = daemon.wait_log("cannot start the key process")
    assert f"TLS handshakes fail until it signs: --listen {HERE}: key={own.key}: open: No such file" in line["message"]
    assert fails(daemon)
    daemon.wait_log("1 TLS handshake failed: the key process has not answered within 1 s")
    assert exchange(daemon.endpoints[1], b"hello") == b"hello", "nothing else fails"
    put(rsa_pair, own)
    assert f"is not the key of certificate={own.certificate}" in daemon.wait_log("is not the key of")["message"]
    shutil.move(own.key + ".away", own.key)
    daemon.wait_log("signs again", timeout=30)
    assert exchange_tls(daemon.endpoint, b"hello", trusting(authority)) == b"hello"
    assert len(daemon.log.find("No such file")) == 1, "the same is said once"


def test_without_a_master_nobody_replaces_it(preforkd, pair):
    daemon = preforkd(listen=(f"{HERE} {pair} {KEYS}", "tcp://127.0.0.1:0"), workers=0)
    daemon.expect(*FAILED)
    os.kill(key_process(daemon), signal.SIGKILL)
    assert proc.eventually(lambda: not key_processes(daemon))
    assert fails(daemon)
    daemon.wait_log("TLS handshake failed: there is no key process")
    assert exchange(daemon.endpoints[1]) == b"connected\n"
    assert daemon.stop() == 0


# --- one that does not answer -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("model", ["async", "thread", "fork"])
def test_one_that_is_stuck_costs_handshakes_and_nothing_else(preforkd, authority, pair, model):
    daemon = preforkd("--handler", "echo", "--model", model, listen=f"{HERE} {pair} {KEYS}", workers=1)
    daemon.expect(*FAILED)
    pid = key_process(daemon)
    with TlsClient(daemon.endpoint, trusting(authority)) as client:
        stop(pid)
        try:
            assert fails(daemon)
            line = daemon.wait_log("TLS handshake failed")
            assert line["level"] == "warning" and "1 TLS handshake failed: the key process has not answered within 1 s" in line["message"]
            client.sendall(b"here still")
            assert client.recv() == b"here still"
        finally:
            os.kill(pid, signal.SIGCONT)
    for _ in range(3):
        assert exchange_tls(daemon.endpoint, b"hello", trusting(authority)) == b"hello", "answers that are late are passed over"


def test_a_child_that_is_killed_while_it_waits_leaves_the_way_to_others(preforkd, authority, pair):
    daemon = preforkd("--handler", "echo", "--model", "fork", listen=f"{HERE} {pair} {KEYS}", workers=1)
    daemon.expect("killed by SIGKILL")
    worker, pid = *daemon.workers(), key_process(daemon)
    stop(pid)
    try:
        client = TlsClient(daemon.endpoint, trusting(authority), handshake=False)
        with pytest.raises(ssl.SSLWantReadError):
            client.tls.do_handshake()
        client.flush()
        child = proc.eventually(lambda: proc.children(worker))[0]
        assert proc.eventually(lambda: open(f"/proc/{child}/wchan").read() == "do_sys_poll" or "poll" in open(f"/proc/{child}/syscall").read()
                               or open(f"/proc/{child}/syscall").read().split()[0] in ("7", "271")), "it waits for its signature"
        os.kill(child, signal.SIGKILL)
        assert proc.eventually(lambda: not proc.children(worker))
        client.close()
    finally:
        os.kill(pid, signal.SIGCONT)
    for _ in range(3):
        assert exchange_tls(daemon.endpoint, b"hello", trusting(authority)) == b"hello"


def test_a_worker_that_dies_leaves_nothing_in_it(preforkd, authority, pair):
    daemon = preforkd("--handler", "echo", listen=f"{HERE} {pair} {KEYS}")
    daemon.expect("killed by SIGKILL", "delaying replacements")
    pid = key_process(daemon)
    before = proc.open_descriptors(pid)
    for _ in range(5):
        worker = daemon.workers()[0]
        os.kill(worker, signal.SIGKILL)
        assert proc.wait_gone(worker, 5)
        assert proc.eventually(lambda: len(daemon.workers()) == 2)
        for _ in range(4):
            assert exchange_tls(daemon.endpoint, b"hello", trusting(authority)) == b"hello"
    assert proc.eventually(lambda: proc.open_descriptors(pid) == before) and key_process(daemon) == pid


@pytest.mark.root
@pytest.mark.parametrize("what", ["junk", "requests whose answers it does not read"])
def test_a_worker_that_floods_the_key_process_or_sends_junk_keeps_nobody_else_waiting(preforkd, authority, pair, what):
    daemon = preforkd("--handler", "echo", listen=f"{HERE} {pair} {KEYS}")
    daemon.expect("was stopped by SIGSTOP", "killed by SIGKILL")
    pid, (taken_over, _) = key_process(daemon), daemon.workers()
    message = os.urandom(1000) if what == "junk" else bytes(2096)
    pipes = {link for link in proc.descriptors(pid).values() if link.startswith("pipe:")}
    (requests,) = [number for number, link in proc.descriptors(taken_over).items() if link in pipes
                   and open(f"/proc/{taken_over}/fdinfo/{number}").read().split()[3].endswith("4001")]
    proc.stop_all(daemon.pid, [taken_over])  # so that it takes no client
    os.kill(daemon.pid, signal.SIGCONT)
    try:
        writer = os.open(f"/proc/{taken_over}/fd/{requests}", os.O_WRONLY | os.O_NONBLOCK)
        try:
            while True:
                os.write(writer, message)
        except (BlockingIOError, BrokenPipeError):  # it is full, or the key process has seen junk by now and closed it
            os.close(writer)
        for _ in range(20):
            assert exchange_tls(daemon.endpoint, b"hello", trusting(authority)) == b"hello"
        assert key_process(daemon) == pid
    finally:
        os.kill(taken_over, signal.SIGKILL)
    assert proc.eventually(lambda: len(daemon.workers()) == 2)
    for _ in range(20):
        assert exchange_tls(daemon.endpoint, b"hello", trusting(authority)) == b"hello"


# --- a reload -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("mode", ["together", "rolling"])
def test_a_reload_reads_the_keys_anew_and_the_old_process_goes_with_its_workers(configured, authority, own, mode):
    lines = [f"listen = {HERE} {own} {KEYS}", "handler = echo"] + (["reload = rolling"] if mode == "rolling" else [])
    service = configured(*lines)
    daemon = service.daemon
    old, workers = key_process(daemon), daemon.workers()
    new = authority.issue(f"renewed-{mode}", "localhost")
    with TlsClient(daemon.endpoint, trusting(authority)) as client:
        put(new, own)
        assert service.reload(*lines)["message"].startswith("reloaded")
        assert proc.eventually(lambda: serial_of(daemon.endpoint) == in_file(new))
        assert old in key_processes(daemon) and len(key_processes(daemon)) == 2, "a worker of before lives"
        client.sendall(b"after")
        client.end()
        assert read_to_end_tls(client) == b"after"
    assert all(proc.wait_gone(worker, 10) for worker in workers) and proc.wait_gone(old, 10)
    assert proc.eventually(lambda: len(key_processes(daemon)) == 1)


def test_what_is_bad_changes_nothing(configured, authority, pair, rsa_pair, own):
    line = f"listen = {HERE} {own} {KEYS}"
    service = configured(line)
    daemon = service.daemon
    daemon.expect("reload failed")
    pid = key_process(daemon)
    put(pair._replace(key=rsa_pair.key), own)
    assert f"key={own.key}: is not the key of certificate={own.certificate}" in service.reload(line)["cause"]
    os.unlink(own.key)
    assert f"key={own.key}: open: No such file" in service.reload(line)["cause"]
    assert serial_of(daemon.endpoint) == in_file(pair)
    assert proc.eventually(lambda: key_processes(daemon) == [pid])
    put(rsa_pair, own)
    assert service.reload(line)["message"].startswith("reloaded")
    assert proc.eventually(lambda: serial_of(daemon.endpoint) == in_file(rsa_pair))


def test_a_socket_of_a_reload_that_fails_leaves_no_file(configured, authority, pair, rsa_pair, own, tmp_path):
    service = configured(f"listen = {HERE} {own} {KEYS}")
    service.daemon.expect("reload failed")
    told = service.reload(f"listen = tls+unix://{tmp_path}/new certificate={pair.certificate} key={rsa_pair.key} {KEYS}")
    assert "is not the key" in told["cause"] and not (tmp_path / "new").exists()


def test_it_comes_and_goes_with_the_settings(configured, authority, pair):
    lines = [f"listen = {HERE} {pair} {KEYS}", f"listen = {HERE} {pair}"]
    service = configured(lines[0])
    daemon = service.daemon
    for line, count in ((lines[1], 0), (lines[0], 1), (lines[1], 0)):
        assert service.reload(line)["message"].startswith("reloaded")
        assert proc.eventually(lambda: len(key_processes(daemon)) == count and len(daemon.workers()) == 2)


@pytest.mark.root
def test_a_key_that_cannot_be_read_in_time_is_the_reloads_failure(configured, authority, pair, own, tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    put(pair, pair._replace(certificate=own.certificate, key=str(place / "key.pem")))
    line = f"listen = {HERE} certificate={own.certificate} key={place}/key.pem {KEYS}"
    service = configured(line)
    service.daemon.expect("reload failed")
    with Hanging(place):
        service.write(line)
        after = service.daemon.log.mark()
        service.daemon.signal(signal.SIGHUP)
        told = service.daemon.wait_log("reload failed", after=after, timeout=30)
        assert f"key={place}/key.pem: no answer within 10s" in told["cause"]
        assert serial_of(service.daemon.endpoint) == in_file(pair)


# --- an upgrade ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("model", ["async", "fork"])
def test_no_client_is_lost_while_the_service_reloads_and_upgrades(preforkd, authority, own, tmp_path, model):
    service = Installed(preforkd, tmp_path, "--handler", "echo", "--model", model, "--log-connections", "no",
                        listen=f"{HERE} {own} {KEYS}")
    lose_nobody_over_changes(service)
    assert proc.eventually(lambda: len(key_processes(service.daemon)) == 1, timeout=10)


def test_an_old_process_signs_for_old_workers_across_an_upgrade(preforkd, authority, own, tmp_path):
    service = Installed(preforkd, tmp_path, "--handler", "echo", listen=f"{HERE} {own} {KEYS}", workers=1)
    daemon = service.daemon
    old, (worker,) = key_process(daemon), daemon.workers()
    # The worker waits for their handshakes.
    late, later = (TlsClient(daemon.endpoint, trusting(authority), handshake=False) for _ in range(2))
    with TlsClient(daemon.endpoint, trusting(authority)) as client:
        service.install(NEXT)
        assert service.upgrade()["message"].startswith("upgraded")
        assert old in key_processes(daemon) and worker in proc.children(daemon.pid)
        for waiting in (late, later):
            waiting.handshake()
            waiting.sendall(b"late")
            waiting.end()
            assert read_to_end_tls(waiting) == b"late"
            waiting.close()
            if waiting is late:
                os.kill(old, signal.SIGKILL)  # then the new one takes its place, for as long as that worker lives
                assert proc.eventually(lambda: old not in proc.children(daemon.pid))
        client.sendall(b"after")
        client.end()
        assert read_to_end_tls(client) == b"after"
    assert proc.wait_gone(worker, 10)
    assert len(key_processes(daemon)) == 1


def test_an_upgrade_whose_keys_cannot_be_read_is_refused_by_its_rehearsal(preforkd, authority, rsa_pair, own, tmp_path):
    service = Installed(preforkd, tmp_path, "--handler", "echo", listen=f"{HERE} {own} {KEYS}")
    daemon = service.daemon
    daemon.expect("upgrade failed")
    pid = key_process(daemon)
    shutil.copy(rsa_pair.key, own.key)
    service.install(NEXT)
    assert "is not the key of" in service.upgrade()["message"]
    assert proc.eventually(lambda: key_processes(daemon) == [pid]), "the rehearsal's is being ended"
    assert exchange_tls(daemon.endpoint, b"hello", trusting(authority)) == b"hello"
