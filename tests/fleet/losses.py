"""Who was lost, and whether that was to be."""
import re

from fleet import eventually


def nobody(clients):
    """How many clients there were, none of whom was lost; and how long the slowest exchange took."""
    result = clients.result
    assert result["lost"] == [] and result["counts"]["long"] >= 9, result
    return f"of {result['connections']} connections; the slowest exchange took {result['slowest']:.2f} s"


def served_at(fleet, since):
    """{client's port: addresses of the servers}, as the balancers have logged it of connections that are over by then."""
    found = {}
    for host, container, _ in fleet.tasks("preforkd_balancer"):
        log = host.attempt("logs", f"--since={since:.3f}", container)
        for port, server in re.findall(r"^[\d.]+:(\d+) \[.*?\] clients preforkd/\S+ ([\d.]+|-):", log.stdout + log.stderr, re.MULTILINE):
            found.setdefault(int(port), set()).add(server)
    return found


def only_in_flight(fleet, clients, moment, dead):
    """Every client who was lost had come before that moment, and was served at one of the addresses `dead`."""
    result = clients.result
    lost = result["lost"]
    assert [each for each in lost if each["began"] > moment.at] == [], "who came later was sent elsewhere"
    ports = {each["port"] for each in lost}
    assert None not in ports, lost
    places = {}

    def all_known():
        places.update(served_at(fleet, clients.began))
        return ports <= set(places)
    assert eventually(all_known), (ports - set(places), lost)
    assert all(places[port] & dead for port in ports), (lost, {port: places[port] for port in ports}, dead)
    return f"{len(lost)} of {result['connections']} connections; the slowest exchange took {result['slowest']:.2f} s"
