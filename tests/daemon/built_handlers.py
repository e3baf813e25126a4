"""Handlers that a test compiles outside the tree, from an install prefix, once for all workers of pytest."""
import fcntl
import subprocess
from pathlib import Path

import pytest

import daemon_process

TROUBLES = Path(__file__).parent / "troubles"


def run(*command, **how):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300, **how)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def pkg_config(prefix):
    file = next(prefix.rglob("preforkd.pc"))
    return daemon_process.clean_environment({"PKG_CONFIG_PATH": str(file.parent)})


@pytest.fixture(scope="session")
def prefix(tmp_path_factory):
    """An installed preforkd."""
    prefix = tmp_path_factory.mktemp("prefix")
    run("cmake", "--install", daemon_process.BUILD, "--prefix", prefix)
    return prefix


@pytest.fixture(scope="session")
def trouble(prefix, tmp_path_factory):
    """Builds troubles/NAME.cpp; gives the shared object."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if base.name.startswith("popen-gw") else base

    def build(name):
        library = shared / f"lib{name}.so"
        with open(shared / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not library.exists():
                flags = run("pkg-config", "--cflags", "preforkd", env=pkg_config(prefix)).split()
                part = library.with_suffix(".part")
                run("g++", "-std=c++20", "-g", "-fPIC", "-shared", *flags, TROUBLES / f"{name}.cpp", "-o", part)
                part.rename(library)
        return str(library)
    return build
