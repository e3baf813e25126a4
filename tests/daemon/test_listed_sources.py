"""preforkctl sources, and what status tells of clients that were refused."""
import json
import os
import signal

import proc
from configured import configured  # noqa: F401
from control import ask, controlled, ctl, status  # noqa: F401
from limited_clients import GREEDY, KINDS, POLITE, hold, start


def sources(daemon):
    answer = ask(daemon.control, "sources")
    assert answer["ok"], answer
    return answer["sources"]


def test_status_tells_how_many_were_refused_by_each_reason(controlled, ctl):
    daemon = start(controlled, "async", "deny=127.0.0.3 per-source=1 rate=2/s", workers=2)
    held = hold(daemon.endpoint, GREEDY)
    refused = [hold(daemon.endpoint, source) for source in [GREEDY] * 3 + ["127.0.0.3"] * 2]
    assert held and not any(refused)
    assert status(daemon.control)["listeners"][0]["refused"] == {"denied": 2, "per_source": 3, "rate": 0}
    assert "2 denied, 3 by per-source" in ctl("status").stdout
    for _ in range(2):  # two came, and one after them in the same moment is too many
        hold(daemon.endpoint, POLITE).close()
        assert proc.eventually(lambda: status(daemon.control)["connections"] == 1)
    if not hold(daemon.endpoint, POLITE):
        assert status(daemon.control)["listeners"][0]["refused"]["rate"] == 1
    held.close()


def test_a_listener_that_refuses_nobody_says_nothing_of_it(controlled, ctl):
    daemon = controlled(listen="tcp://127.0.0.1:0 max=9")
    assert "REFUSED" in ctl("status").stdout
    assert ctl("sources").stdout == "no listener limits its sources\n"
    assert status(daemon.control)["listeners"][0]["refused"] == {"denied": 0, "per_source": 0, "rate": 0}


def test_status_tells_what_is_allowed_and_how_much_of_it_is_taken(controlled, ctl):
    daemon = controlled("--handler", "echo", "--listen", "tcp://127.0.0.1:0", "--listen", "udp://127.0.0.1:0",
                        listen="tcp://127.0.0.1:0 max=3 per-source=2 rate=9/s", workers=2)

    def limits():
        return [listener["limits"] for listener in status(daemon.control)["listeners"]]
    datagrams = {"max": None, "clients": None, "per_source": None, "rate": 1000}
    assert limits() == [{"max": 3, "clients": 0, "per_source": 2, "rate": 9}, None, datagrams]
    held = [hold(daemon.endpoint, source) for source in (GREEDY, GREEDY, POLITE)]
    assert all(held) and limits()[0]["clients"] == 3
    assert "3 of 3, 2 a source, 9/s a source" in ctl("status").stdout
    held.pop().close()
    assert proc.eventually(lambda: limits()[0]["clients"] == 2)


def test_what_was_refused_is_told_over_changes_of_limits_and_an_upgrade(configured, tmp_path):
    control = f"unix://{tmp_path}/control.sock"
    lines = ["handler = echo", "workers = 2", f"control = {control}"]
    service = configured(*lines, "listen = tcp://127.0.0.1:0 deny=127.0.0.2")

    def refused():
        return status(control)["listeners"][0]["refused"]

    def reload(keys):
        before = service.daemon.workers()
        assert service.reload(*lines, f"listen = tcp://127.0.0.1:0 {keys}")["message"].startswith("reloaded")
        assert all(proc.wait_gone(pid, 10) for pid in before)
    assert not any(hold(service.daemon.endpoint, GREEDY) for _ in range(3))
    assert refused() == {"denied": 3, "per_source": 0, "rate": 0}
    reload("")
    assert refused()["denied"] == 3
    hold(service.daemon.endpoint, GREEDY).close()
    service.daemon.signal(signal.SIGUSR2)
    service.daemon.wait_log("upgraded: version")
    assert refused()["denied"] == 3
    reload("deny=127.0.0.2 max=7")
    assert not hold(service.daemon.endpoint, GREEDY) and refused()["denied"] == 4
    service.daemon.signal(signal.SIGUSR2)
    service.daemon.wait_log("upgraded: version", count=2)
    assert refused()["denied"] == 4


def test_without_limits_there_is_no_table(controlled, ctl):
    daemon = controlled()
    assert status(daemon.control)["listeners"][0]["refused"] is None and "REFUSED" not in ctl("status").stdout
    assert sources(daemon) == []
    assert not [pid for pid in (daemon.pid, *daemon.workers()) if "preforkd-sources" in open(f"/proc/{pid}/maps").read()]


def test_the_20_sources_with_the_most_clients_are_told(controlled, ctl):
    daemon = controlled("--handler", "echo", "--listen", "tcp://127.0.0.1:0", listen="tcp://127.0.0.1:0 per-source=3", workers=3)
    held = [hold(daemon.endpoint, f"127.0.1.{number}") for number in range(1, 31)]
    held += [hold(daemon.endpoint, GREEDY) for _ in range(3)] + [hold(daemon.endpoint, POLITE) for _ in range(2)]
    assert all(held) and not hold(daemon.endpoint, GREEDY)
    (listener,) = sources(daemon)
    assert listener["endpoint"] == daemon.endpoint and len(listener["sources"]) == 20
    assert listener["sources"][:2] == [{"source": GREEDY, "connections": 3, "refused": 1},
                                       {"source": POLITE, "connections": 2, "refused": 0}]
    assert json.loads(ctl("sources", "--json").stdout) == [listener]
    told = [line.split() for line in ctl("sources").stdout.splitlines()]
    assert told[0] == ["LISTENER", "SOURCE", "NOW", "REFUSED"] and told[1] == [daemon.endpoint, GREEDY, "3", "1"]
    for client in held:
        client.close()
    (last,) = proc.eventually(lambda: len(sources(daemon)[0]["sources"]) == 1 and sources(daemon)[0]["sources"])
    assert last == {"source": GREEDY, "connections": 0, "refused": 1}


def test_no_count_is_left_of_workers_that_were_killed(controlled):
    for kind in KINDS:
        daemon = start(controlled, kind, "per-source=9 max=9", workers=2)
        daemon.expect("killed by SIGKILL")
        held = hold(daemon.endpoint, GREEDY)
        assert [each["connections"] for each in sources(daemon)[0]["sources"]] == [1]
        os.kill(daemon.wait_log("got connection from")["pid"], signal.SIGKILL)
        assert proc.eventually(lambda: sources(daemon)[0]["sources"] == [])  # noqa: B023
        held.close()
        daemon.stop()  # the next one takes its control socket
