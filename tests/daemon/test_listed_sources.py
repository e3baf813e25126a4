"""preforkctl sources, and what status tells of clients that were refused."""
import json
import os
import signal

import proc
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
