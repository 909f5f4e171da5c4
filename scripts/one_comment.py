"""Leave one comment of textgate in a pull request's thread: the one that says what comment.md says."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate.errors import run
from textgate.files import read_text
from textgate.github.api import repository
from textgate.github.thread import read_comments, surplus


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pr", type=int, required=True, help="number of the pull request")
    pull, github = parser.parse_args().pr, repository()
    text = read_text(Path("comment.md"), "run scripts/comment.py first")
    extra = surplus(read_comments(github, pull), text)
    for comment in extra:
        github.send("DELETE", f"issues/comments/{comment.id}")
    print(f"one comment is left, {len(extra)} deleted")


if __name__ == "__main__":
    sys.exit(run(main))
