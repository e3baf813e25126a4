"""What a chaos run does to a daemon: one row for each kind of event.

An event draws its numbers from `dice` before it looks at the daemon, so that a seed replays the same script whatever
the daemon does.  It returns how it went, in a word or two; what must not happen raises AssertionError."""
import os
import resource
import signal
import time
from collections import namedtuple

import proc

GREETINGS = ("connected", "welcome")

Event = namedtuple("Event", "name weight act")


def pick(items, share):
    return items[int(share * len(items))] if items else None


# --- strikes: on workers, without asking, every few tenths of a second ------------------------------------------------

def killer(signo, count=1):
    def kill(arena, dice):
        shares = [dice.random() for _ in range(count)]
        workers = arena.workers()
        for victim in {pick(workers, share) for share in shares} - {None}:
            arena.strike(victim, signo)
        return "done"
    return kill


def stop_for_a_while(arena, dice):
    share, pause = dice.random(), dice.uniform(0.1, 0.8)
    victim = pick(arena.workers(), share)
    if victim is None or not arena.strike(victim, signal.SIGSTOP):
        return "nobody there"
    arena.wait(pause)
    arena.signal(victim, signal.SIGCONT)
    return "done"


def starve(victims_of):
    """Takes away every descriptor that is still free, for a moment; not while the loader opens the libraries of a new
    image, which nothing that preforkd does could survive."""
    def act(arena, dice):
        share, pause = dice.random(), dice.uniform(0.1, 1.0)
        victim = pick(victims_of(arena), share)
        try:
            with arena.no_upgrade:
                used = set(map(int, os.listdir(f"/proc/{victim}/fd")))
                lowest_free = next(number for number in range(1 << 20) if number not in used)
                before = resource.prlimit(victim, resource.RLIMIT_NOFILE)
                # A client waits there in a loop of its own, whose descriptors the limit reckons; a forked child has only a few
                # beside, but not where the first that is free is one of the first that there are.
                if arena.model == "thread" or arena.model == "fork" and lowest_free < 8:
                    arena.strikes.append((time.time(), victim, 0.0))
                resource.prlimit(victim, resource.RLIMIT_NOFILE, (lowest_free, before[1]))
            arena.wait(pause)
            resource.prlimit(victim, resource.RLIMIT_NOFILE, before)
        except (FileNotFoundError, ProcessLookupError, PermissionError):  # or its number is that of another user's process by now
            return "gone meanwhile"
        return "done"
    return act


def kill_key_process(arena, dice):
    """Which costs nobody anything: the next one signs for whoever is under way.  Not while there are no descriptors for
    it, nor before it is there."""
    share = dice.random()
    with arena.no_upgrade:
        victim = pick(arena.key_processes(), share)
        if victim is None or not arena.signal(victim, signal.SIGKILL):
            return "nobody there"
        deadline = time.monotonic() + 5
        while not set(arena.key_processes()) - {victim} and time.monotonic() < deadline:
            arena.wait(0.01)
    return "done"


def kill_observer(arena, dice):
    """Which costs nobody but who is being answered by it."""
    victim = pick(arena.observers(), dice.random())
    if victim is None or not arena.signal(victim, signal.SIGKILL):
        return "nobody there"
    arena.observer_kills.append(time.time())
    return "done"


def kill_copy(arena, dice):
    """A program that accepts by itself; the worker above it ends as it does."""
    share = dice.random()
    worker = pick(arena.workers(), share) if arena.runs_copies else None
    copies = proc.children(worker) if worker else []
    if not copies:
        return "nobody there"
    try:
        born = os.stat(f"/proc/{worker}").st_ctime
    except FileNotFoundError:
        return "nobody there"
    arena.strikes.append((time.time(), worker, born))
    return "done" if arena.signal(copies[0], signal.SIGKILL) else "nobody there"


STRIKES = [
    Event("kill a copy of a program (KILL)", 3, kill_copy),
    Event("kill a key process", 2, kill_key_process),
    Event("kill an observer", 2, kill_observer),
    Event("kill a worker (KILL)", 6, killer(signal.SIGKILL)),
    Event("kill a worker (SEGV)", 3, killer(signal.SIGSEGV)),
    Event("kill several at once", 1, killer(signal.SIGKILL, 3)),
    Event("stop a worker (STOP, CONT)", 2, stop_for_a_while),
    Event("worker out of descriptors", 2, starve(lambda arena: arena.workers())),
    Event("master out of descriptors", 1, starve(lambda arena: [arena.daemon.pid])),
]


# --- orders: to the master, one after the other ------------------------------------------------------------------------

def signal_master(signo):
    def act(arena, dice):
        arena.daemon.signal(signo)
        return "done"
    return act


def reload_well(arena, dice):
    if dice.random() < 0.5:
        arena.renew()
    if dice.random() < 0.5:
        arena.rotate()
    timeout = "boot-timeout" if arena.runs_copies else "idle-timeout"
    lines = [f"{timeout} = {dice.randrange(30, 90)}s", f"backlog = {dice.randrange(64, 1024)}"]
    if dice.random() < 0.5:
        lines.append(f"listen = unix://{arena.directory}/extra" + ("" if arena.runs_copies else " handler=discard"))
    arena.write_config(*lines, workers=dice.randrange(2, 7), greeting=dice.choice(GREETINGS))
    begun = time.time()
    done, line = arena.outcome(lambda: arena.daemon.signal(signal.SIGHUP), "reloaded", "reload failed")
    return verdict(arena, begun, done, line)


