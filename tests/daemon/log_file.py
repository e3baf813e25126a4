"""The daemon's log: JSON, one object a line, followed with inotify so that nobody sleeps to see a line."""
import ctypes
import json
import os
import select
import time

_libc = ctypes.CDLL(None, use_errno=True)
_IN_MODIFY = 0x2


class LogFile:
    def __init__(self, path):
        self.path = path
        self.entries = []    # parsed lines
        self.malformed = []  # lines that are no JSON object with time, level, pid and message
        self.foreign = []    # lines of other programs before the daemon's, see accept_foreign()
        self._foreign_prefixes = ()
        self.before_reading = lambda: None
        self._partial = b""
        open(path, "ab").close()
        self._file = open(path, "rb")
        self._inotify = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._inotify < 0 or _libc.inotify_add_watch(self._inotify, os.fsencode(path), _IN_MODIFY) < 0:
            raise OSError(ctypes.get_errno(), "inotify")

    def accept_foreign(self, *prefixes):
        """Lines that begin so are not the daemon's: what systemd-socket-activate says."""
        self._foreign_prefixes = prefixes

    def close(self):
        self._file.close()
        os.close(self._inotify)

    def read(self):
        """Takes in what was written so far; a line that is not finished waits for its rest."""
        self.before_reading()
        *lines, self._partial = (self._partial + self._file.read()).split(b"\n")
        for line in lines:
            self._take(line)
        return self.entries

    def _take(self, line):
        if self._foreign_prefixes and line.decode(errors="replace").startswith(self._foreign_prefixes):
            self.foreign.append(line.decode(errors="replace"))
            return
        try:
            entry = json.loads(line.decode("utf-8"), object_pairs_hook=_unique_names)
            missing = {"time", "level", "pid", "message"} - entry.keys()
            if missing or any(ord(character) < 0x20 for character in line.decode("utf-8")):
                raise ValueError(f"lacks {missing}" if missing else "raw control character")
            self.entries.append(entry)
        except (ValueError, AttributeError) as error:
            self.malformed.append((line, str(error)))

    def mark(self):
        """Where the log ends now: for `after` in find() and wait()."""
        return len(self.read())

    def find(self, wanted, after=0):
        """All entries that `wanted` matches: a predicate, or text of the message or of a field."""
        matches = wanted if callable(wanted) else lambda entry: wanted in text_of(entry)
        return [entry for entry in self.read()[after:] if matches(entry)]

    def wait(self, wanted, timeout=10.0, after=0, count=1):
        """The `count`-th entry that matches, as soon as it is written."""
        deadline = time.monotonic() + timeout
        poll = select.poll()
        poll.register(self._inotify, select.POLLIN)
        while True:
            found = self.find(wanted, after)
            if len(found) >= count:
                return found[count - 1]
            remaining = deadline - time.monotonic()
            assert remaining > 0, (
                f"{len(found)} of {count} lines match {wanted!r} after {timeout} s; the log:\n{self.text()}")
            if poll.poll(remaining * 1000):
                os.read(self._inotify, 65536)

    def text(self, last=40):
        with open(self.path, "rb") as file:
            lines = file.read().decode(errors="replace").splitlines()
        return "\n".join(line[:300] for line in lines[-last:])


def sentences(told):
    """What a program has said on standard error: of a line of JSON the sentence, other lines as they are."""
    lines = told.splitlines()
    return [json.loads(line)["message"] if line.startswith("{") else line for line in lines]


def text_of(entry):
    """The sentence and the text fields of an entry."""
    return " ".join([entry["message"], *(value for name, value in entry.items()
                                         if isinstance(value, str) and name not in ("message", "time"))])


def _unique_names(pairs):
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError(f"a name appears twice in {names}")
    return dict(pairs)
