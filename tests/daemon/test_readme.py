"""README.md is true: its commands run and answer as it says, and its options are those of --help.

In a fenced `sh` block a line that starts a daemon (`./dev run ...`, `systemd-socket-activate ...`) opens a scene; the
lines below it talk to that daemon, and `command  # answer` must print the answer.  Ports and paths are swapped for free
ones.
"""
import os
import re
import shlex
import signal
import socket
import subprocess
from pathlib import Path

import pytest

import daemon_process
from clients import exchange

README = (Path(__file__).parents[2] / "README.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
ELSEWHERE = ("docker ", "sudo ")  # blocks that begin so are run by tests/packaging
LINES = "".join(block for block in BLOCKS if not block.startswith(ELSEWHERE)).splitlines()
RUN, ACTIVATE = "./dev run", "systemd-socket-activate "


def scenes(opening):
    """[first line, lines that follow] for each daemon that README starts with `opening`."""
    found = []
    for line in LINES:
        if line.startswith((RUN, ACTIVATE)):
            found.append([line])
        elif not line.startswith("./dev "):  # those are for tests/style
            found[-1].append(line)
    return [pytest.param(first, rest, id=first) for first, *rest in found if first.startswith(opening)]


def swap(text, swaps):
    for said, meant in swaps.items():
        text = re.sub(rf"(?<!\w){re.escape(said)}", meant, text)
    return text


@pytest.mark.programs("nc")
@pytest.mark.parametrize("start, lines", scenes(RUN))
def test_commands_answer_as_the_readme_says(preforkd, tmp_path, start, lines):
    arguments = start.removeprefix(RUN)
    if "--listen" not in arguments:
        arguments += " --listen tcp://localhost:10000"
    swaps = {"/tmp/": f"{tmp_path}/", "build/release/": f"{daemon_process.BUILD}/"}
    port = re.search(r"(?<=:)\d+", arguments)
    daemon = preforkd(*shlex.split(swap(re.sub(r":\d+", ":0", arguments), swaps)), listen=None, workers=None)
    if port:
        swaps[port[0]] = re.search(r"\d+$", daemon.endpoint)[0]

    for line in lines:
        command, _, answer = line.partition("  # ")
        done = subprocess.run(["sh", "-c", swap(command, swaps)], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=20)
        assert (done.returncode, done.stdout.strip(), done.stderr) == (0, answer, ""), line


@pytest.mark.programs("systemd-socket-activate")
@pytest.mark.parametrize("start, lines", scenes(ACTIVATE))
def test_socket_activation_works_as_the_readme_says(start, lines):
    assert not lines
    with socket.socket() as probe:  # systemd-socket-activate cannot say which port it was given
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = swap(re.sub(r"(?<=:)\d+", str(port), start), {"build/release/": f"{daemon_process.BUILD}/"})
    with subprocess.Popen(shlex.split(command), stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
                          env=daemon_process.clean_environment()) as process:
        try:
            assert "Listening on" in process.stderr.readline()
            assert exchange(f"tcp://127.0.0.1:{port}") == b"connected\n"
        finally:
            process.send_signal(signal.SIGTERM)
            process.stderr.read()
    assert process.returncode == 0


def options_in(text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))


@pytest.fixture
def options(run_preforkd, preforkctl):
    helps = [run_preforkd("--help"), preforkctl("--help")]
    assert [done.returncode for done in helps] == [0, 0]
    return options_in(helps[0].stdout + helps[1].stdout)


def test_every_option_in_the_readme_exists(options):
    ours = README
    for block in BLOCKS:
        if block.startswith(ELSEWHERE):
            ours = ours.replace(block, "")
    prose = "\n".join(line for line in ours.splitlines() if not line.startswith((ACTIVATE, "./dev chaos ")))
    assert options_in(prose) - options == set()


def test_an_option_that_does_not_exist_is_found(options):
    assert options_in("Say `--teleport`.") - options == {"--teleport"}


def test_every_option_that_exists_is_in_the_readme(options):
    assert options - options_in(README) == set()


def test_every_handler_that_exists_is_in_the_readme(run_preforkd):
    handlers = re.findall(r"^\s*(\w+)", run_preforkd("--list-handlers").stdout, re.MULTILINE)
    assert handlers and [name for name in handlers if f"| `{name}` |" not in README] == []


# | `--name ...` | default | of the options whose default is one plain value
DEFAULTS = re.findall(r"^\| (?:`-\w`, )?`--([a-z-]+)[^|]*\| `?([a-z0-9:/]+)`? \|", README, re.MULTILINE)


@pytest.mark.parametrize("option, default", [found for found in DEFAULTS if found[0] != "log-file"])
def test_a_default_in_the_readme_is_the_real_one(run_preforkd, option, default):
    printed = run_preforkd("--print-config").stdout
    value = re.search(rf"^(?:# )?{option} = (.*?)  # ", printed, re.MULTILINE)
    assert value and value[1] == default.replace("60s", "1m"), printed
