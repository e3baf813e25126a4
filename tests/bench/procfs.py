"""What the kernel counted for a server: the sums over a process, all its descendants and all their threads."""
import dataclasses
import os
import re

TICKS = os.sysconf("SC_CLK_TCK")


def read(path):
    with open(path) as file:
        return file.read()


def threads(pid):
    return os.listdir(f"/proc/{pid}/task")


def children(pid):
    return [int(child) for thread in threads(pid) for child in read(f"/proc/{pid}/task/{thread}/children").split()]


def tree(pid):
    """The process and all its descendants, parents first."""
    found = [pid]
    for parent in found:
        found += children(parent)
    return found


def cpu_seconds(pid):
    """User and system time of the threads that live.  schedstat counts nanoseconds, stat only ticks of 10 ms."""
    return sum(int(read(f"/proc/{pid}/task/{thread}/schedstat").split()[0]) for thread in threads(pid)) / 1e9


def reaped_seconds(pid):
    """User and system time of the children that `pid` has waited for, in ticks: schedstat does not keep them."""
    fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / TICKS


def switches(pid):
    """Context switches, voluntary and not: a thread that is preempted while it serves costs as much."""
    return sum(int(number) for thread in threads(pid)
               for number in re.findall(r"ctxt_switches:\s*(\d+)", read(f"/proc/{pid}/task/{thread}/status")))


def private_kib(pid):
    """Memory that would be free again if this process ended: what it shares with its parent is not counted."""
    return sum(int(number) for number in re.findall(r"Private_(?:Clean|Dirty):\s*(\d+)", read(f"/proc/{pid}/smaps_rollup")))


def open_files(pids):
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)


@dataclasses.dataclass
class Usage:
    """A reading of a server; the difference of two is what happened in between."""
    cpu: float
    switches: dict  # by process

    @classmethod
    def of(cls, pid):
        pids = tree(pid)
        return cls(cpu=sum(map(cpu_seconds, pids)) + reaped_seconds(pid), switches={p: switches(p) for p in pids})

    def since(self, earlier):
        if self.switches.keys() != earlier.switches.keys():
            raise RuntimeError("a worker came or went while it was measured")
        return Usage(cpu=self.cpu - earlier.cpu,
                     switches={pid: count - earlier.switches[pid] for pid, count in self.switches.items()})
