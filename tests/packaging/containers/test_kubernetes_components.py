"""packaging/kubernetes with its components: pods behind HAProxy, as many as their connections need, with TLS."""
import copy
import os
import re
import subprocess
from pathlib import Path

import pytest

from kubernetes_objects import BASE, ROOT, compiler, overlay, rendered, yaml  # noqa: F401

BUILD = Path(os.environ.get("PREFORKD_BUILD") or ROOT / "build/release").resolve()
FLEET = ROOT / "packaging/haproxy/fleet.cfg"
SECRET = "secretGenerator:\n- name: preforkd-tls\n  files: [chain.pem, key.pem, ticket-keys]\n"


def named(objects):
    return {(each["kind"], re.sub(r"-[a-z0-9]{10}$", "", each["metadata"]["name"])): each for each in objects}


def container_of(deployment):
    [only] = deployment["spec"]["template"]["spec"]["containers"]
    return only


def environment(deployment):
    return {each["name"]: each["value"] for each in container_of(deployment)["env"] if "value" in each}


def write_secrets(directory, chain="a chain"):
    for name, text in (("chain.pem", chain), ("key.pem", "a key"), ("ticket-keys", "keys")):
        (directory / name).write_text(text)


def with_secrets(directory, *components, chain="a chain"):
    write_secrets(directory, chain)
    return named(overlay(directory, *components, more=SECRET))


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """The overlay of the page."""
    directory = tmp_path_factory.mktemp("overlay").resolve()
    write_secrets(directory)
    [text] = re.findall(r"```yaml\n(.*?)```", (BASE / "README.md").read_text(), re.DOTALL)
    (directory / "kustomization.yaml").write_text(text.replace("../preforkd/packaging/kubernetes", os.path.relpath(BASE, directory)))
    return named(rendered(directory))


@pytest.fixture(scope="module")
def balanced(tmp_path_factory):
    return named(overlay(tmp_path_factory.mktemp("overlay").resolve(), "observed", "balanced"))


@pytest.fixture(scope="module")
def balancer(balanced):
    return balanced["Deployment", "preforkd-balancer"]


def test_all_components_together_fit_their_schema(everything, compiler):
    assert compiler(everything.values()) == []


def test_a_wrong_key_in_a_component_is_found(everything, compiler):
    planted = copy.deepcopy(everything["HorizontalPodAutoscaler", "preforkd"])
    planted["spec"]["metrics"][0]["pods"]["target"]["averageUsage"] = "600"
    assert compiler([planted])


def test_the_balancer_has_the_configuration_that_the_fleet_is_tested_with(balanced, balancer):
    assert (BASE / "balanced/haproxy.cfg").read_text() == FLEET.read_text()
    text = balanced["ConfigMap", "preforkd-balancer"]["data"]["haproxy.cfg"]
    assert text == FLEET.read_text()
    [volume] = balancer["spec"]["template"]["spec"]["volumes"]
    assert volume["configMap"]["name"] == balanced["ConfigMap", "preforkd-balancer"]["metadata"]["name"]
    assert re.fullmatch(r"preforkd-balancer-\w{10}", volume["configMap"]["name"]), "another text, another name"


def test_clients_come_to_the_balancers_and_these_to_all_pods(balanced, balancer):
    clients, replicas = balanced["Service", "preforkd"]["spec"], balanced["Service", "preforkd-replicas"]["spec"]
    assert clients["selector"] == balancer["spec"]["template"]["metadata"]["labels"]
    pods = balanced["Deployment", "preforkd"]["spec"]["template"]["metadata"]["labels"]
    assert replicas["selector"] == pods and replicas["clusterIP"] == "None"
    assert environment(balancer)["PREFORKD_NAME"] == "preforkd-replicas.$(NAMESPACE).svc.cluster.local"
    assert clients["ports"][0]["targetPort"] in [port["name"] for port in container_of(balancer)["ports"]]


