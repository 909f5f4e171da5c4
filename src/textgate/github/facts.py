"""Everything that a comment is made of, fetched: GitHub's own word on the run first, then what the run left."""

from __future__ import annotations

from dataclasses import replace

from textgate.errors import TextgateError
from textgate.github.answers import Answered, understood
from textgate.github.api import GitHub
from textgate.github.artifact import read_evidence
from textgate.github.comment import PLAN, Facts, read_plan
from textgate.github.jobs import read_jobs, started
from textgate.github.pull_request import Run
from textgate.report.found import from_files

MOST_FILES = 3000  # GitHub lists no more of a pull request's files


class ChangedFile(Answered):
    """A file that a pull request changes."""

    filename: str
    previous_filename: str | None = None


def gather(github: GitHub, run: Run, pull: int, server: str) -> Facts:
    """Return the facts about a run. Raises CannotTell for what GitHub does not tell; evidence never raises."""
    jobs = read_jobs(github, run.id)
    names, more = changed_files(github, pull)
    facts = Facts(server=server, repo=github.repo, run=run, jobs=jobs, changed=names, more_changed=more)
    try:
        files = read_evidence(github, run.id, started(jobs, "gate"))
    except TextgateError as error:
        return replace(facts, problem=str(error))
    return replace(facts, found=from_files(files) if files.keys() - {PLAN} else None, plan=read_plan(files))


def changed_files(github: GitHub, pull: int) -> tuple[tuple[str, ...], bool]:
    """Return the files that a pull request changes, old names of moved ones too, and whether there are more."""
    listed = understood(list[ChangedFile], github.pages(f"pulls/{pull}/files", most=MOST_FILES), "the changed files")
    names = (name for file in listed for name in (file.filename, file.previous_filename) if name)
    return tuple(dict.fromkeys(names)), len(listed) >= MOST_FILES
