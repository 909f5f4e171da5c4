"""What a run left and what GitHub says about it into the comment on its pull request.

The run's files may come from whoever opened the pull request, so they alone never make a comment read as passed: GitHub
itself must say that every job came through.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from textgate.github.jobs import ALWAYS, MODEL, NEEDED, Job, Stop, conclusion, stops
from textgate.github.plan import Plan
from textgate.github.pull_request import Run
from textgate.records import Outcome
from textgate.report.checks import WORDS
from textgate.report.document import Block, Bullets, Code, Heading, Line, Paragraph, RunLink, Strong
from textgate.report.found import Found
from textgate.report.markdown import visible
from textgate.report.report import body, sentence, stopped
from textgate.verdicts import Gate, StageTime

# A pull request that changes one of these is judged by its own rules. So is one that changes any code but that which
# makes the model, because a new src/yaml.py would be imported in the place of the package of that name.
JUDGES = (
    "configs/gates.yaml", "configs/sentences.yaml", "configs/data.yaml", "model_tests/", "scripts/", ".github/",
    ".dvc/", "dvc.yaml", "Makefile", "pyproject.toml", "requirements",
)  # fmt: skip
CODE = (".py", ".pyc", ".so")
MAKES = (
    "src/textgate/data/", "src/textgate/experiments/", "src/textgate/models/", "src/textgate/tracking/",
    "src/textgate/train/", "tests/", "benchmarks/",
)  # fmt: skip
JUDGING = ("gate", "model_tests", "scan")  # stages whose no a verdict explains
OPENING: dict[Outcome, str] = {
    "passed": "textgate passed this model:",
    "refused": "textgate refused this model:",
    "unknown": "textgate could not judge this model:",
}
PLAN = "plan.json"
MOST_FILES = 20
REASON = 300


@dataclass(frozen=True)
class Facts:
    """All that a comment is made of. `found` and `plan` come from the run's files, the rest from GitHub."""

    server: str
    repo: str
    run: Run
    jobs: tuple[Job, ...]
    changed: tuple[str, ...]  # files of the pull request
    more_changed: bool  # than GitHub lists
    found: Found | None = None  # None: the run left no evidence
    plan: Plan | None = None
    problem: str | None = None  # why the evidence could not be read, in words of our own


def read_plan(files: dict[str, bytes]) -> Plan | None:
    """Return the plan among a run's files; None if it is missing or broken."""
    try:
        return Plan.model_validate_json(files.get(PLAN, b""))
    except ValidationError:
        return None


def compose(facts: Facts) -> tuple[Block, ...]:
    """Return the comment as blocks."""
    link = ("Commit", Code(facts.run.head_sha[:12]), f"· attempt {facts.run.run_attempt} ·")
    end = RunLink(link, facts.server, facts.repo, facts.run.id)
    if _nothing_to_train(facts):
        return (*_not_trained(facts), *_look_closely(facts), end)
    first = Heading(_first_line(facts))
    return (first, *_look_closely(facts), *_stopped(facts), *_unread(facts), *_what_files_say(facts), end)


def _came_through(facts: Facts) -> bool:
    """Say whether GitHub says that the run and every job that a verdict takes succeeded."""
    ended = {conclusion(facts.jobs, name) for name in NEEDED}
    return facts.run.conclusion == "success" and ended == {"success"}


def _nothing_to_train(facts: Facts) -> bool:
    """Say whether the plan was to train nothing, and GitHub says that so it was."""
    skipped = {conclusion(facts.jobs, name) for name in MODEL} == {"skipped"}
    rest = {conclusion(facts.jobs, name) for name in (*ALWAYS, "gate")} == {"success"}
    planned = facts.plan is not None and not facts.plan.changed
    return planned and skipped and rest and facts.run.conclusion == "success"


def _not_trained(facts: Facts) -> tuple[Block, ...]:
    files = tuple(Code(name, 200) for name in facts.changed)
    words = Paragraph("The checks passed. The model in production stays as it is. Changed:")
    first = Heading("No model was trained: only documentation changed, or other files that make and judge no model")
    return (first, words, Bullets(files, MOST_FILES)) if files else (first,)


def _verdict(facts: Facts) -> Outcome | None:
    """Return what the files say, if they say it without contradiction."""
    gate = facts.found.gate if facts.found else None
    return gate.outcome if gate and _consistent(gate) else None


