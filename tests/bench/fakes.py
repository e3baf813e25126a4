"""Servers that answer as a test wants them to, for the generators to judge."""
import contextlib
import os
import select
import socket
import struct
import subprocess
import threading

from peers import TOOLS


def generator(program, *arguments, told=""):
    """What a generator says and exits with.  It may not have much memory, so that one that hoards fails."""
    return subprocess.run(["prlimit", f"--as={256 << 20}", TOOLS / program, *map(str, arguments)], input=told,
                          capture_output=True, text=True, timeout=60)


def wait_until_gone(pids):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError), os.fdopen(os.pidfd_open(pid)) as handle:
            assert select.select([handle], [], [], 20)[0], f"{pid} still runs"


def number_of(datagram):
    return struct.unpack_from("=Q", datagram)[0]


@contextlib.contextmanager
def udp_server(replies):
    """Its port.  `replies(datagram, sender)`: the pairs (datagram, receiver) that are sent for it."""
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def serve():
            while True:
                datagram, sender = server.recvfrom(65536)
                if not datagram:
                    return
                for reply, receiver in replies(datagram, sender):
                    server.sendto(reply, receiver)

        with running(serve):
            yield server.getsockname()[1]
            with socket.socket(type=socket.SOCK_DGRAM) as stopper:
                stopper.sendto(b"", server.getsockname())


@contextlib.contextmanager
def tcp_server(serve_client):
    """Its port.  Serves one client after the other with `serve_client(connection)`, who may leave."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        def serve():
            with contextlib.suppress(OSError):  # the listener was shut down
                while True:
                    connection, _ = server.accept()
                    with connection, contextlib.suppress(ConnectionError):
                        serve_client(connection)

        with running(serve):
            try:
                yield server.getsockname()[1]
            finally:
                server.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def running(serve):
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        thread.join(60)
        assert not thread.is_alive()
