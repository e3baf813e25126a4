"""A daemon that has all of its settings from a file, and is told to read it anew."""
from signal import SIGHUP

import pytest

LISTEN = "listen = tcp://127.0.0.1:0"


class Configured:
    def __init__(self, preforkd, file, lines, arguments=(), **how):
        self._file = file
        self.write(*lines)
        self.daemon = preforkd("--config", str(file), *arguments, listen=None, **how)

    def write(self, *lines):
        """In one step: the daemon may be reading it."""
        new = self._file.with_suffix(".new")
        new.write_text("".join(f"{line}\n" for line in lines))
        new.rename(self._file)

    def reload(self, *lines):
        """Writes the file, reloads, and gives the line that says how it went."""
        self.write(*lines)
        after = self.daemon.log.mark()
        self.daemon.signal(SIGHUP)
        return self.daemon.wait_log(lambda entry: entry["message"].startswith("reloaded") or "reload failed" in entry["message"],
                                    after=after)


@pytest.fixture
def configured(preforkd, tmp_path):
    return lambda *lines, **how: Configured(preforkd, tmp_path / "preforkd.conf", lines, **how)
