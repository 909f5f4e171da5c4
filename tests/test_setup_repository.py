"""The settings of a repository are shown, set and read back: the real script, the real gh, a server on this machine."""

import os
import re
import subprocess
import sys
from contextlib import contextmanager
from copy import deepcopy
from importlib.metadata import packages_distributions

import pytest
from tests.project import ROOT
from tests.repository_yaml import decided
from tests.settings_server import APPROVAL, SELECTED, Settings, serving

from textgate.config import load
from textgate.github.setup import JUDGES
from textgate.github.wanted import RepositoryConfig

NOBODY = "mend configs/repository.yaml"
FORKS = "actions/permissions/fork-pr-workflows-private-repos"


@contextmanager
def repository(folder, kept):
    """Serve settings; yield them, and a function that runs the script against them."""
    (folder / "configs").mkdir()
    with serving(folder, kept) as where:

        def run(*options, config=None, repo="acme/texts"):
            (folder / "configs/repository.yaml").write_text(config or decided(), encoding="utf-8")
            which = ["--repo", repo] if repo else []
            command = [sys.executable, str(ROOT / "scripts/setup_repository.py"), *options, *which]
            environment = os.environ | where
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
            assert "Traceback" not in done.stderr
            return done

        yield kept, run


@pytest.fixture
def github(tmp_path):
    """Serve a new repository."""
    with repository(tmp_path, Settings()) as served:
        yield served


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """Return a repository after the first run, and what that run printed."""
    with repository(tmp_path_factory.mktemp("first"), Settings()) as (kept, run):
        done = run("--yes")
    return kept, done


@pytest.fixture
def tidy(tmp_path, first):
    """Serve a repository that was set up before."""
    kept = deepcopy(first[0])
    kept.asked.clear()
    with repository(tmp_path, kept) as served:
        yield served


def written(kept):
    return [(method, path) for method, path in kept.asked if method != "GET"]


def test_setup__shows_what_differs_and_does_nothing_without_yes(github):
    kept, run = github
    done = run()
    assert done.returncode == 0, done.stderr
    assert written(kept) == []
    assert "settings of acme/texts" in done.stdout
    for row in (
        r"merging · allow_merge_commit +yes → no",
        r"actions · patterns_allowed +none → iterative/setup-cml@\*",
        r"label bug · color +ffffff → d73a4a",
        r"environments/production · reviewers +not there → ada, reviewers",
        r"the default branch · rules\.pull_request\.required_approving_review_count +not there → 1",
    ):
        assert re.search(row, done.stdout), row
    assert done.stdout.splitlines()[-1] == "nothing was changed: run this again with --yes to set what differs"


def test_setup__sets_everything_and_reads_it_back(first):
    kept, done = first
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "set what differed, and read it back"
    assert len(written(kept)) > 15


def test_setup__a_second_run_has_nothing_to_do(tidy):
    kept, run = tidy
    done = run("--yes")
    assert (done.returncode, done.stdout) == (0, "nothing to do: every setting that could be read is as it should be\n")
    assert written(kept) == []


def test_setup__the_default_branch_takes_judged_and_reviewed_squashed_commits_only(first):
    kept, _ = first
    (branch,) = [
        rule for path, rule in kept.kept.items() if path.startswith("rulesets/") and rule["target"] == "branch"
    ]
    assert (branch["enforcement"], branch["bypass_actors"]) == ("active", [])
    assert branch["conditions"]["ref_name"] == {"include": ["~DEFAULT_BRANCH"], "exclude": []}
    rules = {rule["type"]: rule.get("parameters", {}) for rule in branch["rules"]}
    assert rules.keys() == {
        "deletion",
        "non_fast_forward",
        "required_linear_history",
        "pull_request",
        "required_status_checks",
    }
    assert rules["required_status_checks"]["required_status_checks"] == [{"context": "gate", "integration_id": 15368}]
    assert rules["required_status_checks"]["strict_required_status_checks_policy"] is True
    review = rules["pull_request"]
    assert (review["required_approving_review_count"], review["require_code_owner_review"]) == (1, True)
    assert (review["dismiss_stale_reviews_on_push"], review["allowed_merge_methods"]) == (True, ["squash"])
    assert kept.kept[""]["allow_squash_merge"] is True
    assert kept.kept[""]["allow_merge_commit"] is kept.kept[""]["allow_rebase_merge"] is False