def _consistent(gate: Gate) -> bool:
    """Say whether a verdict's sentence, its outcome and its checks agree."""
    deciding = {check.outcome for check in gate.checks if not check.advisory}
    worst: Outcome = "refused" if "refused" in deciding else "unknown" if "unknown" in deciding else "passed"
    return bool(gate.checks) and gate.outcome == worst and gate.sentence.startswith(OPENING[gate.outcome])


def _first_line(facts: Facts) -> str:
    verdict, stopped_jobs = _verdict(facts), _stops(facts)
    if facts.problem is not None:
        return "No verdict: what this run left could not be read"
    if facts.found and verdict and _came_through(facts) == (verdict == "passed"):
        if verdict != "unknown" or not stopped_jobs:
            return sentence(facts.found)
    elif facts.run.conclusion == "success":
        return "No verdict: this run ended well, but its files do not show that a model passed"
    what = f"it ended ({visible((facts.run.conclusion or 'unknown').replace('_', ' '), 30)}) before any job did"
    if first := next(iter(stopped_jobs or stops(facts.jobs)), None):
        what = f"{visible(first.stage or first.job, 60)} {first.how}"
    return f"This run did not succeed: {what}" if verdict == "passed" else f"No verdict: {what}"


def _records(facts: Facts) -> dict[str, StageTime]:
    """Return what the stages that stopped say of themselves, by name; not those that the verdict's table explains."""
    return {time.stage: time for time in stopped(facts.found)} if facts.found else {}


def _stops(facts: Facts) -> list[Stop]:
    """Return the jobs that stopped, without those that a verdict explains and without the gate's, which follows."""
    found, records = stops(facts.jobs), _records(facts)
    explained = JUDGING if _verdict(facts) in ("refused", "unknown") else ()
    kept = [
        stop for stop in found if not (stop.how == "failed" and stop.stage in explained and stop.stage not in records)
    ]
    others = [stop for stop in kept if stop.job != "gate"]
    return others if others or (len(found) > 1 and explained) else kept


def _stopped(facts: Facts) -> list[Block]:
    """Return what stopped: from GitHub the job and the step, from the run's files the reason."""
    records = _records(facts)
    lines: list[Line] = []
    for stop in _stops(facts):
        time = records.pop(stop.stage or "", None)
        reason = visible(time.reason, REASON) if time and time.reason else "it left no reason; the run's log says more"
        what = (Code(stop.stage), "in job", Code(stop.job)) if stop.stage else ("job", Code(stop.job))
        step = ("in step", Code(stop.step, 100)) if stop.step and not stop.stage else ()
        lines.append((*what, Strong(stop.how), *step, f"· {reason}"))
    for time in records.values():
        reason = visible(time.reason or "without a reason", REASON)
        lines.append((Code(time.stage), WORDS[time.outcome], f"by its own record · {reason}"))
    told = {stop.job for stop in stops(facts.jobs)}
    left = [name for name in NEEDED if conclusion(facts.jobs, name) in ("skipped", "cancelled") and name not in told]
    blocks: list[Block] = [Paragraph("What stopped:"), Bullets(tuple(lines))] if lines else []
    return [*blocks, Paragraph(("Not run:", *map(Code, left)))] if left else blocks


def _unread(facts: Facts) -> list[Block]:
    if facts.problem is not None:
        words = visible(facts.problem, REASON)
        return [Paragraph((Strong("Not shown:"), f"the run's evidence could not be read: {words}"))]
    return [] if facts.found else [Paragraph("It left no evidence.")]


def _what_files_say(facts: Facts) -> tuple[Block, ...]:
    """Return the report; where the first line is not the verdict's own, with what became of that."""
    if facts.found is None:
        return ()
    follows = _verdict(facts) == "unknown" and facts.run.conclusion != "success"  # from what stopped, told above
    if follows or _first_line(facts) == sentence(facts.found) or facts.found.gate is None:
        return body(facts.found)
    words = "which does not count, because GitHub says otherwise or they contradict themselves:"
    return (Paragraph((Strong("What its files say,"), words, Code(sentence(facts.found), REASON))), *body(facts.found))


def _judges(name: str) -> bool:
    return name.startswith(JUDGES) or (name.endswith(CODE) and not name.startswith(MAKES))


def _look_closely(facts: Facts) -> list[Block]:
    files = tuple(Code(name, 200) for name in facts.changed if _judges(name))
    blocks: list[Block] = []
    if files:
        words = "this pull request changes what judges it, and so was judged by its own rules:"
        blocks += [Paragraph((Strong("Look closely:"), words)), Bullets(files, MOST_FILES)]
    if facts.more_changed:
        blocks.append(Paragraph((Strong("Look closely:"), "it changes more files than could be looked through here.")))
    return blocks
