"""key-process=yes: private keys that neither the master nor a worker ever has."""
import base64
import functools
import os
import re
import shutil
import signal
import ssl
import tempfile

import pytest

import daemon_process
import proc
from clients import exchange
from control import status
from test_bad_input import CONFIGURATION, is_one_sentence
from test_hanging_files import Hanging
from test_tls_reload import TlsLoad, in_file, put, serial_of
from test_upgrade import NEXT, Installed
from tls_authority import openssl
from tls_clients import TlsClient, exchange_tls, read_to_end_tls, trusting

HERE = "tls://127.0.0.1:0"
KEYS = "key-process=yes"
SERVICES = [("tls_coroutine", model) for model in ("async", "serial", "thread", "fork")] + \
    [("tls_blocking", model) for model in ("serial", "thread", "fork")]
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
RSA_ONLY = "ECDHE-RSA-AES128-GCM-SHA256"
NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
FAILED = ("handshake failed", "handshakes failed")  # what a worker says, once a second


def key_processes(daemon):
    """Pids of those that live: of this generation, and of those before."""
    return [pid for pid in proc.children(daemon.pid)
            if (found := proc.stat(pid)) and found.state not in "ZX" and found.comm == "preforkd-key"]


def key_process(daemon):
    found = proc.eventually(lambda: key_processes(daemon))
    assert len(found) == 1, found
    return found[0]


def stop(pid):
    """Returns when all its threads have."""
    os.kill(pid, signal.SIGSTOP)
    states = [f"/proc/{pid}/task/{thread}/stat" for thread in os.listdir(f"/proc/{pid}/task")]
    assert proc.eventually(lambda: all(open(file).read().rpartition(")")[2].split()[0] == "T" for file in states))


def fails(daemon, **how):
    """Whether a handshake does."""
    try:
        TlsClient(daemon.endpoint, **how).close()
    except (ssl.SSLError, ConnectionError):
        return True
    return False


@pytest.fixture
def own(pair, tmp_path):
    """A copy of a pair, for a test that replaces it."""
    copy = pair._replace(certificate=str(tmp_path / "certificate.pem"), key=str(tmp_path / "key.pem"))
    put(pair, copy)
    return copy


@pytest.fixture
def public(pair):
    """A copy that everybody may read, in a directory where everybody may write."""
    with tempfile.TemporaryDirectory() as place:
        copy = pair._replace(certificate=f"{place}/certificate.pem", key=f"{place}/key.pem")
        put(pair, copy)
        for file, mode in ((place, 0o777), (copy.certificate, 0o644), (copy.key, 0o644)):
            os.chmod(file, mode)
        yield copy


# --- serving ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name, model", SERVICES, ids=map("-".join, SERVICES))
@pytest.mark.parametrize("workers", [0, 2])
def test_both_kinds_of_keys_sign_in_every_model(preforkd, trouble, authority, pair, rsa_pair, name, model, workers):
    daemon = preforkd("--handler", trouble(name), "--model", model, listen=f"{HERE} {pair} {rsa_pair} {KEYS}", workers=workers)
    for version in VERSIONS:
        assert exchange_tls(daemon.endpoint, b"echo\nhello", trusting(authority, version)) == b"hello"
    rsa = trusting(authority, ssl.TLSVersion.TLSv1_2, ciphers=RSA_ONLY)
    assert exchange_tls(daemon.endpoint, b"echo\nhello", rsa) == b"hello"
    pss = openssl("s_client", "-connect", daemon.endpoint.removeprefix("tls://"), "-tls1_3", "-sigalgs",
                  "rsa_pss_rsae_sha256", input=b"echo\nhello")
    assert b"Peer signature type: RSA-PSS" in pss


@pytest.mark.parametrize("workers", [0, 2])
def test_a_program_is_served(preforkd, authority, pair, rsa_pair, workers):
    daemon = preforkd("--", "cat", listen=f"{HERE} {pair} {rsa_pair} {KEYS}", workers=workers)
    for context in [*(trusting(authority, version) for version in VERSIONS),
                    trusting(authority, ssl.TLSVersion.TLSv1_2, ciphers=RSA_ONLY)]:
        assert exchange_tls(daemon.endpoint, b"hello", context) == b"hello"


@pytest.mark.strict
@pytest.mark.parametrize("model", ["async", "thread", "fork"])
def test_the_strict_sandbox_is_no_hindrance(preforkd, authority, pair, model):
    daemon = preforkd("--handler", "echo", "--model", model, "--sandbox", "strict", listen=f"{HERE} {pair} {KEYS}")
    for _ in range(3):
        assert exchange_tls(daemon.endpoint, b"hello", trusting(authority)) == b"hello"


def test_ciphers_that_would_have_the_key_decrypt_are_not_agreed_on(preforkd, authority, rsa_pair):
    daemon = preforkd("--handler", "echo", listen=f"{HERE} {rsa_pair} ciphers=AES128-GCM-SHA256:{RSA_ONLY} {KEYS}")
    for ciphers, agrees in ((RSA_ONLY, True), ("AES128-GCM-SHA256", False)):
        assert fails(daemon, context=trusting(authority, ssl.TLSVersion.TLSv1_2, ciphers=ciphers)) != agrees


