"""The comments of a pull request's thread: which of them are ours, and under which mark the next one is posted.

CML finds its earlier comment by a mark at its end, looks at the first thirty comments only, and takes whoever's comment
carries the mark. Anybody can write that mark. So a mark that somebody else used is not used again, and what CML could
not find is deleted here.
"""

from __future__ import annotations

import re

from textgate.errors import CannotTell
from textgate.github.answers import Answered, understood
from textgate.github.api import GitHub

TITLE = "textgate"
OURS = ("github-actions[bot]", "Bot")  # the login and type behind a workflow's own token; nobody else can have them
MARK = re.compile(rf"CML watermark ({TITLE}(?:-[0-9]+)?)\s*\"")
MOST = 5000  # GitHub allows 2,500 comments in one thread


class User(Answered):
    """Who wrote a comment."""

    login: str
    type: str


class Comment(Answered):
    """A comment in the thread."""

    id: int
    body: str | None
    user: User | None  # None: the account is gone


def read_comments(github: GitHub, pull: int) -> list[Comment]:
    """Return all comments of a thread. Raises CannotTell if they are not to be had."""
    return understood(list[Comment], github.pages(f"issues/{pull}/comments", most=MOST), f"the comments of {pull}")


def is_ours(comment: Comment) -> bool:
    """Say whether a workflow of this repository wrote a comment."""
    return comment.user is not None and (comment.user.login, comment.user.type) == OURS


def title(comments: list[Comment]) -> str:
    """Return "textgate", or "textgate-2", -3, …: the first under which nobody else has written."""
    taken = {name for comment in comments if not is_ours(comment) for name in MARK.findall(comment.body or "")}
    number = 1
    while (name := TITLE if number == 1 else f"{TITLE}-{number}") in taken:
        number += 1
    return name


def surplus(comments: list[Comment], text: str) -> list[Comment]:
    """Return our comments other than the newest that says `text`. Raises CannotTell if there is no such comment."""
    ours = [comment for comment in comments if is_ours(comment) and MARK.search(comment.body or "")]
    said = [comment.id for comment in ours if _lines(comment.body or "").startswith(_lines(text))]
    if not said:
        raise CannotTell("no comment of ours says what comment.md says: posting has failed, so none was deleted")
    return [comment for comment in ours if comment.id != max(said)]


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").strip()
