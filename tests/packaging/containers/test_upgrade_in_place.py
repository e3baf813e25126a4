"""USR2 where the binary is mounted: PID 1 becomes the new one, the container lives on, and nobody is refused.  An engine
that would have to start another container for that could not do it."""
import os

import pytest

import engine as engines
from clients import Load, connect, exchange, read_exactly, read_to_end
from container import RESTRICTED

OLD, NEW = b"0.1.0\0", b"0.9.9\0"


@pytest.fixture
def binaries(docker, tmp_path):
    """A directory with the image's own preforkd; after renew() that file is another, which says it is a later version."""
    stopped = docker("create", engines.IMAGE)
    docker("cp", f"{stopped}:/usr/sbin/preforkd", tmp_path / "preforkd")
    docker("rm", stopped)
    tmp_path.chmod(0o755)

    def renew():
        program = (tmp_path / "preforkd").read_bytes()
        assert OLD in program
        (tmp_path / "next").write_bytes(program.replace(OLD, NEW))
        (tmp_path / "next").chmod(0o755)
        os.replace(tmp_path / "next", tmp_path / "preforkd")

    return tmp_path, renew


def test_pid_1_becomes_the_binary_that_was_renewed_under_load(container, binaries):
    directory, renew = binaries
    running = container(*RESTRICTED, f"--volume={directory}:/opt:ro", "--entrypoint=/opt/preforkd",
                        "--env=PREFORKD_LOG_CONNECTIONS=no", command=["--workers", "2"])
    before = running.pid
    with Load(running.endpoint, clients=4) as load:
        load.wait_for_answers(100)
        renew()
        running.signal("USR2")
        line = running.wait_log('"upgraded: ')
        load.wait_for_answers(100)
    assert line["version"] == NEW.rstrip(b"\0").decode() and line["pid"] == 1
    assert running.pid == before
    assert not load.broken and not load.outcomes["refused"], (load.outcomes, load.broken)
    assert running.exec("preforkctl", "ready").returncode == 0
    assert running.stop() == 0


def test_who_is_connected_across_the_upgrade_is_served_to_the_end(container, binaries):
    directory, renew = binaries
    running = container(f"--volume={directory}:/opt:ro", "--entrypoint=/opt/preforkd", "--env=PREFORKD_HANDLER=echo")
    with connect(running.endpoint) as client:
        client.sendall(b"before")
        read_exactly(client, 6)
        renew()
        running.signal("USR2")
        running.wait_log('"upgraded: ')
        assert exchange(running.endpoint, b"new") == b"new"
        client.sendall(b"after")
        client.shutdown(1)
        assert read_to_end(client) == b"after"
