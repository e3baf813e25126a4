"""--sandbox with --sandbox-programs yes: a copy of --run pool puts it on, and the worker above it does not."""
import json
import os
import pathlib
import sys

import pytest

import proc
from clients import exchange
from control import status
from copies import copies_of, script

COPY = """
import json, os, socket
def attempt(path):
    try:
        return open(path).read()
    except OSError as error:
        return error.strerror
queue = socket.socket(fileno=3)
told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
told.sendto(b"STATUS=begins\\nREADY=1", "\\0" + os.environ["NOTIFY_SOCKET"][1:])
while True:
    client, _ = queue.accept()
    with client:
        client.sendall(json.dumps(attempt(client.makefile().readline().strip())).encode())
"""
PROGRAMS_TOO = ("--sandbox-programs", "yes", "--run", "pool", "--ready", "notify")


def worn_by(pid):
    found = proc.status(pid)
    return found["NoNewPrivs"], found["Seccomp"]


def attempt(daemon, path):
    return json.loads(exchange(daemon.endpoint, f"{path}\n".encode()))


def test_it_is_the_copy_s(preforkd, tmp_path):
    daemon = preforkd(*PROGRAMS_TOO, "--", script(tmp_path, COPY), workers=1)
    assert [worn_by(pid) for pid in copies_of(daemon)] == [("1", "2")]
    assert [worn_by(pid) for pid in daemon.workers()] == [worn_by(daemon.pid)]


@pytest.mark.strict
def test_in_strict_it_has_the_files_that_are_named_and_still_tells_of_itself(controlled, tmp_path):
    for name in ("named", "other"):
        (tmp_path / name).write_text(name)
    python = pathlib.Path(os.path.realpath(sys.executable)).parent
    daemon = controlled("--sandbox", "strict", *PROGRAMS_TOO, "--allow-read", str(tmp_path / "named"), "--allow-read", str(python),
                        "--", script(tmp_path, COPY), workers=1)
    assert attempt(daemon, tmp_path / "named") == "named"
    assert attempt(daemon, tmp_path / "other") == "Permission denied"
    assert attempt(daemon, f"/proc/{daemon.pid}/cmdline") == "Permission denied"
    assert status(daemon.control)["workers"][0]["program_status"] == "begins"
    assert [worn_by(pid) for pid in copies_of(daemon)] == [("1", "2")]
