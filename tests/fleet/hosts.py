"""Hosts on one machine: each a Docker engine in namespaces of its own, all at one switch, which leads nowhere else.

Nothing of it meets the engine, the containers and the networks that the machine may have."""
import contextlib
import ctypes
import hashlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

import proc

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "build/fleet"
MARK = "pf" + hashlib.sha256(str(ROOT).encode()).hexdigest()[:5]  # what all namespaces of this checkout begin with
RUN = Path("/run") / MARK  # short: the sockets of engines lie below it
NETWORK = "192.168.78."  # of no overlay, and of no bridge of an engine
CLONE_NEWNET = 0x4000_0000
SWITCH, CLIENT = f"{MARK}-switch", f"{MARK}-client"
NUMBERS = (1, 2, 3)
CLIENT_NUMBERS = range(10, 20)  # a client with several addresses is several clients
# By their paths: another `docker` may come first.
DOCKER, DOCKERD = "/usr/bin/docker", shutil.which("dockerd", path="/usr/sbin:/usr/bin") or "dockerd"
PROGRAMS = (DOCKER, DOCKERD, "containerd", "runc", "iptables", "tini", "haproxy", "prometheus", "keepalived", "wget", "ip", "nsenter",
            "openssl")

# What a host has of its own: processes, mounts, a name, and /run, but for the directory that the machine sees, too.
HOST = """
hostname {name}
mount --bind {run} /mnt
mount -t tmpfs tmpfs /run
mkdir -p {run}
mount --move /mnt {run}
exec tini -s -g -- {dockerd} --data-root {home}/data --exec-root {run}/exec --pidfile {run}/pid --host unix://{run}/docker.sock \\
    --config-file {home}/daemon.json --cgroup-parent /{mark}/{name} --exec-opt native.cgroupdriver=cgroupfs --oom-score-adjust 0
"""


def missing():
    """Why no fleet can be run here; empty if one can."""
    if os.geteuid() != 0:
        return "a fleet needs root"
    absent = [name for name in PROGRAMS if not shutil.which(name)]
    return f"not installed: {', '.join(absent)}" if absent else ""


def run(*command, timeout=120, **how):
    """What it prints; it must succeed."""
    command = list(map(str, command))
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, **how)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout.strip()


def within(namespace, *command):
    """The command, in that network.  Not by `ip netns exec`, which mounts /sys anew and hides the control groups."""
    return ["nsenter", f"--net=/run/netns/{namespace}", *map(str, command)]


def build_network():
    run("ip", "netns", "add", SWITCH)
    run(*within(SWITCH, "sh", "-c", "ip link add switch type bridge && ip link set switch up"))
    for name, numbers in [*((host_namespace(each), [each]) for each in NUMBERS), (CLIENT, CLIENT_NUMBERS)]:
        run("ip", "netns", "add", name)
        cable = name.rpartition("-")[2]
        run("ip", "link", "add", "eth0", "netns", name, "type", "veth", "peer", "name", cable, "netns", SWITCH)
        run(*within(SWITCH, "ip", "link", "set", cable, "master", "switch", "up"))
        addresses = " && ".join(f"ip addr add {NETWORK}{each}/24 dev eth0" for each in numbers)
        run(*within(name, "sh", "-c", f"ip link set lo up && ip link set eth0 up && {addresses}"))


def host_namespace(number):
    return f"{MARK}-{number}"


def processes_in(namespace):
    done = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True)
    return [int(pid) for pid in done.stdout.split()]


def kill_all_in(namespace):
    """Whoever has that network: with the first process of a host end all, its containers included."""
    pids = [pid for pid in processes_in(namespace) if pid != os.getpid()]
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    for pid in pids:
        assert proc.wait_gone(pid, 20), f"{pid} does not end"


def remove_all():
    """Whatever a fleet of this checkout has left, also one whose start failed."""
    listed = run("ip", "netns", "list").split()
    ours = [name for name in (*map(host_namespace, NUMBERS), CLIENT, SWITCH) if name in listed]
    for name in ours:
        kill_all_in(name)
    for name in ours:
        run("ip", "netns", "delete", name)
    shutil.rmtree(RUN, ignore_errors=True)
    shutil.rmtree(HOME, ignore_errors=True)
    for tree in Path("/sys/fs/cgroup").glob(f"**/{MARK}"):
        for directory in [*sorted(filter(Path.is_dir, tree.glob("**/*")), reverse=True), tree]:
            proc.eventually(lambda: removed(directory))


def removed(directory):
    """A control group stays until the last of its processes is reaped."""
    try:
        directory.rmdir()
    except FileNotFoundError:
        pass
    except OSError:
        return False
    return True


class EngineRefused(AssertionError):
    pass


class Host:
    def __init__(self, number):
        self.number = number
        self.name = f"n{number}"
        self.address = f"{NETWORK}{number}"
        self.namespace = host_namespace(number)
        self._run = RUN / self.name
        self._home = HOME / self.name

    @property
    def command(self):
        """What the documents call docker, on this host."""
        return [DOCKER, "--host", f"unix://{self._run}/docker.sock"]

    def attempt(self, *arguments, timeout=60, **how):
        """`docker ARGUMENTS` on this host, whatever comes of it; an engine that finds no leader to ask may not answer at all."""
        return subprocess.run(["timeout", str(timeout), *self.command, *map(str, arguments)],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, **how)

    def docker(self, *arguments, **how):
        """The same, which must succeed; what it prints."""
        done = self.attempt(*arguments, **how)
        if done.returncode != 0:
            raise EngineRefused(f"docker {' '.join(map(str, arguments))}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        return done.stdout.strip()

    @property
    def up(self):
        return bool(processes_in(self.namespace))

    @property
    def present(self):
        """Whether it has power, and a link."""
        return self.up and bool(run(*within(SWITCH, "ip", "-oneline", "link", "show", "dev", str(self.number), "up")))

    def power_on(self):
        """Returns once the engine answers.  What an engine that lost its power has left would keep it from starting."""
        shutil.rmtree(self._run, ignore_errors=True)
        self._run.mkdir(parents=True)
        self._home.mkdir(parents=True, exist_ok=True)
        (self._home / "daemon.json").write_text("{}")
        script = HOST.format(name=self.name, run=self._run, home=self._home, mark=MARK, dockerd=DOCKERD)
        with open(self._home / "log", "a") as log:
            subprocess.Popen(["setsid", *within(self.namespace, "unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child",
                                                "--mount-proc", "--propagation", "private", "sh", "-ec", script)],
                             stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
        self.plug_in()
        assert proc.eventually(lambda: self.attempt("info").returncode == 0, 60), (self._home / "log").read_text()[-3000:]

    def power_off(self):
        """Without a word to anybody: its link goes first, or its kernel would close all connections in its name."""
        self.cut_off()
        kill_all_in(self.namespace)

    def cut_off(self):
        run(*within(SWITCH, "ip", "link", "set", str(self.number), "down"))

    def plug_in(self):
        run(*within(SWITCH, "ip", "link", "set", str(self.number), "up"))


@contextlib.contextmanager
def as_client():
    """Meanwhile this process, and what it starts, is in the network of the clients."""
    libc = ctypes.CDLL(None, use_errno=True)

    def enter(namespace):
        if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "enter a network")
    with open("/proc/thread-self/ns/net") as before, open(f"/run/netns/{CLIENT}") as clients:
        enter(clients)
        try:
            yield
        finally:
            enter(before)
