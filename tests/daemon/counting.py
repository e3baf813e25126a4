"""What status counts, for tests that wait until it is so."""
import os
import signal
import socket
import struct

import proc
from control import status

OUTCOMES = ["ok", "error", "idle_timeout", "request_timeout", "cut", "refused", "tls_handshake", "unverified"]


def listener(daemon, number=0):
    return status(daemon.control)["listeners"][number]


def comes_to(look, expected, what=lambda seen: seen):
    """A worker counts an end when the client may have heard of it already."""
    assert proc.eventually(lambda: what(look()) == expected, 20), (what(look()), expected)


def ends_come_to(daemon, number=0, **expected):
    """Connections closed, by outcome; and nothing else has been, or is open."""
    closed = dict.fromkeys(OUTCOMES, 0) | expected
    comes_to(lambda: listener(daemon, number), (closed, sum(closed.values()), 0),
             lambda seen: (seen["closed"], seen["accepted"], seen["connections"]))


def reset(client):
    """Ends the connection as a client that has crashed does."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def ever(seen):
    return {key: seen[key] for key in ("accepted", "closed", "received_bytes", "sent_bytes", "duration", "accept_wait")}


def times(histogram):
    return sum(histogram["buckets"])


def kill(daemon):
    daemon.expect("killed by SIGKILL", "workers exit early")
    workers = daemon.workers()
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    assert all(proc.wait_gone(pid, 10) for pid in workers)


def deaths_come_to(daemon, **expected):
    comes_to(lambda: {cause: count for cause, count in status(daemon.control)["deaths"].items() if count}, expected)
