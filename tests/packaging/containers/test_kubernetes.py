"""packaging/kubernetes: the base renders, fits Kubernetes' schema and Pod Security `restricted`, and its numbers agree."""
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from kubernetes_objects import BASE, ROOT, by_kind, compiler, overlay, rendered  # noqa: F401

BUILD = Path(os.environ.get("PREFORKD_BUILD") or ROOT / "build/release").resolve()


@pytest.fixture(scope="module")
def objects():
    """What `kubectl apply -k` would apply, by kind."""
    return by_kind(rendered(BASE))


@pytest.fixture(scope="module")
def observed(tmp_path_factory):
    """The same with the component."""
    return by_kind(overlay(tmp_path_factory.mktemp("overlay").resolve(), "observed"))


@pytest.fixture(scope="module")
def pod(objects):
    return objects["Deployment"]["spec"]["template"]["spec"]


@pytest.fixture(scope="module")
def preforkd_container(pod):
    [only] = pod["containers"]
    return only


@pytest.fixture(scope="module")
def environment(preforkd_container):
    return {each["name"]: each["value"] for each in preforkd_container["env"]}


def seconds(text):
    return int(re.fullmatch(r"(\d+)s", text)[1])


def millicpus(text):
    return int(text.removesuffix("m")) if text.endswith("m") else int(text) * 1000


def test_the_base_is_one_of_each(objects):
    assert sorted(objects) == ["Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget", "Service"]


def test_every_object_fits_its_schema(objects, compiler):
    assert compiler(objects.values()) == []


@pytest.mark.parametrize("path, key, value", [
    ([], "replicas", "two"), (["template", "spec"], "enableServiceLink", False),
    (["template", "spec", "containers", 0, "securityContext"], "readonlyRootFilesystem", True)])
def test_a_wrong_type_or_an_unknown_key_is_found(objects, compiler, path, key, value):
    planted = json.loads(json.dumps(objects["Deployment"]))
    place = planted["spec"]
    for step in path:
        place = place[step]
    place[key] = value
    assert compiler([planted])


def test_pod_security_restricted_is_satisfied(pod, preforkd_container):
    """Source: Kubernetes, Pod Security Standards, the profiles Baseline and Restricted."""
    assert not {"hostNetwork", "hostPID", "hostIPC", "volumes", "initContainers"} & set(pod)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    context = preforkd_container["securityContext"]
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert not {"privileged", "procMount", "runAsUser", "runAsNonRoot", "seccompProfile"} & set(context)
    assert all("hostPort" not in port for port in preforkd_container["ports"])


def test_nothing_can_be_written_and_no_token_is_mounted(pod, preforkd_container):
    assert preforkd_container["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["automountServiceAccountToken"] is False


def test_a_service_puts_no_variables_where_options_are_read(pod):
    assert pod["enableServiceLinks"] is False


def test_delay_and_drain_fit_into_the_grace_period(pod, environment):
    stop = seconds(environment["PREFORKD_DRAIN_DELAY"]) + seconds(environment["PREFORKD_STOP_TIMEOUT"])
    fast_stop = 2
    assert stop + fast_stop < pod["terminationGracePeriodSeconds"]


def test_the_environment_is_a_valid_configuration(environment):
    told = subprocess.run([BUILD / "preforkd", "--check-config"], env=environment, capture_output=True, text=True, timeout=20)
    assert (told.returncode, told.stdout, told.stderr) == (0, "configuration is valid\n", "")


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_a_probe_runs_what_is_in_the_image_and_ends_before_its_time_is_up(preforkd_container, probe):
    command = preforkd_container[probe]["exec"]["command"]
    assert command[0] == "preforkctl"
    assert seconds(command[command.index("--timeout") + 1]) < preforkd_container[probe]["timeoutSeconds"]


def test_readiness_is_seen_to_fail_before_the_drain_begins(preforkd_container, environment):
    probe = preforkd_container["readinessProbe"]
    assert probe["exec"]["command"][:2] == ["preforkctl", "ready"]
    seen_after = probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"]
    assert seen_after < seconds(environment["PREFORKD_DRAIN_DELAY"])


def test_the_component_changes_nothing_but_how_it_is_looked_at(objects, observed, compiler):
    assert compiler(observed.values()) == []
    with_it = json.loads(json.dumps(observed["Deployment"]))
    pod = with_it["spec"]["template"]
    [container] = pod["spec"]["containers"]
    [port] = [each for each in container["ports"] if each["name"] == "observe"]
    assert pod["metadata"].pop("annotations") == {
        "prometheus.io/scrape": "true", "prometheus.io/port": str(port["containerPort"]), "prometheus.io/path": "/metrics"}
    container["ports"].remove(port)
    container["env"].remove({"name": "PREFORKD_OBSERVE", "value": f"tcp://0.0.0.0:{port['containerPort']}"})
    [plain] = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    for probe, path in (("startupProbe", "/readyz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")):
        assert container[probe].pop("httpGet") == {"path": path, "port": "observe"}
        container[probe]["exec"] = plain[probe]["exec"]
    assert {**observed, "Deployment": with_it} == objects


def test_everybody_means_the_same_pods_and_port(objects, preforkd_container):
    labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert objects["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert objects["Service"]["spec"]["selector"] == labels
    assert objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert objects["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == objects["Deployment"]["metadata"]["name"]
    assert [port["targetPort"] for port in objects["Service"]["spec"]["ports"]] == \
        [port["name"] for port in preforkd_container["ports"]]


def test_the_last_pods_are_not_taken_away_together(objects):
    least = objects["HorizontalPodAutoscaler"]["spec"]["minReplicas"]
    assert least > objects["PodDisruptionBudget"]["spec"]["maxUnavailable"] >= 1


def test_the_autoscaler_alone_says_how_many_there_are(objects):
    assert "replicas" not in objects["Deployment"]["spec"], "each apply would reset it"


def test_a_pod_is_added_when_those_there_are_well_used_and_before_they_are_full(objects, preforkd_container):
    [metric] = objects["HorizontalPodAutoscaler"]["spec"]["metrics"]
    used = millicpus(metric["resource"]["target"]["averageValue"])
    resources = preforkd_container["resources"]
    assert millicpus(resources["requests"]["cpu"]) < used
    assert 0.5 <= used / millicpus(resources["limits"]["cpu"]) <= 0.8


def test_the_image_is_of_this_version(preforkd_container):
    version = re.search(r"project\(preforkd VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())[1]
    assert preforkd_container["image"] == f"preforkd:{version}"
