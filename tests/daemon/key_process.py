"""The process that has the private keys of a daemon under test, and handshakes that need it."""
import os
import signal
import ssl

import proc
from tls_clients import TlsClient

HERE = "tls://127.0.0.1:0"
KEYS = "key-process=yes"
FAILED = ("handshake failed", "handshakes failed")  # what a worker says, once a second


def key_processes(daemon):
    """Pids of those that live: of this generation, and of those before."""
    return [pid for pid in proc.children(daemon.pid)
            if (found := proc.stat(pid)) and found.state not in "ZX" and found.comm == "preforkd-key"]


def key_process(daemon):
    found = proc.eventually(lambda: key_processes(daemon))
    assert len(found) == 1, found
    return found[0]


def stop(pid):
    """Returns when all its threads have."""
    os.kill(pid, signal.SIGSTOP)
    states = [f"/proc/{pid}/task/{thread}/stat" for thread in os.listdir(f"/proc/{pid}/task")]
    assert proc.eventually(lambda: all(open(file).read().rpartition(")")[2].split()[0] == "T" for file in states))


def fails(daemon, **how):
    """Whether a handshake does."""
    try:
        TlsClient(daemon.endpoint, **how).close()
    except (ssl.SSLError, ConnectionError):
        return True
    return False
