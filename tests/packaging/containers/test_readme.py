"""The commands of README.md that begin with docker, as they stand there.  Their ports are fixed, so they run in a
network of their own."""
import re
import subprocess

import pytest

import engine as engines
from container import Container

README = (engines.ROOT / "README.md").read_text()
BLOCKS = [block for block in re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
          if block.startswith("docker ")]


def wait_until_ready(command, docker):
    """A person who types is slower than a container starts."""
    if started := re.search(r"docker run --detach --name (\w+)", command):
        Container(docker, started=started[1], publish=False)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_the_docker_commands_of_the_readme_answer_as_it_says(docker, block):
    for line in block.splitlines():
        command, _, answer = line.partition("  # ")
        patience_s = 1800 if " build " in command else 60
        done = subprocess.run(["sh", "-c", command], env=docker.environment, cwd=engines.ROOT, text=True,
                              timeout=patience_s, stdin=subprocess.DEVNULL, capture_output=True)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        assert not answer or done.stdout.strip() == answer, command
        wait_until_ready(command, docker)


def test_there_are_such_commands():
    assert BLOCKS
