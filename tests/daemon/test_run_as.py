"""run-user=, nice=, env=, limit-nofile= and the others: as what the programs of an endpoint run."""
import grp
import os
import pwd
import signal

import pytest

import datagram_clients
import proc
from clients import connect, exchange, read_to_end
from configured import configured  # noqa: F401: a fixture
from copies import AT_ONCE, copies_of, script, server
from test_bad_input import CONFIGURATION, PERMISSION, USAGE, is_one_sentence
from test_privileges import groups_of, identity

ANY = "tcp://127.0.0.1:0"
TELL = ("program = /bin/sh -c 'id -u; id -g; id -G; nice; pwd; umask; ulimit -Sn; ulimit -Hn; ulimit -t; grep ^NoNew "
        "/proc/self/status'")
NOBODY = pwd.getpwnam("nobody")

NICE = str(os.nice(0))  # of the test, and so of the daemon

root = pytest.mark.root


def said(endpoint):
    with connect(endpoint) as client:
        return read_to_end(client).decode()


def environment(endpoint):
    return dict(line.split("=", 1) for line in said(endpoint).splitlines())


def told_of_root(daemon):
    return daemon.log.find(lambda entry: "workers run as root" in entry["message"])


@root
def test_programs_run_as_their_endpoint_says(configured, public):
    group = next(entry for entry in grp.getgrall() if entry.gr_gid not in (0, NOBODY.pw_gid))
    daemon = configured(
        f"[{ANY}]", TELL, "run-user = nobody", "nice = 7", f"chdir = {public}", "umask = 0027", "limit-nofile = 64:128",
        "limit-cpu = 50", f"[{ANY}]", TELL, "run-user = 12345", f"run-group = {group.gr_name}", "limit-nofile = 80",
        f"[{ANY}]", TELL).daemon
    nobody, number, as_before = [said(endpoint).split("\n") for endpoint in daemon.endpoints]
    assert sorted(map(int, nobody[2].split())) == groups_of(NOBODY)
    del nobody[2]
    assert nobody == [str(NOBODY.pw_uid), str(NOBODY.pw_gid), "7", str(public), "0027", "64", "128", "50", "NoNewPrivs:\t1", ""]
    assert (number[:3], number[6:9]) == (["12345", str(group.gr_gid), str(group.gr_gid)], ["80", "80", "unlimited"])
    assert as_before[:2] == ["0", "0"] and as_before[3:5] == [NICE, os.getcwd()]
    assert as_before[9] == "NoNewPrivs:\t0", "nothing is asked for, nothing is taken"
    assert {identity(worker)[0][0] for worker in daemon.workers()} == {"0"}
    assert not told_of_root(daemon), "they have to"


@root
def test_the_environment_is_the_user_s_with_what_the_endpoint_adds(configured):
    daemon = configured(f"[{ANY}]", "program = /usr/bin/env", "run-user = nobody", "env = A=1 2 = 3", "env = KEPT=no",
                        f"[{ANY}]", "program = /usr/bin/env", "env = B=% ", "env = EMPTY=",
                        env={"HOME": "/root", "SUDO_USER": "admin", "KEPT": "yes"}).daemon
    nobody, root_s = [environment(endpoint) for endpoint in daemon.endpoints]
    assert {name: nobody.get(name) for name in ("HOME", "USER", "LOGNAME", "SHELL", "A", "KEPT", "SUDO_USER", "PROTO")} == {
        "HOME": NOBODY.pw_dir, "USER": "nobody", "LOGNAME": "nobody", "SHELL": NOBODY.pw_shell, "A": "1 2 = 3", "KEPT": "no",
        "SUDO_USER": None, "PROTO": "TCP"}
    assert {name: root_s[name] for name in ("B", "EMPTY", "KEPT", "HOME")} == {
        "B": "%", "EMPTY": "", "KEPT": "yes", "HOME": "/root"}


@pytest.mark.parametrize("workers", [0, 2])
def test_no_right_is_needed_to_be_nicer_and_to_have_less(configured, workers):
    lines = [f"[{ANY}]", "program = /bin/sh -c 'nice; ulimit -Sn; ulimit -Hn; umask; echo $A'", "nice = 19",
             "limit-nofile = 50:60", "umask = 0077", "env = A=a b"]
    assert said(configured(*lines, workers=workers).daemon.endpoint) == "19\n50\n60\n0077\na b\n"


@root
@pytest.mark.parametrize("run, on", [((), "cat"), (AT_ONCE, "sleep 1000")])
def test_a_program_of_another_user_may_open_its_standard_error(preforkd, run, on):
    daemon = preforkd(*run, "--", "/bin/sh", "-c", f"echo I complain >/dev/stderr; exec {on}",
                      listen=f"{ANY} run-user=nobody")
    with connect(daemon.endpoint) as client:
        client.sendall(b"x")
        daemon.wait_log("I complain")


