"""What is in the image, and what it tells an engine about itself."""
import io
import subprocess
import tarfile

import pytest

import engine as engines

LIMIT_BYTES = 40 * 1024 * 1024


@pytest.fixture(scope="module")
def description(docker):
    return docker.inspect(engines.IMAGE)


@pytest.fixture(scope="module")
def files(docker):
    """Path -> TarInfo of everything in the image."""
    stopped = docker("create", engines.IMAGE)
    done = subprocess.run(["docker", "export", stopped], env=docker.environment, capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        return {member.name: member for member in archive if member.isfile() or member.issym()}


def test_it_holds_the_two_programs_and_what_they_are_linked_with(files):
    # The engine makes the last three itself, to mount over them.
    programs = {name for name in files if ".so" not in name and not name.startswith(("etc/", "run/", "dev/"))}
    assert programs == {"usr/sbin/preforkd", "usr/bin/preforkctl"}
    assert not [name for name in files if name.endswith("/sh") or "apt" in name]


def test_it_is_small(description):
    assert description["Size"] < LIMIT_BYTES


def test_its_user_is_a_number_that_is_not_root(description):
    assert description["Config"]["User"] == "65532:65532"


def test_preforkd_is_pid_1(description):
    assert description["Config"]["Entrypoint"] == ["preforkd"]


def test_it_is_stopped_by_term_and_serves_port_10000(description):
    assert description["Config"]["StopSignal"] in ("SIGTERM", "15")
    assert list(description["Config"]["ExposedPorts"]) == ["10000/tcp"]


def test_its_health_check_needs_no_shell(description):
    check = description["Config"].get("Healthcheck") or description["Healthcheck"]  # docker's place, podman's
    assert check["Test"][:3] == ["CMD", "preforkctl", "send"] and "--expect" in check["Test"]


def test_it_stops_within_the_ten_seconds_that_engines_grant(description):
    assert "PREFORKD_STOP_TIMEOUT=8s" in description["Config"]["Env"]


def test_its_labels_say_what_it_is(description, run_once):
    labels = description["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == "preforkd"
    assert labels["org.opencontainers.image.licenses"] == "MIT"
    assert run_once(command=["--version"]).stdout == f"preforkd {labels['org.opencontainers.image.version']}\n"


def test_options_come_from_the_environment(run_once):
    printed = run_once("--env=PREFORKD_GREETING=hello", command=["--print-config"]).stdout
    assert "greeting = hello  # environment PREFORKD_GREETING" in printed
    assert "stop-timeout = 8s  # environment PREFORKD_STOP_TIMEOUT" in printed
