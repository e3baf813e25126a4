"""What code that has taken a worker over does to the sockets that it shares with the others does not last."""
import os
import select
import signal
import socket
from contextlib import closing

import pytest

import datagram_clients
import proc
from activation import Passing, listening
from clients import connect, exchange, port_of, say
from control import status

pytestmark = pytest.mark.programs("cmake", "g++", "pkg-config")
DATAGRAMS = ["udp://127.0.0.1:0", "udp://:0", "unixgram://{tmp}/d"]


@pytest.fixture
def serving(controlled, trouble, tmp_path):
    """A daemon on TCP, by which its workers are told what to do, and for datagrams."""
    def start(datagrams, *arguments):
        daemon = controlled("--handler", trouble("shared_sockets"), "--model", "serial", "--log-connections", "no",
                            *arguments, listen=["unix://{tmp}/c".format(tmp=tmp_path), datagrams.format(tmp=tmp_path)])
        daemon.commands, daemon.datagrams = daemon.endpoints
        return daemon
    return start


def tell(endpoint, word):
    """Has a worker do it, and gives its pid."""
    with connect(endpoint) as client:
        return say(client, word)


def is_heard(endpoint):
    return datagram_clients.ask(endpoint, b"hello") == b"hello"


@pytest.mark.parametrize("datagrams", DATAGRAMS)
@pytest.mark.parametrize("word", ["connect", "disconnect"])
def test_datagrams_of_everybody_are_heard_again_after_a_connect(serving, datagrams, word):
    daemon = serving(datagrams)
    daemon.expect("a worker has connected")
    assert is_heard(daemon.datagrams)
    workers = daemon.workers()
    tell(daemon.commands, word)
    if word == "connect" or datagrams.startswith("udp"):
        status(daemon.control)  # the master is awake
        assert daemon.wait_log("a worker has connected")["endpoint"] == daemon.datagrams
    assert is_heard(daemon.datagrams)
    assert daemon.workers() == workers


@pytest.mark.parametrize("datagrams", DATAGRAMS)
def test_datagrams_are_served_again_after_a_shutdown_at_the_address_of_before(serving, datagrams):
    daemon = serving(datagrams)
    daemon.expect("a worker has shut down")
    before = daemon.workers()
    for _ in range(2):
        mark = daemon.log.mark()
        tell(daemon.commands, "shut down")
        daemon.wait_log(f"a worker has shut down {daemon.datagrams}", after=mark)
        daemon.wait_log("reloaded", after=mark)
        assert proc.eventually(lambda: len(daemon.workers()) == 2 and not set(before) & set(daemon.workers()))
        before = daemon.workers()
        assert is_heard(daemon.datagrams)


def test_workers_leave_a_socket_that_stays_shut_down(preforkd, trouble, tmp_path):
    """It would wake them again and again."""
    with closing(listening(kind=socket.SOCK_DGRAM)) as passed:
        daemon = preforkd("--handler", trouble("shared_sockets"), "--model", "serial", "--log-level", "debug",
                          **Passing(passed).arguments(listen=[f"unix://{tmp_path}/c", "fd://unknown"]))
        daemon.expect("restart its .socket unit")
        workers = set(daemon.workers())
        tell(f"unix://{tmp_path}/c", "shut down")
        for count in (1, 2):
            daemon.wait_log("is gone: Cannot send after transport endpoint shutdown", count=count)
        assert {entry["pid"] for entry in daemon.log.find("is gone: Cannot send")} == workers
        daemon.wait_log("which refuses clients: restart its .socket unit")


@pytest.mark.parametrize("datagrams", DATAGRAMS)
def test_no_worker_can_keep_datagrams_out_by_a_filter(serving, datagrams):
    daemon = serving(datagrams)
    tell(daemon.commands, "filter")
    assert is_heard(daemon.datagrams)


def has_an_error(shared):
    """Which wakes whoever waits on it, again and again."""
    poll = select.poll()
    poll.register(shared, 0)
    return bool(poll.poll(0))


@pytest.mark.root
@pytest.mark.parametrize("model", ["async", "serial", "thread", "fork"])
@pytest.mark.parametrize("address", ["127.0.0.1", pytest.param("[::1]", marks=pytest.mark.ipv6)])
def test_an_error_queue_that_a_worker_has_filled_keeps_no_worker_awake(preforkd, trouble, address, model):
    daemon = preforkd("--handler", trouble("shared_sockets"), "--model", model, "--log-connections", "no",
                      listen=f"udp://{address}:0")
    family = socket.AF_INET6 if address == "[::1]" else socket.AF_INET
    with socket_bound_to(daemon.pid, datagram_clients.address_of(daemon.endpoint)[1][1], family) as shared:
        datagram_clients.ask(daemon.endpoint, b"errors")
        for _ in range(100):
            with datagram_clients.Client(daemon.endpoint) as client:
                client.send(b"hello")  # whose answer comes to nobody
            assert is_heard(daemon.endpoint)
        assert proc.eventually(lambda: not has_an_error(shared))
    assert is_heard(daemon.endpoint)


@pytest.mark.root
@pytest.mark.parametrize("model", ["serial", "thread"])
def test_a_worker_that_waits_for_its_client_sleeps_whatever_another_has_set_on_the_listener(preforkd, trouble, model):
    daemon = preforkd("--handler", trouble("shared_sockets"), "--model", model)
    tell(daemon.endpoint, "errors")
    with connect(daemon.endpoint) as client:
        pid = say(client, "hello")
        with proc.socket_connected_to([pid], client.getsockname()) as served:
            assert proc.eventually(lambda: not has_an_error(served))
        assert say(client, "hello") == pid


SO_GET_FILTER = 26  # Source: asm-generic/socket.h
IP_MINTTL = 21      # Source: linux/in.h
# How a listener is that nobody has set this on.
AS_BEFORE = {
    "filter": lambda listener: listener.getsockopt(socket.SOL_SOCKET, SO_GET_FILTER, 8) == b"",
    "near": lambda listener: listener.getsockopt(socket.IPPROTO_IP, IP_MINTTL) == 0,
    "linger": lambda listener: listener.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == bytes(8),
    "block": lambda listener: not os.get_blocking(listener.fileno()),
}


@pytest.mark.root
def test_a_reload_gives_datagrams_their_buffer_again(serving):
    daemon = serving("udp://127.0.0.1:0")
    with socket_bound_to(daemon.pid, datagram_clients.address_of(daemon.datagrams)[1][1]) as shared:
        before = shared.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        tell(daemon.commands, "shrink")
        assert shared.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) < before
        reload(daemon)
        assert shared.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == before
    assert is_heard(daemon.datagrams)


def reload(daemon):
    mark = daemon.log.mark()
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded", after=mark)


@pytest.mark.root
@pytest.mark.parametrize("word", AS_BEFORE)
def test_a_reload_takes_back_what_a_worker_has_set_on_a_listener(controlled, trouble, word):
    daemon = controlled("--handler", trouble("shared_sockets"), "--model", "serial")
    with socket_bound_to(daemon.pid, port_of(daemon.endpoint)) as listener:
        assert AS_BEFORE[word](listener)
        tell(daemon.endpoint, word)
        assert not AS_BEFORE[word](listener), "it can"
        reload(daemon)
        assert AS_BEFORE[word](listener)
    assert exchange(daemon.endpoint, b"hello\n").startswith(b"hello ")


def socket_bound_to(pid, port, family=socket.AF_INET):
    """A copy of the socket that the process has there."""
    found = None
    for each in proc.sockets_of(pid):
        if each.family == family and each.getsockname()[1] == port:
            found = each
        else:
            each.close()
    return found
