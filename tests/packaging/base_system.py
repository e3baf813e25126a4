"""A Debian 12 as debootstrap leaves it: one archive, made once, below build/."""
import shutil
import subprocess
from contextlib import contextmanager

from places import ROOT

HOME = ROOT / "build/base"
ARCHIVE = HOME / "bookworm.tar.gz"


def archive():
    """Its path."""
    if not ARCHIVE.exists():
        with scratch_directory("debootstrap") as directory:
            run("debootstrap", "--variant=minbase", "bookworm", directory)
            run("tar", "-C", directory, "--exclude=./var/cache/apt/*", "--exclude=./dev/*", "-czf", f"{ARCHIVE}.new", ".")
        (HOME / "bookworm.tar.gz.new").rename(ARCHIVE)
    return ARCHIVE


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, (command, done.stdout[-3000:], done.stderr[-3000:])


@contextmanager
def scratch_directory(name):
    """Below build/ and not in /tmp, which may be small, or may hold no devices."""
    directory = HOME / name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)
