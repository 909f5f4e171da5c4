"""The manifests of a training on several machines: valid, locked in, and with a command that really trains."""

import re
import shutil
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from tests.kept_port import kept_port
from tests.test_deploy_kubernetes import OLDEST, problems
from tests.test_distributed import SCRIPT, behind_an_epoch, ended, hold_up, project, rank, start

from textgate import records
from textgate.bundle import verify
from textgate.evidence import TrainReport

TRAIN = Path(__file__).resolve().parent.parent / "deploy/train"


@cache
def manifests():
    found = [
        part for file in ("job", "network", "data") for part in yaml.safe_load_all((TRAIN / f"{file}.yaml").open())
    ]
    return {manifest["kind"]: manifest for manifest in found}


def pod():
    return manifests()["Job"]["spec"]["template"]["spec"]


def options():
    """Return what torchrun is told, by name."""
    words = [word.removeprefix("--").split("=") for word in pod()["containers"][0]["args"] if "=" in word]
    return dict(words)


@pytest.mark.deploy
def test_manifests__are_what_kubectl_applies_and_obey_the_schemas():
    done = subprocess.run(["kubectl", "kustomize", TRAIN], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    applied = {manifest["kind"]: manifest for manifest in yaml.safe_load_all(done.stdout)}
    assert applied == manifests()
    for version in (OLDEST, kubernetes_validate.latest_version()):
        for manifest in applied.values():
            assert kubernetes_validate.validate(manifest, version, strict=True) in version


def test_job__its_pods_may_nothing_that_they_need_not():
    assert problems(pod()) == []


def test_job__has_a_pod_for_each_machine_that_torchrun_waits_for():
    job = manifests()["Job"]["spec"]
    assert job["completionMode"] == "Indexed"
    assert {str(job["completions"]), str(job["parallelism"])} == {options()["nnodes"]}
    assert pod()["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == options()["nproc-per-node"]


def test_job__the_first_pod_is_found_by_the_name_that_torchrun_asks_for():
    job, service = manifests()["Job"], manifests()["Service"]
    assert options()["master-addr"] == f"{job['metadata']['name']}-0.{service['metadata']['name']}"
    assert pod()["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["selector"] == job["spec"]["template"]["metadata"]["labels"]
    assert (service["spec"]["clusterIP"], service["spec"]["publishNotReadyAddresses"]) == ("None", True)


def test_network__only_the_pods_of_the_job_reach_each_other():
    policy, labels = manifests()["NetworkPolicy"]["spec"], manifests()["Job"]["spec"]["template"]["metadata"]["labels"]
    each_other = [{"podSelector": {"matchLabels": labels}}]
    assert policy["podSelector"]["matchLabels"] == labels
    assert [rule["from"] for rule in policy["ingress"]] == [each_other]
    assert [rule["to"] for rule in policy["egress"] if "ports" not in rule] == [each_other]


def test_dockerfile__has_no_finding_and_its_builder_gets_what_it_copies():
    assert subprocess.run([Path(sys.executable).parent / "hadolint", TRAIN / "Dockerfile"], check=False).returncode == 0
    copied = re.findall(r"^COPY (\S+) \S+$", (TRAIN / "Dockerfile").read_text(), re.MULTILINE)
    lines = (TRAIN / "Dockerfile.dockerignore").read_text().splitlines()
    rules = [line for line in lines if not line.startswith("#")]
    assert (rules[0], rules[1:]) == ("*", [f"!{name}" for name in copied])
    assert all((TRAIN.parent.parent / name).exists() for name in copied)


def machine(folder, number, port):
    """Start what the pod of this number would."""
    given = {"$(NODE_RANK)": str(number), options()["master-addr"]: "127.0.0.1", options()["master-port"]: str(port)}
    words = pod()["containers"][0]["args"][1:-1]
    for old, new in given.items():
        words = [word.replace(old, new) for word in words]
    return start(sys.executable, "-m", "torch.distributed.run", *words, SCRIPT, cwd=folder)


@pytest.mark.long
def test_job__its_command_trains_on_two_machines_and_the_first_alone_writes(tmp_path, wheel_base):
    (tmp_path / "0").mkdir()
    folders = [project(tmp_path / "0", wheel_base), Path(shutil.copytree(tmp_path / "0", tmp_path / "1"))]
    with kept_port() as port:
        found = [ended(process) for process in [machine(folder, n, port) for n, folder in enumerate(folders)]]
    assert [code for code, *_ in found] == [0, 0], found
    assert ["epoch 20:" in out for _, out, _ in found] == [True, False]
    report = records.read(folders[0] / "build" / "train.json", TrainReport, "train")
    assert report.processes == 2
    assert verify(folders[0] / "build" / "model", report.bundle_digest)
    assert {path.name for path in (folders[1] / "build").iterdir()} <= {"choice.json", "data", "checkpoints"}
    assert list((folders[1] / "build" / "checkpoints").iterdir()) == []


@pytest.mark.long
def test_job__a_lost_machine_ends_the_others_with_one_line_of_their_own(tmp_path, wheel_base):
    (tmp_path / "0").mkdir()
    folders = [project(tmp_path / "0", wheel_base), Path(shutil.copytree(tmp_path / "0", tmp_path / "1"))]
    with kept_port() as port:
        first, second = [machine(folder, number, port) for number, folder in enumerate(folders)]
        hold_up(first)
        behind_an_epoch(first, folders[0])
        rank(second, 1).send_signal(signal.SIGKILL)
        codes, lines = zip(*((code, err.splitlines()) for code, _, err in map(ended, (first, second))), strict=True)
    assert 0 not in codes
    found = [line for line in lines[0] if line.startswith("cannot tell: ")]
    assert len(found) == 1
    assert found[0].startswith("cannot tell: another process of this training is gone (")
    assert found[0].endswith("look at the other machines, then start it again: it goes on behind the last whole epoch")
    assert not (folders[0] / "build" / "train.json").exists()
