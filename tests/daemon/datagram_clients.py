"""Clients of datagram services: one socket that asks and waits for the answer."""
import itertools
import re
import socket

PATIENCE = 10.0  # seconds until a client that hears nothing gives up
_numbers = itertools.count(1)


def address_of(endpoint):
    """(family, address) of udp:// or unixgram://; every address of the machine is reached over loopback."""
    if endpoint.startswith("unixgram://"):
        path = endpoint[len("unixgram://"):]
        return socket.AF_UNIX, "\0" + path[1:] if path.startswith("@") else path
    host, port = re.fullmatch(r"udp://(?:\[(?=.*\]))?([^\]]*?)\]?:(\d+)", endpoint).groups()
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return socket.AF_INET6 if ":" in host else socket.AF_INET, (host, int(port))


class Client:
    """A datagram socket with an address of its own, so that it can be answered.

    named=False: a Unix client without an address.  to: another address of the service than its endpoint says."""

    def __init__(self, endpoint, named=True, to=None):
        family, self.server = address_of(endpoint)
        if to is not None:
            family, self.server = (socket.AF_INET6 if ":" in to else socket.AF_INET), (to, self.server[1])
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE)
        if family == socket.AF_UNIX and named:
            self.socket.bind(f"\0preforkd-test-{id(self)}-{next(_numbers)}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendto(data, self.server)

    def receive(self):
        """The next datagram, which has to come from where the request went."""
        data, peer = self.socket.recvfrom(1 << 17)
        assert peer[:2] == self.server[:2] if isinstance(peer, tuple) else peer_path(peer) == peer_path(self.server), peer
        return data

    def ask(self, data):
        self.send(data)
        return self.receive()

    def hears_nothing(self):
        """Whether nothing has arrived; ask for something else first."""
        self.socket.setblocking(False)
        try:
            self.socket.recvfrom(1)
            return False
        except BlockingIOError:
            return True
        finally:
            self.socket.settimeout(PATIENCE)


def peer_path(name):
    return name if isinstance(name, bytes) else name.encode()


def ask(endpoint, data=b"", **how):
    with Client(endpoint, **how) as client:
        return client.ask(data)