def test_listeners_with_and_without_one_serve_side_by_side(preforkd, authority, pair, rsa_pair):
    daemon = preforkd("--handler", "echo", listen=(f"{HERE} {pair} {KEYS}", f"{HERE} {rsa_pair}", f"{HERE} {rsa_pair} {KEYS}"))
    for endpoint in daemon.endpoints:
        assert exchange_tls(endpoint, b"hello", trusting(authority)) == b"hello"
    assert len(key_processes(daemon)) == 1, "one for all"


# --- what it is ---------------------------------------------------------------------------------------------------------

@pytest.mark.root
def test_it_is_a_process_apart(controlled, pair, ctl):
    daemon = controlled(listen=f"{HERE} {pair} {KEYS}")
    pid = key_process(daemon)
    found, told = proc.stat(pid), proc.status(pid)
    assert found.session == pid and found.terminal == 0
    assert not [link for link in proc.descriptors(pid).values() if "TCP" in link]
    assert sorted(link.partition(":")[0] for number, link in proc.descriptors(pid).items() if number > 2) == \
        ["pipe"] * 4 + ["socket"], "the master's socket, and two pipes for each worker"
    assert told["NoNewPrivs"].strip() == "1"
    uids = set(told["Uid"].split())
    assert len(uids) == 1 and uids.isdisjoint({"0"}) and told["Groups"].strip() == "" and int(told["CapEff"], 16) == 0
    assert os.stat(f"/proc/{pid}/mem").st_uid == 0, "not dumpable: what is in /proc is root's"
    seen = status(daemon.control)["key_process"]
    assert seen == {"pid": pid, "uid": int(uids.pop()), "own_uid": True}
    assert f"private keys: pid {pid}, uid {seen['uid']}\n" in ctl("status").stdout


@pytest.mark.root
@pytest.mark.parametrize("mode, filtered", [("auto", True), ("off", False)])
def test_it_has_a_filter_of_its_own_unless_nobody_has_one(preforkd, pair, mode, filtered):
    pid = key_process(preforkd("--sandbox", mode, listen=f"{HERE} {pair} {KEYS}"))
    if b"__asan_init" in open(daemon_process.PREFORKD, "rb").read():
        pytest.skip("sanitizers need more than a filter leaves")
    assert proc.status(pid)["Seccomp"].strip() == ("2" if filtered else "0")


@pytest.mark.root
@pytest.mark.others
@pytest.mark.programs("setpriv")
def test_without_the_rights_it_is_its_masters_user_and_status_says_so(preforkd, public):
    control = f"unix://{public.key}.sock"
    daemon = preforkd("--control", control, listen=f"{HERE} {public} {KEYS}", wrap=NOBODY)
    assert status(control)["key_process"] == {"pid": key_process(daemon), "uid": 65534, "own_uid": False}
    assert exchange_tls(daemon.endpoint) == b"connected\n"


def test_a_service_without_has_none(controlled, pair):
    daemon = controlled(listen=f"{HERE} {pair}")
    assert status(daemon.control)["key_process"] is None and key_processes(daemon) == []


def test_it_ends_with_the_service(preforkd, pair):
    for signo, workers in ((signal.SIGTERM, 2), (signal.SIGINT, 2), (signal.SIGKILL, 2), (signal.SIGTERM, 0)):
        daemon = preforkd(listen=f"{HERE} {pair} {KEYS}", workers=workers)
        pid = key_process(daemon)
        assert exchange_tls(daemon.endpoint) == b"connected\n"
        daemon.expect("the master is gone")
        daemon.stop(signo)
        assert proc.wait_gone(pid, 5)


# --- memory -------------------------------------------------------------------------------------------------------------

