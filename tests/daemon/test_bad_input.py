"""Each mistake gives one line on stderr that names the option and the remedy, an exit code of sysexits.h, and binds
nothing: every case also asks for a good Unix socket, which must not be there afterwards."""
import json
import os
import pty
import re
import socket
import stat
import subprocess
import threading

import pytest

import daemon_process
from activation import Passing, listening
from clients import exchange

USAGE, UNAVAILABLE, SYSTEM, PERMISSION, CONFIGURATION = 64, 69, 71, 77, 78
LONG_LABEL = "x" * 64  # no resolver has to ask anybody to know that there is no such host


def is_one_sentence(told, code, words):
    """In the format of the log: JSON, since standard error is a pipe here, and text of a tool such as --check-config.
    Of a wait for a port that may yet become free it may speak too, once."""
    lines = [line for line in told.stderr.splitlines() if "retrying" not in line]
    assert len(lines) == 1, f"not one line:\n{told.stderr}"
    if "--check-config" in told.args:
        text = lines[0]
    else:
        entry = json.loads(lines[0])
        text = entry["message"]
        assert entry["level"] == "error"
    assert len(told.stderr.splitlines()) - 1 == ("in use" in text), "tried again, and said so, for that alone"
    assert not re.search(r"terminate called|what\(\)|std::|0x[0-9a-f]{6}|boost", text), text
    assert told.returncode == code, (told.returncode, text)
    for word in words:
        assert word in text, f"{word!r} is not in: {text}"
    assert told.stdout == ""


COMMAND_LINE = {
    "port too high": (["-l", "tcp://127.0.0.1:65536"], ["--listen", "65536", "65535"]),
    "port that is no number": (["-l", "tcp://127.0.0.1:http"], ["--listen", "http"]),
    "negative port": (["-l", "tcp://127.0.0.1:-1"], ["--listen", "-1"]),
    "no port": (["-l", "tcp://127.0.0.1"], ["--listen", "port"]),
    "unknown scheme": (["-l", "http://127.0.0.1:80"], ["--listen", "http", "tcp"]),
    "no endpoint": (["-l", ""], ["--listen"]),
    "unclosed bracket": (["-l", "tcp://[::1:80"], ["--listen", "]"]),
    "empty unix path": (["-l", "unix://"], ["--listen", "unix"]),
    "unix path too long": (["-l", "unix:///" + "p" * 120], ["--listen", "107"]),
    "unknown key": (["-l", "tcp://127.0.0.1:0 colour=red"], ["--listen", "colour", "backlog"]),
    "key without value": (["-l", "tcp://127.0.0.1:0 backlog"], ["--listen", "backlog"]),
    "bad backlog key": (["-l", "tcp://127.0.0.1:0 backlog=many"], ["backlog", "many"]),
    "bad mode": (["-l", "unix:///tmp/x mode=0999"], ["mode", "0999"]),
    "mode of a tcp endpoint": (["-l", "tcp://127.0.0.1:0 mode=0600"], ["mode", "unix"]),
    "bad boolean": (["-l", "tcp://127.0.0.1:0 nodelay=perhaps"], ["nodelay", "perhaps"]),
    "unknown handler of a listener": (["-l", "tcp://127.0.0.1:0 handler=nope"], ["nope", "echo"]),
    "unknown option": (["--lissen", "tcp://127.0.0.1:0"], ["--lissen", "--listen"]),
    "option without value": (["--handler"], ["--handler"]),
    "stray argument": (["tcp://127.0.0.1:0"], ["tcp://127.0.0.1:0"]),
    "unknown handler": (["--handler", "nope"], ["--handler", "nope", "echo"]),
    "unknown model": (["--model", "quick"], ["--model", "quick", "async"]),
    "workers that are no number": (["-w", "many"], ["--workers", "many", "auto"]),
    "negative workers": (["-w", "-1"], ["--workers", "-1"]),
    "workers upside down": (["-w", "4..2"], ["--workers", "4..2"]),
    "no connections": (["-c", "0"], ["--connections", "0"]),
    "bad duration": (["--idle-timeout", "soon"], ["--idle-timeout", "soon", "30s"]),
    "negative duration": (["--stop-timeout", "-5s"], ["--stop-timeout", "-5s"]),
    "unknown unit": (["--boot-timeout", "5 fortnights"], ["--boot-timeout", "fortnights"]),
    "bad worker timeout": (["--worker-timeout", "x"], ["--worker-timeout"]),
    "bad log level": (["--log-level", "loud"], ["--log-level", "loud", "info"]),
    "bad log format": (["--log-format", "xml"], ["--log-format", "xml", "json"]),
    "bad umask": (["--umask", "9"], ["--umask", "9"]),
    "bad max-requests": (["--max-requests", "some"], ["--max-requests", "some"]),
    "quotes and backslashes": (["--stop-timeout", 'a"b\\c'], [r'not "a\"b\\c"']),
    "less memory than a worker needs": (["--max-memory", "1"], ["--max-memory", "at least 2M", "not 1"]),
    "ready-fd that is not open": (["--ready-fd", "99"], ["--ready-fd", "99"]),
}


