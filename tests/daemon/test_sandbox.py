"""What workers put on, and what that takes from them: --sandbox."""
import os
import signal

import pytest

import proc
import clients
import datagram_clients
from clients import connect, echo, exchange, read_exactly, say
from denying import LANDLOCK_CREATE_RULESET, SECCOMP, denying
from test_bad_input import CONFIGURATION, USAGE, is_one_sentence

MODELS = pytest.mark.parametrize("model", ["async", "serial", "thread", "fork"])
SONAME = "libseccomp.so.2"


strict = pytest.mark.strict


def worn_by(pid):
    """(no_new_privs, mode of seccomp), as proc(5) tells."""
    found = proc.status(pid)
    return found["NoNewPrivs"], found["Seccomp"]


NOTHING, FILTER = ("0", "0"), ("1", "2")


@pytest.fixture
def sandboxed(preforkd, trouble):
    """A daemon whose handler tries what a client says."""
    def start(*arguments, model="serial"):
        return preforkd("--handler", trouble("sandboxed"), "--model", model, *arguments, workers=1)
    return start


def attempt(daemon, word):
    with connect(daemon.endpoint) as client:
        client.sendall(word.encode() + b"\n")
        return client.makefile().readline().strip()


# --- who puts on what -----------------------------------------------------------------------------------------------------

@MODELS
def test_a_worker_puts_it_on_and_the_master_never(preforkd, model):
    daemon = preforkd("--handler", "echo", "--model", model)
    assert worn_by(daemon.pid) == NOTHING
    for pid in daemon.workers():
        for thread in os.listdir(f"/proc/{pid}/task"):
            assert worn_by(thread) == FILTER
    with connect(daemon.endpoint) as client:
        echo(client)
        for pid in daemon.workers():
            assert all(worn_by(child) == FILTER for child in proc.children(pid))


@MODELS
def test_off_is_none_at_all(preforkd, model):
    daemon = preforkd("--handler", "echo", "--model", model, "--sandbox", "off")
    assert {worn_by(pid) for pid in daemon.workers()} == {NOTHING}


def test_a_daemon_without_a_master_puts_it_on_too(preforkd):
    assert worn_by(preforkd(workers=0).pid) == FILTER


def test_programs_get_none_unless_they_shall(preforkd):
    assert exchange(preforkd("--", "/bin/grep", "-E", "Seccomp:|NoNewPrivs", "/proc/self/status").endpoint).split() == [
        b"NoNewPrivs:", b"0", b"Seccomp:", b"0"]
    daemon = preforkd("--sandbox-programs", "yes", "--", "/bin/grep", "-E", "Seccomp:|NoNewPrivs", "/proc/self/status")
    assert exchange(daemon.endpoint).split() == [b"NoNewPrivs:", b"1", b"Seccomp:", b"2"]


def mappings_of(pid):
    with open(f"/proc/{pid}/maps") as file:
        lines = file.read().splitlines()
    return sorted(path for line in lines if (path := line.split()[-1]).startswith("/")), len(lines)


def test_no_library_of_it_is_mapped_where_clients_are_served(preforkd):
    with_it, without = preforkd(), preforkd("--sandbox", "off")
    for one, other in ((with_it.pid, without.pid), (with_it.workers()[0], without.workers()[0])):
        (files, count), (usual_files, usual_count) = mappings_of(one), mappings_of(other)
        assert files == usual_files
        assert count <= usual_count + 2, "the heap alone may be in another piece"


def test_making_it_leaves_no_memory_to_every_worker_and_each_of_its_children(preforkd):
    with_it, without = preforkd("--model", "fork"), preforkd("--model", "fork", "--sandbox", "off")
    for one, other in ((with_it.pid, without.pid), (with_it.workers()[0], without.workers()[0])):
        mine, usual = (int(proc.status(pid)["RssAnon"].split()[0]) for pid in (one, other))
        assert mine <= usual + 120, "kB"


