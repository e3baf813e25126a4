"""Passes sockets as a service manager does (sd_listen_fds(3)), from sockets that the test bound itself."""
import fcntl
import os
import socket

_SCRIPT = """
export LISTEN_PID=${OTHER_PID:-$$} LISTEN_FDS=$1; shift
next=3
while [ "$1" != -- ]; do eval "exec $next<&$1 $1<&-"; next=$((next + 1)); shift; done
shift
exec "$@"
"""


def listening(address="127.0.0.1", kind=socket.SOCK_STREAM):
    """A socket of the manager: listening on loopback, or at a Unix path."""
    if "/" in str(address):
        bound = socket.socket(socket.AF_UNIX, kind)
        bound.bind(str(address))
    else:
        bound = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as systemd does
        bound.bind((address, 0))
    if kind == socket.SOCK_STREAM:
        bound.listen(64)
    bound.settimeout(10)
    return bound


def endpoint_of(bound):
    name = bound.getsockname()
    return f"unix://{name}" if bound.family == socket.AF_UNIX else f"tcp://{name[0]}:{name[1]}"


class Passing:
    """Arguments for Daemon (or run_preforkd) that hand over `files` as descriptors 3, 4, ..."""

    def __init__(self, *files, names=None, other_pid=None):
        # High numbers: the script moves them to 3 and up, and must not step on one it has yet to move.
        self._copies = [fcntl.fcntl(file.fileno(), fcntl.F_DUPFD, 100) for file in files]
        self.wrap = ["bash", "-c", _SCRIPT, "bash", str(len(files)), *map(str, self._copies), "--"]
        self.pass_fds = tuple(self._copies)
        self.env = {}
        if names:
            self.env["LISTEN_FDNAMES"] = ":".join(names)
        if other_pid:
            self.env["OTHER_PID"] = str(other_pid)

    def close(self):
        """For whoever minds that these copies keep the sockets open."""
        while self._copies:
            os.close(self._copies.pop())

    def arguments(self, **more):
        return {"wrap": self.wrap, "pass_fds": self.pass_fds, "env": self.env | more.pop("env", {}), **more}
