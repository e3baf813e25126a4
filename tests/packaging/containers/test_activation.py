"""Sockets that the engine passes: podman hands on LISTEN_FDS, and says LISTEN_PID=1.  docker does not."""
import os
import socket
import subprocess

import proc
from clients import Load, exchange

FIRST = 3  # SD_LISTEN_FDS_START


def run_activated(docker, listener, *options):
    """`docker run` as systemd would start it: the listener at descriptor 3, and the variables that say so."""
    def place():
        os.dup2(listener.fileno(), FIRST, inheritable=True)

    # The shell is what knows the pid that LISTEN_PID must be; it becomes the engine's client.
    script = 'LISTEN_PID=$$ exec docker run --detach "$@"'
    environment = docker.environment | {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "web"}
    done = subprocess.run(["sh", "-c", script, "sh", *options, "preforkd"], env=environment, preexec_fn=place,
                          pass_fds=[FIRST], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_passed_socket_is_served_although_the_container_has_no_network(docker, container):
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        endpoint = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        running = container.adopt(run_activated(docker, listener, "--network=none", "--read-only", "--cap-drop=ALL"))
        running.wait_log("ready")
        assert running.find('"passed": "yes"')
        with Load(endpoint, clients=4) as load:
            load.wait_for_answers(100)
        assert not load.broken


def test_clients_that_come_between_two_containers_wait_in_the_queue(docker, container):
    """What socket activation is for: the listener outlives the container."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        endpoint = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        with Load(endpoint, clients=4) as load:
            for _ in range(2):
                running = container.adopt(run_activated(docker, listener))
                running.wait_log("ready")
                load.wait_for_answers(50)
                assert running.stop() == 0
            running = container.adopt(run_activated(docker, listener))
            load.wait_for_answers(50)
        assert not load.broken and not load.outcomes["refused"], (load.outcomes, load.broken)
        assert exchange(endpoint) == b"connected\n"