# --- auto -----------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("word, error", {
    "ptrace": "EPERM", "look into memory": "EPERM", "keyring": "EPERM", "bpf": "EPERM", "mount": "EPERM",
    "type into a terminal": "EPERM", "type with a high bit": "EPERM", "user namespace": "EPERM",
    "child in a user namespace": "EPERM", "clone3": "ENOSYS", "enter any namespace": "EPERM"}.items())
def test_what_no_handler_needs_is_denied(sandboxed, word, error):
    """Whoever the worker is: as root it could do nearly all of it otherwise."""
    assert attempt(sandboxed(), word) == error
    assert attempt(sandboxed("--sandbox", "off"), word) not in (error, "unknown")


@pytest.mark.parametrize("word", ["fork", "run", "thread", "socket", "resolve", "signal the master", "read /etc/passwd",
                                  pytest.param("resolve localhost", marks=pytest.mark.localhost)])
def test_what_handlers_do_works(sandboxed, word):
    assert attempt(sandboxed(), word) == "ok"


def test_a_handler_may_enter_the_network_that_it_is_given(sandboxed):
    assert attempt(sandboxed(), "enter a network") == "EBADF", "there is none, but it may ask"


DATABASE = """import sqlite3
with sqlite3.connect('{file}') as database:
    database.executescript('pragma journal_mode = wal; create table t(x); insert into t values (7);')
raise SystemExit(database.execute('select x from t').fetchone()[0])"""


def test_a_database_can_be_written(sandboxed, tmp_path):
    script = tmp_path / "database.py"
    script.write_text(DATABASE.format(file=tmp_path / "db"))
    assert attempt(sandboxed(), f"shell /usr/bin/python3 {script}") == "7"


def test_where_a_filter_cannot_be_had_it_says_so_once_and_serves(preforkd):
    daemon = preforkd(wrap=denying(SECCOMP))
    assert exchange(daemon.endpoint) == b"connected\n"
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded")
    assert len(daemon.log.find("workers have no filter of system calls")) == 1
    assert daemon.log.find("workers have no filter of system calls")[0]["level"] == "notice"


