"""A server that ended or complained while it was measured fails its case, and leaves nobody behind."""
import os
import pwd
import signal
import time

import pytest

import procfs
import turns
from fakes import wait_until_gone
from peers import Raw, Xinetd
from servers import Preforkd, Server
from tls_servers import PROXIES, make_pair


class Shell(Server):
    """A master whose two workers do not notice when it dies."""
    label = "shell"

    def argv(self):
        return ["sh", "-c", "sleep 60 & sleep 60 & echo tcp://127.0.0.1:1; wait"]


def kill_and_wait(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def wait_for_log(server, text):
    deadline = time.monotonic() + 20
    while text not in server.log_text():
        assert time.monotonic() < deadline, server.log_text()
        time.sleep(0.005)


def test_a_master_that_was_killed_is_noticed_and_its_workers_go():
    with pytest.raises(RuntimeError, match="shell ended in the middle: killed by SIGKILL"):
        with Shell() as server:
            while len(workers := server.worker_pids()) < 2:
                continue
            kill_and_wait(server.pid)
    wait_until_gone(workers)


def test_a_server_that_ended_gets_no_turn():
    with pytest.raises(RuntimeError, match="raw C ended in the middle"):
        with Raw() as server:
            kill_and_wait(server.pid)
            turns.greet_load(server, 1)


def test_a_turn_without_cpu_is_no_turn():
    with pytest.raises(RuntimeError, match="raw C used no CPU"):
        turns.spent(Raw(), before=1.5, now=1.5)


@pytest.mark.parametrize("provoked", [None, "killed by SIGKILL"])
def test_a_worker_that_died_in_the_middle_fails_the_case_unless_the_case_killed_it(provoked):
    failure = None
    try:
        with Preforkd(2, provoked=provoked) as server:
            os.kill(server.worker_pids()[0], signal.SIGKILL)
            wait_for_log(server, "killed by SIGKILL")
    except RuntimeError as error:
        failure = str(error)
    if provoked:
        assert failure is None
    else:
        assert failure.startswith("preforkd async, linger complained: {") and "killed by SIGKILL" in failure


@pytest.mark.skipif(not Xinetd.found(), reason="no xinetd")
def test_xinetd_serves_as_who_runs_it():
    with Xinetd() as server:
        turns.greet_load(server, 1)
        with open(f"{server.directory.name}/xinetd.conf") as config:
            assert f"user = {pwd.getpwuid(os.geteuid()).pw_name}\n" in config.read()


@pytest.mark.skipif(not Xinetd.found(), reason="no xinetd")
def test_why_xinetd_does_not_start_is_in_its_log_text():
    class Broken(Xinetd):
        def write(self, name, text):
            return super().write(name, text.replace("socket_type = stream", "socket_type = nonsense"))

        def complete(self):
            return "nonsense" in self.log_text()

    with Broken():
        pass


@pytest.mark.parametrize("proxy", PROXIES, ids=lambda proxy: proxy.label)
def test_a_proxy_answers_for_a_server_that_does_not_count(proxy, tmp_path):
    if not proxy.found():
        pytest.skip(f"no {proxy.label}")
    with pytest.raises(RuntimeError, match="raw C ended in the middle: killed by SIGKILL"):
        with proxy(1).with_pair(make_pair(tmp_path, "EC"), resume=False) as server:
            turns.greet_load(server, 2)
            assert server.behind.pid not in procfs.tree(server.pid)
            kill_and_wait(server.behind.pid)
    wait_until_gone([server.pid, server.behind.pid])
