"""Programs that accept by themselves, for --run pool; and what is seen of their copies."""
import os
import sys

import proc
from clients import exchange

# It ends at TERM, once it has answered whom it has accepted.
SERVER = """
import json, os, select, signal, socket, sys
inherited = [fd for fd in range(256) if os.path.exists(f"/proc/self/fd/{fd}")]
asked, told = os.pipe()
os.set_blocking(told, False)
signal.set_wakeup_fd(told)
signal.signal(signal.SIGTERM, lambda signo, frame: None)
queue = socket.socket(fileno=int(os.environ.get("TEST_FD", "3")))
queue.setblocking(False)
answer = eval(os.environ.get("TEST_ANSWER", "str(os.getpid())"))
while asked not in select.select([queue, asked], [], [])[0]:
    try:
        client, _ = queue.accept()
    except BlockingIOError:  # a sibling has taken it
        continue
    client.setblocking(True)
    while client.recv(4096):
        pass
    client.sendall(f"{answer}\\n".encode())
    client.close()
"""
AT_ONCE = ("--run", "pool", "--ready", "alive:0")


def script(directory, text, name="program"):
    """An executable file; in Python where `text` does not say otherwise."""
    path = directory / name
    path.write_text(text if text.startswith("#!") else f"#!{sys.executable} -SE\n{text}")
    path.chmod(0o755)
    return str(path)


def server(directory, name="program", **settings):
    """The path of SERVER; `settings` go into its environment: TEST_FD, TEST_ANSWER."""
    prefix = "import os\nos.environ.update(" + repr({f"TEST_{key.upper()}": value for key, value in settings.items()}) + ")\n"
    return script(directory, prefix + SERVER, name)


def copies_of(daemon):
    """Pids of the copies, which are what the workers have started."""
    return [child for worker in daemon.workers() for child in proc.children(worker)]


def answers_of(daemon, wanted, most=2000):
    """What clients are told, until all of `wanted` have said something."""
    heard = set()
    for _ in range(most):
        heard.add(exchange(daemon.endpoint).decode().strip())
        if heard >= set(wanted):
            break
    return heard


def pids(numbers):
    return {str(number) for number in numbers}


def is_gone(pid):
    return not os.path.exists(f"/proc/{pid}")