@pytest.fixture
def broken(tmp_path):
    """A directory in which the loader finds a library of that name that is none."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / SONAME).touch()
    return {"LD_LIBRARY_PATH": str(tmp_path / "lib")}


def test_without_libseccomp_it_says_what_to_install_and_serves(preforkd, broken):
    daemon = preforkd(env=broken)
    assert exchange(daemon.endpoint) == b"connected\n"
    assert "install libseccomp2" in daemon.wait_log("workers have no filter of system calls")["cause"]


def test_off_and_programs_do_without_libseccomp(preforkd, broken):
    for arguments in (("--sandbox", "off"), ("--", "/bin/true")):
        daemon = preforkd(*arguments, env=broken)
        exchange(daemon.endpoint)
        assert not daemon.log.find("--sandbox")


# --- strict ---------------------------------------------------------------------------------------------------------------

@strict
@MODELS
@pytest.mark.parametrize("handler", ["greet", "print", "echo", "discard", "daytime"])
def test_a_built_in_handler_needs_no_more_than_strict_leaves(preforkd, handler, model):
    """A denied call would be a line that this test has not provoked."""
    daemon = preforkd("--sandbox", "strict", "--handler", handler, "--model", model)
    for _ in range(3):
        exchange(daemon.endpoint, b"hello\n")
    assert daemon.stop() == 0


@strict
@MODELS
@pytest.mark.parametrize("transport", ["tcp", "udp", "unix", "unixgram"])
def test_every_model_serves_every_transport_in_strict(preforkd, tmp_path, transport, model):
    where = {"tcp": "127.0.0.1:0", "udp": "127.0.0.1:0"}.get(transport, f"{tmp_path}/socket")
    daemon = preforkd("--handler", "echo", "--model", model, "--sandbox", "strict", listen=f"{transport}://{where}")
    ask = datagram_clients.ask if transport in ("udp", "unixgram") else clients.exchange
    for request in (b"first", b"second" * 200, b"third"):
        assert ask(daemon.endpoint, request) == request
    assert daemon.stop() == 0


@strict
@MODELS
def test_a_worker_that_crashes_in_strict_still_tells_its_stack(preforkd, model):
    daemon = preforkd("--sandbox", "strict", "--handler", "echo", "--model", model, workers=1)
    daemon.expect("crashed: SIGSEGV", "stack of", "killed by SIGSEGV", "ended by SIGSEGV")
    (pid,) = daemon.workers()
    os.kill(pid, signal.SIGSEGV)
    daemon.wait_log("crashed: SIGSEGV")
    daemon.wait_log("stack of worker")
    assert proc.wait_gone(pid, 10)
    assert exchange(daemon.endpoint, b"x") == b"x"


@strict
def test_a_call_that_strict_denies_fails_and_is_named_once_with_the_option(sandboxed):
    daemon = sandboxed("--sandbox", "strict")
    daemon.expect("--sandbox strict denies")
    (worker,) = daemon.workers()
    for _ in range(3):
        assert attempt(daemon, "socket") == "EPERM"
    (line,) = daemon.log.find("--sandbox strict denies the system call")
    assert (line["call"], line["worker"]) == ("socket", 1) and "--sandbox auto" in line["remedy"]
    assert attempt(daemon, "clone3") == "ENOSYS"
    assert daemon.workers() == [worker]


@strict
def test_every_child_is_denied_it_and_the_worker_says_so_once(sandboxed):
    daemon = sandboxed("--sandbox", "strict", model="fork")
    daemon.expect("--sandbox strict denies")
    for _ in range(3):
        assert attempt(daemon, "socket") == "EPERM"
    assert len(daemon.log.find("--sandbox strict denies")) == 1


@strict
@pytest.mark.parametrize("model, word, error", [
    ("serial", "thread", "ok"), ("serial", "fork", "EPERM"), ("fork", "fork", "ok"), ("fork", "run", "ENOEXEC"),
    ("serial", "ptrace", "EPERM"), ("serial", "become more", "EPERM")])
def test_strict_leaves_what_the_model_needs(sandboxed, model, word, error):
    daemon = sandboxed("--sandbox", "strict", model=model)
    daemon.expect("--sandbox strict denies")
    assert attempt(daemon, word) == error


@strict
def test_strict_leaves_no_file_but_those_that_are_named(sandboxed, tmp_path):
    for name in ("read", "written", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    daemon = sandboxed("--sandbox", "strict", "--allow-read", str(tmp_path / "read"), "--allow-write",
                       str(tmp_path / "written"))
    daemon.expect("--sandbox strict denies this file")
    for word, error in {"read read/file": "ok", "write read/file": "EACCES", "write read/new": "EACCES",
                        "read written/file": "ok", "write written/file": "ok", "write written/new": "ok",
                        "read other/file": "EACCES", "write other/new": "EACCES"}.items():
        verb, file = word.split()
        assert attempt(daemon, f"{verb} {tmp_path}/{file}") == error, word
    assert attempt(daemon, "read /etc/passwd") == "EACCES"
    named = [(line["option"], line["path"]) for line in daemon.log.find("--sandbox strict denies this file")]
    assert ("--allow-read", "/etc/passwd") in named and ("--allow-write", f"{tmp_path}/read/file") in named
    assert attempt(daemon, "read /does/not/exist") == "ENOENT"


@strict
def test_a_file_is_copied_with_its_permissions_where_the_copy_may_be_written(sandboxed, tmp_path):
    (tmp_path / "read").mkdir()
    (tmp_path / "written").mkdir()
    (tmp_path / "read" / "file").write_text("content")
    os.chmod(tmp_path / "read" / "file", 0o640)
    daemon = sandboxed("--sandbox", "strict", "--allow-read", str(tmp_path / "read"), "--allow-write",
                       str(tmp_path / "written"))
    daemon.expect("--sandbox strict denies the system call fchmod")
    for _ in ("made", "overwritten"):
        assert attempt(daemon, f"copy {tmp_path}/read/file {tmp_path}/written/copy") == "ok"
    assert (tmp_path / "written" / "copy").read_text() == "content"
    assert os.stat(tmp_path / "written" / "copy").st_mode & 0o7777 == 0o640
    assert attempt(daemon, f"chmod 4755 {tmp_path}/written/copy") == "EPERM", "it would run as who serves"
    assert daemon.log.find("denies the system call fchmod")[0]["remedy"] == "change the handler, or use --sandbox auto"


@strict
@pytest.mark.parametrize("word, option", [("chmod 0666 /dev/null", True), ("socket", False)])
def test_the_option_that_is_advised_would_help(sandboxed, word, option):
    daemon = sandboxed("--sandbox", "strict", "--allow-read", "/dev/null")
    daemon.expect("--sandbox strict denies the system call")
    assert attempt(daemon, word) == "EPERM"
    remedy = daemon.wait_log("--sandbox strict denies the system call")["remedy"]
    assert ("--allow-write" in remedy) == option and "--sandbox auto" in remedy


@strict
def test_files_that_strict_denies_are_named_some_times_only(sandboxed):
    daemon = sandboxed("--sandbox", "strict", model="fork")
    daemon.expect("--sandbox strict denies this file")
    for _ in range(30):
        assert attempt(daemon, "read /etc/passwd") == "EACCES"
    assert len(daemon.log.find("--sandbox strict denies this file")) == 20


@strict
def test_a_file_is_meant_where_the_daemon_was_started(preforkd, trouble, public, tmp_path):
    (tmp_path / "data").touch()
    daemon = preforkd("--handler", trouble("sandboxed"), "--sandbox", "strict", "--allow-read", "data", "--chdir", "/",
                      cwd=tmp_path, workers=1, listen="tcp://127.0.0.1:0")
    assert attempt(daemon, f"read {tmp_path}/data") == "ok"


@strict
def test_a_worker_in_strict_cannot_signal_its_master(sandboxed):
    if tuple(map(int, os.uname().release.split(".")[:2])) < (6, 12):
        pytest.skip("signals are beyond Landlock before Linux 6.12")
    assert attempt(sandboxed("--sandbox", "strict"), "signal the master") == "EPERM"
    assert attempt(sandboxed(), "signal the master") == "ok"


@strict
def test_a_program_in_strict_has_the_files_that_are_named(preforkd, tmp_path):
    (tmp_path / "named").write_text("named")
    (tmp_path / "other").write_text("other")
    program = ("/bin/cat", str(tmp_path / "named"), str(tmp_path / "other"))
    daemon = preforkd("--sandbox", "strict", "--sandbox-programs", "yes", "--allow-read", str(tmp_path / "named"), "--",
                      *program)
    daemon.expect("Permission denied", "exit code 1", "exited with 1")
    assert exchange(daemon.endpoint) == b"named"


@strict
def test_a_worker_in_strict_keeps_what_it_needs_of_proc(preforkd):
    """What nobody has open there the kernel may make anew, and no rule of Landlock then allows it."""
    (pid,) = preforkd("--sandbox", "strict", workers=1).workers()
    assert f"/proc/{pid}" in proc.descriptors(pid).values()


@strict
def test_a_limit_on_memory_still_holds_in_strict(preforkd, trouble):
    daemon = preforkd("--handler", trouble("blocking"), "--model", "serial", "--sandbox", "strict", "--max-memory", "60M",
                      workers=1)
    (pid,) = daemon.workers()
    with connect(daemon.endpoint) as client:
        for _ in range(9):
            assert say(client, "leak") == pid
    assert proc.wait_gone(pid, 10)


@strict
def test_whether_a_thread_waits_in_its_loop_is_still_known_in_strict(preforkd, trouble):
    daemon = preforkd("--handler", trouble("coroutine"), "--model", "thread", "--sandbox", "strict", "--worker-timeout",
                      "1s", workers=1)
    with connect(daemon.endpoint) as client:
        pid = say(client, "wait")
        assert read_exactly(client, 7) == b"waited\n"
        assert daemon.workers() == [pid]


STRICT = ["--sandbox", "strict", "-l", "tcp://127.0.0.1:0"]


@strict
@pytest.mark.parametrize("arguments, code, words", [
    ([*STRICT, "-w", "0"], USAGE, ["--sandbox", "--workers 1"]),
    ([*STRICT, "--", "/bin/cat"], USAGE, ["--sandbox", "--sandbox-programs yes"]),
    ([*STRICT, "--allow-read", "/does/not/exist"], CONFIGURATION, ["--allow-read /does/not/exist", "No such file"]),
    ([*STRICT, "--allow-write", "/does/not/exist"], CONFIGURATION, ["--allow-write /does/not/exist"]),
    ([*STRICT, "--allow-read", ""], USAGE, ["--allow-read"]),
    (["--sandbox", "tight"], USAGE, ["--sandbox", "auto, off or strict"])], ids=lambda value: " ".join(map(str, value[-2:]))
    if isinstance(value, list) else str(value))
def test_a_sandbox_that_cannot_be_is_refused(run_preforkd, arguments, code, words):
    is_one_sentence(run_preforkd(*arguments), code, words)


@strict
@pytest.mark.parametrize("call, words", [(SECCOMP, ["--sandbox strict", "seccomp(2)", "--sandbox auto"]),
                                         (LANDLOCK_CREATE_RULESET, ["--sandbox strict", "landlock_restrict_self"])])
@pytest.mark.parametrize("order", [(), ("--check-config",)])
def test_strict_where_the_kernel_denies_it_is_refused(run_preforkd, call, words, order):
    is_one_sentence(run_preforkd(*STRICT, *order, wrap=denying(call)), CONFIGURATION, words)


@strict
def test_strict_without_libseccomp_is_refused(run_preforkd, broken):
    is_one_sentence(run_preforkd(*STRICT, env=broken), CONFIGURATION, ["--sandbox strict", "install libseccomp2"])


@strict
def test_a_shared_object_that_cannot_do_with_strict_is_refused(run_preforkd, trouble):
    """In its trial already."""
    told = run_preforkd(*STRICT, "--handler", trouble("greedy"))
    is_one_sentence(told, CONFIGURATION, ["--handler", "its constructor failed", "Operation not permitted"])


# --- reload and upgrade ---------------------------------------------------------------------------------------------------

@strict
def test_a_reload_changes_it_for_the_workers_of_from_now_on(configured):
    listen = "listen = tcp://127.0.0.1:0"
    service = configured(listen, "sandbox = strict", workers=1)
    for mode, worn in (("off", NOTHING), ("strict", FILTER), ("auto", FILTER)):
        before = service.daemon.workers()
        assert "reloaded" in service.reload(listen, f"sandbox = {mode}")["message"]
        assert all(proc.wait_gone(pid, 10) for pid in before)
        assert [worn_by(pid) for pid in service.daemon.workers()] == [worn]
        assert exchange(service.daemon.endpoint) == b"connected\n"


@pytest.mark.parametrize("mode", ["auto", pytest.param("strict", marks=strict)])
def test_an_upgrade_keeps_it(preforkd, mode):
    daemon = preforkd("--sandbox", mode)
    for _ in range(2):
        mark = daemon.log.mark()
        daemon.signal(signal.SIGUSR2)
        daemon.wait_log("upgraded", after=mark)
        assert worn_by(daemon.pid) == NOTHING
        assert {worn_by(pid) for pid in daemon.wait_workers(2)} == {FILTER}
    assert exchange(daemon.endpoint) == b"connected\n"
