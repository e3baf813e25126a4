"""Datagrams that are not answered, or not at length: two servers must not talk for ever, nor one speak to a third for us."""
import os
import socket
import subprocess
import sys

import pytest

import forged_datagram
import proc
from datagram_clients import Client, address_of, ask

MODELS = ("async", "serial", "thread", "fork")
LOCAL = "udp://127.0.0.1:0"
INSIDE = ["unshare", "--net", "sh", "-c", 'ip link set lo up && ip address add 192.0.2.9/32 dev lo && exec "$@"', "sh"]
OWN = "their source is a listener of this daemon"
TOO_MANY = "one source sent more than replies-per-source= allows"


@pytest.fixture(params=MODELS)
def model(request):
    return request.param


def unserved(daemon, reason):
    return daemon.wait_log(lambda line: line.get("reason") == reason)


def client_at(daemon, host, port=0):
    client = Client(daemon.endpoint)
    client.socket.bind((host, port))
    return client


def inside(daemon, *command):
    subprocess.run(["nsenter", "-t", str(daemon.pid), "-n", *command], check=True, timeout=20)


# --- whom we do not answer --------------------------------------------------------------------------------------------

@pytest.mark.root
def test_a_listener_of_ours_is_not_answered(preforkd, model):
    daemon = preforkd("--handler", "echo", "--model", model, listen=[LOCAL, LOCAL], workers=1)
    first, second = (address_of(endpoint)[1] for endpoint in daemon.endpoints)
    forged_datagram.send(first, first, b"to myself")
    forged_datagram.send(second, first, b"to my neighbour")
    daemon.wait_log(lambda line: line.get("reason") == OWN and line["total"] == 2)
    assert ask(daemon.endpoint, b"a client") == b"a client"
    daemon.wait_log("got datagram from")
    assert len(daemon.log.find("got datagram from")) == 1


@pytest.mark.root
@pytest.mark.programs("unshare", "nsenter", "ip")
def test_a_listener_of_ours_is_known_by_every_address_of_the_host(preforkd):
    daemon = preforkd("--handler", "echo", listen="udp://0.0.0.0:0", workers=1, wrap=INSIDE)
    port = address_of(daemon.endpoint)[1][1]
    inside(daemon, sys.executable, forged_datagram.__file__, f"192.0.2.9:{port}", f"127.0.0.1:{port}", "to myself")
    assert unserved(daemon, OWN)["total"] == 1
    # Nobody there, but that is another host's business.
    inside(daemon, sys.executable, forged_datagram.__file__, f"192.0.2.8:{port}", f"127.0.0.1:{port}", "to another")
    daemon.wait_log(f"got datagram from 192.0.2.8:{port}")


@pytest.mark.root
def test_port_0_is_not_answered(preforkd, model):
    daemon = preforkd("--handler", "echo", "--model", model, listen=LOCAL, workers=1)
    forged_datagram.send(("127.0.0.1", 0), address_of(daemon.endpoint)[1], b"answer me")
    assert unserved(daemon, "their source is port 0")["level"] == "notice"
    assert not daemon.log.find("got datagram from")


@pytest.mark.root
@pytest.mark.parametrize("handler", ["echo", "greet", "daytime", "chargen"])
def test_what_answers_anything_does_not_answer_its_like(preforkd, handler):
    daemon = preforkd("--handler", handler, listen=LOCAL, workers=1)
    with client_at(daemon, "127.0.77.1", 19) as chargen, client_at(daemon, "127.0.77.1") as somebody:
        chargen.send(b"abc")
        unserved(daemon, "their source is the port of a service that answers anything")
        assert len(somebody.ask(b"abc")) == 3
        assert chargen.hears_nothing()


@pytest.mark.root
def test_what_answers_nobody_listens_to_every_port(preforkd):
    daemon = preforkd("--handler", "print", listen=LOCAL)
    with client_at(daemon, "127.0.77.2", 19) as chargen:
        chargen.send(b"abc")
        daemon.wait_log(lambda line: line.get("text") == "abc")


# --- how often --------------------------------------------------------------------------------------------------------

def test_one_source_is_answered_as_often_as_the_listener_allows(preforkd, model):
    daemon = preforkd("--handler", "echo", "--model", model, listen=f"{LOCAL} replies-per-source=1/s", workers=1)
    with client_at(daemon, "127.0.0.1") as greedy, client_at(daemon, "127.0.0.2") as other:
        for number in range(40):
            greedy.send(b"%d" % number)
        assert [greedy.receive(), greedy.receive()] == [b"0", b"1"] or model in ("thread", "fork")
        assert other.ask(b"modest") == b"modest"
        unserved(daemon, TOO_MANY)
        daemon.stop()
        answered = 2
        while not greedy.hears_nothing():  # which takes one
            answered += 1
    refused = [line["total"] for line in daemon.log.find("were not served") if line["reason"] == TOO_MANY]
    assert answered + refused[-1] == 40 and refused[-1] > 0


