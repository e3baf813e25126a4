"""--max-memory of a copy of --run pool: of it and all that it has started."""
import os

import proc
from clients import exchange
from copies import AT_ONCE, copies_of, script
from control import deaths

# A client has it, or a child of it, take 8 MiB more; "child" has it start the child.
GREEDY = """
import os, signal, socket, sys
taken, queue = [], socket.socket(fileno=3)
ask, answer = socket.socketpair()
def take(times):
    taken.extend(os.urandom(1 << 20) * 8 for _ in range(times))
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    while times := ask.recv(1):
        take(times[0])
        ask.send(b"x")
    os._exit(0)
while True:
    client, _ = queue.accept()
    with client:
        who, times = client.makefile().readline().split()
        if who == "child":
            answer.send(bytes([int(times)]))
            answer.recv(1)
        else:
            take(int(times))
        client.sendall(str(os.getpid()).encode())
"""


def take(daemon, who, times):
    return int(exchange(daemon.endpoint, f"{who} {times}\n".encode()))


def test_a_copy_that_leaks_in_a_process_of_its_own_is_replaced_first(controlled, tmp_path):
    daemon = controlled(*AT_ONCE, "--max-memory", "100M", "--", script(tmp_path, GREEDY), workers=1)
    first, = copies_of(daemon)
    assert take(daemon, "itself", 5) == first, "each of both is below the limit"
    assert take(daemon, "child", 9) == first
    line = daemon.wait_log("with what it has started, uses")
    assert 90 << 20 < line["private_bytes"] < 200 << 20
    assert proc.wait_gone(first, 10)
    assert proc.eventually(lambda: len(copies_of(daemon)) == 1 and first not in copies_of(daemon))
    death, = proc.eventually(lambda: deaths(daemon.control))
    assert death["expected"]
    assert take(daemon, "itself", 1) == copies_of(daemon)[0]


def test_one_that_stays_below_stays(preforkd, tmp_path):
    daemon = preforkd(*AT_ONCE, "--max-memory", "300M", "--", script(tmp_path, GREEDY), workers=1)
    first, = copies_of(daemon)
    for _ in range(3):
        assert take(daemon, "child", 3) == first
    os.kill(first, 0)
    assert copies_of(daemon) == [first] and not daemon.log.find("--max-memory")


def test_a_limit_below_what_it_needs_is_said_and_retires_nobody(preforkd, tmp_path):
    daemon = preforkd("--run", "pool", "--ready", "alive:1s", "--max-memory", "2M", "--", script(tmp_path, GREEDY), workers=1)
    daemon.expect("--max-memory")
    daemon.wait_log("is less than program needs before its first client")
    first, = copies_of(daemon)
    assert take(daemon, "itself", 2) == first
