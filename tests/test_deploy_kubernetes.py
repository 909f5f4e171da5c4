"""The manifests as kubectl would apply them: valid, locked in, and agreeing with each other. No cluster is asked."""

import copy
import subprocess
from functools import cache
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from textgate.config import load
from textgate.serve.settings import ServeConfig

pytestmark = pytest.mark.deploy
KUBERNETES = Path(__file__).resolve().parent.parent / "deploy/kubernetes"
OLDEST = "1.30"  # with what was supported when these manifests were written
CONFIG = load(KUBERNETES / "base/serve.yaml", ServeConfig)


@cache
def rendered(overlay):
    """{kind: manifest} of one overlay; each kind is there once."""
    done = subprocess.run(["kubectl", "kustomize", KUBERNETES / overlay], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    manifests = list(yaml.safe_load_all(done.stdout))
    kinds = {manifest["kind"]: manifest for manifest in manifests}
    assert len(kinds) == len(manifests)
    return kinds


def pod():
    """Return what the stable pods are made of."""
    return rendered("stable")["Deployment"]["spec"]["template"]["spec"]


def problems(pod):
    """List what the Pod Security Standard `restricted` forbids, and what else a service needs not."""
    found = [key for key in ("hostNetwork", "hostPID", "hostIPC", "serviceAccountName") if pod.get(key)]
    security = pod.get("securityContext", {})
    wanted = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    found += [key for key, value in wanted.items() if security.get(key) != value]
    found += ["runAsUser"] if not security.get("runAsUser") else []
    found += ["automountServiceAccountToken"] if pod.get("automountServiceAccountToken") is not False else []
    allowed = {"configMap", "emptyDir", "persistentVolumeClaim"}
    found += [volume["name"] for volume in pod["volumes"] if not allowed & volume.keys()]
    for container in (*pod["containers"], *pod.get("initContainers", ())):
        own = container.get("securityContext", {})
        wanted = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        found += [key for key, value in wanted.items() if own.get(key) != value]
        found += [key for key in ("privileged", "runAsUser", "runAsNonRoot", "seccompProfile") if key in own]
        found += ["hostPort" for port in container["ports"] if "hostPort" in port]
        found += [key for key in ("requests", "limits") if "memory" not in container["resources"].get(key, {})]
    return found


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version()])
@pytest.mark.parametrize("overlay", ["stable", "canary"])
def test_manifests__obey_the_schemas(overlay, version):
    for manifest in rendered(overlay).values():
        assert kubernetes_validate.validate(manifest, version, strict=True) in version


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Deployment", ("spec", "template", "spec", "containers", 0, "readynessProbe"), {}),
        ("Deployment", ("spec", "template", "spec", "terminationGracePeriodSeconds"), "40s"),
        ("Service", ("spec", "ports", 0, "targetport"), "http"),
        ("HorizontalPodAutoscaler", ("spec", "maxReplicas"), None),
        ("NetworkPolicy", ("spec", "egres"), []),
        ("PodDisruptionBudget", ("spec", "maxUnavailable"), [1]),
    ],
)
def test_manifests__a_slip_of_the_pen_is_found(kind, path, value):
    manifest = copy.deepcopy(rendered("stable")[kind])
    inner = manifest
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def test_pods__may_nothing_that_they_need_not():
    assert problems(pod()) == []
    assert problems(rendered("canary")["Deployment"]["spec"]["template"]["spec"]) == []


@pytest.mark.parametrize(
    ("where", "key", "value", "found"),
    [
        ("pod", "hostNetwork", True, "hostNetwork"),
        ("pod", "automountServiceAccountToken", True, "automountServiceAccountToken"),
        ("pod", "securityContext", {"runAsNonRoot": True}, "seccompProfile"),
        ("pod", "volumes", [{"name": "node", "hostPath": {"path": "/"}}], "node"),
        ("container", "securityContext", {}, "readOnlyRootFilesystem"),
        ("container", "resources", {"requests": {"memory": "1Gi"}}, "limits"),
    ],
)
def test_pods__a_freedom_too_many_is_found(where, key, value, found):
    broken = copy.deepcopy(pod())
    (broken if where == "pod" else broken["containers"][0])[key] = value
    assert found in problems(broken)