def verdict(arena, begun, done, line):
    """A good order may fail only for a reason that a strike has given it; everything then is as it was."""
    if not done and arena.disturbed_since(begun):
        return "failed, a new worker was struck"
    if not done and "Too many open files" in line:
        return "failed, the master was out of descriptors"
    if not done and "the process that read it killed by SIGKILL" in line:
        return "failed, its key process was struck"
    assert done, line
    return "done"


BAD_SETTINGS = {
    "unknown setting": lambda arena: ["colour = red"],
    "unknown handler": lambda arena: [f"listen = unix://{arena.directory}/bad handler=nope"],
    "port in use": lambda arena: ["listen = tcp://127.0.0.1:%d" % arena.occupied.getsockname()[1]],
    "directory of a socket is missing": lambda arena: [f"listen = unix://{arena.directory}/none/s"],
    "certificate is missing": lambda arena: ["listen = tls://127.0.0.1:0 certificate=/none key=/none"],
    "workers that cannot start": lambda arena: ["user = nobody", f"chdir = {arena.closed}"],
}


def reload_badly(arena, dice):
    arena.write_config(*BAD_SETTINGS[dice.choice(list(BAD_SETTINGS))](arena))
    done, line = arena.outcome(lambda: arena.daemon.signal(signal.SIGHUP), "reloaded", "reload failed")
    arena.write_config()
    assert not done, f"bad settings were taken: {line}"
    return "refused, as it should be"


def reload_without_a_file(arena, _):
    arena.config.unlink()
    done, line = arena.outcome(lambda: arena.daemon.signal(signal.SIGHUP), "reloaded", "reload failed")
    arena.write_config()
    assert not done, line
    return "refused, as it should be"


def reload_by_preforkctl(arena, dice):
    arena.write_config(workers=dice.randrange(2, 7))
    begun = time.time()
    told = arena.preforkctl("reload")
    return verdict(arena, begun, told.returncode == 0, told.stderr)


def reload_badly_by_preforkctl(arena, _):
    arena.write_config("colour = red")
    told = arena.preforkctl("reload")
    arena.write_config()
    assert told.returncode == 1 and told.stderr, told
    return "refused, as it should be"


def upgrade_well(arena, dice):
    arena.install()
    by_command = dice.random() < 0.5
    with arena.no_upgrade:
        begun = time.time()
        if by_command:
            told = arena.preforkctl("upgrade")
            return verdict(arena, begun, told.returncode == 0, told.stderr)
        return verdict(arena, begun, *arena.outcome(lambda: arena.daemon.signal(signal.SIGUSR2), "upgraded",
                                                    "upgrade failed"))


BAD_IMAGES = {
    "crashes at its start": lambda good: b"#!/bin/sh\nkill -SEGV $$\n",
    "ends at its start": lambda good: b"#!/bin/sh\nexit 3\n",
    "is no program": lambda good: b"hello\n",
    "is cut": lambda good: good[:1 << 14],
    "is not there": None,
}


def upgrade_badly(arena, dice):
    make = BAD_IMAGES[dice.choice(list(BAD_IMAGES))]
    if make is None:
        arena.binary.unlink()
    else:
        arena.install(make(arena.binary.read_bytes()))
    done, line = arena.outcome(lambda: arena.daemon.signal(signal.SIGUSR2), "upgraded", "upgrade failed")
    arena.install()
    assert not done, f"a bad image was taken: {line}"
    return "refused, as it should be"


def tell_a_worker_to_end(arena, dice):
    """As an operator might, once each: its clients and those who come meanwhile must not notice."""
    victim = pick(sorted(set(arena.workers()) - arena.told_to_end), dice.random())
    if victim is None or not arena.signal(victim, signal.SIGTERM):
        return "nobody there"
    arena.told_to_end.add(victim)
    return "done"


def resize(arena, dice):
    count = dice.randrange(2, 9)
    told = arena.preforkctl("workers", str(count))
    assert told.returncode == 0 or "descriptors" in told.stderr, told
    return "done"


def look(arena, dice):
    word = dice.choice(["status", "deaths"])
    told = arena.preforkctl(word)
    assert told.returncode == 0 and told.stdout, told
    return "done"


ORDERS = [
    Event("upgrade", 4, upgrade_well),
    Event("upgrade to a bad image", 2, upgrade_badly),
    Event("look (preforkctl status, deaths)", 2, look),
    Event("resize (preforkctl workers N)", 2, resize),
    Event("tell a worker to end (TERM)", 3, tell_a_worker_to_end),
    Event("reload (preforkctl)", 2, reload_by_preforkctl),
    Event("reload of bad settings (preforkctl)", 1, reload_badly_by_preforkctl),
    Event("one worker more (TTIN)", 2, signal_master(signal.SIGTTIN)),
    Event("one worker fewer (TTOU)", 2, signal_master(signal.SIGTTOU)),
    Event("reload", 4, reload_well),
    Event("reload of bad settings", 2, reload_badly),
    Event("reload without its file", 1, reload_without_a_file),
]