@pytest.mark.parametrize("case", COMMAND_LINE)
def test_a_mistake_on_the_command_line_is_a_usage_error(run_preforkd, tmp_path, case):
    arguments, words = COMMAND_LINE[case]
    told = run_preforkd("-l", f"unix://{tmp_path}/good", *arguments)
    is_one_sentence(told, USAGE, words)
    assert not (tmp_path / "good").exists()


FILES = {
    "unknown name": ("\n# comment\ncolour = red\n", ["file:3", "colour"]),
    "no equals sign": ("workers 3\n", ["file:1", "workers 3"]),
    "bad value": ("handler = echo\nidle-timeout = soon\n", ["file:2", "idle-timeout", "soon"]),
    "bad endpoint": ("listen = tcp://127.0.0.1:99999\n", ["file:1", "listen", "99999"]),
    "binary": ("\x01\x02\x00 = \x03\n", ["file:1"]),
}


@pytest.mark.parametrize("case", FILES)
def test_a_mistake_in_the_file_is_named_with_file_and_line(run_preforkd, tmp_path, case):
    text, words = FILES[case]
    (tmp_path / "file").write_text(text)
    for more in ([], ["--check-config"]):
        told = run_preforkd("-l", f"unix://{tmp_path}/good", "--config", str(tmp_path / "file"), *more)
        is_one_sentence(told, CONFIGURATION, words)
    assert not (tmp_path / "good").exists()


@pytest.mark.parametrize(("name", "value"), [("PREFORKD_WORKERS", "many"), ("PREFORKD_LISTEN", "tcp://127.0.0.1:99999"),
                                             ("PREFORKD_STOP_TIMEOUT", "soon"), ("PREFORKD_HANDLER", "nope")])
def test_a_mistake_in_the_environment_is_named_with_its_variable(run_preforkd, name, value):
    is_one_sentence(run_preforkd(env={name: value}), CONFIGURATION, [name, value])


def test_a_configuration_that_cannot_be_read(run_preforkd, tmp_path):
    for path, word in ((tmp_path / "none", "No such file"), (tmp_path, "directory")):
        is_one_sentence(run_preforkd("--config", str(path)), CONFIGURATION, [str(path), word])


# --- what only the machine knows ----------------------------------------------------------------------------------------

def refused_at_start(run_preforkd, tmp_path, code, words, *arguments, **how):
    told = run_preforkd("-l", f"unix://{tmp_path}/good", *arguments, **how)
    is_one_sentence(told, code, words)
    assert not (tmp_path / "good").exists(), "all or nothing"


def test_a_host_that_cannot_be_resolved(run_preforkd, tmp_path):
    refused_at_start(run_preforkd, tmp_path, CONFIGURATION, [LONG_LABEL], "-l", f"tcp://{LONG_LABEL}:0")


@pytest.mark.mounts
def test_a_resolver_that_is_out_of_reach_may_be_back(run_preforkd, tmp_path):
    told = run_preforkd("-l", "tcp://server.test:0", wrap=[
        "unshare", "--mount", "--net", "sh", "-ec",
        f'echo nameserver 127.0.0.1 >{tmp_path}/none; mount --bind {tmp_path}/none /etc/resolv.conf; exec "$@"', "sh"])
    is_one_sentence(told, SYSTEM, ["tcp://server.test:0", "Temporary failure in name resolution"])


def test_an_address_that_is_not_of_this_machine_may_come(run_preforkd, tmp_path):
    refused_at_start(run_preforkd, tmp_path, SYSTEM, ["192.0.2.1"], "-l", "tcp://192.0.2.1:0")


