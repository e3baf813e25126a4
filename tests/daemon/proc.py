"""What the kernel tells about processes: /proc, pidfds and their descriptors."""
import contextlib
import ctypes
import fcntl
import os
import select
import signal
import socket
import struct
import termios
import time
from collections import namedtuple

Stat = namedtuple("Stat", "pid comm state parent group session terminal cpu_seconds")
_libc = ctypes.CDLL(None, use_errno=True)
_PIDFD_GETFD = 438


def eventually(condition, timeout=5.0):
    """The first true value of condition().  Only for what the kernel sends no event about: a zombie that is reaped, a
    state in /proc, a port that stops answering.  Everything else waits on a descriptor."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value or time.monotonic() > deadline:
            return value
        time.sleep(0.002)


def stat(pid):
    """One line of /proc/PID/stat; None when the process is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            head, _, tail = file.read().rpartition(")")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = tail.split()
    ticks = int(fields[11]) + int(fields[12])
    return Stat(int(pid), head.partition("(")[2], fields[0], int(fields[1]), int(fields[2]), int(fields[3]),
                int(fields[4]), ticks / os.sysconf("SC_CLK_TCK"))


def status(pid):
    """/proc/PID/status as a dictionary of strings."""
    with open(f"/proc/{pid}/status") as file:
        return dict(line.rstrip("\n").replace(":\t", ":").split(":", 1) for line in file)


def stop_all(master, workers):
    """Returns when none runs any more.  The master first, or it would replace those that it sees stopped."""
    for pid in (master, *workers):
        os.kill(pid, signal.SIGSTOP)
        assert eventually(lambda: stat(pid).state == "T")


def is_pending(pid, signo):
    """Whether the process has yet to take the signal."""
    found = status(pid)
    return bool((int(found["ShdPnd"], 16) | int(found["SigPnd"], 16)) >> (signo - 1) & 1)


def children(pid):
    """Living and dead children, in order of birth."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(word) for word in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def faults_of_children(pid):
    """Minor page faults of its children that it has reaped."""
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[8])


def zombies(pid):
    return [found for found in map(stat, children(pid)) if found and found.state == "Z"]


def has_variable(pid, setting):
    """Whether the process was started with the variable, `NAME=value`, or forked by one that was."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return setting.encode() in file.read().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False


def family(session, setting):
    """Everybody who lives in the session, or has the variable: workers lead sessions of their own.  An orphan's zombie
    is PID 1's to reap, and nothing a daemon can help."""
    return [found for found in map(stat, filter(str.isdigit, os.listdir("/proc"))) if found and found.state not in "ZX"
            and (found.session == session or has_variable(found.pid, setting))]


def open_descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def descriptors(pid):
    """What each descriptor of it is, as proc(5) names it; without those that it closes meanwhile."""
    found = {}
    for each in os.scandir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found[int(each.name)] = os.readlink(each)
    return found


def has_read_all(pid):
    """Whether a process that reads a pipe has found it empty, and waits; also where nobody may know that."""
    try:
        for number, link in descriptors(pid).items():
            if not link.startswith("pipe:"):
                continue
            fd = os.open(f"/proc/{pid}/fd/{number}", os.O_RDONLY | os.O_NONBLOCK)
            try:
                left = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, bytes(4)))[0]
            finally:
                os.close(fd)
            found = stat(pid)
            if found and (left != 0 or found.state != "S"):
                return False
    except OSError:
        pass
    return True


def voluntary_switches(pid):
    return int(status(pid)["voluntary_ctxt_switches"])


def wait_gone(pid, timeout):
    """Whether the process ends in time; a zombie has ended."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        return bool(poll.poll(timeout * 1000))
    finally:
        os.close(pidfd)


def sockets_of(pid):
    """Copies of the sockets that another process holds (pidfd_getfd(2))."""
    pidfd = os.pidfd_open(pid)
    found = []
    try:
        for number in os.listdir(f"/proc/{pid}/fd"):
            try:
                if not os.readlink(f"/proc/{pid}/fd/{number}").startswith("socket:"):
                    continue
            except FileNotFoundError:
                continue
            copy = _libc.syscall(_PIDFD_GETFD, pidfd, int(number), 0)
            if copy < 0:
                raise OSError(ctypes.get_errno(), "pidfd_getfd")
            found.append(socket.socket(fileno=copy))
        return found
    finally:
        os.close(pidfd)


def socket_connected_to(pids, peer):
    """A copy of the socket, held by one of the processes, whose other end is `peer`; None if nobody holds one."""
    for pid in pids:
        wanted = None
        for candidate in sockets_of(pid):
            try:
                if wanted is None and candidate.getpeername()[:2] == peer[:2]:
                    wanted = candidate
                    continue
            except OSError:
                pass
            candidate.close()
        if wanted is not None:
            return wanted
    return None


def title(pid):
    """What ps(1) shows as its command line."""
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read().rstrip(b"\0").replace(b"\0", b" ").decode()
