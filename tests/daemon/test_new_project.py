"""preforkd-new: a project that builds, is tested and serves as it was written."""
import subprocess

import pytest

from built_handlers import run
from clients import exchange
from test_embedding import serving

pytestmark = pytest.mark.programs("cmake", "make", "g++")


@pytest.fixture
def begin(prefix, tmp_path):
    def run_it(*arguments):
        return subprocess.run([prefix / "bin/preforkd-new", *arguments], capture_output=True, text=True, cwd=tmp_path, timeout=20)
    return run_it


def test_what_it_writes_is_built_tested_and_serves(begin, prefix, tmp_path):
    told = begin("two-words")
    assert told.returncode == 0 and "cmake --build two-words/build\n" in told.stdout
    project, build = tmp_path / "two-words", tmp_path / "two-words/build"
    assert not [file for file in project.iterdir() if b"@" in file.read_bytes().replace(b"~@privileged @resources", b"")
                .replace(b"@system-service", b"")], "nothing is left to be filled in"
    run("cmake", "-S", project, "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror")
    run("cmake", "--build", build)
    assert "100% tests passed" in subprocess.run(["ctest", "--test-dir", build], check=True, capture_output=True, text=True).stdout
    with serving(build / "two-words", "--listen", "tcp://127.0.0.1:0") as endpoint:
        assert exchange(endpoint, b"hello\nagain\n") == b"hello\nagain\n"
    assert "class TwoWords " in (project / "handler.hpp").read_text()


@pytest.mark.parametrize("name", ["", "Upper", "9lives", "a_b", "dash-", "a b", "test", "all", "install", "preforkd"])
def test_a_name_that_no_program_can_have_is_refused(begin, tmp_path, name):
    refused = begin(name)
    assert refused.returncode == 64 and "preforkd-new: " in refused.stderr and not list(tmp_path.iterdir())


def test_what_is_there_is_left_alone(begin, tmp_path):
    (tmp_path / "hello").mkdir()
    refused = begin("hello")
    assert refused.returncode == 73 and refused.stderr == "preforkd-new: hello is there already\n"
    assert not list((tmp_path / "hello").iterdir())


def test_it_wants_one_name(begin):
    assert begin().returncode == 64 and begin("one", "two").returncode == 64
    assert begin("--help").stdout.startswith("Usage: preforkd-new NAME")
