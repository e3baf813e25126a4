"""What nobody has planned costs those who are connected to it at that moment, and nobody else."""
import time

from fleet import SERVICE, eventually
from losses import only_in_flight


class Moment:
    """When it has happened: who comes from now on knows of it, or finds out."""

    def __init__(self):
        self.at = time.monotonic()


def addresses_at(fleet, host):
    """Of its replicas, of which there have to be some."""
    def found():
        return {address for where, _, address in fleet.tasks() if where is host}
    if not found():
        fleet.spread()
    assert found(), fleet.service("ps", SERVICE)
    return found()


def is_down(fleet, host):
    return eventually(lambda: fleet.nodes().get(host.name, ("?",))[0] == "Down")


def test_a_killed_container_loses_only_whom_it_was_serving(fleet, told):
    host, container, address = fleet.tasks()[0]
    with fleet.load(*fleet.hosts) as clients:
        host.docker("kill", "--signal=KILL", container)
        moment = Moment()
        assert eventually(lambda: container not in [each for _, each, _ in fleet.tasks()])
        fleet.wait_replicas()
    told("a container killed", "whom it was serving", only_in_flight(fleet, clients, moment, {address}))


def test_a_host_without_power_loses_only_whom_it_was_serving(fleet, told):
    fleet.wait_whole()
    leader = fleet.leader()
    other, victim = [host for host in fleet.hosts if host is not leader]
    dead = addresses_at(fleet, victim)
    with fleet.load(leader, other) as clients:
        victim.cut_off()
        moment = Moment()
        victim.power_off()
        assert is_down(fleet, victim)
        fleet.wait_replicas()
        took = time.monotonic() - moment.at
        victim.power_on()
        fleet.wait_ready()
        fleet.wait_replicas()
        fleet.spread()
    told("a host's power cut, and back", "whom it was serving",
         f"{only_in_flight(fleet, clients, moment, dead)}; others had its replicas after {took:.0f} s")


def test_a_lost_leader_loses_only_whom_it_was_serving(fleet, told):
    fleet.wait_whole()
    leader = fleet.leader()
    others = [host for host in fleet.hosts if host is not leader]
    dead = addresses_at(fleet, leader)
    with fleet.load(*others) as clients:
        leader.cut_off()
        moment = Moment()
        leader.power_off()
        assert eventually(lambda: any("Leader" in role for name, (_, *role) in fleet.nodes().items() if name != leader.name))
        led = time.monotonic() - moment.at
        assert is_down(fleet, leader)
        fleet.wait_replicas()
        leader.power_on()
        fleet.wait_ready()
        fleet.wait_replicas()
    told("the leader's power cut, and back", "whom it was serving",
         f"{only_in_flight(fleet, clients, moment, dead)}; another led after {led:.0f} s")


def test_a_host_without_a_link_loses_only_whom_it_was_serving(fleet, told):
    fleet.wait_whole()
    leader = fleet.leader()
    other, victim = [host for host in fleet.hosts if host is not leader]
    dead = addresses_at(fleet, victim)
    with fleet.load(leader, other) as clients:
        victim.cut_off()
        moment = Moment()
        assert is_down(fleet, victim)
        fleet.wait_replicas()
        took = time.monotonic() - moment.at
        victim.plug_in()
        fleet.wait_ready()
        fleet.wait_replicas()
    told("a host's link cut, and back", "whom it was serving",
         f"{only_in_flight(fleet, clients, moment, dead)}; others had its replicas after {took:.0f} s")