def test_a_port_in_use_is_named_with_who_holds_it(run_preforkd, tmp_path):
    with listening() as other:
        port = other.getsockname()[1]
        words = ["--listen", f"127.0.0.1:{port}", "in use by", f"(pid {os.getpid()})", "stop it or choose another port"]
        refused_at_start(run_preforkd, tmp_path, SYSTEM, words, "-l", f"tcp://127.0.0.1:{port}")


def test_a_port_that_becomes_free_in_time_is_taken(preforkd):
    other = listening()
    port = other.getsockname()[1]
    release = threading.Timer(1.0, other.close)
    release.start()
    daemon = preforkd(listen=f"tcp://127.0.0.1:{port}")
    assert exchange(daemon.endpoint) == b"connected\n"


def test_the_directory_of_a_unix_socket_must_exist(run_preforkd, tmp_path):
    refused_at_start(run_preforkd, tmp_path, CONFIGURATION, [f"{tmp_path}/none"], "-l", f"unix://{tmp_path}/none/s")


def test_a_live_unix_socket_is_not_taken_over(run_preforkd, tmp_path):
    with listening(tmp_path / "live") as other:
        told = run_preforkd("-l", f"unix://{tmp_path}/live")
        is_one_sentence(told, SYSTEM, [f"{tmp_path}/live", "in use by", f"(pid {os.getpid()})", "another path"])
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"{tmp_path}/live")
            other.accept()[0].close()


@pytest.mark.parametrize("make", ["file", "directory", "symlink"])
def test_what_is_no_socket_is_never_deleted(run_preforkd, tmp_path, make):
    path = tmp_path / "x"
    if make == "file":
        path.write_text("precious")
    elif make == "directory":
        path.mkdir()
    else:
        (tmp_path / "target").write_text("precious")
        path.symlink_to(tmp_path / "target")
    before = stat.S_IFMT(path.lstat().st_mode)
    told = run_preforkd("-l", f"unix://{path}")
    assert told.returncode in (SYSTEM, CONFIGURATION)
    is_one_sentence(told, told.returncode, [str(path), "socket"])
    assert stat.S_IFMT(path.lstat().st_mode) == before


def test_a_privileged_port_needs_privilege(run_preforkd, tmp_path):
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start") as file:
        if int(file.read()) <= 80:
            pytest.skip("every port is free here")
    wrap = []
    if os.geteuid() == 0:
        wrap = ["setpriv", "--bounding-set", "-net_bind_service", "--inh-caps", "-net_bind_service"]
    told = run_preforkd("-l", "tcp://127.0.0.1:80", wrap=wrap)
    is_one_sentence(told, PERMISSION, ["127.0.0.1:80", "ermission"])


def test_an_unknown_user_or_group(run_preforkd, tmp_path):
    for option in ("--user", "--group"):
        refused_at_start(run_preforkd, tmp_path, CONFIGURATION, [option, "no-such-one"], option, "no-such-one")
    refused_at_start(run_preforkd, tmp_path, CONFIGURATION, ["group", "no-such-one"],
                     "-l", f"unix://{tmp_path}/x group=no-such-one")


def test_a_group_behind_a_user_is_told_where_it_belongs(run_preforkd, tmp_path):
    refused_at_start(run_preforkd, tmp_path, CONFIGURATION, ["--user 12345:23456", "--group"], "--user", "12345:23456")


def test_a_log_file_that_cannot_be_opened(run_preforkd, tmp_path):
    told = run_preforkd("-l", f"unix://{tmp_path}/good", "--log-file", f"{tmp_path}/none/log")
    assert told.returncode in (SYSTEM, CONFIGURATION)
    is_one_sentence(told, told.returncode, [f"{tmp_path}/none/log"])


@pytest.mark.programs("prlimit")
def test_out_of_descriptors_at_start_up_the_remedy_is_named(run_preforkd, tmp_path):
    """From no descriptor to spare up to the first limit that suffices for a master, whose workers it then lacks."""
    for limit in range(4, 64):
        told = run_preforkd("-l", f"unix://{tmp_path}/good", "-l", "tcp://127.0.0.1:0", "-w", "1", "--log-format", "text",
                            wrap=["prlimit", f"--nofile={limit}:{limit}"])
        assert "Too many open files: raise RLIMIT_NOFILE" in told.stderr, told
        assert not (tmp_path / "good").exists()
        if told.returncode == UNAVAILABLE:
            return
        assert told.returncode == SYSTEM, told
    pytest.fail("no limit was too low for a worker")


# --- sockets that were, or were not, passed -----------------------------------------------------------------------------

