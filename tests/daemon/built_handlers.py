"""Handlers that a test compiles outside the tree, from an install prefix, once for all workers of pytest."""
import fcntl
import subprocess
from pathlib import Path

import pytest

import daemon_process

TROUBLES = Path(__file__).parent / "troubles"
PROGRAMS = Path(__file__).parent / "programs"


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


def build_once(base, name, source, prefix, *options, flags=("--cflags",)):
    """Compiles `source` against what is installed in `prefix`, for all workers of pytest."""
    shared = base.parent if base.name.startswith("popen-gw") else base
    built = shared / name
    with open(shared / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not built.exists():
            found = run("pkg-config", *flags, "preforkd", env=pkg_config(prefix)).split()
            part = built.with_suffix(".part")
            run("g++", "-std=c++20", "-g", *options, source, *found, "-o", part)
            part.rename(built)
    return str(built)


@pytest.fixture(scope="session")
def trouble(prefix, tmp_path_factory):
    """Builds troubles/NAME.cpp; gives the shared object."""
    base = tmp_path_factory.getbasetemp()
    return lambda name: build_once(base, f"lib{name}.so", TROUBLES / f"{name}.cpp", prefix, "-fPIC", "-shared")


@pytest.fixture(scope="session")
def program(prefix, tmp_path_factory):
    """Builds programs/NAME.cpp; gives the program."""
    base = tmp_path_factory.getbasetemp()
    return lambda name: build_once(base, f"program-{name}", PROGRAMS / f"{name}.cpp", prefix, flags=("--cflags", "--libs"))
