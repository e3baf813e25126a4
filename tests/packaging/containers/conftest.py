"""Containers: the image as an engine runs it.  Needs root and Debian's podman; skipped with the reason elsewhere."""
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "daemon"))

import engine as engines
from container import Container


@pytest.fixture(scope="session")
def image():
    """The engine, once it has built the image of this checkout."""
    if reason := engines.missing():
        pytest.skip(reason)
    engine = engines.Engine()
    engine.clean()
    engine.build()
    return engine


@pytest.fixture(scope="module")
def docker(image):
    with engines.network_of_our_own():
        yield image
        image.clean()


@pytest.fixture
def container(docker):
    """Starts containers; afterwards each must have stopped in order, and complained of nothing it was not expected to."""
    started = []

    def start(*options, expect=(), **how):
        started.append((Container(docker, *options, **how), tuple(expect)))
        return started[-1][0]

    start.adopt = lambda identity: start(started=identity, publish=False, wait=False)
    yield start
    wrong = []
    for each, expected in started:
        if each.inspect()["State"]["Running"]:
            each.stop()
        wrong += [entry for entry in each.complaints() if not any(text in json.dumps(entry) for text in expected)]
        docker("rm", "--force", each.id)
    assert not wrong, wrong


@pytest.fixture
def run_once(docker):
    """`docker run --rm`, for what ends by itself."""
    def run(*options, command=(), image=engines.IMAGE):
        return docker.attempt("run", "--rm", *options, image, *command)
    return run
