"""per-source=, rate=, max= and refuse-with=: how many clients a listener takes, over all workers."""
import os
import signal
import socket
import time

import pytest

import proc
from clients import address_of, echo, read_exactly
from configured import configured  # noqa: F401
from limited_clients import GREEDY, KINDS, POLITE, dial, hears, hold, hold_once_there_is_place, start
from proxy_sender import LINE

REFUSED = "refused 127.0.0.2:"


# --- per-source ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", KINDS)
def test_a_source_has_as_many_clients_at_once_as_per_source_allows(preforkd, kind):
    daemon = start(preforkd, kind, "per-source=2", workers=4)
    held = [hold(daemon.endpoint, GREEDY) for _ in range(2)]
    assert all(held)
    assert not hold(daemon.endpoint, GREEDY), "over all workers, whichever accepts"
    line = daemon.wait_log(REFUSED)
    assert line["total"] == 1 and "per-source=" in line["cause"]
    polite = hold(daemon.endpoint, POLITE)
    echo(polite)
    held.pop().close()
    held.append(hold_once_there_is_place(daemon.endpoint, GREEDY))
    assert not hold(daemon.endpoint, GREEDY)
    for client in (*held, polite):
        echo(client)
        client.close()


def worker_of(daemon, client):
    """Who has accepted it."""
    return daemon.wait_log(f"got connection from {':'.join(map(str, client.getsockname()))}")["pid"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_worker_gives_back_what_it_held_and_no_more(preforkd, kind):
    daemon = start(preforkd, kind, "per-source=3", workers=4)
    daemon.expect("killed by SIGKILL")
    held = [hold(daemon.endpoint, GREEDY) for _ in range(3)]
    victim = worker_of(daemon, held[0])
    lost = [client for client in held if worker_of(daemon, client) == victim]
    assert not hold(daemon.endpoint, GREEDY)
    os.kill(victim, signal.SIGKILL)
    daemon.wait_log("killed by SIGKILL")
    held += [hold_once_there_is_place(daemon.endpoint, GREEDY) for _ in lost]
    assert not hold(daemon.endpoint, GREEDY)
    for client in held:
        client.close()


def seconds_until_served(daemon):
    """How long a polite client waits for the first byte, and whether it comes."""
    begun = time.monotonic()
    polite = hold(daemon.endpoint, POLITE)
    waited = time.monotonic() - begun
    if polite:
        polite.close()
    return waited, bool(polite)


def test_5000_clients_of_a_greedy_source_keep_no_other_source_waiting(preforkd):
    """He waits for nothing but those who were queued before him, each of which costs the daemon a refusal: of 100, some
    milliseconds at most.  The shortest of many waits is the daemon's doing, and no other's on the machine."""
    daemon = preforkd("--handler", "echo", "--connections", "5500", listen="tcp://127.0.0.1:0 per-source=10 backlog=6000", workers=2)
    daemon.expect("is cut to", "more than", "open files")
    idle = min(seconds_until_served(daemon)[0] for _ in range(20))
    held = [hold(daemon.endpoint, GREEDY) for _ in range(10)]
    assert all(held)
    waits = []
    for turn in range(50):
        crowd = []
        for _ in range(100):  # 5000 in all
            client = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            client.bind((GREEDY, 0))
            client.connect_ex(address_of(daemon.endpoint)[1])
            crowd.append(client)
        waited, served = seconds_until_served(daemon)
        assert served, f"refused in turn {turn}"
        waits.append(waited)
        for client in crowd:
            client.close()
    assert min(waits) < idle + 0.01, (idle, sorted(waits))
    for client in held:
        echo(client)
        client.close()
    daemon.wait_log(lambda line: REFUSED in line["message"] and line["total"] > 1000)


# --- rate ---------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", KINDS)
def test_a_source_comes_as_often_as_rate_allows(preforkd, kind):
    daemon = start(preforkd, kind, "rate=3/s", workers=3)
    outcomes = []
    for _ in range(20):
        client = hold(daemon.endpoint, GREEDY)
        outcomes.append(client is not None)
        if client:
            client.close()
        else:
            break
    assert outcomes[:3] == [True] * 3 and outcomes[-1] is False, "3 at once, and then one for each third of a second"
    assert "rate=" in daemon.wait_log(REFUSED)["cause"]
    assert hold(daemon.endpoint, POLITE)
    assert hold_once_there_is_place(daemon.endpoint, GREEDY), "a third of a second later"


# --- max ----------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", KINDS)
def test_more_than_max_wait_in_the_queue_until_one_has_gone(preforkd, kind):
    daemon = start(preforkd, kind, "max=2", workers=4)
    held = [hold(daemon.endpoint) for _ in range(2)]
    waiting = [dial(daemon.endpoint) for _ in range(3)]
    for client in waiting:
        client.sendall(b"x")
    for client in held:
        echo(client)  # and nobody beside them
    assert len(daemon.log.find("got connection from")) == 2
    while waiting:
        held.pop(0).close()
        held.append(waiting.pop(0))
        assert read_exactly(held[-1], 1) == b"x"
        assert len(daemon.log.find("got connection from")) == 5 - len(waiting)
    for client in held:
        client.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_that_is_killed_at_max_makes_place_for_those_who_wait(preforkd, kind):
    daemon = start(preforkd, kind, "max=1", workers=3)
    daemon.expect("killed by SIGKILL", "workers exit early")
    held = hold(daemon.endpoint)
    for _ in range(4):
        waiting = dial(daemon.endpoint)
        waiting.sendall(b"x")
        echo(held)
        os.kill(worker_of(daemon, held), signal.SIGKILL)
        assert read_exactly(waiting, 1) == b"x"
        held.close()
        held = waiting
    held.close()


def test_at_the_stop_those_who_wait_at_max_are_served_first(preforkd):
    daemon = start(preforkd, "async", "max=2", workers=3)
    held = [hold(daemon.endpoint) for _ in range(2)]
    waiting = [dial(daemon.endpoint) for _ in range(4)]
    for client in waiting:
        client.sendall(b"x")
    daemon.signal(signal.SIGTERM)
    daemon.wait_log("stopping")
    for client in held:
        echo(client)
    for client in held:
        client.close()
    for client in waiting:
        assert read_exactly(client, 1) == b"x"
        client.close()
    assert daemon.wait_exit() == 0


def test_a_listener_at_max_keeps_no_other_listener_waiting(preforkd):
    daemon = preforkd("--handler", "echo", "--listen", "tcp://127.0.0.1:0", listen="tcp://127.0.0.1:0 max=1", workers=1)
    held = hold(daemon.endpoints[0])
    waiting = dial(daemon.endpoints[0])
    waiting.sendall(b"x")
    beside = hold(daemon.endpoints[1])
    echo(beside)
    held.close()
    assert read_exactly(waiting, 1) == b"x"
    for client in (waiting, beside):
        client.close()


# --- refuse-with --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("keys", ["deny=127.0.0.2", "per-source=1", "rate=1/s"])
def test_who_is_refused_is_told_what_refuse_with_says(preforkd, keys):
    daemon = start(preforkd, "async", f"{keys} refuse-with=421%20come%20back%20later%0D%0A")
    held = hold(daemon.endpoint, GREEDY) if "deny" not in keys else None
    assert hears(daemon.endpoint, GREEDY) == b"421 come back later\r\n"
    daemon.wait_log(REFUSED)
    if held:
        held.close()


def test_what_refuse_with_says_is_a_line(preforkd):
    daemon = start(preforkd, "async", "deny=127.0.0.2 refuse-with=no")
    assert hears(daemon.endpoint, GREEDY) == b"no\n"


def test_a_client_that_has_spoken_already_is_told_as_well(preforkd):
    daemon = start(preforkd, "async", "deny=127.0.0.2 refuse-with=no")
    with dial(daemon.endpoint, GREEDY) as client:
        client.sendall(b"hello" * 1000)
        assert read_exactly(client, 3) == b"no\n"


# --- who a source is ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", KINDS)
def test_the_source_is_whom_a_balancer_announces(preforkd, kind):
    daemon = start(preforkd, kind, "proxy=127.0.0.1 per-source=1 deny=192.0.2.77", workers=3)
    other = LINE.replace(b"192.0.2.1 ", b"192.0.2.2 ")
    held = [hold(daemon.endpoint, first=LINE), hold(daemon.endpoint, first=other)]
    assert all(held)
    assert not hold(daemon.endpoint, first=LINE) and not hold(daemon.endpoint, first=other)
    assert not hold(daemon.endpoint, first=LINE.replace(b"192.0.2.1 ", b"192.0.2.77 "))
    assert {line["cause"].split()[0] for line in daemon.log.find("refused 192.0.2.")} == {"its", "allow="}
    for client in held:
        client.close()


@pytest.mark.ipv6
def test_a_source_is_a_prefix(preforkd):
    daemon = start(preforkd, "async", "per-source=1 source-prefix=8:64 proxy=::1", where="tcp://[::1]:0")
    with_source = lambda family, host: f"PROXY {family} {host} {host} 1 1\r\n".encode()  # noqa: E731
    for family, first, same, another in [("TCP6", "2001:db8::1", "2001:db8::ffff", "2001:db8:0:1::1"),
                                         ("TCP4", "10.0.0.1", "10.255.0.1", "11.0.0.1")]:
        held = hold(daemon.endpoint, first=with_source(family, first))
        assert held and not hold(daemon.endpoint, first=with_source(family, same))
        assert hold(daemon.endpoint, first=with_source(family, another))
        held.close()


def test_the_clients_of_a_user_are_one_source(preforkd, tmp_path):
    daemon = start(preforkd, "async", "per-source=1", where=f"unix://{tmp_path}/s")
    held = hold(daemon.endpoint)
    assert held and not hold(daemon.endpoint)
    held.close()
    assert hold_once_there_is_place(daemon.endpoint)


def test_without_a_master_the_limits_are_the_same(preforkd):
    for kind in KINDS:
        daemon = start(preforkd, kind, "per-source=1", workers=0)
        if kind != "serial":
            held = hold(daemon.endpoint, GREEDY)
            assert held and not hold(daemon.endpoint, GREEDY)
            held.close()
        assert hold_once_there_is_place(daemon.endpoint, GREEDY)


# --- a reload, an upgrade -----------------------------------------------------------------------------------------------

def test_a_reload_keeps_the_counts_and_takes_new_limits(configured):
    lines = ["handler = echo", "workers = 2"]
    service = configured(*lines, "listen = tcp://127.0.0.1:0 per-source=2 max=3")
    daemon = service.daemon
    held = [hold(daemon.endpoint, GREEDY) for _ in range(2)]
    assert service.reload(*lines, "listen = tcp://127.0.0.1:0 per-source=2 max=4")["message"].startswith("reloaded")
    assert not hold(daemon.endpoint, GREEDY), "those of the workers of before count"
    assert service.reload(*lines, "listen = tcp://127.0.0.1:0 per-source=3 max=4")["message"].startswith("reloaded")
    held.append(hold_once_there_is_place(daemon.endpoint, GREEDY))
    assert not hold(daemon.endpoint, GREEDY)
    held.pop(0).close()
    held.append(hold_once_there_is_place(daemon.endpoint, GREEDY))
    assert service.reload(*lines, "listen = tcp://127.0.0.1:0")["message"].startswith("reloaded")
    held += [hold_once_there_is_place(daemon.endpoint, GREEDY) for _ in range(3)]  # those of before may refuse one more
    for client in held:
        client.close()


def test_an_upgrade_keeps_the_counts(preforkd):
    daemon = start(preforkd, "async", "per-source=2")
    held = [hold(daemon.endpoint, GREEDY) for _ in range(2)]
    daemon.signal(signal.SIGUSR2)
    daemon.wait_log("upgraded: version")
    assert not hold(daemon.endpoint, GREEDY)
    held.pop().close()
    held.append(hold_once_there_is_place(daemon.endpoint, GREEDY))
    assert not hold(daemon.endpoint, GREEDY)
    for client in held:
        client.close()


# --- what is written wrong ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("keys, words", [
    ("per-source=0", "per-source: expected a number from 1 to 65534"), ("max=no", "max: expected a number from 1 to 1000000"),
    ("rate=5", "rate: expected a number a second from 1/s"), ("source-prefix=33:64 rate=1/s", "source-prefix: expected the bits of IPv4"),
    ("source-prefix=24", "source-prefix: expected the bits"), ("source-prefix=24:56", "source-prefix= needs per-source= or rate=, or over udp"),
    ("refuse-with=no", "refuse-with= needs allow=, deny=, per-source= or rate="),
    ("deny=127.0.0.2 refuse-with=50%", "refuse-with: expected a text, with %20 for a blank"),
])
def test_what_is_written_wrong_is_refused_with_the_remedy(run_preforkd, tmp_path, keys, words):
    told = run_preforkd("--check-config", "-l", f"tcp://:0 {keys}")
    assert told.returncode == 64 and words in told.stderr, told.stderr
    (tmp_path / "conf").write_text(f"listen = tcp://:0 {keys}\n")
    told = run_preforkd("--check-config", "--config", str(tmp_path / "conf"))
    assert told.returncode == 78 and words in told.stderr, told.stderr
