"""Pull requests that must not be merged: the required check is red, and the comment says why in its first line."""

import json

from tests.github import events
from tests.github.act_log import Job
from tests.github.hub import LocalGitHub
from tests.github.project import Project, made_up_rows
from tests.github.runner import Run

SEAL = "        digest = seal(folder"


def ended(ci: Run) -> dict[str, str]:
    """Return how the jobs that judge ended."""
    jobs: dict[str, Job] = ci.jobs
    return {name: jobs[name].conclusion for name in ("model_tests", "scan", "gate")}


def test_refused__accuracy_below_the_limit(hub: LocalGitHub, project: Project) -> None:
    project.branch("wrong")
    swapped = {"weather": "kitchen", "kitchen": "weather"}
    project.rows([(text, swapped[label]) for text, label in made_up_rows(300, seed=9)])
    ci, comment = events.judged(hub, project.pull_request("wrong"))
    assert ended(ci) == {"model_tests": "failure", "scan": "success", "gate": "failure"}, ci.text
    first = comment["body"].splitlines()[0]
    assert first.startswith("### textgate refused this model: "), first
    assert "accuracy" in first
    assert json.loads(hub.unzip(ci.id, "evidence")["gate.json"])["outcome"] == "refused"
    assert "judged" not in {one["name"] for one in hub.artifacts() if one["workflow_run"]["id"] == ci.id}


def test_refused__too_slow_and_the_changed_limit_is_pointed_to(hub: LocalGitHub, project: Project) -> None:
    project.branch("slow")
    project.config("gates", max_p95_ms=0.001)
    ci, comment = events.judged(hub, project.pull_request("slow"))
    assert ended(ci) == {"model_tests": "failure", "scan": "success", "gate": "failure"}, ci.text
    first = comment["body"].splitlines()[0]
    assert first.startswith("### textgate refused this model: "), first
    assert "latency" in first
    assert "**Look closely:** this pull request changes what judges it" in comment["body"]
    assert "\n- `configs/gates.yaml`\n" in comment["body"]


def test_refused__a_pickle_in_the_bundle_is_found_and_never_opened(hub: LocalGitHub, project: Project) -> None:
    project.branch("smuggled")
    pickled = f"cposix\nsystem\n(S'touch {hub.folder}/opened'\ntR.".encode()
    smuggle = f'        (folder / "weights.pkl").write_bytes({pickled!r})\n'
    project.replace("src/textgate/train/train.py", SEAL, smuggle + SEAL)
    ci, comment = events.judged(hub, project.pull_request("smuggled"))
    assert ci.jobs["train"].conclusion == "success", ci.text
    assert ended(ci)["scan"] == ended(ci)["gate"] == "failure", ci.text
    first = comment["body"].splitlines()[0]
    assert first.startswith("### textgate refused this model: "), first
    assert "scan" in first
    assert "`weights.pkl`" in comment["body"]
    assert not (hub.folder / "opened").exists()
