"""What the programs are compiled with, read off them."""
import os
import platform
import re
import subprocess

import pytest

from daemon_process import PREFORKCTL, PREFORKD

PROGRAMS = pytest.mark.parametrize("program", [PREFORKD, PREFORKCTL], ids=["preforkd", "preforkctl"])
X86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="x86 alone has these")


def read(tool, *arguments):
    return subprocess.run([tool, *arguments], capture_output=True, text=True, check=True, timeout=60,
                          env=os.environ | {"LC_ALL": "C"}).stdout


def notes_of(program):
    """readelf knows some notes of systemd's only as an error."""
    return subprocess.run(["readelf", "--wide", "--notes", program], capture_output=True, text=True, timeout=60).stdout


def is_hardened_build():
    """Sanitizers see more, and are incompatible with some of it."""
    return "__asan_init" not in (symbols := read("readelf", "--wide", "--dyn-syms", PREFORKD)) and "__tsan_init" not in symbols


@pytest.fixture(autouse=True)
def hardened_build():
    if not is_hardened_build():
        pytest.skip("built with sanitizers")


@pytest.mark.programs("readelf")
@PROGRAMS
def test_it_is_hardened(program):
    headers = read("readelf", "--wide", "--headers", "--dynamic", "--dyn-syms", program)
    for trait in (r"Type: +DYN ", r"GNU_RELRO", r"FLAGS_1.* NOW.* PIE", r"__stack_chk_fail", r"__\w+_chk@GLIBC"):
        assert re.search(trait, headers), trait
    assert re.search(r"GNU_STACK .* RW ", headers), "the stack is executable"


@pytest.mark.programs("readelf")
@PROGRAMS
def test_the_standard_library_checks_indices(program):
    assert "glibcxx_assert_fail" in read("readelf", "--wide", "--dyn-syms", program)


@pytest.mark.programs("readelf", "objdump")
@X86
@PROGRAMS
def test_returns_and_indirect_calls_are_guarded(program):
    """IBT is marked where all that is linked in has it, too; our own functions have it in any case."""
    assert re.search(r"x86 feature: .*SHSTK", notes_of(program))
    assert re.search(r"<main>:\n +[0-9a-f]+:\s+(?:[0-9a-f]{2} )+\s*endbr64", read("objdump", "-d", "--disassemble=main", program))