@root
def test_a_program_of_another_user_is_ended_with_its_worker(configured):
    daemon = configured("stop-timeout = 100ms", f"[{ANY}]", "program = /bin/sh -c 'echo $$; exec sleep 1000'",
                        "run-user = nobody").daemon
    with connect(daemon.endpoint) as client:
        program = int(client.recv(99))
        assert identity(program)[0] == [str(NOBODY.pw_uid)] * 4
        daemon.cut()
        assert daemon.stop() == 0
        assert not os.path.exists(f"/proc/{program}")


@root
def test_a_reload_changes_as_what_programs_run(configured, tmp_path):
    program, here = "program = /bin/sh -c 'id -un; nice'", f"unix://{tmp_path}/one"
    service = configured(f"[{here}]", program, "run-user = nobody", "nice = 3")
    assert said(here) == "nobody\n3\n"
    for keys, told in (["run-user = daemon"], f"daemon\n{NICE}\n"), ([], f"root\n{NICE}\n"), (["run-user = nobody", "nice = 4"], "nobody\n4\n"):
        assert service.reload(f"[{here}]", program, *keys)["message"].startswith("reloaded")
        assert proc.eventually(lambda: said(here) == told)
    service.daemon.expect("reload failed")
    refused = service.reload(f"[{here}]", program, "run-user = no-such-user")
    assert f"preforkd.conf:1: listen {here}: run-user=no-such-user: no such user" in refused["cause"]
    assert said(here) == "nobody\n4\n"


@root
def test_a_copy_runs_as_its_endpoints_say(preforkd, tmp_path, public):
    program = server(public, answer="__import__('json').dumps([os.getuid(), os.nice(0), os.environ['USER'], os.environ['A']])")
    keys = "run-user=nobody nice=6 env=A=1"
    daemon = preforkd(*AT_ONCE, "--", program, workers=2, listen=(f"{ANY} {keys}", f"unix://{tmp_path}/x {keys}"))
    assert exchange(daemon.endpoints[0]).strip() == f'[{NOBODY.pw_uid}, 6, "nobody", "1"]'.encode()
    copies = copies_of(daemon)
    assert {identity(copy)[0][0] for copy in copies} == {str(NOBODY.pw_uid)}
    os.kill(daemon.workers()[0], signal.SIGKILL)
    daemon.expect("killed by SIGKILL")
    assert proc.wait_gone(copies[0], 5.0), "it does not outlive its worker"
    assert proc.eventually(lambda: len(copies_of(daemon)) == 2)
    assert daemon.stop() == 0


@root
def test_a_program_that_gets_the_socket_itself_runs_so_too(preforkd, public):
    program = script(public, "import os, socket\nservice = socket.socket(fileno=0)\nwhile True:\n    data, peer = service.recvfrom(99)\n"
                             "    service.sendto(f'{os.getuid()} {os.nice(0)}'.encode(), peer)\n")
    daemon = preforkd("--", program, listen="udp://127.0.0.1:0 inetd=wait run-user=nobody nice=2")
    assert datagram_clients.ask(daemon.endpoint, b"who") == f"{NOBODY.pw_uid} 2".encode()
    assert daemon.stop() == 0


