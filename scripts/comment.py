"""Write comment.md for the pull request that a finished run of ci belongs to; outputs pr (empty: none) and title."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate.errors import run
from textgate.files import write_text
from textgate.github.api import output, repository
from textgate.github.comment import compose
from textgate.github.event import payload, variable
from textgate.github.facts import gather
from textgate.github.pull_request import Nothing, find_pull_request, find_run
from textgate.github.thread import read_comments, title
from textgate.report.document import to_markdown


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    github = repository()
    finished = find_run(github, payload())
    pull = finished if isinstance(finished, Nothing) else find_pull_request(github, finished)
    if isinstance(finished, Nothing) or isinstance(pull, Nothing):
        print(f"nothing to comment on: {pull.reason if isinstance(pull, Nothing) else ''}")
        output("pr", "")
        return
    facts = gather(github, finished, pull, variable("GITHUB_SERVER_URL"))
    write_text(Path("comment.md"), to_markdown(compose(facts)))
    output("title", title(read_comments(github, pull)))
    output("pr", str(pull))


if __name__ == "__main__":
    sys.exit(run(main))
