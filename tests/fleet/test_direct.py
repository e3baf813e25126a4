"""Clients that choose a host by themselves: no balancer knows who is ready, so that a name server has to."""
import json

import pytest

from fleet import PACKAGED, eventually
from losses import nobody

PORT, READY_PORT = 10001, 9091
SERVICE = "direct_preforkd"
OURS = """\
version: "3.8"
services:
  preforkd:
    environment: { PREFORKD_HANDLER: echo, PREFORKD_DRAIN_DELAY: 4s }
    deploy: { update_config: { delay: 2s, monitor: 1s } }
"""


@pytest.fixture(scope="module")
def direct(running_fleet, tmp_path_factory):
    fleet, directory = running_fleet, tmp_path_factory.mktemp("direct")
    fleet.mend()
    (directory / "ours.yaml").write_text(OURS)
    fleet.order("stack", "deploy", "--resolve-image=never", f"--compose-file={PACKAGED}/direct.yaml",
                         f"--compose-file={directory}/ours.yaml", "direct")
    assert eventually(lambda: healthy(fleet) == len(fleet.hosts))
    yield fleet
    fleet.order("stack", "rm", "direct")
    assert eventually(lambda: containers(fleet) == [])


def containers(fleet):
    return [each for host in fleet.hosts
            for each in host.docker("ps", "--quiet", f"--filter=label=com.docker.swarm.service.name={SERVICE}").split()]


def healthy(fleet):
    return sum(len(host.docker("ps", "--quiet", "--filter=health=healthy", f"--filter=label=com.docker.swarm.service.name={SERVICE}").split())
               for host in fleet.hosts)


def exchange_all(fleet, *how):
    before = containers(fleet)
    fleet.service("update", "--detach", "--no-resolve-image", "--force", *how, SERVICE)

    def exchanged():
        [told] = json.loads(fleet.service("inspect", SERVICE))
        return told["UpdateStatus"]["State"] == "completed" and not set(before) & set(containers(fleet))
    assert eventually(exchanged), fleet.service("ps", SERVICE)


def targets(fleet):
    return [f"{host.address}:{PORT}" for host in fleet.hosts]


def test_without_a_balancer_an_update_loses_nobody_where_the_name_server_asks(direct, told):
    with direct.load_of(targets(direct), ready_port=READY_PORT) as clients:
        exchange_all(direct)
    told("updated without a balancer, the name server asks /readyz", "nobody", nobody(clients))


def test_without_a_balancer_and_without_a_delay_an_update_refuses_clients(direct, told):
    with direct.load_of(targets(direct)) as clients:
        exchange_all(direct, "--env-add=PREFORKD_DRAIN_DELAY=0")
    lost = clients.result["lost"]
    assert lost and {each["outcome"] for each in lost} <= {"not connected: ECONNREFUSED", "not connected: timeout"}, lost
    told("updated without a balancer, nobody asks", "whom a closed port refuses",
         f"{len(lost)} of {clients.result['connections']} connections")