def test_what_cannot_be_done_for_a_client_is_told_once_for_each(preforkd, tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    daemon = preforkd("--", "/bin/cat", listen=f"{ANY} chdir={place}")
    assert exchange(daemon.endpoint, b"abc") == b"abc"
    place.rmdir()
    daemon.expect("No such file")
    assert exchange(daemon.endpoint) == b""
    daemon.wait_log(f"start /bin/cat: chdir={place}: No such file or directory")
    place.mkdir()
    assert exchange(daemon.endpoint, b"abc") == b"abc"


@pytest.mark.parametrize("keys, words", [
    ("run-user=no-such-user", "run-user=no-such-user: no such user; see getent passwd"),
    ("run-user=nobody:nogroup", "no such user; a group is named with run-group="),
    ("run-group=no-such-group", "run-group=no-such-group: no such group"),
    ("nice=20", 'nice: expected a number from -20 to 19, not "20"'),
    ("nice=", 'nice: expected a number from -20 to 19, not ""'),
    ("env=A", 'env: expected NAME=VALUE, not "A"'),
    ("env=9A=1", 'env: expected NAME=VALUE, not "9A=1"'),
    ("env=A=1 env=A=2", 'env: expected one value for A, not "A=2"'),
    ("env=A=%00", "env: expected NAME=VALUE"),
    ("env=REMOTE_ADDR=1", "env: REMOTE_ADDR is what preforkd tells programs, or is told itself; choose another name"),
    ("chdir=here", 'chdir: expected an absolute path, not "here"'),
    ("chdir=/no/such", "chdir=/no/such: No such file or directory"),
    ("limit-nofile=5:4", "limit-nofile: expected SOFT or SOFT:HARD, numbers, or infinity, and SOFT no higher than HARD"),
    ("limit-as=1m", "limit-as: expected SOFT or SOFT:HARD, sizes such as 64M, or infinity"),
    ("limit-cpu=infinity:5", "limit-cpu: expected SOFT or SOFT:HARD"),
    ("limit-rss=5", 'unknown key "limit-rss"'),
    ("handler=echo nice=5", 'nice= is for programs, and the handler "echo" runs in a worker'),
])
def test_what_cannot_be_is_refused(run_preforkd, keys, words):
    told = run_preforkd("--listen", f"{ANY} {keys}", "--check-config", "--", "/bin/cat")
    assert words in told.stderr, told.stderr
    assert told.returncode in (USAGE, CONFIGURATION) and len(told.stderr.splitlines()) == 1


@root
@pytest.mark.parametrize("options, keys, words", [
    (["--user", "daemon"], "run-user=nobody", ["workers of --user daemon cannot start programs as somebody else"]),
    (["--run", "pool"], "run-user=nobody", ["each copy of --run pool has all endpoints", "nice="]),
])
def test_what_is_said_elsewhere_may_forbid_it(run_preforkd, options, keys, words):
    told = run_preforkd("--listen", f"{ANY} {keys}", "--listen", "tcp://127.0.0.2:0", *options, "--", "/bin/cat")
    is_one_sentence(told, USAGE, words)


@root
def test_a_directory_that_the_user_may_not_enter_is_refused(run_preforkd, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o700)
    told = run_preforkd("--listen", f"{ANY} chdir={tmp_path}/closed run-user=nobody", "--", "/bin/cat")
    is_one_sentence(told, CONFIGURATION, [f"--listen {ANY}: chdir={tmp_path}/closed: Permission denied"])


@root
@pytest.mark.programs("setpriv")
@pytest.mark.parametrize("keys, taken, named", [
    ("run-user=nobody", "-setuid,-kill", "run-user=, run-group=: this root has no CAP_SETUID, CAP_KILL: grant it (systemd: services"),
    ("nice=-5", "-sys_nice", "nice=-5: Operation not permitted; it takes root with CAP_SYS_NICE"),
    ("limit-core=infinity", "-sys_resource", "limit-core=infinity:infinity: Operation not permitted; it takes root with CAP_SYS_RESOURCE"),
])
def test_a_missing_right_is_told_with_what_grants_it(run_preforkd, keys, taken, named):
    told = run_preforkd("--listen", f"{ANY} {keys}", "--", "/bin/cat",
                        wrap=["prlimit", "--core=0:0", "setpriv", "--bounding-set", taken, "--inh-caps", taken])
    is_one_sentence(told, PERMISSION, [f"--listen {ANY}: {named}", "services-as-users.conf"])


@root
@pytest.mark.programs("setpriv")
@pytest.mark.parametrize("keys, named", [
    ("run-user=daemon", "only root can change user"),
    ("nice=-1", "nice=-1: Operation not permitted; it takes root with CAP_SYS_NICE, and no --user"),
])
def test_who_is_not_root_is_told_so(run_preforkd, keys, named):
    told = run_preforkd("--listen", f"{ANY} {keys}", "--", "/bin/cat",
                        wrap=["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"])
    is_one_sentence(told, PERMISSION, [named, "services-as-users.conf"])


def test_what_is_printed_is_read_back(run_preforkd, tmp_path):
    file = tmp_path / "preforkd.conf"
    file.write_text(f"[{ANY}]\nprogram = cat\nnice = -3\nenv = A=a b%\nenv = B=\nchdir = /a b\numask = 7\nrun-user = nobody\n"
                    "limit-as = 512M:infinity\nlimit-nofile = 64\nlimit-stack = 8192K:16M\n")
    first = run_preforkd("--config", str(file), "--print-config")
    assert (f"listen = {ANY} program=cat run-user=nobody nice=-3 env=A=a%20b%25 env=B= chdir=/a%20b umask=0007 "
            "limit-as=512M:infinity limit-nofile=64 limit-stack=8M:16M  #") in first.stdout, first.stdout + first.stderr
    file.write_text(first.stdout)
    second = run_preforkd("--config", str(file), "--print-config")

    def settings(told):
        return [line.rpartition("  # ")[0] for line in told.stdout.splitlines()]
    assert settings(second) == settings(first)
