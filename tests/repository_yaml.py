"""The example's configs/repository.yaml, undecided as it is shipped and with a decision."""

import re

from tests.project import EXAMPLE

UNDECIDED = (EXAMPLE / "repository.yaml").read_text(encoding="utf-8")


def decided(reviewers="[ada, acme/reviewers]", **changes):
    """Return the example configuration with a decision, and single lines changed."""
    text = UNDECIDED
    for key, value in ({"production_reviewers": reviewers} | changes).items():
        text, times = re.subn(rf"^{key}: .*", f"{key}: {value}", text, flags=re.MULTILINE)
        assert times == 1
    return text
