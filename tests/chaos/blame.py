"""Which broken connection is the fault of whom: a worker that the script killed or stopped may cost the connections that
it held, and nothing else."""
import datetime
import re
from collections import defaultdict

_GOT = re.compile(r"got connection from (\S+)(?: at (\S+))?")
_SLACK = 0.1  # seconds by which clocks and log lines may be apart


def seconds(timestamp):
    return datetime.datetime.fromisoformat(timestamp.replace("Z", "+00:00")).timestamp()


def holders(entries):
    """{(address of a client, listener): [(when, pid of the worker that took it), ...]}, from the daemon's log.  One port may
    be a client's to two listeners at a time."""
    taken = defaultdict(list)
    for entry in entries:
        if found := _GOT.match(entry.get("text", entry["message"])):  # a copy of a program says it by itself
            taken[found[1], found[2] or entry["listener"]].append((seconds(entry["time"]), entry["pid"]))
    return taken


def holder_of(visit, taken):
    """The worker that took the client during its visit; None if none said so."""
    pids = [pid for when, pid in taken.get((visit.name, visit.endpoint), ()) if visit.began - _SLACK <= when <= visit.ended + _SLACK]
    return pids[-1] if pids else None


def acquit(broken, strikes, entries):
    """Divides broken visits into those that a strike explains, and those that nothing does.

    strikes: [(when, pid), ...].  A worker that dies between accept() and its log line takes one client with it that
    nobody has on record: each strike explains one such, if it came while the client was there."""
    taken = holders(entries)
    struck = defaultdict(list)
    for when, pid in strikes:
        struck[pid].append(when)
    unrecorded = sorted(strikes)
    explained, unexplained = [], []
    for visit in broken:
        pid = holder_of(visit, taken)
        if visit.outcome in ("reset", "cut") and pid in struck and any(when <= visit.ended for when in struck[pid]):
            explained.append(visit)
            continue
        cause = next((strike for strike in unrecorded if visit.began - _SLACK <= strike[0] <= visit.ended), None)
        if visit.outcome in ("reset", "cut") and pid is None and cause:
            unrecorded.remove(cause)
            explained.append(visit)
        else:
            unexplained.append((visit, pid))
    return explained, unexplained
