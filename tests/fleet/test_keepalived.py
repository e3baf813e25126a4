"""Two balancers with one address between them, as packaging/keepalived has it."""
import re
import subprocess
import time

import pytest

import hosts
from fleet import PORT, eventually
from hosts import NETWORK
from test_lost import Moment

SHARED = f"{NETWORK}100"
CONFIGURATION = hosts.ROOT / "packaging/keepalived/keepalived.conf"


def configure(host, directory, priority):
    """The packaged file, with what it says is each host's own."""
    text = CONFIGURATION.read_text()
    for line, ours in (("router_id one", f"router_id {host.name}"), ("priority 150", f"priority {priority}"),
                       ("192.0.2.10/24", f"{SHARED}/24")):
        text, times = re.subn(rf"^( +){re.escape(line)} +# MARK.*$", rf"\g<1>{ours}", text, flags=re.MULTILINE)
        assert times == 1, line
    file = directory / f"{host.name}.conf"
    file.write_text(text)
    return file


@pytest.fixture
def pair(fleet, tmp_path):
    """keepalived on two hosts, of which none is the leader's: (who has the address, who gets it)"""
    fleet.wait_whole()
    first, second = [host for host in fleet.hosts if host is not fleet.leader()]
    started = []
    for host, priority in ((first, 150), (second, 120)):
        own = tmp_path / host.name
        command = hosts.within(host.namespace, "keepalived", "--dont-fork", "--log-console", "--vrrp", f"--pid={own}.pid",
                               f"--vrrp_pid={own}-vrrp.pid", f"--use-file={configure(host, tmp_path, priority)}")
        with open(f"{own}.log", "w") as log:
            started.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
    assert eventually(lambda: has_address(first) and not has_address(second)), [file.read_text() for file in tmp_path.glob("*.log")]
    yield first, second
    for process in started:
        process.terminate()
        process.wait()


def has_address(host):
    return SHARED in hosts.run(*hosts.within(host.namespace, "ip", "-4", "-oneline", "address", "show"))


def test_the_address_moves_from_a_host_without_power(fleet, pair, told):
    first, second = pair

    with fleet.load_of([f"{SHARED}:{PORT}"]) as clients:
        first.cut_off()
        moment = Moment()
        first.power_off()
        assert eventually(lambda: has_address(second))
        took = time.monotonic() - moment.at
        assert eventually(lambda: fleet.nodes()[first.name][0] == "Down")
        fleet.wait_replicas()
    lost = [each for each in clients.result["lost"] if each["began"] > moment.at]
    assert lost == [], "who came later waited for the address"
    told("the host with keepalived's address goes", "who was connected by it",
         f"{len(clients.result['lost'])} of {clients.result['connections']} connections; the address moved within {took:.1f} s")
