"""What is done to a fleet on purpose costs no client anything."""
import images
from fleet import BALANCER, SERVICE, eventually
from losses import nobody


def test_an_update_that_starts_first_loses_nobody(fleet, told):
    with fleet.load(*fleet.hosts) as clients:
        fleet.update("--force", f"--image={images.NEXT}", "--update-order=start-first")
    told("image updated, start-first", "nobody", nobody(clients))


def test_an_update_that_stops_first_loses_nobody(fleet, told):
    with fleet.load(*fleet.hosts) as clients:
        fleet.update("--force", f"--image={images.PREFORKD}", "--update-order=stop-first")
    told("image updated, stop-first", "nobody", nobody(clients))


def test_a_host_that_is_drained_loses_nobody_of_its_replicas(fleet, told):
    """Its own balancer leaves as well: clients come over the others, as a name server or keepalived would have them."""
    drained, *others = reversed(fleet.hosts)
    with fleet.load(*others) as clients:
        fleet.order("node", "update", "--availability=drain", drained.name)
        assert eventually(lambda: not [host for host, _, _ in fleet.tasks() if host is drained])
        fleet.wait_replicas()
        fleet.order("node", "update", "--availability=active", drained.name)
        fleet.wait_replicas()
        fleet.spread()
    told("a host drained, and back", "nobody", nobody(clients))


def test_more_replicas_and_fewer_lose_nobody(fleet, told):
    with fleet.load(*fleet.hosts) as clients:
        for number in (12, 3, 6):
            fleet.service("scale", "--detach", f"{SERVICE}={number}")
            fleet.wait_replicas()
    told("scaled from 6 to 12, to 3, to 6", "nobody", nobody(clients))


def test_a_balancer_that_reloads_loses_nobody(fleet, told):
    def reloads(host, container):
        done = host.attempt("logs", container)
        return (done.stdout + done.stderr).count("Loading success")
    with fleet.load(*fleet.hosts) as clients:
        for host, container, _ in fleet.tasks(BALANCER):
            before = reloads(host, container)
            host.docker("kill", "--signal=USR2", container)
            assert eventually(lambda: reloads(host, container) > before)
            fleet.wait_balanced()
    told("HAProxy reloaded, on each host", "nobody", nobody(clients))
