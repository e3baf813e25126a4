"""The receiving end of sd_notify(3), as the service manager has it."""
import socket
import time


class NotifySocket:
    def __init__(self, directory):
        self.path = str(directory / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self.received = []  # (seconds, {name: value}) of every message taken so far

    @property
    def environment(self):
        return {"NOTIFY_SOCKET": self.path}

    def close(self):
        self._socket.close()

    def next(self, timeout=10.0):
        """The next message as a dictionary; None when none comes in time."""
        self._socket.settimeout(max(timeout, 0.0))  # zero: only what has arrived already
        try:
            text = self._socket.recv(65536).decode()
        except (socket.timeout, BlockingIOError):
            return None
        message = dict(line.split("=", 1) for line in text.splitlines() if line)
        self.received.append((time.monotonic(), message))
        return message

    def wait(self, name, value=None, timeout=10.0):
        """The value of the next message that has `name` (and `value`)."""
        deadline = time.monotonic() + timeout
        while (remaining := deadline - time.monotonic()) > 0:
            message = self.next(remaining)
            if message and name in message and value in (None, message[name]):
                return message[name]
        raise AssertionError(f"no {name}={value or ''} within {timeout} s; received {self.received}")

    def pending(self):
        """Everything that has arrived already."""
        messages = []
        while (message := self.next(0)) is not None:
            messages.append(message)
        return messages
