"""Holds a process between two instructions, with ptrace(2): what a test about a race needs to be true or false at once.

A wake-up that strands needs a worker that the kernel has chosen and that has not accepted yet.  SIGSTOP does not make
one (a stopped process leaves its epoll_wait, so the kernel chooses another); stopping it where epoll_wait returns does."""
import contextlib
import ctypes
import os
import platform
import queue
import signal
import threading

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long
_CONT, _SYSCALL, _SEIZE, _INTERRUPT, _GET_SYSCALL_INFO = 7, 24, 0x4206, 0x4207, 0x420E
_TRACE_SYSGOOD = 1
_WALL, _NOTHREAD = 0x40000000, 0x20000000
_ENTRY = 1
_WAITS = {"x86_64": {232, 281, 441}, "aarch64": {22, 441}}  # epoll_wait, epoll_pwait, epoll_pwait2
_SENDS = {"x86_64": {1, 20, 44, 46}, "aarch64": {64, 66, 206, 211}}  # write, writev, sendto, sendmsg
SUPPORTED = platform.machine() in _WAITS


def _ptrace(request, pid, address=0, data=0):
    result = _libc.ptrace(request, pid, address, data)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"ptrace {request:#x} of {pid}: {os.strerror(ctypes.get_errno())}")
    return result


def _entered(pid):
    """The number of the system call that the stopped process is about to make; None if it is not about to."""
    info = ctypes.create_string_buffer(88)
    _ptrace(_GET_SYSCALL_INFO, pid, len(info), ctypes.addressof(info))
    return int.from_bytes(info.raw[24:32], "little") if info.raw[0] == _ENTRY else None


@contextlib.contextmanager
def held(pid):
    """Nothing moves `pid` any more but SIGKILL, which must come before the `with` ends."""
    said = queue.Queue()

    def trace():
        try:
            _ptrace(_SEIZE, pid)
            _ptrace(_INTERRUPT, pid)
            os.waitpid(pid, _WALL | _NOTHREAD)
            said.put("held")
            os.waitpid(pid, _WALL | _NOTHREAD)  # its parent hears of its end only after us
            said.put("dead")
        except Exception as error:  # handed to the test's thread
            said.put(error)

    threading.Thread(target=trace, daemon=True).start()
    assert (what := said.get(timeout=5)) == "held", what
    yield
    assert (what := said.get(timeout=5)) == "dead", what


_TO_ITSELF = {"x86_64": b"\xeb\xfe", "aarch64": b"\x00\x00\x00\x14"}  # a jump


def make_loop(pid):
    """From where the system call that `pid` waits in returns, it loops for ever."""
    with open(f"/proc/{pid}/syscall") as call:
        after = int(call.read().split()[-1], 16)
    with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
        memory.seek(after)
        memory.write(_TO_ITSELF[platform.machine()])


class Tracer:
    """Traces `pids` from a thread of its own: only the thread that attached may wait for them.

    where="woken": the first of them whose epoll_wait returns is held there.
    where="sending": the first that is about to send is held there, inside its handler.
    When the `with` ends, everybody runs on untraced."""

    def __init__(self, pids, where="woken"):
        self._pids, self._where, self._held = list(pids), where, None
        self._said = queue.Queue()
        self._done = threading.Event()
        self._kill = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        self._next("armed")
        return self

    def __exit__(self, *_):
        self._done.set()
        self._thread.join(5)

    def wait_held(self, timeout=5.0):
        """The pid that is held now."""
        return self._next("held", timeout)

    def kill_held(self):
        """Kills it before it executes another instruction; returns when its parent has been told."""
        self._kill.set()
        self._next("dead")

    def wait_dead(self, timeout):
        """Until the one that is held has been killed by somebody else."""
        self._next("dead", timeout)

    def _next(self, wanted, timeout=5.0):
        try:
            what, value = self._said.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"nobody {wanted} within {timeout} s") from None
        if what == "failed":
            raise value
        assert what == wanted, (what, value)
        return value

    def _run(self):
        try:
            for pid in self._pids:
                self._arm(pid)
            self._said.put(("armed", None))
            while not self._done.is_set():
                if self._kill.is_set() and self._held:
                    self._kill.clear()
                    os.kill(self._held, signal.SIGKILL)
                pid, status = os.waitpid(-1, os.WNOHANG | _WALL | _NOTHREAD)
                if pid:
                    self._stopped_or_dead(pid, status)
                else:
                    self._done.wait(0.0005)  # a wait for a tracee cannot be interrupted by another thread
        except Exception as error:  # handed to the test's thread
            self._said.put(("failed", error))

    def _arm(self, pid):
        """Attaches and, for "woken", runs it to where it is about to wait."""
        _ptrace(_SEIZE, pid, 0, _TRACE_SYSGOOD)
        _ptrace(_INTERRUPT, pid)
        os.waitpid(pid, _WALL | _NOTHREAD)
        while self._where == "woken":
            _ptrace(_SYSCALL, pid)
            os.waitpid(pid, _WALL | _NOTHREAD)
            if _entered(pid) in _WAITS[platform.machine()]:
                break
        _ptrace(_SYSCALL, pid)

    def _stopped_or_dead(self, pid, status):
        if not os.WIFSTOPPED(status):
            self._said.put(("dead", pid))
            self._pids.remove(pid)
            return
        at_system_call = os.WSTOPSIG(status) == signal.SIGTRAP | 0x80
        if self._held is None and at_system_call:
            if self._where == "woken" or _entered(pid) in _SENDS[platform.machine()]:
                self._held = pid
                self._said.put(("held", pid))
            else:
                _ptrace(_SYSCALL, pid)
            return
        is_event = at_system_call or status >> 16
        with contextlib.suppress(ProcessLookupError):  # killed meanwhile
            _ptrace(_CONT if self._held else _SYSCALL, pid, 0, 0 if is_event else os.WSTOPSIG(status))
