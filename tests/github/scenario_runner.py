"""Where a run trains: on the machine that the repository's variables name, or in a merge queue without a comment."""

import pytest
from tests.github import events
from tests.github.hub import LocalGitHub
from tests.github.project import Project

GPU = {"TEXTGATE_GPU_LABELS": "self-hosted, gpu"}
CLOUD = {"TEXTGATE_CLOUD": "aws", "TEXTGATE_CLOUD_TYPE": "g4dn.xlarge", "TEXTGATE_CLOUD_REGION": "eu-north"}


def opened(project: Project, branch: str, owner: str = "acme", crash: bool = False) -> int:
    """Open a pull request whose training would take a machine; `crash`: it ends at once, and in failure."""
    project.branch(branch)
    project.config("train", seed=16)
    if crash:
        project.replace("scripts/choose.py", "def main() -> None:\n", 'def main() -> None:\n    sys.exit("crash")\n')
    return project.pull_request(branch, owner=owner)


def test_runner__the_gpu_variable_names_the_labels_that_train_asks_for(hub: LocalGitHub, project: Project) -> None:
    number = opened(project, "gpu")
    ci = events.pull_request(hub, number, variables=GPU)
    assert ci.jobs["train"].runs_on == ["self-hosted", "gpu"], ci.text
    assert ci.jobs["train"].conclusion != "success"
    assert ci.jobs["gate"].conclusion == "failure"  # no machine took it: nothing was judged
    assert {ci.jobs[name].conclusion for name in ("launch", "remove")} == {"skipped"}


@pytest.mark.parametrize(("owner", "variables"), [("acme", {}), ("mallory", GPU | CLOUD)])
def test_runner__without_the_variable_or_for_a_fork_it_is_a_hosted_machine(
    hub: LocalGitHub, project: Project, owner: str, variables: dict[str, str]
) -> None:
    number = opened(project, f"hosted-{len(hub.pulls)}", owner, crash=True)
    ci = events.pull_request(hub, number, variables=variables, secrets={"TEXTGATE_RUNNER_TOKEN": hub.owner})
    assert ci.jobs["train"].runs_on == []
    assert ci.step("train", "choose") == "failure", ci.text
    assert ci.jobs["plan"].outputs["plan"]["runner"] == '["ubuntu-24.04"]'
    assert {ci.jobs[name].conclusion for name in ("launch", "remove")} == {"skipped"}
    assert hub.runners == []


def test_runner__a_machine_in_the_cloud_is_launched_and_taken_away_also_when_training_fails(
    hub: LocalGitHub, project: Project
) -> None:
    number = opened(project, "cloud", crash=True)
    launched: list[dict] = []
    ci = events.pull_request(
        hub,
        number,
        variables=CLOUD,
        secrets={"TEXTGATE_RUNNER_TOKEN": hub.owner},
        labels=("self-hosted",),
        at_step=("train", "choose"),
        then=lambda: launched.extend(hub.runners),
    )
    name = f"textgate-{ci.id}"
    assert ci.jobs["launch"].conclusion == "success", ci.text
    assert ci.jobs["plan"].outputs["plan"]["runner"] == f'["self-hosted", "{name}"]'
    (machine,) = launched
    assert [label["name"] for label in machine["labels"]] == ["self-hosted", name]
    assert machine["launched_with"] == [
        "runner", "launch", "--single", "--idle-timeout=900", f"--name={name}", f"--labels={name}", "--cloud=aws",
        "--cloud-region=eu-north", "--cloud-type=g4dn.xlarge",
    ]  # fmt: skip
    assert ci.step("train", "choose") == "failure"
    assert ci.jobs["remove"].conclusion == "success"
    assert hub.runners == []
    assert f"{name}: removed\n" in ci.said("remove")


def test_runner__a_machine_that_could_not_be_launched_is_told(hub: LocalGitHub, project: Project) -> None:
    number = opened(project, "no-cloud")
    ci, comment = events.judged(hub, number, variables=CLOUD, secrets={"TEXTGATE_RUNNER_TOKEN": "ghs_wrong"})
    assert ci.jobs["launch"].conclusion == "failure", ci.text
    assert (ci.jobs["train"].conclusion, ci.jobs["gate"].conclusion) == ("skipped", "failure")
    assert comment["body"].startswith("### No verdict: launch failed\n"), comment["body"]


def test_runner__a_merge_queue_runs_ci_and_has_no_comment(hub: LocalGitHub, project: Project) -> None:
    project.branch("queued")
    project.write("docs/queued.md", "# Queued\n")
    number = project.pull_request("queued")
    ci = events.merge_group(hub, number)
    assert ci.conclusion == "success", ci.text
    assert ci.jobs["gate"].conclusion == "success"
    assert {ci.jobs[name].conclusion for name in ("train", "deploy/publish")} == {"skipped"}
    said = events.workflow_run(hub, ci)
    assert said.conclusion == "skipped", said.text
    assert hub.comments(number) == []
