"""The receiving end of sd_notify(3), as the service manager has it, with its store of descriptors."""
import array
import os
import socket
import stat
import time

from activation import Passing


class NotifySocket:
    def __init__(self, directory):
        self.path = str(directory / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self.received = []  # (seconds, {name: value}) of every message taken so far
        self._passed = Passing()
        self.stored = []    # (name, socket or file) in the order in which systemd passes them on

    @property
    def environment(self):
        return {"NOTIFY_SOCKET": self.path}

    @property
    def environment_with_store(self):
        """What systemd 254 tells a service with FileDescriptorStoreMax=."""
        return self.environment | {"FDSTORE": "16"}

    def close(self):
        self._socket.close()
        self._passed.close()
        for _, kept in self.stored:
            kept.close()

    def next(self, timeout=10.0):
        """The next message as a dictionary; None when none comes in time."""
        self._socket.settimeout(max(timeout, 0.0))  # zero: only what has arrived already
        space = socket.CMSG_SPACE(array.array("i", [0]).itemsize)
        try:
            text, ancillary, _, _ = self._socket.recvmsg(65536, space)
        except (socket.timeout, BlockingIOError):
            return None
        message = dict(line.split("=", 1) for line in text.decode().splitlines() if line)
        self.received.append((time.monotonic(), message))
        self._keep_store(message, [fd for _, _, data in ancillary for fd in array.array("i", data)])
        return message

    def _keep_store(self, message, descriptors):
        """As service_add_fd_store() and service_remove_fd_store() of systemd 252 do."""
        if message.get("FDSTORE") == "1":
            for fd in descriptors:
                if any(os.path.sameopenfile(fd, kept.fileno()) for _, kept in self.stored):
                    os.close(fd)
                else:
                    is_socket = stat.S_ISSOCK(os.fstat(fd).st_mode)
                    kept = socket.socket(fileno=fd) if is_socket else os.fdopen(fd)
                    self.stored.insert(0, (message["FDNAME"], kept))
        if message.get("FDSTOREREMOVE") == "1":
            for name, kept in list(self.stored):
                if name == message["FDNAME"]:
                    kept.close()
                    self.stored.remove((name, kept))

    def stored_endpoints(self):
        """Takes in what has arrived already; a daemon that was started has what it was passed."""
        self.pending()
        self._passed.close()
        return sorted(str(kept.getsockname()) for _, kept in self.stored)

    def restart(self, **how):
        """Arguments for the daemon that is started next: it gets what is stored."""
        self.pending()
        self._passed.close()
        self._passed = Passing(*(kept for _, kept in self.stored), names=[name for name, _ in self.stored])
        return self._passed.arguments(env=self.environment_with_store, **how)

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
