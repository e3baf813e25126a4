"""Running out of something, and sharing what there is."""
import os
import resource
import socket
import subprocess
import threading
import time
from collections import Counter

import pytest

import proc
from clients import connect, echo, exchange, read_exactly, read_to_end


def limit_of(pid, name="Max open files"):
    with open(f"/proc/{pid}/limits") as file:
        soft, hard = next(line for line in file if line.startswith(name)).split()[3:5]
    return int(soft), int(hard)


@pytest.mark.programs("prlimit")
def test_the_soft_limit_of_descriptors_is_raised_to_the_hard_one(preforkd):
    daemon = preforkd(wrap=["prlimit", "--nofile=128:2048"])
    for pid in daemon.workers():
        assert limit_of(pid) == (2048, 2048)


@pytest.mark.programs("prlimit")
@pytest.mark.parametrize("bytes_", [1, 100 << 10, 1 << 20])
def test_a_limit_of_file_size_below_what_it_needs_is_named(run_preforkd, bytes_):
    refused = run_preforkd("--listen", "tcp://127.0.0.1:0", "--workers", "1", wrap=["prlimit", f"--fsize={bytes_}"])
    assert refused.returncode == 71 and "raise RLIMIT_FSIZE" in refused.stderr, refused


@pytest.mark.programs("prlimit")
def test_connections_are_clamped_to_the_descriptors_with_a_warning(preforkd):
    daemon = preforkd("--handler", "echo", "--connections", "1000", wrap=["prlimit", "--nofile=64:64"], workers=1)
    daemon.expect("connections")
    warning = daemon.log.find(lambda entry: entry["level"] == "warning" and "connections" in entry["message"])
    assert len(warning) == 1 and 64 in warning[0].values() and 1000 in warning[0].values()
    clients = []
    for _ in range(80):  # more than there are descriptors; the rest waits in the kernel's queue
        clients.append(connect(daemon.endpoint))
        clients[-1].sendall(b"x")
    served = Counter()
    for client in clients:  # each one that ends makes way for one that waits
        served[read_exactly(client, 1)] += 1
        client.close()
    assert served == {b"x": 80}
    assert not daemon.log.find(lambda entry: "Too many open files" in entry["message"]), "clamped, so it never runs out"


