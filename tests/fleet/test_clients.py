"""What hosts know of clients who came by a balancer, and what one Prometheus knows of all hosts."""
import contextlib
import json
import re
import socket
import urllib.parse

from fleet import PORT, REPLICAS, eventually, get
from hosts import NETWORK

PER_SOURCE = 40  # as stack.yaml has it


def come(host, source):
    """A client by its own address, who is served or told that he is not."""
    client = socket.create_connection((host.address, PORT), 10, (source, 0))
    client.settimeout(10)
    return client


def is_served(client):
    with contextlib.suppress(ConnectionError):
        client.sendall(b"me")
        return client.recv(100) == b"me"
    return False


def peers(fleet):
    """Addresses that replicas have logged as their clients'."""
    return {found for host, container, _ in fleet.tasks()
            for found in re.findall(r'"peer":"([\d.]+):', host.attempt("logs", container).stderr)}


def test_a_replica_knows_the_clients_own_address(fleet, told):
    sources = {f"{NETWORK}{each}" for each in (11, 12, 13)}
    for source in sources:
        for host in fleet.hosts:
            with come(host, source) as client:
                assert is_served(client)
    assert eventually(lambda: sources <= peers(fleet)), peers(fleet)
    assert not {address for address in peers(fleet) if not address.startswith(NETWORK)}, "none is a balancer's"
    told("a client behind HAProxy", "its own address arrives", "by PROXY v2, at each of 6 replicas")


def test_a_limit_by_source_counts_the_announced_one(fleet, told):
    """Each replica counts for itself, and the balancer gives each about the same: it may choose one that refuses for the last."""
    greedy, modest = f"{NETWORK}14", f"{NETWORK}15"
    limit = PER_SOURCE * REPLICAS
    with contextlib.ExitStack() as clients:
        served = sum(is_served(clients.enter_context(come(fleet.hosts[0], greedy))) for _ in range(limit + 20))
        assert limit - REPLICAS <= served <= limit
        assert is_served(clients.enter_context(come(fleet.hosts[0], modest)))
    told("per-source=40, one greedy client", "he alone is refused", f"{served} of his {limit + 20} connections were served, another client too")


def ask(prometheus, query):
    told = json.loads(get(f"http://{prometheus.address}:9090/api/v1/query?{urllib.parse.urlencode({'query': query})}"))
    return {each["metric"].get("instance", ""): float(each["value"][1]) for each in told["data"]["result"]}


def settled(sums):
    """Once two scrapes of all have found the same: nobody is connected any more."""
    seen = []

    def same():
        seen.append(sums())
        return len(seen) > 10 and len({str(each) for each in seen[-10:]}) == 1
    assert eventually(same), seen[-10:]
    return seen[-1]


def test_the_sum_over_all_hosts_is_what_clients_sent(fleet, told):
    prometheus = fleet.hosts[0]
    wanted = {f"{address}:9090" for _, _, address in fleet.tasks()}
    assert eventually(lambda: {name for name, up in ask(prometheus, 'up{job="preforkd"} == 1').items()} >= wanted)

    def sums():
        """Of those that run now: a sum knows nothing of who has gone."""
        return [sum(value for name, value in ask(prometheus, metric).items() if name in wanted)
                for metric in ("preforkd_connections_accepted_total", "preforkd_received_bytes_total", "preforkd_sent_bytes_total")]
    before = settled(sums)
    with fleet.load(*fleet.hosts) as clients:
        assert eventually(lambda: sums()[0] > before[0] + 200)
    result = clients.result
    assert result["lost"] == []
    expected = [before[0] + result["connections"], before[1] + result["bytes"], before[2] + result["bytes"]]
    assert eventually(lambda: sums() == expected), (sums(), expected)
    told("one Prometheus, all hosts", "sums are exact", f"{result['connections']} connections and {result['bytes']} bytes, as the clients counted")
