"""preforkctl and whoever has taken the daemon's name: it believes only those whom it can, and prints nothing that a terminal obeys."""
import json
import os
import subprocess
import sys

import pytest

from control import status
from daemon_process import PREFORKCTL, clean_environment

NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
ESCAPES = "\x1b[2J\x1b]0;owned\x07\x9b2J\u202e"

# Listens where it is told, says so, and answers each line in its own way.
IMPOSTOR = """
import os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1].replace("@", "\\0", 1))
if not sys.argv[1].startswith("@"): os.chmod(sys.argv[1], 0o777)
server.listen()
print(flush=True)
while True:
    client = server.accept()[0]
    if client.recv(4096): client.sendall(sys.argv[2].encode() + b"\\n")
    client.close()
"""


@pytest.fixture
def impostor():
    """Starts one at a name that gives the answer `answer`; `wrap`: as whom."""
    started = []

    def start(name, answer, wrap=()):
        process = subprocess.Popen([*wrap, sys.executable, "-c", IMPOSTOR, name, json.dumps(answer)], stdout=subprocess.PIPE)
        started.append(process)
        process.stdout.readline()
    yield start
    for process in started:
        process.kill()
        process.communicate()


def ctl(*arguments, wrap=()):
    return subprocess.run([*wrap, PREFORKCTL, *arguments], env=clean_environment(), capture_output=True, text=True, timeout=20)


@pytest.mark.root
@pytest.mark.programs("setpriv")
@pytest.mark.parametrize("kind", ["abstract", "path"])
def test_another_user_who_has_taken_the_name_is_not_believed(impostor, open_directory, kind):
    name = f"@preforkd-test{open_directory}" if kind == "abstract" else f"{open_directory}/control.sock"
    impostor(name, {"ok": True, "message": ESCAPES}, wrap=NOBODY)
    told = ctl("ready", "--control", f"unix://{name}")
    assert told.returncode == 1 and told.stdout == ""
    assert told.stderr == (f"preforkctl: unix://{name}: it belongs to a process of user 65534, which is not trusted: neither "
                           "root, nor you, nor the owner of its directory; ask as that user\n")
    # The user himself believes himself.
    assert "[2J" in ctl("ready", "--control", f"unix://{name}", wrap=NOBODY).stdout


@pytest.mark.root
@pytest.mark.programs("setpriv")
def test_root_believes_the_daemon_of_a_user_in_the_users_directory(preforkd, open_directory):
    os.chown(open_directory, 65534, 65534)
    os.chmod(open_directory, 0o700)
    control = f"unix://{open_directory}/control.sock"
    daemon = preforkd("--control", control, wrap=NOBODY)
    assert ctl("ready", "--control", control).stdout == "ready\n"
    assert status(control)["pid"] == daemon.pid


@pytest.mark.root
@pytest.mark.programs("setpriv")
def test_a_user_believes_root(preforkd, open_directory):
    control = f"unix://@preforkd-test{open_directory}"
    daemon = preforkd("--control", control)
    daemon.expect("control: refused another user")
    assert "only root and the user of this daemon may ask" in ctl("ready", "--control", control, wrap=NOBODY).stderr


@pytest.mark.parametrize("arguments, answer", [
    (["ready"], {"ok": True, "message": ESCAPES}),
    (["ready"], {"ok": False, "error": ESCAPES}),
    (["status", "--watch"], {"ok": False, "error": ESCAPES, "stopped": True}),
    (["status", "--json"], {"ok": True, "status": {"name": ESCAPES}}),
    (["status"], {"ok": True, "status": {"phase": ESCAPES, "version": ESCAPES}}),
    (["deaths"], {"ok": True, "deaths": [{"cause": ESCAPES}]}),
    (["explain"], {"ok": True, "status": {"phase": ESCAPES, "listeners": [{"endpoint": ESCAPES, "lost": True}]},
                   "deaths": [{"cause": ESCAPES, "time": ESCAPES, "last_peer": ESCAPES, "last_error": ESCAPES}]}),
    (["top", "--batch", "-n", "1", "--interval", "100ms"],
     {"ok": True, "status": {"phase": ESCAPES, "version": ESCAPES, "listeners": [{"endpoint": ESCAPES, "handler": ESCAPES}],
                             "workers": [{"state": ESCAPES, "last_error": ESCAPES}]},
      "deaths": [{"cause": ESCAPES, "time": ESCAPES, "ordered_by": ESCAPES}]}),
    (["sources"], {"ok": True, "sources": [{"endpoint": ESCAPES, "sources": [{"source": ESCAPES}]}]}),
])
def test_nothing_that_is_answered_reaches_the_terminal_as_it_is(impostor, open_directory, arguments, answer):
    impostor(f"{open_directory}/s", answer)
    told = ctl(*arguments, "--control", f"unix://{open_directory}/s")
    said = told.stdout + told.stderr
    assert said.strip() and all(character == "\n" or character.isprintable() for character in said), repr(said)
    if "--json" in arguments:
        assert json.loads(told.stdout) == answer["status"]