def memory_of(pid):
    """All that can be read of it."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            begin, end = (int(each, 16) for each in line.split()[0].split("-"))
            if line.split()[1][0] != "r" or "[v" in line:
                continue
            try:
                memory.seek(begin)
                yield memory.read(end - begin)
            except OSError:  # a page that is gone, or a device's
                continue


@functools.cache
def secrets_of(file):
    """What would give the key away: its text, its encoding, its numbers as they are written and as OpenSSL has them."""
    text = open(file).read()
    lines = [line for line in text.splitlines() if line and "-----" not in line]
    printed = openssl("pkey", "-in", file, "-noout", "-text").decode()
    secrets = {"text": lines[len(lines) // 2].encode(), "encoding": base64.b64decode("".join(lines))[:64]}
    for name in ("priv", "privateExponent", "prime1", "prime2"):
        if found := re.search(rf"^{name}:\n((?: +[0-9a-f:]+\n)+)", printed, re.MULTILINE):
            number = bytes.fromhex(re.sub(r"[:\s]", "", found[1])).lstrip(b"\0")
            secrets[name], secrets[f"{name}, words"] = number, number[::-1]
    assert len(secrets) in (4, 8), secrets
    return secrets


def found_in(pid, files):
    """Which secrets of the keys in these files are in its memory."""
    wanted = {(file, name): secret for file in files for name, secret in secrets_of(file).items()}
    return {name for piece in memory_of(pid) for name, secret in wanted.items() if secret in piece}


@pytest.mark.root
@pytest.mark.parametrize("model", ["async", "fork"])
def test_no_key_is_in_the_memory_of_the_master_or_a_worker(preforkd, authority, pair, rsa_pair, model):
    files = (pair.key, rsa_pair.key)
    service = functools.partial(preforkd, "--handler", "echo", "--model", model)
    with_them = service(listen=f"{HERE} {pair} {rsa_pair}")
    assert all({file for file, _ in found_in(pid, files)} == set(files) for pid in [with_them.pid, *with_them.workers()]), \
        "this test finds what there is to find"
    daemon = service(listen=f"{HERE} {pair} {rsa_pair} {KEYS}")

    def serve():
        for context in (trusting(authority), trusting(authority, ssl.TLSVersion.TLSv1_2, ciphers=RSA_ONLY)):
            for _ in range(4):
                assert exchange_tls(daemon.endpoint, b"hello", context) == b"hello"
    serve()
    after = daemon.log.mark()
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded", after=after)
    serve()
    os.kill(key_process(daemon), signal.SIGKILL)
    daemon.expect("key process")
    daemon.wait_log("signs again")
    serve()
    for pid in [daemon.pid, *daemon.workers()]:
        assert found_in(pid, files) == set(), proc.stat(pid)
    assert {file for file, _ in found_in(key_process(daemon), files)} == set(files), "and they are where they should be"


# --- what cannot be used ------------------------------------------------------------------------------------------------

def test_what_cannot_be_used_is_answered_in_a_sentence(run_preforkd, authority, pair, rsa_pair, tmp_path):
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "fifo")
    openssl("pkey", "-in", pair.key, "-aes128", "-passout", "pass:x", "-out", tmp_path / "locked")
    openssl("req", "-x509", "-nodes", "-newkey", "ed25519", "-subj", "/CN=x", "-keyout", tmp_path / "ed-key", "-out",
            tmp_path / "ed")
    cases = [(f"certificate={pair.certificate} key={pair.certificate}", f"key={pair.certificate}: no private key in it"),
             (f"certificate={pair.certificate} key={tmp_path}/empty", "no private key in it"),
             (f"certificate={pair.certificate} key={rsa_pair.key}", f"key={rsa_pair.key}: is not the key of certificate={pair.certificate}"),
             (f"{pair} certificate={rsa_pair.certificate} key={pair.key}", f"key={pair.key}: is not the key of certificate={rsa_pair.certificate}"),
             (f"certificate={pair.certificate} key={tmp_path}/locked", "has a passphrase"),
             (f"certificate={pair.certificate} key={tmp_path}/fifo", "it is a FIFO"),
             (f"certificate={pair.certificate} key=/none", "key=/none: open: No such file or directory"),
             (f"certificate={tmp_path}/ed key={tmp_path}/ed-key", f"certificate={tmp_path}/ed: key-process=yes takes keys of RSA and EC"),
             (f"{rsa_pair} ciphers=AES128-GCM-SHA256", "names no cipher that OpenSSL has and that signs")]
    for keys, words in cases:
        for more in ([], ["--check-config"], ["--workers", "0"]):
            told = run_preforkd("-l", f"{HERE} {keys} {KEYS}", *more)
            is_one_sentence(told, CONFIGURATION, [f"--listen {HERE}: ", words])
    assert run_preforkd("-l", f"{HERE} {pair} {KEYS}", "--check-config").stdout == "configuration is valid\n"


@pytest.mark.others
@pytest.mark.root
@pytest.mark.programs("setpriv")
def test_what_may_not_be_read_is_77(run_preforkd, public):
    os.chmod(public.key, 0o600)
    for more in ([], ["--check-config"]):
        told = run_preforkd("-l", f"{HERE} {public} {KEYS}", *more, wrap=NOBODY)
        is_one_sentence(told, 77, [f"key={public.key}: open: Permission denied; the daemon's user has to be able to read it"])


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
        except BlockingIOError:
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
    daemon = service.daemon
    with TlsLoad(daemon.endpoint, b"x" * 30_000) as load:
        for source in (NEXT, daemon_process.PREFORKD):
            load.wait_for_answers(10)
            service.install(source)
            assert service.upgrade()["message"].startswith("upgraded")
            load.wait_for_answers(10)
            after = daemon.log.mark()
            daemon.signal(signal.SIGHUP)
            daemon.wait_log("reloaded", after=after)
        load.wait_for_answers(10)
    assert not load.broken
    assert proc.eventually(lambda: len(key_processes(daemon)) == 1, timeout=10)


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
    assert key_process(daemon) == pid and exchange_tls(daemon.endpoint, b"hello", trusting(authority)) == b"hello"
