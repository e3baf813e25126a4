"""What the kernel counted for a server: the sums over a process, all its descendants and all their threads."""
import dataclasses
import os
import re
import time

TICKS = os.sysconf("SC_CLK_TCK")


def read(path):
    with open(path) as file:
        return file.read()


def cpu_model():
    """What the processor calls itself."""
    named = re.search(r"^model name\s*: (.*)$", read("/proc/cpuinfo"), re.MULTILINE)
    return named[1].strip() if named else "a CPU without a name"


def threads(pid):
    return os.listdir(f"/proc/{pid}/task")


def children(pid):
    return [int(child) for thread in threads(pid) for child in read(f"/proc/{pid}/task/{thread}/children").split()]


def name(pid):
    try:
        return read(f"/proc/{pid}/comm").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def tree(pid):
    """The process and all its descendants, parents first.  One that ends meanwhile may be missing."""
    found = [pid]
    for parent in found:
        try:
            found += children(parent)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def cpu_seconds(pid):
    """User and system time of all threads that live or lived, in nanoseconds' resolution.  Source: the encoding of
    clock_getcpuclockid(3), which Python does not have."""
    try:
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return 0.0


def reaped_seconds(pid):
    """User and system time of the children that `pid` has waited for, in ticks: no clock has them."""
    fields = stat_fields(pid)
    return (int(fields[13]) + int(fields[14])) / TICKS if fields else 0.0


def stat_fields(pid):
    """What stands behind the name in /proc/PID/stat; empty if the process has gone."""
    try:
        return read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def is_zombie(pid):
    return (stat_fields(pid) or "Z")[0] == "Z"


def switches(pid):
    """Context switches, voluntary and not: a thread that is preempted while it serves costs as much."""
    return sum(int(number) for thread in threads(pid)
               for number in re.findall(r"ctxt_switches:\s*(\d+)", read(f"/proc/{pid}/task/{thread}/status")))


def private_kib(pid):
    """Memory that would be free again if this process ended: what it shares with its parent is not counted."""
    return sum(int(number) for number in re.findall(r"Private_(?:Clean|Dirty):\s*(\d+)", read(f"/proc/{pid}/smaps_rollup")))


def open_files(pids):
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)


def cpu_of_tree(pid):
    """Seconds of a server: of the processes that live, and of those that were waited for."""
    return sum(cpu_seconds(each) + reaped_seconds(each) for each in tree(pid))


@dataclasses.dataclass
class Usage:
    """A reading of a pool whose processes stay; the difference of two is what happened in between."""
    cpu: float
    switches: dict  # by process

    @classmethod
    def of(cls, pid):
        return cls.of_each(tree(pid))

    @classmethod
    def of_each(cls, pids):
        return cls(cpu=sum(map(cpu_seconds, pids)), switches={p: switches(p) for p in pids})

    def since(self, earlier):
        if self.switches.keys() != earlier.switches.keys():
            raise RuntimeError("a worker came or went while it was measured")
        return Usage(cpu=self.cpu - earlier.cpu,
                     switches={pid: count - earlier.switches[pid] for pid, count in self.switches.items()})