@pytest.mark.parametrize("handler", ["greet", "echo", "daytime", "chargen"])
def test_what_answers_anything_has_a_limit_from_the_start(preforkd, handler):
    daemon = preforkd("--handler", handler, "--log-connections", "no", listen=LOCAL, workers=1)
    daemon.expect("the kernel has dropped")
    with Client(daemon.endpoint) as client:
        assert proc.eventually(lambda: [client.send(b"x") for _ in range(500)] and daemon.log.find(TOO_MANY))


@pytest.mark.parametrize("handler, limit", [("echo", " replies-per-source=off"), ("discard", "")])
def test_there_is_no_limit_where_none_is_wanted(preforkd, handler, limit):
    daemon = preforkd("--handler", handler, "--log-connections", "no", listen=LOCAL + limit, workers=1)
    daemon.expect("the kernel has dropped")
    with Client(daemon.endpoint) as client:
        for _ in range(30_000):
            client.send(b"x")
    daemon.stop()
    assert not daemon.log.find("were not served")


@pytest.mark.root
@pytest.mark.programs("unshare", "nsenter", "ip")
def test_two_servers_do_not_talk_for_ever(preforkd):
    inside_alone = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    one, two = (preforkd("--handler", "echo", "--log-connections", "no", listen="udp://0.0.0.0:0", wrap=inside_alone)
                for _ in range(2))
    subprocess.run(["ip", "link", "add", "veth0", "netns", str(one.pid), "type", "veth",
                    "peer", "name", "veth0", "netns", str(two.pid)], check=True, timeout=20)
    for daemon, host in ((one, "192.0.2.1"), (two, "192.0.2.2")):
        inside(daemon, "ip", "address", "add", f"{host}/24", "dev", "veth0")
        inside(daemon, "ip", "link", "set", "veth0", "up")
    ports = [address_of(daemon.endpoint)[1][1] for daemon in (one, two)]
    inside(two, sys.executable, forged_datagram.__file__, f"192.0.2.2:{ports[1]}", f"192.0.2.1:{ports[0]}", "tell it to him")

    def received():
        return udp_datagrams(one), udp_datagrams(two)

    def is_over():
        before = received()
        return (one.log.find(TOO_MANY) or two.log.find(TOO_MANY)) and before == received() and min(before) > 100
    assert proc.eventually(is_over), received()


def udp_datagrams(daemon):
    """How many the network namespace of `daemon` has received."""
    with open(f"/proc/{daemon.pid}/net/snmp", encoding="ascii") as counters:
        names, values = (line.split() for line in counters if line.startswith("Udp:"))
    return int(values[names.index("InDatagrams")])


# --- how much ---------------------------------------------------------------------------------------------------------

def test_a_reply_is_as_long_as_its_request_at_most(preforkd, model):
    daemon = preforkd("--model", model, listen=LOCAL, workers=1)
    with Client(daemon.endpoint) as client:
        assert [client.ask(b"x" * size) for size in (0, 3, 10, 11, 2000)] == [b"", b"con", b"connected\n"[:10]] + [b"connected\n"] * 2
    daemon.wait_log("amplify=yes")
    daemon.stop()
    assert [line["total"] for line in daemon.log.find("amplify=yes")][-1] == 2


def test_that_replies_are_cut_is_said_at_once_and_at_the_end(preforkd):
    daemon = preforkd("--handler", "daytime", listen=LOCAL, workers=1)
    with Client(daemon.endpoint) as client:
        assert client.ask(b"") == b""
        daemon.wait_log("amplify=yes")
        for _ in range(5):
            assert len(client.ask(b"12345")) == 5
        client.send(b"x" * 65_000)
        assert client.receive().endswith(b"\r\n")
    daemon.stop()
    assert [line["total"] for line in daemon.log.find("amplify=yes")] == [1, 6]


@pytest.mark.parametrize("handler, end", [("greet", b"\n"), ("daytime", b"\r\n")])
def test_amplify_sends_replies_whole(preforkd, handler, end):
    daemon = preforkd("--handler", handler, listen=f"{LOCAL} amplify=yes")
    assert ask(daemon.endpoint, b"").endswith(end)
    assert not daemon.log.find("amplify=yes sends")


def test_a_unix_sender_cannot_be_forged_and_has_the_whole_answer(preforkd, tmp_path):
    daemon = preforkd(listen=f"unixgram://{tmp_path}/s", workers=1)
    assert ask(daemon.endpoint, b"") == b"connected\n"


def test_both_keys_hold_from_a_reload_on(configured):
    service = configured(f"listen = {LOCAL} amplify=yes", "workers = 1")
    assert ask(service.daemon.endpoint, b"") == b"connected\n"
    before = service.daemon.workers()
    assert service.reload(f"listen = {LOCAL} replies-per-source=1/s", "workers = 1")["message"].startswith("reloaded")
    assert all(proc.wait_gone(pid, 10) for pid in before), "until then they answer, as they were told"
    with Client(service.daemon.endpoint) as client:
        for _ in range(40):
            client.send(b"abc")
        assert client.receive() == b"con"
    unserved(service.daemon, TOO_MANY)
    assert os.path.exists(f"/proc/{service.daemon.pid}")
