"""The file of a shared object while workers run it."""
import os
import shutil
from pathlib import Path
from signal import SIGHUP, SIGKILL

import pytest

import proc
from built_handlers import TROUBLES, pkg_config, run
from clients import exchange

FROM_ITS_FILE = "is loaded from its file"


@pytest.fixture(scope="module")
def compiled(prefix, tmp_path_factory):
    """Compiles troubles/answering.cpp."""
    directory = tmp_path_factory.mktemp("answering")
    flags = run("pkg-config", "--cflags", "preforkd", env=pkg_config(prefix)).split()

    def build(name, *options):
        file = directory / name
        if not file.exists():
            run("g++", "-std=c++20", "-g", "-fPIC", "-shared", *flags, TROUBLES / "answering.cpp", *options, "-o", file,
                cwd=directory)
        return file
    return build


@pytest.fixture
def one(compiled, tmp_path):
    """A copy of one version, for a test to write to."""
    return Path(shutil.copy(compiled("one.so"), tmp_path / "libanswering.so"))


def maps_of(daemon):
    return [Path(f"/proc/{pid}/maps").read_text() for pid in daemon.workers()]


@pytest.mark.parametrize("sandbox", ["off", "strict"])
def test_workers_run_a_copy_that_is_named_after_the_file(preforkd, one, sandbox):
    daemon = preforkd("--handler", str(one), "--sandbox", sandbox)
    assert exchange(daemon.endpoint) == b"one"
    for maps in maps_of(daemon):
        mapped = {line.split(maxsplit=5)[5] for line in maps.splitlines() if "libanswering.so" in line}
        assert mapped == {f"/memfd:{one} (deleted)"}
    assert not daemon.log.find(FROM_ITS_FILE)
    for pid in daemon.workers():
        assert not [link for link in proc.descriptors(pid).values() if "memfd" in link]


def test_cp_over_the_file_is_seen_by_a_reload_and_by_nobody_before(preforkd, one, compiled):
    two = compiled("two.so", '-DANSWER="two"')
    daemon = preforkd("--handler", str(one))
    os.truncate(one, 0)  # as cp does first: what no worker has touched of it is gone
    assert [exchange(daemon.endpoint) for _ in range(4)] == [b"one"] * 4
    shutil.copyfile(two, one)
    assert [exchange(daemon.endpoint) for _ in range(4)] == [b"one"] * 4
    daemon.expect("SIGKILL")
    before = daemon.workers()
    os.kill(before[0], SIGKILL)
    assert proc.eventually(lambda: len(daemon.workers()) == 2 and before[0] not in daemon.workers())
    assert [exchange(daemon.endpoint) for _ in range(8)] == [b"one"] * 8, "a generation runs one version"
    daemon.signal(SIGHUP)
    daemon.wait_log("reloaded")
    assert exchange(daemon.endpoint) == b"two"


def test_one_that_finds_libraries_beside_itself_is_loaded_from_its_file_and_that_is_said(preforkd, compiled, tmp_path):
    source = tmp_path / "part.cpp"
    source.write_text('const char* part() { return "part"; }')
    part = compiled("one.so").parent / "libpart.so"
    run("g++", "-fPIC", "-shared", source, "-o", part)
    file = compiled("with_part.so", "-DPART", "-L.", "-lpart", "-Wl,-rpath,$ORIGIN")
    daemon = preforkd("--handler", str(file))
    assert exchange(daemon.endpoint) == b"part"
    [line] = daemon.log.find(FROM_ITS_FILE)
    assert line["level"] == "notice" and "mv" in line["message"] and "$ORIGIN" in line["message"]
    assert all(f" {file}\n" in maps and f"memfd:{file}" not in maps for maps in maps_of(daemon))