def test_setup__who_works_alone_is_not_locked_out(tidy):
    kept, run = tidy
    assert run("--yes", config=decided(reviews="0")).returncode == 0
    (branch,) = [
        rule for path, rule in kept.kept.items() if path.startswith("rulesets/") and rule["target"] == "branch"
    ]
    review = next(rule["parameters"] for rule in branch["rules"] if rule["type"] == "pull_request")
    assert review["required_approving_review_count"] == 0
    assert review["require_code_owner_review"] is review["require_last_push_approval"] is False


def test_setup__release_tags_are_neither_moved_nor_deleted_by_anybody(first):
    kept, _ = first
    (tags,) = [rule for path, rule in kept.kept.items() if path.startswith("rulesets/") and rule["target"] == "tag"]
    assert {rule["type"] for rule in tags["rules"]} == {"update", "deletion", "non_fast_forward"}
    assert (tags["conditions"]["ref_name"]["include"], tags["bypass_actors"]) == (["refs/tags/v*"], [])


def test_setup__actions_run_pinned_and_with_a_token_that_reads(first):
    kept, _ = first
    wanted = {"enabled": True, "allowed_actions": "selected", "sha_pinning_required": True}
    assert kept.kept["actions/permissions"] == wanted
    assert kept.kept[SELECTED] == {
        "github_owned_allowed": True, "verified_allowed": False, "patterns_allowed": ["iterative/setup-cml@*"],
    }  # fmt: skip
    token = {"default_workflow_permissions": "read", "can_approve_pull_request_reviews": False}
    assert kept.kept["actions/permissions/workflow"] == token
    assert kept.kept[APPROVAL] == {"approval_policy": "all_external_contributors"}
    assert kept.kept["private-vulnerability-reporting"] == {"enabled": True}


def test_setup__production_asks_its_reviewers_and_is_entered_from_main_and_release_tags_only(tidy):
    kept, run = tidy
    kept.kept["environments/production"] = {
        "protection_rules": [{"type": "wait_timer", "wait_timer": 30}],
        "deployment_branch_policy": {"protected_branches": False, "custom_branch_policies": True},
    }
    policies = "environments/production/deployment-branch-policies"
    kept.kept[f"{policies}/5"] = {"id": 5, "name": "*", "type": "branch"}
    assert run("--yes").returncode == 0
    rules = {rule["type"]: rule for rule in kept.kept["environments/production"]["protection_rules"]}
    assert [one["reviewer"] for one in rules["required_reviewers"]["reviewers"]] == [
        {"login": "ada"},
        {"slug": "Reviewers"},
    ]
    assert rules["wait_timer"]["wait_timer"] == 30  # what somebody set by hand is kept
    assert {(each["type"], each["name"]) for each in kept.policies(policies).values()} == {
        ("branch", "trunk"),
        ("tag", "v*"),
    }
    assert "required_reviewers" not in {rule["type"] for rule in kept.kept["environments/staging"]["protection_rules"]}
    assert "environments/cloud-gpu" not in kept.kept


def test_setup__a_cloud_gets_its_environment_and_variables_and_no_others_are_touched(tidy):
    kept, run = tidy
    kept.kept["actions/variables/TEXTGATE_CLOUD"] = {"name": "TEXTGATE_CLOUD", "value": "gcp"}
    kept.kept["actions/variables/OTHER"] = {"name": "OTHER", "value": "mine"}
    cloud = "{TEXTGATE_CLOUD: aws, TEXTGATE_CLOUD_TYPE: g4dn.xlarge}"
    config = decided(variables=cloud, cloud_reviewers="[grace]")
    assert run("--yes", config=config).returncode == 0
    variables = {path.rpartition("/")[2]: each["value"] for path, each in kept.kept.items() if "variables/" in path}
    assert variables == {"TEXTGATE_CLOUD": "aws", "TEXTGATE_CLOUD_TYPE": "g4dn.xlarge", "OTHER": "mine"}
    cloud = kept.kept["environments/cloud-gpu"]
    assert cloud["deployment_branch_policy"] is None  # pull requests train there
    assert cloud["protection_rules"][0]["reviewers"] == [{"type": "User", "reviewer": {"login": "grace"}}]


