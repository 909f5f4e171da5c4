"""Where a run trains and whether it has to: decided from the event, the variables and git."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from textgate.errors import CannotTell
from textgate.github.changed import changed_files
from textgate.github.plan import HOSTED, Event, Variables, decide, read_event, read_variables

ROOT = Path(__file__).resolve().parent.parent
NOTHING = Variables((), "", "")
GPU = Variables(("self-hosted", "gpu"), "", "")
CLOUD = Variables((), "aws", "g4dn.xlarge")
OURS = Event("77", None, trusted=True)
FORK = Event("77", None, trusted=False)
HOME = {"id": 1}


def pull_request(head_repo, login="ann"):
    pull = {"head": {"repo": head_repo}, "base": {"sha": "a" * 40}, "user": {"login": login}}
    return {"pull_request": pull, "repository": HOME}


def test_plan__trains_on_a_hosted_machine_unless_a_variable_names_another():
    assert decide(OURS, NOTHING, ["src/a.py"]).runner == HOSTED
    plan = decide(OURS, GPU, ["src/a.py"])
    assert (plan.runner, plan.gpu, plan.cloud) == (("self-hosted", "gpu"), True, False)


def test_plan__launches_a_machine_under_a_label_of_this_run():
    plan = decide(OURS, CLOUD, ["src/a.py"])
    assert (plan.runner, plan.gpu, plan.cloud) == (("self-hosted", "textgate-77"), True, True)


def test_plan__prefers_a_machine_of_ones_own_to_the_cloud():
    plan = decide(OURS, Variables(("gpu",), "aws", "g4dn.xlarge"), None)
    assert (plan.runner, plan.cloud) == (("gpu",), False)


@pytest.mark.parametrize("variables", [GPU, CLOUD])
def test_plan__a_fork_never_gets_a_gpu(variables):
    plan = decide(FORK, variables, ["src/a.py"])
    assert (plan.runner, plan.gpu, plan.cloud, plan.fork) == (HOSTED, False, False, True)


def test_plan__launches_nothing_where_nothing_trains():
    assert not decide(OURS, CLOUD, ["README.md"]).cloud


@pytest.mark.parametrize(
    "files", [["README.md"], ["docs/a.md", "docs/picture.svg"], ["tests/test_a.py"], ["a/b/notes.md"], ["LICENSE"], []]
)
def test_plan__documentation_and_tests_make_no_model(files):
    plan = decide(OURS, NOTHING, files)
    assert not plan.changed
    assert "nothing that makes or judges a model changed" in plan.reason


@pytest.mark.parametrize(
    "file",
    [
        "configs/gates.yaml",
        "configs/card.yaml",
        "data/rows.csv.dvc",
        "src/textgate/errors.py",
        "model_tests/test_schema.py",
        "requirements.txt",
        "MODEL_CARD.md",
        ".github/workflows/ci.yml",
        "Makefile",
        "docs.py",
        "tests",
        "docs",
    ],
)
def test_plan__anything_else_makes_or_judges_one(file):
    plan = decide(OURS, NOTHING, ["README.md", file])
    assert plan.changed
    assert file in plan.reason
    assert "README.md" not in plan.reason


def test_plan__everything_runs_when_git_cannot_tell_what_changed():
    assert decide(OURS, NOTHING, None).changed


def test_plan__names_three_files_and_counts_the_others():
    assert decide(OURS, NOTHING, [f"src/{n}.py" for n in range(9)]).reason == (
        "changed: src/0.py, src/1.py, src/2.py and 6 more"
    )


def test_read_event__trusts_pushes_merge_queues_and_pull_requests_from_home():
    assert read_event("push", {"before": "b" * 40}, "1") == Event("1", "b" * 40, trusted=True)
    assert read_event("merge_group", {"merge_group": {"base_sha": "c" * 40}}, "1").trusted
    assert read_event("pull_request", pull_request(HOME), "1") == Event("1", "a" * 40, trusted=True)


@pytest.mark.parametrize("head", [{"id": 2}, None])
def test_read_event__does_not_trust_a_fork_nor_one_that_is_gone(head):
    assert not read_event("pull_request", pull_request(head), "1").trusted


def test_read_event__does_not_trust_dependabot():
    assert not read_event("pull_request", pull_request(HOME, "dependabot[bot]"), "1").trusted


def test_read_event__a_new_branch_has_nothing_to_compare_with():
    assert read_event("push", {"before": "0" * 40}, "1").base is None


def test_read_event__says_which_event_it_cannot_plan():
    with pytest.raises(CannotTell, match="no plan for the event 'schedule'"):
        read_event("schedule", {}, "1")
    with pytest.raises(CannotTell, match="payload of the pull_request event lacks 'pull_request'"):
        read_event("pull_request", {}, "1")


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"TEXTGATE_GPU_LABELS": "gpu,$(id)"}, r"TEXTGATE_GPU_LABELS holds '\$\(id\)'"),
        ({"TEXTGATE_CLOUD": "moon"}, r"TEXTGATE_CLOUD is 'moon' \(known: aws\)"),
        ({"TEXTGATE_CLOUD": "aws"}, "TEXTGATE_CLOUD_TYPE is not set"),
    ],
)
def test_read_variables__says_what_is_wrong_with_one(environment, message):
    with pytest.raises(CannotTell, match=message):
        read_variables(environment)


def test_read_variables__takes_labels_separated_by_commas():
    assert read_variables({"TEXTGATE_GPU_LABELS": " self-hosted , gpu,"}).gpu_labels == ("self-hosted", "gpu")
    assert read_variables({"TEXTGATE_GPU_LABELS": "", "TEXTGATE_CLOUD": ""}) == NOTHING


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Return the commit before the last one of a repository that is the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "ann")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "ann@example.org")
    git("init", "-q", "-b", "main")
    commit("kept.py", "moved.py")
    base = git("rev-parse", "HEAD").strip()
    git("mv", "moved.py", "å b.md")
    commit("docs/new.md")
    return base


def git(*words):
    return subprocess.run(["git", *words], check=True, capture_output=True, text=True).stdout


def commit(*names):
    for name in names:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(name, encoding="utf-8")
    git("add", "-A")
    git("commit", "-qm", "x")


def test_changed_files__names_both_ends_of_a_move(repository):
    assert sorted(changed_files(repository) or ()) == ["docs/new.md", "moved.py", "å b.md"]


@pytest.mark.parametrize("base", [None, "f" * 40, "--output=stolen", "main"])
def test_changed_files__cannot_tell_without_a_commit_to_compare_with(repository, base):
    assert changed_files(base) is None
    assert not Path("stolen").exists()


def plan_script(payload, **variables):
    Path("event.json").write_text(json.dumps(payload), encoding="utf-8")
    environment = os.environ | {
        "GITHUB_EVENT_NAME": "pull_request",
        "GITHUB_EVENT_PATH": "event.json",
        "GITHUB_RUN_ID": "7",
        "GITHUB_OUTPUT": "outputs",
        **variables,
    }
    command = [sys.executable, str(ROOT / "scripts/plan.py")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_plan_script__gives_the_workflow_its_outputs(repository):
    payload = pull_request(HOME)
    payload["pull_request"]["base"]["sha"] = repository
    done = plan_script(payload, TEXTGATE_GPU_LABELS="gpu")
    assert done.returncode == 0, done.stderr
    assert Path("outputs").read_text(encoding="utf-8").splitlines() == [
        "changed=true",
        'runner=["gpu"]',
        "gpu=true",
        "cloud=false",
    ]
    assert json.loads(Path("build/plan.json").read_text(encoding="utf-8"))["runner"] == ["gpu"]


def test_plan_script__a_broken_payload_is_one_line_and_no_output(repository):
    done = plan_script({})
    assert done.returncode == 2
    assert done.stderr == (
        "cannot tell: the payload of the pull_request event lacks 'pull_request': run this in a workflow\n"
    )
    assert not Path("outputs").exists()
