"""libsystemd is opened where systemd has left word for us, and closed before anything is forked."""
import json
import os
import re
import signal
import struct
import subprocess
from pathlib import Path

import pytest

import daemon_process
import proc
from activation import Passing, endpoint_of, listening
from clients import exchange
from test_bad_input import SYSTEM, is_one_sentence

SONAME = "libsystemd.so.0"


@pytest.fixture
def broken(tmp_path):
    """A directory in which the loader finds a library of that name that is none."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / SONAME).touch()
    return {"LD_LIBRARY_PATH": str(tmp_path / "lib")}


def libraries_of(pid):
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return {os.path.basename(line.split()[-1]).partition(".so")[0] for line in lines if ".so" in line}


def mappings_of(daemon):
    return [(libraries_of(pid), len(Path(f"/proc/{pid}/maps").read_text().splitlines()))
            for pid in (daemon.pid, daemon.workers()[0])]


def dlopen_notes(notes):
    """The JSON of each.  Source: elf(5), Notes: both parts are padded to four bytes."""
    while notes:
        owner_size, text_size, kind = struct.unpack_from("=III", notes)
        assert (notes[12:12 + owner_size], kind) == (b"FDO\0", 0x407c0c0a)
        yield json.loads(notes[16:16 + text_size].rstrip(b"\0"))
        notes = notes[16 + (text_size + 3) // 4 * 4:]


def test_the_program_says_which_libraries_it_loads(tmp_path):
    """Source: https://uapi-group.org/specifications/specs/elf_dlopen_metadata/"""
    subprocess.run(["objcopy", "--dump-section", f".note.dlopen={tmp_path}/note", daemon_process.PREFORKD, "/dev/null"],
                   check=True)
    entries = [entry for note in dlopen_notes((tmp_path / "note").read_bytes()) for entry in note]
    assert {entry["feature"]: entry["soname"] for entry in entries} == {"systemd": [SONAME], "seccomp": ["libseccomp.so.2"],
                                                                        "tls": ["libssl.so.3"]}
    assert {entry["priority"] for entry in entries} == {"recommended"}
    sections = subprocess.run(["readelf", "--wide", "--sections", daemon_process.PREFORKD], capture_output=True, text=True,
                              check=True, env=os.environ | {"LC_ALL": "C"}).stdout
    assert re.search(r"\.note\.dlopen +NOTE .* A ", sections), "a note, and loaded"


def test_no_process_serves_with_it_mapped(preforkd, notify):
    plain = mappings_of(preforkd())
    with listening() as bound:
        under_systemd = preforkd(listen=None, **Passing(bound).arguments(
            env=notify.environment | {"WATCHDOG_USEC": "60000000"}))
        assert exchange(endpoint_of(bound)) == b"connected\n"
        for (libraries, count), (plain_libraries, plain_count) in zip(mappings_of(under_systemd), plain):
            assert libraries == plain_libraries and "libsystemd" not in libraries
            assert count < plain_count + 10, "the library and what it needs are more than thirty"


@pytest.mark.parametrize("variables", [
    {"NOTIFY_SOCKET": "@nobody"}, {"WATCHDOG_USEC": "1000000"}, {"LISTEN_FDS": "1", "LISTEN_PID": "1"}],
    ids=lambda variables: next(iter(variables)))
@pytest.mark.parametrize("workers", ["0", "1"])
def test_where_it_is_needed_and_cannot_be_loaded_start_up_fails(run_preforkd, broken, variables, workers):
    told = run_preforkd("-w", workers, "-l", "tcp://127.0.0.1:0", env=broken | variables)
    is_one_sentence(told, SYSTEM, [next(iter(variables)), SONAME, "install libsystemd0"])


def test_where_systemd_says_nothing_it_is_not_loaded(preforkd, broken):
    daemon = preforkd(env=broken)
    assert exchange(daemon.endpoint) == b"connected\n"


def test_an_upgrade_that_could_not_load_it_is_refused(preforkd, notify, broken):
    library = Path(broken["LD_LIBRARY_PATH"], SONAME)
    library.rename(library.with_suffix(".later"))
    daemon = preforkd(env=notify.environment | {"WATCHDOG_USEC": "200000"} | broken)
    workers = daemon.workers()
    library.with_suffix(".later").rename(library)
    daemon.expect("upgrade failed")
    daemon.signal(signal.SIGUSR2)
    assert "install libsystemd0" in daemon.wait_log("upgrade failed, nothing has changed")["cause"]
    assert exchange(daemon.endpoint) == b"connected\n" and daemon.workers() == workers
    notify.pending()
    notify.wait("WATCHDOG", "1")


def test_an_upgrade_goes_on_feeding_the_watchdog(preforkd, notify):
    daemon = preforkd(env=notify.environment | {"WATCHDOG_USEC": "200000"})
    daemon.signal(signal.SIGUSR2)
    daemon.wait_log("upgraded")
    notify.pending()
    notify.wait("WATCHDOG", "1")
    assert all("libsystemd" not in libraries_of(pid) for pid in (daemon.pid, *daemon.workers()))


def test_a_reload_of_passed_sockets_does_without_it(preforkd, broken):
    library = Path(broken["LD_LIBRARY_PATH"], SONAME)
    library.rename(library.with_suffix(".later"))
    with listening() as bound:
        daemon = preforkd(listen=None, **Passing(bound).arguments(env=broken))
        library.with_suffix(".later").rename(library)
        before = daemon.workers()
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("reloaded")
        assert exchange(endpoint_of(bound)) == b"connected\n"
        assert proc.eventually(lambda: not set(before) & set(daemon.workers()))
