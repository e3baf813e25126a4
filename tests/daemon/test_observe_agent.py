"""--agent: what a balancer is told by the agent-check of HAProxy."""
import contextlib
import signal

import proc
from clients import connect, exchange, read_exactly
from observing import ask_agent, get, observed_at


def test_the_agent_tells_how_much_is_free(preforkd):
    daemon = preforkd("--agent", "tcp://127.0.0.1:0", "--handler", "echo", "--connections", "4", workers=1)
    agent = observed_at(daemon, "answering agent-checks at")
    assert ask_agent(agent) == "ready up 100%\n"
    with contextlib.ExitStack() as clients:
        for free in (75, 50, 25):
            client = clients.enter_context(connect(daemon.endpoint))
            client.sendall(b"x")
            assert read_exactly(client, 1) == b"x"
            assert proc.eventually(lambda: ask_agent(agent) == f"ready up {free}%\n"), ask_agent(agent)
        daemon.signal(signal.SIGTERM)
        assert proc.eventually(lambda: ask_agent(agent) == "drain up #draining\n"), ask_agent(agent)
    assert daemon.wait_exit() == 0


def test_who_looks_has_no_line_in_the_log(preforkd):
    """A balancer asks every second, of each of its processes."""
    daemon = preforkd("--agent", "tcp://127.0.0.1:0", "--observe", "tcp://127.0.0.1:0", "--handler", "echo", "--log-connections", "both",
                      "--log-level", "debug")
    agent, observed = observed_at(daemon, "answering agent-checks at"), observed_at(daemon)
    daemon.wait_log("ready with")  # it has said so where it is asked for its endpoints a moment before
    mark = daemon.log.mark()
    assert ask_agent(agent) == "ready up 100%\n"
    assert get(observed, "/healthz").status == get(observed, "/metrics").status == 200
    exchange(daemon.endpoint, b"x")
    daemon.wait_log("got connection", after=mark)
    assert len(daemon.log.find("got connection", after=mark)) == 1, "a client's"
    assert [line["worker"] for line in daemon.log.find(lambda line: line["worker"] == 0, after=mark)] == []


def test_the_agent_of_a_hung_master_says_down(preforkd):
    daemon = preforkd("--agent", "tcp://127.0.0.1:0")
    agent = observed_at(daemon, "answering agent-checks at")
    daemon.signal(signal.SIGSTOP)
    try:
        assert proc.eventually(lambda: ask_agent(agent) == "down #master does not answer\n"), ask_agent(agent)
    finally:
        daemon.signal(signal.SIGCONT)
    assert proc.eventually(lambda: ask_agent(agent).startswith("ready up")), ask_agent(agent)