def test_setup__a_rule_that_somebody_added_or_a_bypass_is_shown_and_taken_back(tidy):
    kept, run = tidy
    (path,) = [path for path, rule in kept.kept.items() if path.startswith("rulesets/") and rule["target"] == "tag"]
    kept.kept[path]["rules"].append({"type": "creation"})
    kept.kept[path]["bypass_actors"] = [{"actor_id": 5, "actor_type": "RepositoryRole", "bypass_mode": "always"}]
    kept.kept[path]["enforcement"] = "disabled"
    shown = run("--yes").stdout
    for row in (
        r"other rules +creation → none",
        r"bypass_actors +actor_id 5, .* → none",
        r"enforcement +disabled → active",
    ):
        assert re.search(row, shown), row
    assert (kept.kept[path]["bypass_actors"], kept.kept[path]["enforcement"]) == ([], "active")
    assert "creation" not in {rule["type"] for rule in kept.kept[path]["rules"]}


def test_setup__what_the_plan_does_not_allow_is_one_line_and_the_rest_is_done(github):
    kept, run = github
    kept.kept[""]["private"] = True
    upgrade = (403, {"message": "Upgrade to GitHub Pro or make this repository public to enable this feature."})
    kept.refused = {
        "GET rulesets": upgrade,
        "PUT environments/production": (422, {"message": "Failed to create the environment"}),
    }
    done = run("--yes")
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 4
    assert sum("cannot be read" in line and "Upgrade to GitHub Pro" in line for line in lines) == 2
    assert sum("environments/production is not set" in line and "(422)" in line for line in lines) == 1
    assert lines[-1].startswith("cannot tell: some settings could not be read or set, see above")
    assert done.stdout.splitlines()[-1] == "set what differed, except for what follows"
    assert kept.kept["labels/bug"]["color"] == "d73a4a"
    assert kept.kept["actions/permissions"]["sha_pinning_required"] is True


def test_setup__a_private_repository_sends_no_secret_to_forks(tidy):
    kept, run = tidy
    kept.kept[""]["private"] = True
    assert run("--yes").returncode == 0
    assert kept.kept[FORKS] == {
        "run_workflows_from_fork_pull_requests": True, "send_write_tokens_to_workflows": False,
        "send_secrets_and_variables": False, "require_approval_for_fork_pr_workflows": True,
    }  # fmt: skip
    assert not {APPROVAL, "private-vulnerability-reporting"} & {path for _, path in kept.asked}


def test_setup__a_setting_that_github_took_and_forgot_is_not_called_set(tidy):
    kept, run = tidy
    kept.kept["actions/permissions/workflow"]["default_workflow_permissions"] = "write"
    kept.deaf = {"actions/permissions/workflow"}
    done = run("--yes")
    assert done.returncode == 2
    assert "workflow token is not set: default_workflow_permissions is still write" in done.stderr


def test_setup__an_answer_of_another_shape_is_said(tidy):
    kept, run = tidy
    kept.kept["environments/production"] = {"protection_rules": [{}]}
    done = run("--yes")
    assert (done.returncode, written(kept)) == (2, [])
    assert "environments/production cannot be read: GitHub's answer has another shape (KeyError('type'))" in done.stderr


@pytest.mark.parametrize(
    ("reviewers", "message"),
    [
        ("[eve]", f"eve has no access to acme/texts: {NOBODY}"),
        ("[nobody]", f"nobody has no access to acme/texts: {NOBODY}"),
        ("[acme/others]", f"acme/others is no team with access to acme/texts: {NOBODY}"),
        ("[other/reviewers]", f"other/reviewers is no team with access to acme/texts: {NOBODY}"),
    ],
)
def test_setup__a_reviewer_who_could_not_review_is_refused(tidy, reviewers, message):
    kept, run = tidy
    before = deepcopy(kept.kept)
    done = run("--yes", config=decided(reviewers))
    assert done.returncode == 2
    assert f"environments/production is not set: {message}" in done.stderr
    assert kept.kept == before


