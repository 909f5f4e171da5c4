"""What the settings of a repository should be: configs/repository.yaml into values in the shape of GitHub's API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator

from textgate.errors import CannotTell
from textgate.github.plan import read_variables
from textgate.records import Record

ACTIONS_APP = 15368  # GitHub Actions on github.com: no other app can report the required check in its place
TAGS = "v*"
Word = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Reviewer = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]+(/[A-Za-z0-9_.-]+)?$")]
Reviewers = Annotated[tuple[Reviewer, ...], Field(max_length=6)]  # GitHub takes no more
Variable = Literal[
    "TEXTGATE_GPU_LABELS", "TEXTGATE_CLOUD", "TEXTGATE_CLOUD_REGION", "TEXTGATE_CLOUD_TYPE", "TEXTGATE_ATTEST"
]
Json = Mapping[str, Any]


class Label(Record):
    """A label of issues and pull requests; the colour as six hexadecimal digits."""

    name: Word
    color: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{6}$")]
    description: Annotated[str, StringConstraints(max_length=100)]


class RepositoryConfig(Record):
    """configs/repository.yaml."""

    production_reviewers: Reviewers | None
    cloud_reviewers: Reviewers
    reviews: Annotated[int, Field(ge=0, le=10)]
    required_check: Word
    fork_approval: Literal[
        "all_external_contributors", "first_time_contributors", "first_time_contributors_new_to_github"
    ]
    allowed_actions: tuple[Annotated[str, StringConstraints(pattern=r"^[\w.-]+/[\w./*-]+@[\w./*-]+$")], ...]
    variables: dict[Variable, Word]
    labels: tuple[Label, ...]

    @field_validator("production_reviewers")
    @classmethod
    def _decided(cls, reviewers: Reviewers | None) -> Reviewers:
        if reviewers is None:
            raise ValueError("decide who lets a model into production: logins, organisation/team, or [] for nobody")
        return reviewers

    @field_validator("variables")
    @classmethod
    def _known_to_plan(cls, variables: dict[Variable, Word]) -> dict[Variable, Word]:
        try:
            read_variables({str(name): value for name, value in variables.items()})
        except CannotTell as error:
            raise ValueError(str(error)) from error
        return variables


@dataclass(frozen=True)
class Environment:
    """A place with secrets or consequences: who is asked, and from where it may be entered (None: from anywhere)."""

    name: str
    reviewers: tuple[str, ...]
    places: tuple[tuple[str, str], ...] | None  # ("branch" or "tag", pattern)


@dataclass(frozen=True)
class Ruleset:
    """Rules for branches or tags that bind everybody: nobody may pass them by."""

    name: str
    target: Literal["branch", "tag"]
    include: str
    rules: dict[str, Json]  # type of rule -> its parameters


def environments(config: RepositoryConfig, main: str) -> tuple[Environment, ...]:
    """Return the environments that the workflows name; `main` is the default branch.

    The cloud's can be entered from any branch, because pull requests train there.
    """
    assert config.production_reviewers is not None
    places = (("branch", main), ("tag", TAGS))
    staging, production = (
        Environment("staging", (), places),
        Environment("production", config.production_reviewers, places),
    )
    cloud = Environment("cloud-gpu", config.cloud_reviewers, None)
    return (staging, production, cloud) if "TEXTGATE_CLOUD" in config.variables else (staging, production)


def rulesets(config: RepositoryConfig) -> tuple[Ruleset, ...]:
    """Return the rules for the default branch and for the tags of releases.

    Who makes a tag is not restricted: the deploy job makes them with the run's own token, which no ruleset can let
    pass, and a tag on a commit that was never judged is refused by release.yml.
    """
    somebody = config.reviews > 0
    pull_request = {
        "required_approving_review_count": config.reviews,
        "require_code_owner_review": somebody,
        "require_last_push_approval": somebody,  # no push after the review, and by someone other than who pushed
        "dismiss_stale_reviews_on_push": True,
        "required_review_thread_resolution": False,
        "allowed_merge_methods": ["squash"],
    }
    checks = {
        "strict_required_status_checks_policy": True,  # judged together with what is on main now
        "do_not_enforce_on_create": False,
        "required_status_checks": [{"context": config.required_check, "integration_id": ACTIONS_APP}],
    }
    stays: dict[str, Json] = {"deletion": {}, "non_fast_forward": {}}
    main = stays | {"required_linear_history": {}, "pull_request": pull_request, "required_status_checks": checks}
    return (
        Ruleset("textgate: the default branch", "branch", "~DEFAULT_BRANCH", main),
        Ruleset("textgate: release tags stay", "tag", f"refs/tags/{TAGS}", stays | {"update": {}}),
    )


MERGING: Json = {
    "allow_squash_merge": True,  # one commit on main for each judged pull request
    "allow_merge_commit": False,
    "allow_rebase_merge": False,
    "allow_update_branch": True,  # a button for what the strict check asks
    "delete_branch_on_merge": True,
}
TOKEN: Json = {"default_workflow_permissions": "read", "can_approve_pull_request_reviews": False}
PRIVATE_FORKS: Json = {
    "send_write_tokens_to_workflows": False,
    "send_secrets_and_variables": False,
    "require_approval_for_fork_pr_workflows": True,
}


def actions(config: RepositoryConfig) -> Json:
    """Return which actions workflows may use: those of GitHub and those named, each pinned by its commit."""
    return {
        "enabled": True,
        "allowed_actions": "selected",
        "sha_pinning_required": True,
        "github_owned_allowed": True,
        "verified_allowed": False,
        "patterns_allowed": sorted(config.allowed_actions),
    }
