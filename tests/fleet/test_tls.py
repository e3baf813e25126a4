"""What all replicas have in common, as secrets of the Swarm: a session is resumed by any of them, and a change reaches all."""
import os
import socket
import ssl
import subprocess
import time

import pytest

from fleet import BUILD, PACKAGED, PORT, REPLICAS, SERVICE, eventually
from losses import nobody, served_at


def make_pair(directory, name):
    subprocess.run([BUILD / "preforkctl", "certificate", "localhost", "--out", directory / name], check=True, capture_output=True)
    return [f"chain.pem={directory}/{name}.pem", f"key.pem={directory}/{name}.key"]


@pytest.fixture(scope="module")
def secrets(running_fleet):
    """Runs packaging/swarm/secrets on a host of the fleet."""
    def run(*arguments):
        done = subprocess.run([PACKAGED / "secrets", *arguments], capture_output=True, text=True, timeout=180,
                              env=os.environ | {"DOCKER": " ".join(running_fleet.manager.command)})
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return run


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A first certificate with its key, and keys of tickets."""
    directory = tmp_path_factory.mktemp("secrets")
    (directory / "ticket-keys").write_bytes(os.urandom(80))
    return directory


@pytest.fixture(scope="module")
def secure(running_fleet, secrets, files):
    """The fleet with TLS."""
    running_fleet.mend()
    secrets("create", *make_pair(files, "first"), f"ticket-keys={files}/ticket-keys")
    running_fleet.deploy(PACKAGED / "tls.yaml")
    return running_fleet


class Visitor:
    """A client that comes again and again over one balancer, with the session that it was given last."""

    def __init__(self, host, ca):
        self._host = host
        self.context = ssl.create_default_context(cafile=ca)
        self.session = None

    def come(self, session=None):
        """(port, whether its session was resumed, the certificate)"""
        with socket.create_connection((self._host.address, PORT), 10) as plain:
            port = plain.getsockname()[1]
            with self.context.wrap_socket(plain, server_hostname="localhost", session=session) as client:
                client.sendall(b"hello")
                assert client.recv(100) == b"hello"
                self.session = client.session
                resumed, certificate = client.session_reused, client.getpeercert()["serialNumber"]
                client.unwrap()
        return port, resumed, certificate


def served_everywhere(fleet, ports, since):
    """Whether all replicas are among those who served these connections."""
    def looked_up():
        places = served_at(fleet, since)
        return set(ports) <= set(places) and set().union(*(places[port] for port in ports))
    return eventually(looked_up) == {address for _, _, address in fleet.tasks()}


def test_a_session_is_resumed_by_every_replica_also_after_a_rotation(secure, secrets, files, told):
    since = time.time()
    visitor = Visitor(secure.hosts[0], files / "first.pem")
    assert not visitor.come()[1]
    session = visitor.session
    visits = [visitor.come(session) for _ in range(4 * REPLICAS)]
    assert all(resumed for _, resumed, _ in visits)
    assert served_everywhere(secure, [port for port, _, _ in visits], since)
    secrets("rotate", SERVICE, "ticket-keys", files / "ticket-keys")
    secure.wait_replicas()
    assert (files / "ticket-keys").stat().st_size == 160
    assert all(visitor.come(session)[1] for _ in range(2 * REPLICAS))
    told("a TLS session, and another replica", "is resumed", f"{len(visits)} of {len(visits)} times, and after the keys were rotated")


def serials(fleet, ca):
    """Of the certificates that clients are shown over each balancer, by all replicas in turn."""
    return {Visitor(host, ca).come()[2] for host in fleet.hosts for _ in range(2 * REPLICAS)}


def test_a_new_certificate_is_everywhere_within_a_minute_and_loses_nobody(secure, secrets, files, told):
    pair = make_pair(files, "second")
    both = files / "both.pem"
    both.write_text((files / "first.pem").read_text() + (files / "second.pem").read_text())
    [old] = serials(secure, both)
    with secure.load(*secure.hosts, ca=both) as clients:
        began = time.monotonic()
        secrets("change", SERVICE, *pair)
        secure.wait_replicas()
        took = time.monotonic() - began
        [new] = serials(secure, both)
    assert new != old and took < 60
    told("a new certificate", "on all within a minute, nobody lost", f"after {took:.0f} s, {nobody(clients)}")
