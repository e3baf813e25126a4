"""key-process=yes: private keys that neither the master nor a worker ever has."""
import base64
import functools
import os
import re
import signal
import ssl
import tempfile

import pytest

import daemon_process
import proc
from control import status
from key_process import HERE, KEYS, fails, key_process, key_processes
from test_bad_input import CONFIGURATION, is_one_sentence
from tls_authority import openssl
from tls_clients import exchange_tls, trusting
from tls_service import put

SERVICES = [("tls_coroutine", model) for model in ("async", "serial", "thread", "fork")] + \
    [("tls_blocking", model) for model in ("serial", "thread", "fork")]
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
RSA_ONLY = "ECDHE-RSA-AES128-GCM-SHA256"
NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]


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
