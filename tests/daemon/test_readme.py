"""README.md is true: its commands run and answer as it says, and its options are those of --help.

In fenced `sh` blocks `# terminal 1` opens a scene: its last line starts a server (`./dev run ...`, a program), and what
`# terminal 2` and `# terminal 3` have below, in this block and the next ones, is typed while that serves, line by line.
`command  # answer` must print the answer.  `while` and `haproxy` go on beside the others to the end of the scene, and `--watch`
until it has shown something.  Ports and paths are swapped for free ones.
"""
import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
from pathlib import Path

import pytest

import daemon_process
import proc
from clients import exchange, refused

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
ELSEWHERE = ("docker ", "sudo ")  # blocks that begin so are run by tests/packaging
RUN, ACTIVATE = "./dev run", "systemd-socket-activate "
OUT = " --out "  # what a line makes that a later scene needs, too
# What the tour provokes: warnings of a worker that was killed and of an upgrade to the same program, the error of
# settings that are wrong.
PROVOKED = ("killed by SIGKILL", "which ran before", "reload failed")


def scenes_in(text):
    """(lines before the server's, the server's, lines of the others) of each scene in the `sh` blocks of `text`."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = "".join(block for block in blocks if not block.startswith(ELSEWHERE)).splitlines()
    found, terminal = [], 0
    for line in lines:
        if line.startswith("# terminal "):
            terminal = int(line.removeprefix("# terminal ")[0])
            if terminal == 1:
                found.append(([], []))
        elif not line.startswith("./dev ") or line.startswith(RUN):  # those are for tests/style
            found[-1][min(terminal, 2) - 1].append(line)
    made = [line for first, _ in found for line in first[:-1] if OUT in line]
    return [([*(line for line in made if line.partition(OUT)[2] in first[-1] and line not in first), *first[:-1]], first[-1], rest)
            for first, rest in found]


SCENES = scenes_in(README)


class Scene:
    """A directory in the place of /tmp, and the words that are swapped in a command."""

    def __init__(self, directory):
        self.directory = directory
        self.swaps = {"/tmp/": f"{directory}/", "build/release": str(daemon_process.BUILD), "packaging/examples/": f"{ROOT}/packaging/examples/",
                      "packaging/recipes/": f"{ROOT}/packaging/recipes/"}
        self.environment = daemon_process.clean_environment({"PREFORKD_CONTROL": f"unix://{directory}/control.sock"})

    def swapped(self, text):
        for said, meant in self.swaps.items():
            text = re.sub(rf"(?<!\w){re.escape(said)}", lambda _, meant=meant: meant, text)
        return text

    def type(self, line):
        command, _, answer = line.partition("  # ")
        if command.startswith("export "):
            name, _, value = self.swapped(command).removeprefix("export ").partition("=")
            self.environment[name] = value
            return
        done = subprocess.run(["sh", "-c", self.swapped(command)], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=300, env=self.environment)
        complaint = "" if " || " not in command else done.stderr
        assert (done.returncode, done.stderr) == (0, complaint), line
        assert not answer or done.stdout.strip() == answer, (line, done.stdout)

    def look(self, line):
        with subprocess.Popen(shlex.split(self.swapped(line)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              env=self.environment) as watching:
            assert watching.stdout.readline()
            watching.send_signal(signal.SIGINT)

    def served_ever(self):
        asked = subprocess.run([daemon_process.PREFORKCTL, "status", "--json"], capture_output=True, env=self.environment)
        return json.loads(asked.stdout)["connections_ever"]

    @contextlib.contextmanager
    def meanwhile(self, line):
        """Until the `with` ends; at most one client may be lost, by the worker that was killed."""
        with subprocess.Popen(["sh", "-c", self.swapped(line)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                              env=self.environment, start_new_session=True) as load:
            try:
                yield
                assert proc.eventually(lambda: self.served_ever() >= 20)
                assert load.poll() is None, "it goes on"
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(load.pid, signal.SIGKILL)
            assert load.stdout.read().split() in ([], ["lost"])

    @contextlib.contextmanager
    def balanced(self, line):
        """haproxy with a copy of the file that is named, once it takes clients."""
        file = ROOT / line.split()[-1]
        text = file.read_text()
        bound = re.search(r"bind 127.0.0.1:(\d+)", text)[1]
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.swaps[bound] = str(free.getsockname()[1])
        copy = self.directory / "haproxy.cfg"
        copy.write_text(self.swapped(text))
        with subprocess.Popen(["haproxy", "-f", copy], stderr=subprocess.PIPE, text=True) as balancer:
            try:
                assert proc.eventually(lambda: not refused(f"tcp://127.0.0.1:{self.swaps[bound]}"))
                yield
                assert balancer.poll() is None, balancer.stderr.read()
            finally:
                balancer.kill()

    @contextlib.contextmanager
    def embedded(self, line):
        """A program that says where it listens, and serves until its own input ends."""
        with subprocess.Popen(shlex.split(self.swapped(line)), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True) as program:
            self.swaps["PORT"] = program.stdout.readline().rpartition(":")[2].strip()
            yield
            program.stdin.close()
        assert program.returncode == 0

    def start(self, preforkd, line):
        """The program of `line` with a port that is free."""
        program, *arguments = shlex.split(self.swapped(line).replace(RUN, daemon_process.PREFORKD))
        if "--listen" not in arguments:
            arguments[:0] = ["--listen", "tcp://localhost:10000"]
        port = re.search(r"(?<=:)\d+", " ".join(arguments))
        arguments = [re.sub(r":\d+", ":0", word) for word in arguments]
        daemon = preforkd(*arguments, executable=program, listen=None, workers=None, env=self.environment)
        if port:
            self.swaps[port[0]] = re.search(r"\d+$", daemon.endpoint)[0]
        if looked_at := re.search(r"--observe \S+:(\d+)", line):
            self.swaps[looked_at[1]] = re.search(r"\d+$", daemon.wait_log("observed over HTTP")["endpoint"])[0]
        return daemon


def play(scene, preforkd, before, server, others):
    for line in before:
        scene.type(line)
    with contextlib.ExitStack() as stack:
        if server.endswith("/embedded"):
            stack.enter_context(scene.embedded(server))
        else:
            daemon = scene.start(preforkd, server)
            daemon.expect(*PROVOKED)
            stack.callback(daemon.stop)  # the next one takes its control socket
        for line in others:
            if line.startswith("while "):
                stack.enter_context(scene.meanwhile(line))
            elif line.startswith("haproxy "):
                stack.enter_context(scene.balanced(line))
            elif line.endswith(" --watch"):
                scene.look(line)
            else:
                scene.type(line)


@pytest.mark.localhost
@pytest.mark.programs("nc", "cmake", "g++")
@pytest.mark.parametrize("before, server, others", [
    pytest.param(*scene, id=scene[1], marks=[pytest.mark.programs("haproxy")] * any(line.startswith("haproxy ") for line in scene[2]))
    for scene in SCENES if not scene[1].startswith(ACTIVATE)])
def test_commands_answer_as_the_readme_says(preforkd, tmp_path, before, server, others):
    assert others, "somebody looks whether it serves"
    play(Scene(tmp_path), preforkd, before, server, others)


EXAMPLES = (ROOT / "packaging/examples/README.md").read_text()


@pytest.mark.localhost
@pytest.mark.sqlite
@pytest.mark.programs("nc", "cmake", "g++", "curl")
def test_commands_of_the_examples_answer_as_they_say(preforkd, tmp_path):
    pytest.importorskip("websockets", reason="python3-websockets is not installed")
    scenes = scenes_in(EXAMPLES)
    assert len(scenes) >= 4
    scene = Scene(tmp_path)  # one for all: the first installs what the others need
    for before, server, others in scenes:
        play(scene, preforkd, before, server, others)


def test_a_server_is_only_started_where_the_terminal_is_said():
    starts = [line for block in BLOCKS if not block.startswith(ELSEWHERE) for line in block.splitlines()
              if line.startswith((RUN, ACTIVATE))]
    assert starts and set(starts) <= {server for _, server, _ in SCENES}


def test_a_command_that_answers_otherwise_is_found(tmp_path):
    for wrong in ("echo yes  # no", "false", "echo oops >&2"):
        with pytest.raises(AssertionError):
            Scene(tmp_path).type(wrong)


@pytest.mark.programs("systemd-socket-activate")
@pytest.mark.parametrize("start", [server for _, server, _ in SCENES if server.startswith(ACTIVATE)])
def test_socket_activation_works_as_the_readme_says(tmp_path, start):
    with socket.socket() as probe:  # systemd-socket-activate cannot say which port it was given
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = Scene(tmp_path).swapped(re.sub(r"(?<=:)\d+", str(port), start))
    command = command.replace(ACTIVATE, shlex.join(daemon_process.SOCKET_ACTIVATE) + " ", 1)
    with subprocess.Popen(shlex.split(command), stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
                          env=daemon_process.daemon_environment()) as process:
        try:
            assert "Listening on" in process.stderr.readline()
            assert exchange(f"tcp://127.0.0.1:{port}") == b"connected\n"
        finally:
            process.send_signal(signal.SIGTERM)
            process.stderr.read()
    assert process.returncode == 0


def test_the_program_in_the_readme_is_the_example():
    lines = (ROOT / "packaging/examples/upper/upper.cpp").read_text()
    assert f"```cpp\n{lines}```" in README
    assert "in seven lines" in README and len(lines.splitlines()) == 7


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
    others = (ACTIVATE, "./dev chaos ", "./dev fleet ", "cmake ")
    prose = "\n".join(line for line in ours.splitlines() if not line.startswith(others))
    assert options_in(prose) - options == set()


def test_an_option_that_does_not_exist_is_found(options):
    assert options_in("Say `--teleport`.") - options == {"--teleport"}


def test_every_handler_that_exists_is_in_the_readme(run_preforkd):
    handlers = re.findall(r"^\s*(\w+)", run_preforkd("--list-handlers").stdout, re.MULTILINE)
    assert handlers and [name for name in handlers if f"| `{name}` |" not in README] == []
