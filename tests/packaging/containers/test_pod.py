"""The pod of packaging/kubernetes, as podman plays it: not Kubernetes, but the real security context and real probes."""
import shutil
import subprocess

import pytest

import engine as engines
import proc
from clients import exchange
from container import Container

yaml = pytest.importorskip("yaml", reason="python3-yaml is not installed")


@pytest.fixture(scope="module")
def deployment():
    """One replica of what `kubectl apply -k` would apply."""
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not installed")
    rendered = subprocess.run(["kubectl", "kustomize", engines.ROOT / "packaging/kubernetes"], capture_output=True,
                              text=True, timeout=60, check=True).stdout
    [found] = [each for each in yaml.safe_load_all(rendered) if each["kind"] == "Deployment"]
    found["spec"]["replicas"] = 1
    found["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] = "Never"
    return found


@pytest.fixture
def pod(docker, deployment, tmp_path):
    """The pod's one container.  Podman publishes its port on every address, of a network that has none but ours."""
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    docker("tag", engines.IMAGE, container["image"])
    (tmp_path / "pod.yaml").write_text(yaml.dump(deployment))
    docker("play", "kube", tmp_path / "pod.yaml")
    yield Container(docker, started=f"{deployment['metadata']['name']}-pod-0-{container['name']}", publish=False)
    docker("pod", "rm", "--all", "--force", "--time=0")


def test_it_serves_with_all_that_restricted_asks_for(pod, docker):
    assert exchange("tcp://127.0.0.1:10000") == b"connected\n"
    status = proc.status(pod.pid)
    assert set(status["Uid"].split()) == {"65532"}
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"].strip() == "1" and status["Seccomp"].strip() == "2"
    assert pod.inspect()["HostConfig"]["ReadonlyRootfs"]


def test_its_limit_on_cpu_is_its_number_of_workers(pod):
    assert len(pod.workers()) == 1


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_a_probe_passes_while_it_serves(pod, deployment, probe):
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    told = pod.exec(*container[probe]["exec"]["command"])
    assert told.returncode == 0, told.stderr


def test_on_term_readiness_fails_first_while_it_serves_on(pod, deployment):
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    pod.signal("TERM")
    pod.wait_log("serving on for --drain-delay")
    told = pod.exec(*container["readinessProbe"]["exec"]["command"])
    assert (told.returncode, told.stderr) == (1, "preforkctl: not ready: withdrawing\n")
    assert pod.exec(*container["livenessProbe"]["exec"]["command"]).returncode == 0
    assert exchange("tcp://127.0.0.1:10000") == b"connected\n"
    pod.signal("TERM")
    assert pod.wait_log('"stopped with exit code')["exit_code"] == 0  # and is started again, as pods are