def test_the_balancer_asks_at_ports_that_pods_have(balanced):
    ports = {port["containerPort"] for port in container_of(balanced["Deployment", "preforkd"])["ports"]}
    asked = set(map(int, re.findall(r"(?:check port|agent-port|:)(?: |(?=1))(\d{4,5})\b", re.sub(r"bind .*", "", FLEET.read_text()))))
    assert asked == {9090, 9091, 10000} and asked <= ports


def test_pods_believe_the_balancers_alone(balanced):
    values = environment(balanced["Deployment", "preforkd"])
    assert "proxy=10.0.0.0/8" in values["PREFORKD_LISTEN"]
    told = subprocess.run([BUILD / "preforkd", "--check-config"], env=values, capture_output=True, text=True, timeout=20)
    assert (told.returncode, told.stdout) == (0, "configuration is valid\n"), told.stderr


def test_a_balancer_leaves_as_slowly_as_its_clients_need(balancer):
    pod = balancer["spec"]["template"]["spec"]
    hours = int(re.search(r"hard-stop-after (\d+)h", FLEET.read_text())[1])
    wait_s = int(container_of(balancer)["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] >= hours * 3600 + wait_s
    assert container_of(balancer)["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "observe"}
    assert "monitor-uri /readyz" in FLEET.read_text() and "bind :9101" in FLEET.read_text()


def test_the_balancers_satisfy_pod_security_restricted(balancer):
    pod, context = balancer["spec"]["template"]["spec"], container_of(balancer)["securityContext"]
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    assert context == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    assert all("configMap" in volume for volume in pod["volumes"])


def test_the_last_balancer_is_not_taken_away_with_the_other(balanced, balancer):
    budget = balanced["PodDisruptionBudget", "preforkd-balancer"]["spec"]
    assert budget["selector"]["matchLabels"] == balancer["spec"]["template"]["metadata"]["labels"]
    assert balancer["spec"]["replicas"] > budget["maxUnavailable"] >= 1


def test_pods_are_added_by_a_metric_of_ours_that_the_adapter_serves(everything):
    [metric] = everything["HorizontalPodAutoscaler", "preforkd"]["spec"]["metrics"]
    assert metric["type"] == "Pods"
    [rule] = yaml.safe_load((BASE / "scaled/adapter-rule.yaml").read_text())["rules"]
    name = metric["pods"]["metric"]["name"]
    assert rule["name"]["as"] == name and rule["seriesQuery"].startswith(f"{name}{{")
    assert f"*{name}*{{" in (ROOT / "packaging/man/preforkd.8.scd").read_text().replace("\\_", "_"), "the manual has it"
    per_worker = 1024
    assert 0.5 <= int(metric["pods"]["target"]["averageValue"]) / per_worker <= 0.8


def test_other_secrets_are_an_update_of_the_pods(tmp_path):
    def secret_of(objects):
        [volume] = objects["Deployment", "preforkd"]["spec"]["template"]["spec"]["volumes"]
        assert volume["secret"]["secretName"] == objects["Secret", "preforkd-tls"]["metadata"]["name"]
        return volume["secret"]["secretName"]
    first, second = (secret_of(with_secrets(tmp_path.resolve(), "tls", chain=text)) for text in ("one", "other"))
    assert first != second


def test_all_components_together_speak_tls_with_clients_whom_the_balancers_announce(everything, balanced, tmp_path):
    both = environment(everything["Deployment", "preforkd"])["PREFORKD_LISTEN"].split()
    tls = environment(with_secrets(tmp_path.resolve(), "tls")["Deployment", "preforkd"])["PREFORKD_LISTEN"].split()
    announced = environment(balanced["Deployment", "preforkd"])["PREFORKD_LISTEN"].split()
    assert both[0] == tls[0] and set(both[1:]) == set(tls[1:] + announced[1:])


def test_tls_names_files_that_are_mounted(everything):
    values = environment(everything["Deployment", "preforkd"])
    [mount] = container_of(everything["Deployment", "preforkd"])["volumeMounts"]
    files = set(re.findall(rf"=({re.escape(mount['mountPath'])}/\S+)", values["PREFORKD_LISTEN"]))
    assert {Path(file).name for file in files} == set(everything["Secret", "preforkd-tls"]["data"])
