"""configs/repository.yaml: what it may not say is one line, and what differs from GitHub's answer is found."""

import pytest
from tests.repository_yaml import UNDECIDED, decided

from textgate.config import load
from textgate.errors import CannotTell
from textgate.github.setup import Difference, differences
from textgate.github.wanted import RepositoryConfig


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            UNDECIDED,
            "production_reviewers: decide who lets a model into production: logins, organisation/team, or [] for",
        ),
        (decided("['@ada']"), "production_reviewers.0: String should match pattern"),
        (decided("[a, b, c, d, e, f, g]"), "production_reviewers: Tuple should have at most 6 items"),
        (decided(variables="{TEXTGATE_CLOUD: ibm}"), "variables: the repository variable TEXTGATE_CLOUD is 'ibm'"),
        (decided(variables="{TOKEN: abc}"), "variables.TOKEN"),
        (decided(fork_approval="nobody"), "fork_approval: Input should be 'all_external_contributors'"),
        (decided(reviews="11"), "reviews: Input should be less than or equal to 10"),
        (decided().replace("d73a4a", "red"), "labels.0.color: String should match pattern"),
        (decided().replace("setup-cml@*", "setup-cml"), "allowed_actions.0: String should match pattern"),
        (
            decided().replace("reviews:", "review:"),
            "review: unknown key (known: production_reviewers, cloud_reviewers, ",
        ),
    ],
)
def test_config__is_refused_in_one_line(tmp_path, config, message):
    path = tmp_path / "repository.yaml"
    path.write_text(config, encoding="utf-8")
    with pytest.raises(CannotTell) as caught:
        load(path, RepositoryConfig)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


def test_differences__a_number_is_no_truth_value_and_what_nobody_asked_about_is_left_out():
    assert differences("s", {"a": 1, "b": 2, "c": {"d": []}}, {"a": True, "c": {"d": [], "e": {}}}) == [
        Difference("s", "a", 1, True),
        Difference("s", "c.e", None, {}),
    ]
    assert differences("s", {"a": True, "rule": {"more": 1}}, {"a": True, "rule": {}}) == []