def test_a_name_that_was_not_passed(run_preforkd, tmp_path):
    refused_at_start(run_preforkd, tmp_path, CONFIGURATION, ["fd://web"], "-l", "fd://web")
    with listening() as bound:
        passing = Passing(bound, names=["other"])
        is_one_sentence(run_preforkd("-l", "fd://web", "-l", "fd://other", **passing.arguments()), CONFIGURATION, ["fd://web"])


def test_a_passed_socket_that_matches_nothing_is_named(run_preforkd, tmp_path):
    with listening() as bound:
        refused_at_start(run_preforkd, tmp_path, CONFIGURATION, ["3", f"127.0.0.1:{bound.getsockname()[1]}"],
                         **Passing(bound).arguments())


def test_a_passed_descriptor_that_is_no_socket(run_preforkd):
    with open("/dev/null") as file:
        is_one_sentence(run_preforkd(**Passing(file).arguments()), CONFIGURATION, ["3", "socket"])


def test_more_sockets_promised_than_passed(run_preforkd):
    """What the daemon has opened itself meanwhile is none of them."""
    promise = ["bash", "-c", "export LISTEN_PID=$$ LISTEN_FDS=100; exec \"$@\" 3</dev/null 4</dev/null", "bash"]
    is_one_sentence(run_preforkd("-w", "1", wrap=promise), CONFIGURATION, ["LISTEN_FDS=100", "descriptor 5 is not open"])


def test_a_passed_socket_that_does_not_listen(run_preforkd):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        is_one_sentence(run_preforkd(**Passing(bound).arguments()), CONFIGURATION, ["3", "listen"])


def test_sockets_that_were_passed_to_somebody_else(run_preforkd, tmp_path):
    with listening() as bound:
        told = run_preforkd("-l", f"unix://{tmp_path}/good", **Passing(bound, other_pid=os.getpid()).arguments())
        is_one_sentence(told, CONFIGURATION, ["LISTEN_PID", str(os.getpid())])
        assert not (tmp_path / "good").exists()


def test_a_pid_that_is_no_number_is_not_taken_for_somebody_else(run_preforkd):
    told = run_preforkd(env={"LISTEN_PID": "abc", "LISTEN_FDS": "1"})
    is_one_sentence(told, CONFIGURATION, ["LISTEN_PID=abc is not a process id", "unset"])


# --- in which format ----------------------------------------------------------------------------------------------------

WRONG = ["--workers", "many"]


@pytest.mark.parametrize(("arguments", "env", "format"), [
    (WRONG, {}, "json"),
    ([*WRONG, "--log-format", "text"], {}, "text"),
    (["--log-format=text", *WRONG], {}, "text"),
    (["--log-format", "xml"], {"PREFORKD_LOG_FORMAT": "text"}, "text"),
    (WRONG, {"PREFORKD_LOG_FORMAT": "text"}, "text"),
    ([*WRONG, "--log-format", "json"], {"PREFORKD_LOG_FORMAT": "text"}, "json"),
    (["--handler", "nope", "--config", "FILE"], {}, "text"),
    ([*WRONG, "--check-config"], {}, "text"),
    ([*WRONG, "--print-config", "--log-format", "json"], {}, "text"),
    (["--nonsense", "--", "cat", "--log-format", "text"], {}, "json"),
])
def test_an_error_before_the_log_is_open_has_the_format_of_the_log(run_preforkd, tmp_path, arguments, env, format):
    (tmp_path / "file").write_text("log-format = text\n")
    told = run_preforkd(*(each.replace("FILE", str(tmp_path / "file")) for each in arguments), env=env)
    [line] = told.stderr.splitlines()
    if format == "json":
        assert json.loads(line)["level"] == "error"
    else:
        assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z error   \S", line)


@pytest.mark.terminals
def test_on_a_terminal_an_early_error_is_text():
    controller, terminal = pty.openpty()
    done = subprocess.run([daemon_process.PREFORKD, *WRONG], stderr=terminal, env=daemon_process.clean_environment() | {"NO_COLOR": "1"}, timeout=10)
    os.close(terminal)
    line = os.read(controller, 4096).decode()
    os.close(controller)
    assert done.returncode == USAGE
    assert " error   --workers: " in line and line.count("\n") == 1


def test_nothing_is_printed_twice_when_stderr_is_closed():
    done = subprocess.run(["sh", "-c", 'exec "$0" --lissen 2>&-', daemon_process.PREFORKD], capture_output=True, timeout=10)
    assert done.returncode == USAGE
