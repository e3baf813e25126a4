"""A container engine of our own: podman with its state below build/, the base image by debootstrap, the project's image.

Nothing of it meets the engine, the images and the containers that the machine may have."""
import contextlib
import ctypes
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import base_system

ROOT = Path(__file__).resolve().parents[3]
HOME = ROOT / "build/containers"
RUN = f"/run/preforkd-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]}"  # short: conmon's sockets lie below it
PROGRAMS = ("podman", "buildah", "runc", "/usr/lib/podman/netavark", "iptables", "debootstrap", "nsenter", "ip", "nc")
IMAGE = "preforkd"
CLONE_NEWNET = 0x4000_0000

# No default limits, because not every root may raise them; no systemd, because not every machine runs it.
CONFIGURATION = """\
[containers]
default_ulimits = []
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
[network]
network_backend = "netavark"
"""

# What the documents call docker.  A build may not ask a registry for what is here, uses the network of whoever calls,
# and shares the compiler cache of this machine: with it the image is built in a few seconds, without in a few minutes.
# A cache mount in the Dockerfile would do the same only from the second build on.
DOCKER = """\
#!/bin/sh
if [ "$1" = build ]; then
    shift
    set -- build --pull=never --network=host --format=docker --volume={cache}:/root/.cache/ccache {arguments} "$@"
fi
exec podman --log-level=fatal --root={home}/storage --runroot={run} "$@"
"""


def missing():
    """Why no container can be run here; empty if one can."""
    if os.geteuid() != 0:
        return "containers need root here"
    absent = [name for name in PROGRAMS if not shutil.which(name)]
    return f"not installed: {', '.join(absent)}" if absent else ""


class Engine:
    def __init__(self):
        (HOME / "bin").mkdir(parents=True, exist_ok=True)
        (HOME / "containers.conf").write_text(CONFIGURATION)
        cache = os.environ.get("CCACHE_DIR") or Path.home() / ".cache/ccache"
        Path(cache).mkdir(parents=True, exist_ok=True)
        # Where warnings are errors for the checkout, so for the image, or the cache would know nothing of it.
        arguments = f"--build-arg=CI={os.environ['CI']}" if os.environ.get("CI") else ""
        shim = HOME / "bin/docker"
        shim.write_text(DOCKER.format(cache=cache, home=HOME, run=RUN, arguments=arguments))
        shim.chmod(0o755)
        self.environment = os.environ | {"PATH": f"{HOME}/bin:{os.environ['PATH']}",
                                         "CONTAINERS_CONF": str(HOME / "containers.conf")}

    def attempt(self, *arguments, timeout=60, **how):
        """Runs `docker ARGUMENTS`, whatever comes of it."""
        return subprocess.run(["docker", *map(str, arguments)], env=self.environment, capture_output=True, text=True,
                              timeout=timeout, stdin=subprocess.DEVNULL, cwd=ROOT, **how)

    def __call__(self, *arguments, **how):
        """Runs `docker ARGUMENTS`, which must succeed; returns what it prints."""
        done = self.attempt(*arguments, **how)
        assert done.returncode == 0, f"docker {' '.join(map(str, arguments))}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout.strip()

    def inspect(self, name):
        return json.loads(self("inspect", name))[0]

    def provide_base(self):
        """debian:bookworm-slim, as `FROM` names it; made from Debian's packages because a registry may be out of reach."""
        if self.attempt("image", "exists", "debian:bookworm-slim").returncode == 0:
            return
        self("import", base_system.archive(), "localhost/debian:bookworm-slim", timeout=300)

    def build(self):
        self.provide_base()
        # As the README says it, with no argument of ours: its own `docker build` then finds these layers.
        # The stage that compiles keeps a name of its own, so that the layers of older builds can be told from it.
        for arguments in (["--target=build", f"--tag={IMAGE}-build"], [f"--tag={IMAGE}"]):
            self("build", *arguments, ".", timeout=1800)
        self("image", "prune", "--force")

    def clean(self):
        self("rm", "--all", "--force", "--time=0")
        # What a build that was killed has left; podman does not see it.
        subprocess.run(["buildah", f"--root={HOME}/storage", f"--runroot={RUN}", "rm", "--all"], env=self.environment,
                       check=True, capture_output=True, timeout=120)


@contextlib.contextmanager
def network_of_our_own():
    """A network namespace for this thread and whatever it starts: published ports are nobody else's, and no packet
    leaves."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as before:
        if libc.unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare the network")
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            yield
        finally:
            assert libc.setns(before.fileno(), CLONE_NEWNET) == 0
