"""Show where the settings on GitHub differ from configs/repository.yaml; with --yes, set them. Exit 0, 1 or 2."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate.config import CONFIGS, load
from textgate.errors import run
from textgate.github.api import GitHub
from textgate.github.settings import settings
from textgate.github.setup import apply, code_owner_problems, compare, judge, origin, summary, table
from textgate.github.wanted import RepositoryConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--yes", action="store_true", help="set what differs, then read it back")
    parser.add_argument("--repo", help="owner/name (default: where the git remote origin leads)")
    arguments = parser.parse_args()
    github = GitHub(arguments.repo or origin())
    found = compare(github, settings(github, load(CONFIGS / "repository.yaml", RepositoryConfig)))
    if found.differing:
        print(f"settings of {github.repo}, and what they should be:\n{table(found)}")
    not_set = apply(github, found.differing) if arguments.yes else ()
    print(summary(found, not_set, yes=arguments.yes))
    judge((*found.problems, *not_set), code_owner_problems(github))


if __name__ == "__main__":
    sys.exit(run(main))