def starve(pid):
    """Takes away every descriptor that is still free; returns the limits it had."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest_free(pid), before[1]))
    return before


def lowest_free(pid):
    used = set(map(int, os.listdir(f"/proc/{pid}/fd")))
    return next(number for number in range(1024) if number not in used)


@pytest.mark.parametrize("model, handler", [("async", "greet"), ("serial", "greet"), ("thread", "echo")])
def test_out_of_descriptors_it_neither_spins_nor_dies_and_says_so_once(preforkd, model, handler):
    daemon = preforkd("--model", model, "--handler", handler, workers=1)
    daemon.expect("open files")
    worker = daemon.workers()[0]
    before = starve(worker)
    with connect(daemon.endpoint) as waiting:
        waiting.sendall(b"connected\n")
        waiting.shutdown(socket.SHUT_WR)
        assert daemon.wait_log("open files")["level"] in ("warning", "error")
        cpu = proc.stat(worker).cpu_seconds
        time.sleep(1.6)  # three pauses of 500 ms: the time in which a spinning worker would burn CPU
        assert proc.stat(worker).cpu_seconds - cpu < 0.1
        assert len(daemon.log.find("open files")) == 1
        resource.prlimit(worker, resource.RLIMIT_NOFILE, before)
        assert read_to_end(waiting) == b"connected\n"
    assert daemon.workers() == [worker]


def test_each_thread_of_a_coroutine_has_space_for_what_its_loop_waits_with(preforkd):
    """An epoll set, an eventfd and a timerfd beside the connection: clamped, so it never runs out."""
    limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))  # noqa: E731
    daemon = preforkd("--handler", "echo", "--model", "thread", "--connections", "1024", workers=1, preexec_fn=limit)
    daemon.expect("is more than")
    space = daemon.log.find("is more than")[0]["connections"]
    assert 2 <= space <= 64 // 4
    clients = [connect(daemon.endpoint) for _ in range(2 * space)]  # the second half waits in the kernel's queue
    for client in clients:
        client.sendall(b"x")
    for client in clients[:space]:  # all of them at once
        assert read_exactly(client, 1) == b"x"
    for first, second in zip(clients[:space], clients[space:]):
        first.close()
        assert read_exactly(second, 1) == b"x"
    for client in clients[space:]:
        client.close()
    assert not daemon.log.find("Too many open files")


def limit_processes(pid, soft):
    """As its own user, who needs no privilege for it; returns what the limit was."""
    user, group = (int(proc.status(pid)[name].split()[0]) for name in ("Uid", "Gid"))

    def prlimit(*what):
        return subprocess.run(["prlimit", "--pid", str(pid), *what], user=user, group=group, check=True,
                              capture_output=True, text=True, timeout=10).stdout
    before = prlimit("--nproc", "--output=SOFT", "--noheadings").strip()
    prlimit(f"--nproc={soft}:")
    return before


NO_PROCESS = {
    "fork": (["--handler", "echo", "--model", "fork"], "cannot make a process"),
    "thread": (["--handler", "echo", "--model", "thread"], "cannot start a thread"),
    "program": (["--", "/bin/cat"], "cannot make a process"),
}


@pytest.mark.programs("prlimit")
@pytest.mark.parametrize("arguments, sentence", NO_PROCESS.values(), ids=NO_PROCESS.keys())
def test_out_of_processes_it_says_why_once_and_serves_everybody_later(preforkd, arguments, sentence):
    """The client that was accepted is kept, the others stay in the queue; no other cause is named, since every further
    warning would fail this."""
    somebody = ["--user", "65534"] if os.geteuid() == 0 else []  # root may have as many as it likes
    daemon = preforkd(*somebody, *arguments, workers=1)
    daemon.expect(sentence)
    worker, = daemon.workers()
    before = limit_processes(worker, 1)
    clients = [connect(daemon.endpoint) for _ in range(2)]
    for client in clients:
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
    line = daemon.wait_log(sentence)
    assert line["level"] == "warning" and "RLIMIT_NPROC" in line["cause"] and "TasksMax=" in line["cause"]
    assert len(daemon.log.find("got connection from")) == 1
    limit_processes(worker, before)
    assert [read_to_end(client) for client in clients] == [b"hello"] * 2
    assert len(daemon.log.find(sentence)) == 1 and daemon.workers() == [worker]


@pytest.mark.root
@pytest.mark.programs("prlimit")
@pytest.mark.parametrize("arguments, sentence", NO_PROCESS.values(), ids=NO_PROCESS.keys())
def test_a_limit_of_processes_that_lasts_is_said_once_and_not_for_each_client(preforkd, arguments, sentence):
    somebody = str(50_000 + os.getpid() % 10_000)  # nobody else: the limit counts all processes of a user
    daemon = preforkd("--user", somebody, "--group", somebody, *arguments, workers=1)
    daemon.expect(sentence)
    worker, = daemon.workers()
    limit_processes(worker, int(proc.status(worker)["Threads"]) + 1)  # itself, and one more
    clients = [connect(daemon.endpoint) for _ in range(4)]
    for client in clients:
        client.sendall(b"x")
    for number, client in enumerate(clients, 1):
        assert read_exactly(client, 1) == b"x"
        daemon.wait_log("got connection from", count=min(number + 1, len(clients)))  # the next one waits
        client.close()
    # One that comes just after another has ended finds a process, and the shortage after that is a new one.
    assert 1 <= len(daemon.log.find(sentence)) < len(clients) - 1


def test_out_of_descriptors_a_sibling_takes_the_client(preforkd):
    daemon = preforkd(workers=2)
    daemon.expect("open files")
    starved = daemon.workers()[0]
    before = starve(starved)
    for _ in range(100):
        began = time.monotonic()
        assert exchange(daemon.endpoint) == b"connected\n"
        assert time.monotonic() - began < 0.4
    resource.prlimit(starved, resource.RLIMIT_NOFILE, before)


def test_at_its_limit_a_worker_leaves_clients_in_the_queue_until_there_is_capacity(preforkd):
    daemon = preforkd("--handler", "echo", "--connections", "2", workers=1)
    first, second, third = (connect(daemon.endpoint) for _ in range(3))
    for client in (first, second):
        echo(client)
    third.sendall(b"x")
    third.settimeout(0.3)
    with pytest.raises(TimeoutError):
        third.recv(1)
    assert len(daemon.log.find("got connection from")) == 2
    first.close()
    third.settimeout(5)
    assert read_exactly(third, 1) == b"x"
    second.close()
    third.close()


@pytest.mark.parametrize("model", ["async", "serial"])
def test_at_its_limit_a_worker_leaves_clients_to_its_siblings(preforkd, model):
    """As many clients as the pool has capacity for are all served at once, whoever is woken first."""
    daemon = preforkd("--handler", "echo", "--model", model, "--connections", "1", workers=4)
    for _ in range(5):
        clients = [connect(daemon.endpoint) for _ in range(4)]
        for client in clients:
            echo(client)
        for client in clients:
            client.close()


def test_lingering_clients_do_not_count_against_the_limit(preforkd):
    daemon = preforkd("--connections", "1", workers=1)
    staying = [connect(daemon.endpoint) for _ in range(10)]
    for client in staying:
        client.settimeout(1.5)
        assert read_to_end(client) == b"connected\n"
    for client in staying:
        client.close()


def test_connections_spread_over_an_idle_pool(preforkd):
    daemon = preforkd(workers=4)
    for _ in range(2000):
        exchange(daemon.endpoint)
    daemon.wait_log("got connection from", count=2000)
    share = Counter(entry["pid"] for entry in daemon.log.find("got connection from"))
    assert len(share) == 4 and max(share.values()) <= 1.5 * 2000 / 4, share


def test_ten_thousand_connections_leak_no_descriptor(preforkd):
    daemon = preforkd("--log-connections", "no", workers=2)

    def crowd(count):
        def some():
            for _ in range(count // 4):
                assert exchange(daemon.endpoint, b"unread") == b"connected\n"
        threads = [threading.Thread(target=some) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    pids = [daemon.pid, *daemon.workers()]
    crowd(200)
    at_rest = [proc.open_descriptors(pid) for pid in pids]
    crowd(10_000)
    assert [daemon.pid, *daemon.workers()] == pids
    settled = proc.eventually(lambda: all(proc.open_descriptors(pid) <= most for pid, most in zip(pids, at_rest)))
    assert settled, (at_rest, [proc.open_descriptors(pid) for pid in pids])


def test_a_worker_retires_after_max_requests_and_its_replacement_comes_first(preforkd):
    daemon = preforkd("--max-requests", "50", "--log-level", "debug", workers=1)
    first = daemon.workers()[0]
    for _ in range(200):
        assert exchange(daemon.endpoint) == b"connected\n"
    daemon.wait_log(lambda entry: entry.get("worker_pid") == first and "served" in entry)
    log = daemon.log.read()
    served = sum(entry["pid"] == first and "got connection" in entry["message"] for entry in log)
    assert served >= 45, "within a tenth of --max-requests"
    ready = [entry["worker_pid"] for entry in log if entry["message"].startswith("worker ready")]
    left = [index for index, entry in enumerate(log) if entry.get("worker_pid") == first and "served" in entry]
    came = [index for index, entry in enumerate(log) if entry["message"].startswith("worker ready")]
    assert len(ready) >= 2 and came[1] < left[0], "the old one serves until the new one is ready"
