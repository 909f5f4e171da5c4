"""The Ray job as kubectl would apply it: locked in, of one version, as its image is made. No cluster is asked."""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from tests.test_deploy_kubernetes import OLDEST, problems

pytestmark = pytest.mark.deploy
ROOT = Path(__file__).resolve().parent.parent
RAY = ROOT / "deploy/ray"
DOCKERFILE = (RAY / "Dockerfile").read_text()


@cache
def rendered():
    """{kind: manifest} of the folder."""
    done = subprocess.run(["kubectl", "kustomize", RAY], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return {manifest["kind"]: manifest for manifest in yaml.safe_load_all(done.stdout)}


def job():
    return rendered()["RayJob"]["spec"]


def templates():
    """Return what head and workers are made of."""
    cluster = job()["rayClusterSpec"]
    return [cluster["headGroupSpec"]["template"], *(group["template"] for group in cluster["workerGroupSpecs"])]


def copied():
    found = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    return {name for line in found for name in line.split()}


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version()])
def test_manifests__obey_the_schemas_that_kubernetes_has_itself(version):
    kinds = [rendered()[kind] for kind in ("NetworkPolicy", "PersistentVolumeClaim")]
    pods = [
        {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "pod"}, "template": each}
        for each in templates()
    ]
    for manifest in (*kinds, *pods):
        assert kubernetes_validate.validate(manifest, version, strict=True) in version


def test_pods__may_nothing_that_they_need_not():
    assert [problems(each["spec"]) for each in templates()] == [[], []]


def test_pods__are_all_behind_the_policy_that_lets_in_only_themselves_and_the_operator():
    policy = rendered()["NetworkPolicy"]["spec"]
    own = {"podSelector": policy["podSelector"]}
    assert all(each["metadata"]["labels"] == policy["podSelector"]["matchLabels"] for each in templates())
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    among, operator = policy["ingress"]
    assert among == {"from": [own]}
    assert operator["from"][0]["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "kuberay-operator"}
    [head] = templates()[0]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in head["ports"]}
    assert operator["ports"] == [{"protocol": "TCP", "port": ports["dashboard"]}]
    assert policy["egress"][0] == {"to": [own]}
    assert all(port["port"] == 53 for rule in policy["egress"][1:] for port in rule["ports"])


def test_job__is_of_the_version_that_is_installed_and_asks_for_a_token():
    pinned = re.search(r"^ray==(\S+)", (ROOT / "requirements-ray.txt").read_text(), re.MULTILINE)
    assert job()["rayClusterSpec"]["rayVersion"] == pinned[1]
    assert job()["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    assert "RAY_USAGE_STATS_ENABLED=0" in DOCKERFILE


def test_job__runs_the_script_on_what_the_head_mounts_and_workers_need_no_volume_of_it():
    words = job()["entrypoint"].split()
    script = next(word for word in words if word.endswith(".py"))
    assert script in copied()
    head, *workers = (each["spec"] for each in templates())
    assert "/data" in {mount["mountPath"] for mount in head["containers"][0]["volumeMounts"]}
    assert len([word for word in words if word.startswith("/data/")]) == 3
    assert [volume["name"] for worker in workers for volume in worker["volumes"]] == ["tmp"]
    claim = head["volumes"][0]["persistentVolumeClaim"]["claimName"]
    assert claim == rendered()["PersistentVolumeClaim"]["metadata"]["name"]
    assert job()["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


@pytest.mark.parametrize(("code", "success"), [(0, True), (1, True), (2, False), (130, False)])
def test_job__rejected_rows_are_a_success_and_no_output_is_none(code, success, tmp_path):
    (tmp_path / "python").write_text(f"#!/bin/sh\nexit {code}\n")
    (tmp_path / "python").chmod(0o755)
    entrypoint = job()["entrypoint"].replace("cd /app", f"cd {tmp_path}")
    done = subprocess.run(["/bin/sh", "-c", entrypoint], env={"PATH": str(tmp_path)}, check=False)
    assert (done.returncode == 0) == success
    assert subprocess.run(["/bin/sh", "-c", job()["entrypoint"].replace("/app", "/none")], check=False).returncode == 2


def test_worker__finds_the_processors_that_it_is_given_and_no_more():
    for each in templates()[1:]:
        [container] = each["spec"]["containers"]
        assert container["resources"]["limits"] == container["resources"]["requests"]
        assert int(container["resources"]["limits"]["cpu"]) > 1


def test_dockerfile__has_no_finding_and_its_builder_gets_what_it_copies():
    done = subprocess.run([Path(sys.executable).parent / "hadolint", RAY / "Dockerfile"], check=False)
    assert done.returncode == 0
    lines = (RAY / "Dockerfile.dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied()
