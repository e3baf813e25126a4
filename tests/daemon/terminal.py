"""A program on a terminal of its own, and what can be seen there."""
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time

import proc

PATIENCE = 20.0
_CONTROL = re.compile(rb"\x1b\[([?0-9;]*)([A-Za-z])|\x1b[^\[]")


class Screen:
    """As much of a terminal as a program needs that paints from the top: it knows no other cursor than that of H and of
    lines, and fails on what it does not know."""

    def __init__(self, rows, columns):
        self.modes = set()  # those of ?h
        self.resize(rows, columns)

    def resize(self, rows, columns):
        self.rows, self.columns = rows, columns
        self.lines = [""] * rows
        self._row = self._column = 0
        self._left = b""

    def feed(self, data):
        data, self._left = self._left + data, b""
        while data:
            if data[:1] == b"\x1b":
                found = _CONTROL.match(data)
                if not found:
                    self._left = data  # the rest is still to come
                    return
                self._obey(found[1].decode(), found[2].decode())
                data = data[found.end():]
            else:
                text, _, _ = data.partition(b"\x1b")
                data = data[len(text):]
                for character in text.decode(errors="replace"):
                    self._put(character)

    def _put(self, character):
        if character == "\r":
            self._column = 0
        elif character == "\n":
            assert self._row + 1 < self.rows, "it scrolls"
            self._row += 1
        else:
            assert character.isprintable(), repr(character)
            assert self._column < self.columns, f"a line is too long: {self.lines[self._row]}"
            line = self.lines[self._row].ljust(self._column)
            self.lines[self._row] = line[:self._column] + character + line[self._column + 1:]
            self._column += 1

    def _obey(self, parameters, letter):
        if letter in "hl":
            (self.modes.add if letter == "h" else self.modes.discard)(parameters)
        elif letter == "H":
            self._row = self._column = 0
        elif letter == "K":
            self.lines[self._row] = self.lines[self._row][:self._column]
        elif letter == "J":
            first = 0 if parameters == "2" else self._row + 1
            self.lines[first:] = [""] * (self.rows - first)
            if parameters != "2":
                self.lines[self._row] = self.lines[self._row][:self._column]
        else:
            assert letter == "m", f"an unknown order: {parameters}{letter}"

    def text(self):
        return "\n".join(self.lines)

    def row(self, first):
        """The words of the line that begins with `first`."""
        return next((line.split() for line in self.lines if line.split()[:1] == [first]), None)


class Terminal:
    """Runs `command`, whose controlling terminal it is."""

    def __init__(self, *command, rows=24, columns=150, env=None):
        self._controller, self._terminal = os.openpty()
        self.screen = Screen(rows, columns)
        self._set_size(rows, columns)
        self.usual = self.attributes()

        def take():
            fcntl.ioctl(self._terminal, termios.TIOCSCTTY, 0)
        self.process = subprocess.Popen(command, stdin=self._terminal, stdout=self._terminal, stderr=subprocess.PIPE, text=True,
                                        start_new_session=True, preexec_fn=take, pass_fds=[self._terminal], env=env)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()
        os.close(self._controller)
        os.close(self._terminal)

    def attributes(self):
        return termios.tcgetattr(self._terminal)

    def _set_size(self, rows, columns):
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, rows, columns):
        """The kernel tells the program by a SIGWINCH."""
        self.read(0)
        self.screen.resize(rows, columns)
        self._set_size(rows, columns)

    def press(self, keys):
        os.write(self._controller, keys.encode())

    def read(self, timeout):
        """Whatever arrives within that time; whether something has."""
        if not select.select([self._controller], [], [], timeout)[0]:
            return False
        self.screen.feed(os.read(self._controller, 65536))
        return True

    def wait(self, condition, timeout=PATIENCE):
        """What `condition` says of the screen as soon as that is true."""
        deadline = time.monotonic() + timeout
        while not (found := condition(self.screen)):
            assert self.read(max(deadline - time.monotonic(), 0)), self.screen.text()
        return found

    def wait_text(self, text, timeout=PATIENCE):
        return self.wait(lambda screen: text in screen.text(), timeout)

    def wait_stopped(self):
        """As by Ctrl-Z."""
        assert proc.eventually(lambda: proc.stat(self.process.pid).state == "T")
        while self.read(0):
            pass

    def wait_exit(self, timeout=PATIENCE):
        """The exit code, and what it has written to standard error."""
        assert proc.wait_gone(self.process.pid, timeout)
        code = self.process.wait()
        while self.read(0):
            pass
        return code, self.process.stderr.read()

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)
