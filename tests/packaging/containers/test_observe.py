"""The image is looked at from outside, where its environment says so."""
import pytest

from observing import get, metrics


@pytest.fixture
def seen(docker, container):
    """A container, and where it is looked at."""
    started = container("--env=PREFORKD_OBSERVE=tcp://0.0.0.0:9090", "--publish=127.0.0.1::9090", expect=["other machines reach it"])
    return started, f"tcp://{docker('port', started.id, '9090')}"


def test_probes_and_scrapers_are_answered(seen):
    _, endpoint = seen
    assert [get(endpoint, path).status for path in ("/readyz", "/healthz", "/status.json", "/")] == [200] * 4
    assert metrics(endpoint)["preforkd_ready"] == 1


def test_it_is_not_looked_at_unless_somebody_says_so(container):
    assert not container().find("observed over HTTP")