def test_setup__code_owners_that_github_does_not_know_are_refused(tidy):
    kept, run = tidy
    kept.owners = "".join(f"{path} @your--team\n" for path in JUDGES)
    unknown = "Unknown owner on line 4: make sure the team @your--team exists and has write access"
    kept.owner_errors = [{"line": 4, "kind": "Unknown owner", "message": unknown}]
    done = run()
    assert done.returncode == 1
    assert f".github/CODEOWNERS, line 4: {unknown}" in done.stderr
    assert "refused: .github/CODEOWNERS guards nothing yet, see above: mend it on the default branch" in done.stderr
    assert done.stdout.startswith("nothing to do")


@pytest.mark.parametrize("owners", ["", "/configs/ @ada\n/.github/\n# /scripts/ @ada\n"])
def test_setup__what_judges_needs_an_owner(tidy, owners):
    kept, run = tidy
    kept.owners = owners
    done = run()
    assert done.returncode == 1
    assert done.stderr.count(".github/CODEOWNERS names no owner of /") == len(JUDGES)


def test_setup__a_missing_code_owners_file_is_said(tidy):
    kept, run = tidy
    kept.refused = {"GET contents/.github/CODEOWNERS": (404, {"message": "Not Found"})}
    done = run()
    assert done.returncode == 1
    assert ".github/CODEOWNERS is not on the default branch: nobody has to agree" in done.stderr


def test_setup__code_owners_name_everything_that_judges_and_it_is_there():
    lines = (ROOT / ".github/CODEOWNERS").read_text(encoding="utf-8").splitlines()
    owned = {words[0] for words in (line.partition("#")[0].split() for line in lines) if len(words) > 1}
    assert "*" in owned or owned >= set(JUDGES)
    assert all(list(ROOT.glob(path.strip("/"))) for path in JUDGES)


def test_setup__only_an_administrator_may(tidy):
    kept, run = tidy
    kept.kept[""]["permissions"] = {"admin": False, "push": True}
    done = run("--yes")
    assert (done.returncode, written(kept)) == (1, [])
    assert (
        done.stderr
        == "refused: acme/texts: only an administrator may change its settings: log in as one, gh auth login\n"
    )


def test_setup__an_unknown_repository_is_said_once(tidy):
    done = tidy[1]("--yes", repo="acme/nothing")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "404" in done.stderr


@pytest.mark.parametrize(
    "url", ["https://github.com/acme/texts.git", "git@github.com:acme/texts.git", "https://github.com/acme/texts"]
)
def test_setup__takes_the_repository_from_the_remote_origin(github, tmp_path, url):
    _, run = github
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    subprocess.run(["git", "remote", "add", "origin", url], cwd=tmp_path, check=True)
    assert "settings of acme/texts" in run(repo=None).stdout


def test_setup__without_a_remote_asks_for_the_repository(github, tmp_path):
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    done = github[1](repo=None)
    assert done.returncode == 2
    assert done.stderr == (
        "cannot tell: git has no remote named origin on GitHub: say which repository, --repo owner/name\n"
    )


def test_config__what_lies_in_configs_is_read_once_somebody_has_decided(tmp_path):
    text = (ROOT / "configs/repository.yaml").read_text(encoding="utf-8")
    path = tmp_path / "repository.yaml"
    path.write_text(text.replace("\nproduction_reviewers: null\n", "\nproduction_reviewers: []\n"), encoding="utf-8")
    assert load(path, RepositoryConfig).required_check


def test_setup__needs_no_more_than_the_small_environment_of_the_workflows():
    code = (
        "import sys; before = set(sys.modules); import textgate.config, textgate.github.setup; "
        "print(*set(sys.modules) - before)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    owners = packages_distributions()
    used = {owner for name in done.stdout.split() for owner in owners.get(name, ())}
    small = (ROOT / "requirements-ci.txt").read_text(encoding="utf-8")
    pinned = {name.replace("-", "_") for name in re.findall(r"^([\w-]+)==", small, re.MULTILINE)}
    assert {name.lower().replace("-", "_") for name in used} - {"textgate"} == pinned