def test_pods__are_given_the_time_that_draining_takes():
    container = pod()["containers"][0]
    before = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    needed = before + CONFIG.listen.notice_seconds + CONFIG.listen.drain_seconds
    assert pod()["terminationGracePeriodSeconds"] > needed


def test_pods__read_the_configuration_that_is_mounted_and_find_their_folders():
    container, volumes = pod()["containers"][0], {volume["name"]: volume for volume in pod()["volumes"]}
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    config = Path(container["args"][container["args"].index("--config") + 1])
    named = volumes[mounts[str(config.parent)]["name"]]["configMap"]["name"]
    assert named == rendered("stable")["ConfigMap"]["metadata"]["name"]
    assert rendered("stable")["ConfigMap"]["data"][config.name] == (KUBERNETES / "base/serve.yaml").read_text()
    assert mounts[CONFIG.audit.folder]["subPathExpr"] == "$(POD_NAME)"  # two pods never write one chain
    claim = volumes[mounts[CONFIG.audit.folder]["name"]]["persistentVolumeClaim"]["claimName"]
    assert claim == rendered("stable")["PersistentVolumeClaim"]["metadata"]["name"]
    assert "/tmp" in mounts
    assert not [path for path in mounts if CONFIG.models.champion.startswith(path)]  # would hide the release


def test_pods__get_the_cores_that_the_configuration_counts_on():
    cores = int(pod()["containers"][0]["resources"]["requests"]["cpu"])
    assert cores == CONFIG.batching.transformer.lanes == CONFIG.batching.ensemble.lanes


def test_pods__every_way_in_leads_to_the_port_that_is_listened_on():
    container = pod()["containers"][0]
    assert container["ports"] == [{"name": "http", "containerPort": CONFIG.listen.port}]
    probes = [container[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")]
    assert [probe["path"] for probe in probes] == ["/ready", "/ready", "/health"]
    assert {probe["port"] for probe in probes} == {"http"}
    assert rendered("stable")["Service"]["spec"]["ports"][0]["targetPort"] == "http"
    assert rendered("stable")["NetworkPolicy"]["spec"]["ingress"][0]["ports"] == [{"protocol": "TCP", "port": "http"}]
    annotations = rendered("stable")["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(CONFIG.listen.port)


def test_stable__is_scaled_kept_and_closed_as_a_whole():
    deployment = rendered("stable")["Deployment"]
    target = rendered("stable")["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])
    assert "replicas" not in deployment["spec"]
    assert rendered("stable")["HorizontalPodAutoscaler"]["spec"]["minReplicas"] > 1
    assert rendered("stable")["PodDisruptionBudget"]["spec"]["selector"] == deployment["spec"]["selector"]
    assert rendered("stable")["NetworkPolicy"]["spec"]["egress"] == []
    assert all("from" in rule for rule in rendered("stable")["NetworkPolicy"]["spec"]["ingress"])


def test_canary__is_one_pod_of_another_release_behind_the_same_service():
    stable, canary = rendered("stable")["Deployment"], rendered("canary")["Deployment"]
    assert rendered("canary").keys() == {"Deployment", "ConfigMap"}
    assert canary["spec"]["replicas"] == 1
    assert canary["metadata"]["name"] != stable["metadata"]["name"]
    assert stable["spec"]["selector"]["matchLabels"] == {"app": "textgate", "track": "stable"}
    assert canary["spec"]["selector"]["matchLabels"] == {"app": "textgate", "track": "canary"}
    images = [one["spec"]["template"]["spec"]["containers"][0]["image"] for one in (stable, canary)]
    assert images[0].partition(":")[0] == images[1].partition(":")[0]
    assert images[0] != images[1]
    for shared in (
        rendered("stable")["Service"]["spec"]["selector"],
        rendered("stable")["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    ):
        for one in (stable, canary):
            assert shared.items() <= one["spec"]["template"]["metadata"]["labels"].items()
