"""Three hosts as a Swarm, with the stack of packaging/swarm, and what is asked of them."""
import csv
import io
import json
import os
import re
import shlex
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import hosts
import images
from hosts import HOME, ROOT, EngineRefused, Host

BUILD = Path(os.environ.get("PREFORKD_BUILD") or ROOT / "build/release").resolve()
PACKAGED = ROOT / "packaging/swarm"
HERE = Path(__file__).parent
NAME = "preforkd"  # of the stack; its services are preforkd_preforkd and preforkd_balancer
SERVICE, BALANCER = f"{NAME}_preforkd", f"{NAME}_balancer"
PORT, REPLICAS = 10000, 6
PATIENCE_S = 120  # what takes longer does not come about


class Fleet:
    def __init__(self):
        self.hosts = [Host(number) for number in hosts.NUMBERS]
        self._stacks = ()  # what is deployed beyond the packaged one, and that of the tests

    # --- from nothing, and to nothing -------------------------------------------------------------------------------

    def up(self):
        """Hosts with their images, as a Swarm of managers, and what the stack says on them."""
        hosts.remove_all()
        try:
            HOME.mkdir(parents=True)
            (HOME / "prometheus.yml").write_text(hastened((PACKAGED / "prometheus.yml").read_text()))
            hosts.build_network()
            for host in self.hosts:
                host.power_on()
            images.hand_on(self.hosts[0], images.build_all(self.hosts[0], BUILD), self.hosts[1:])
            self._join()
            with hosts.as_client():
                self.deploy()
        except BaseException:
            self._tell_why()
            hosts.remove_all()
            raise

    def _join(self):
        first, *others = self.hosts
        first.docker("swarm", "init", f"--advertise-addr={first.address}", f"--listen-addr={first.address}:2377")
        token = first.docker("swarm", "join-token", "--quiet", "manager")
        for host in others:
            host.docker("swarm", "join", "--token", token, f"--advertise-addr={host.address}",
                        f"--listen-addr={host.address}:2377", f"{first.address}:2377")
        self.wait_whole()

    def _tell_why(self):
        """What will be gone: the last words of each engine."""
        for log in sorted(HOME.glob("n*/log")):
            print(f"{log}:\n{log.read_text()[-2000:]}", file=sys.stderr)

    def down(self):
        hosts.remove_all()

    def deploy(self, *stacks):
        """The packaged stack; stacks: files that say what is not as there."""
        self._stacks = stacks
        all_files = (PACKAGED / "stack.yaml", PACKAGED / "prometheus.yaml", HERE / "stack.yaml", *stacks)
        files = [word for file in all_files for word in ("--compose-file", file)]
        self.order("stack", "deploy", "--resolve-image=never", *files, NAME)
        assert eventually(self._as_specified), self.service("ps", SERVICE)
        self.wait_replicas()

    def _as_specified(self):
        """Whether each replica has the environment that it shall have.  Nothing is said where a deployment changes nothing."""
        wanted = set(self.update_state()[1]["TaskTemplate"]["ContainerSpec"]["Env"])
        told = [json.loads(host.docker("inspect", container))[0]["Config"]["Env"] for host, container, _ in self.tasks()]
        return told and all(wanted <= set(each) for each in told)

    # --- hosts ------------------------------------------------------------------------------------------------------

    @property
    def manager(self):
        """A host that answers for all."""
        for host in self.hosts:
            if host.present and host.attempt("node", "ls", timeout=5).returncode == 0:
                return host
        raise EngineRefused("no host answers for the fleet")

    def order(self, *arguments):
        """`docker ARGUMENTS` for all.  An order is refused where there is no leader, or where something else has just changed:
        then it has done nothing, and is given again."""
        return eventually(lambda: [self.manager.docker(*arguments)], 30)[0]

    def host(self, name):
        [found] = [each for each in self.hosts if each.name == name]
        return found

    def nodes(self):
        """{name: (status, manager status)}"""
        listed = self.manager.docker("node", "ls", "--format={{.Hostname}} {{.Status}} {{.ManagerStatus}}", timeout=10)
        return {name: (status, *role) for name, status, *role in map(str.split, listed.splitlines())}

    def serving(self):
        """Hosts that are there, and have not been drained."""
        told = self.manager.docker("node", "ls", "--format={{.Hostname}} {{.Availability}}")
        return [host for host in self.hosts if host.present and f"{host.name} Active" in told]

    def leader(self):
        [found] = [self.host(name) for name, (_, *role) in self.nodes().items() if "Leader" in role]
        return found

    def wait_whole(self):
        """All hosts are there and, since a majority decides, all can be spared: one that was told so a moment ago cannot."""
        def whole():
            return sorted(self.nodes().values()) == sorted([("Ready", "Leader")] + [("Ready", "Reachable")] * (len(self.hosts) - 1))
        assert eventually(whole), self.nodes()

    def mend(self):
        """Whatever became of a test: all hosts serve, and as many replicas as packaged."""
        for host in self.hosts:
            if not host.up:
                host.power_on()
            host.plug_in()
        self.wait_ready()
        for host in self.hosts:
            self.order("node", "update", "--availability=active", host.name)
        if self._stacks:
            self.deploy()
        if self.replicas()[1] != REPLICAS:
            self.service("scale", "--detach", f"{SERVICE}={REPLICAS}")
        self.wait_replicas()

    def spread(self):
        """A host that comes back gets no replica by itself: has all placed anew."""
        self.update("--force", "--update-order=start-first")

    def wait_ready(self):
        """All hosts run what they are told to.  One that had no link is heard as a manager again some 45 s later."""
        assert eventually(lambda: [status for status, *_ in self.nodes().values()] == ["Ready"] * len(self.hosts)), self.nodes()

    # --- services ---------------------------------------------------------------------------------------------------

    def service(self, *arguments):
        """`docker service ARGUMENTS`; what it does is waited for by us, with a time limit."""
        return self.order("service", *arguments)

    def update(self, *how, service=SERVICE):
        self.service("update", "--detach", "--no-resolve-image", *how, service)
        self.wait_updated(service)

    def update_state(self, service=SERVICE):
        [told] = json.loads(self.service("inspect", service))
        return (told.get("UpdateStatus") or {}).get("State", "none"), told["Spec"]

    def wait_updated(self, service=SERVICE):
        """The last update is over: all are as they shall be, and those of before have gone."""
        def updated():
            state = self.update_state(service)[0]
            assert state not in ("paused", "rollback_started", "rollback_completed", "rollback_paused"), self.service("ps", "--no-trunc", service)
            return state == "completed"
        assert eventually(updated), self.service("ps", service)
        self.wait_replicas()

    def tasks(self, service=SERVICE):
        """[(host, id of the container, address in the balancers' network)] of those that run on hosts that are there."""
        found = []
        for host in filter(lambda each: each.present, self.hosts):
            listed = host.docker("ps", "--quiet", f"--filter=label=com.docker.swarm.service.name={service}").split()
            for each in json.loads(host.docker("inspect", *listed)) if listed else []:
                found.append((host, each["Id"], each["NetworkSettings"]["Networks"][f"{NAME}_edge"]["IPAddress"]))
        return found

    def replicas(self):
        """(as many as run, as many as shall)"""
        told = self.service("ls", f"--filter=name={SERVICE}", "--format={{.Replicas}}").split()[0]
        return tuple(map(int, told.split("/")))

    def wait_replicas(self):
        """All run that shall run, none is on its way out, and the balancer of each host sends clients to all of them."""
        def settled():
            running, wanted = self.replicas()
            return running == wanted and len(self.tasks()) == wanted
        assert eventually(settled), self.service("ps", SERVICE)
        assert eventually(lambda: [host for host, _, _ in self.tasks(BALANCER)] == self.serving()), self.service("ps", BALANCER)
        self.wait_balanced()

    # --- balancers --------------------------------------------------------------------------------------------------

    def statistics(self, host):
        """What the balancer of that host tells of each server that has an address: rows of its CSV."""
        text = get(f"http://{host.address}:9101/;csv").lstrip("# ")
        rows = csv.DictReader(io.StringIO(text))
        return [row for row in rows if row["pxname"] == "preforkd" and row["svname"] != "BACKEND" and row["addr"]]

    def balanced(self, host):
        """Addresses that the balancer of that host sends new clients to."""
        try:
            return {row["addr"].rpartition(":")[0] for row in self.statistics(host) if row["status"].startswith("UP")}
        except OSError:
            return None  # it starts

    def wait_balanced(self):
        def all_known():
            wanted = {address for _, _, address in self.tasks()}
            return all(self.balanced(host) == wanted for host, _, _ in self.tasks(BALANCER))
        assert eventually(all_known), ([self.balanced(host) for host, _, _ in self.tasks(BALANCER)], self.tasks())

    def load(self, *through, **how):
        """Clients of these hosts' balancers, in a `with`."""
        return self.load_of([f"{host.address}:{PORT}" for host in through], **how)

    @staticmethod
    def load_of(targets, **how):
        return RunningLoad(targets, **how)


def hastened(text):
    """Prometheus' configuration, but every second."""
    return re.sub(r"^( *(scrape|refresh)_interval:) \d+s$", r"\1 1s", text, flags=re.MULTILINE)


def get(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()


def eventually(condition, timeout=PATIENCE_S):
    """As proc.eventually, for engines, which send no event either, whom it costs something to be asked, and who may have
    nobody to ask while they have no leader."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            value = condition()
        except EngineRefused:
            if time.monotonic() > deadline:
                raise
            value = None
        if value or time.monotonic() > deadline:
            return value
        time.sleep(0.3)


class RunningLoad:
    """load.py, in the network of whoever calls; `result` is there once the `with` has ended."""

    def __init__(self, targets, **how):
        options = [f"--{name.replace('_', '-')}={value}" for name, value in how.items()]
        self._command = [sys.executable, HERE / "load.py", ",".join(targets), *options]
        self.result = None

    def __enter__(self):
        self.began = time.time()
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout.readline() == "going\n", shlex.join(map(str, self._command))
        return self

    def __exit__(self, *_):
        out, _ = self._process.communicate(timeout=PATIENCE_S)
        assert self._process.returncode == 0
        self.result = json.loads(out)
