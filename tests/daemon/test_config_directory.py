"""FILE.d/*.conf: what is read behind the file of --config."""
import os
import signal

import pytest

import proc
from clients import exchange
from configured import LISTEN, Configured
from test_hanging_files import Hanging


@pytest.fixture
def file(tmp_path):
    (tmp_path / "preforkd.conf.d").mkdir()
    return tmp_path / "preforkd.conf"


def put(file, name, *lines):
    (file.parent / f"{file.name}.d" / name).write_text("".join(f"{line}\n" for line in lines))


def printed(run_preforkd, file):
    told = run_preforkd("--config", str(file), "--print-config")
    assert told.returncode == 0, told.stderr
    return [" ".join(line.split()) for line in told.stdout.splitlines()]


def test_a_later_file_s_value_holds_and_listeners_are_added(run_preforkd, file):
    file.write_text("workers = 2\ngreeting = first\nlisten = tcp://:7\n[tcp://:8]\nhandler = echo\n")
    put(file, "10.conf", "workers = 3", "listen = tcp://:9")
    put(file, "20.conf", "workers = 4", "idle-timeout = 5s", "[unix:///run/x.sock]", "mode = 0660")
    put(file, "20.conf.dpkg-old", "workers = 5")
    lines = printed(run_preforkd, file)
    place = f"{file}.d"
    assert f"workers = 4 # {place}/20.conf:1" in lines and f"greeting = first # {file}:2" in lines
    assert f"idle-timeout = 5s # {place}/20.conf:2" in lines
    assert [line for line in lines if line.startswith("listen = ")] == [
        f"listen = tcp://:7 # {file}:3", f"listen = tcp://:8 handler=echo # {file}:4", f"listen = tcp://:9 # {place}/10.conf:2",
        f"listen = unix:///run/x.sock mode=0660 # {place}/20.conf:3"]


@pytest.mark.parametrize("name, lines, words", [
    ("a.conf", ["workers = 3", "workers = 4"], "{d}/a.conf:2: workers: already set in {d}/a.conf:1; keep one"),
    ("a.conf", ["wokers = 3"], "{d}/a.conf:1: unknown option \"wokers\"; did you mean workers?"),
    ("a.conf", ["listen = tcp://:7"], "{d}/a.conf:1: listen"),
    ("a.conf", ["handler = echo\0"], "{d}/a.conf:1: contains a NUL byte"),
    ("a.conf", ["\0/etc/passwd", "workers = 3"], "{d}/a.conf:1: contains a NUL byte"),
])
def test_what_is_wrong_is_named_where_it_stands(run_preforkd, file, name, lines, words):
    file.write_text("workers = 2\nlisten = tcp://:7\n")
    put(file, name, *lines)
    told = run_preforkd("--config", str(file), "--check-config")
    assert told.returncode == 78 and words.format(d=f"{file}.d") in told.stderr, told.stderr


def test_an_empty_value_forgets_the_listeners_above_it(run_preforkd, file):
    file.write_text("listen = tcp://:7\nworkers = 2\n[tcp://:8]\nhandler = echo\n")
    put(file, "10.conf", "listen = tcp://:9", "listen =", "listen = tcp://:10", "workers = 3")
    lines = printed(run_preforkd, file)
    assert [line for line in lines if line.startswith("listen = ")] == [f"listen = tcp://:10 # {file}.d/10.conf:3"]
    assert f"workers = 3 # {file}.d/10.conf:4" in lines
    put(file, "20.conf", 'listen = ""')
    assert any(line.startswith("# listen = tcp://:10000 # default") for line in printed(run_preforkd, file))


def test_what_is_forgotten_has_to_be_good_too(run_preforkd, file):
    file.write_text("listen = tcp://:7 nonsense=3\n")
    put(file, "a.conf", "listen =")
    told = run_preforkd("--config", str(file), "--check-config")
    assert told.returncode == 78 and f"{file}:1: listen: " in told.stderr, told.stderr


def test_what_a_later_file_outvotes_has_to_be_good_too(run_preforkd, file):
    file.write_text("workers = many\n")
    put(file, "a.conf", "workers = 3")
    told = run_preforkd("--config", str(file), "--check-config")
    assert told.returncode == 78 and f"{file}:1: workers: expected" in told.stderr, told.stderr


def test_a_file_of_it_that_cannot_be_read_is_named(run_preforkd, file):
    file.write_text("workers = 2\n")
    os.mkfifo(f"{file}.d/a.conf")
    told = run_preforkd("--config", str(file), "--check-config")
    assert told.returncode == 78 and f'--config: cannot read "{file}.d/a.conf": it is a FIFO' in told.stderr, told.stderr


@pytest.mark.root
def test_a_reload_waits_for_the_directory_in_a_child_and_names_it(preforkd, file):
    service = Configured(preforkd, file, [LISTEN, "boot-timeout = 700ms"])
    service.daemon.expect("reload failed")
    with Hanging(f"{file}.d"):
        assert f"--config {file}.d: no answer" in service.reload(LISTEN)["cause"]
    assert service.reload(LISTEN)["message"].startswith("reloaded")


def test_a_reload_takes_what_came_and_leaves_what_went(preforkd, file):
    service = Configured(preforkd, file, [LISTEN, "greeting = one"])
    daemon = service.daemon
    assert exchange(daemon.endpoint) == b"one\n"
    for words, heard in ((["greeting = two"], b"two\n"), ([], b"one\n")):
        before = daemon.workers()
        put(file, "greeting.conf", *words)
        assert service.reload(LISTEN, "greeting = one")["message"].startswith("reloaded")
        assert all(proc.wait_gone(pid, 10) for pid in before)
        assert exchange(daemon.endpoint) == heard


def test_an_upgrade_reads_them(preforkd, file):
    put(file, "greeting.conf", "greeting = two")
    daemon = Configured(preforkd, file, [LISTEN]).daemon
    assert exchange(daemon.endpoint) == b"two\n"
    daemon.signal(signal.SIGUSR2)
    daemon.wait_log("upgraded: version")
    assert exchange(daemon.endpoint) == b"two\n"
