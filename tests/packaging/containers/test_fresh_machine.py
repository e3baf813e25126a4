"""A fresh Debian 12, which has nothing but apt: ./dev brings what it needs, the README's first command works, the packages
are built, and handlers are compiled with what they bring."""
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from base_system import archive, run, scratch_directory
from places import ROOT

# Its /proc, its processes and its mounts end with the command.  It shares the compiler cache of this machine, and has the
# checkout where this machine has it, so that the cache knows what it compiles.
_ENTER = """
set -e
root=$1 cache=$2 checkout=$3
shift 3
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --bind "$cache" "$root/root/.cache/ccache"
exec chroot "$root" env --ignore-environment --chdir="$checkout" HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
"""


class FreshMachine:
    def __init__(self, root: Path):
        self.root, self.checkout = root, root / ROOT.relative_to("/")
        self._cache = Path(os.environ.get("CCACHE_DIR") or Path.home() / ".cache/ccache")
        self._proxies = [f"{name}={value}" for name, value in os.environ.items() if name.lower().endswith("_proxy")]
        run("tar", "-C", root, "-xzf", archive())
        # To wait for the disk after each package takes minutes.
        (root / "etc/dpkg/dpkg.cfg.d/no-sync").write_text("force-unsafe-io\n")
        for directory in (self._cache, root / "root/.cache/ccache", self.checkout):
            directory.mkdir(parents=True, exist_ok=True)
        run("sh", "-c", 'tar -C "$1" --exclude-vcs --exclude=./build --exclude=./.cache -cf - . | tar -C "$2" -xf -', "sh",
            ROOT, self.checkout)

    def __call__(self, *command):
        """What a command in the checkout comes to."""
        return subprocess.run(["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", _ENTER, "sh", self.root,
                               self._cache, ROOT, *self._proxies, *command],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1800)


@pytest.fixture(scope="module")
def fresh():
    if not shutil.which("debootstrap"):
        pytest.skip("not installed: debootstrap")
    with scratch_directory("fresh") as root:
        yield FreshMachine(root)


def assert_only_progress(told):
    assert [line for line in told.splitlines() if not line.startswith("dev: ")] == [], told
    assert re.search(r"^dev: installing .*\bbuild-essential\b", told, re.MULTILINE)
    assert re.search(r"^dev: +\d+ s  \S", told, re.MULTILINE), "no progress in half a minute"


def test_the_first_command_of_the_readme_builds_the_daemon(fresh):
    done = fresh("./dev", "run", "--version")
    assert (done.returncode, done.stdout[:9]) == (0, "preforkd "), done.stderr
    assert_only_progress(done.stderr)


def test_the_packages_are_built(fresh):
    done = fresh("./dev", "package")
    assert done.returncode == 0, done.stderr
    packages = [Path(line).name.partition("_")[0] for line in done.stdout.splitlines()]
    assert {"preforkd", "libpreforkd-dev"} <= set(packages), done.stdout


@pytest.mark.parametrize("example, made", [("upper", "upper"), ("shared_object", "libshout.so")])
def test_an_example_with_a_makefile_is_made_with_what_dev_has_installed(fresh, example, made):
    installed = fresh("sh", "-c", "dpkg --install build/package/libpreforkd-dev_*.deb")
    assert installed.returncode == 0, installed.stderr
    done = fresh("make", "-C", f"packaging/examples/{example}")
    assert done.returncode == 0, done.stderr
    assert (fresh.checkout / "packaging/examples" / example / made).exists()
