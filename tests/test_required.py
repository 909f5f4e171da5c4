"""The one required check is green only if everything that the run needed came through."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from textgate.errors import CannotTell, Refused
from textgate.github.required import read_needs, required

ROOT = Path(__file__).resolve().parent.parent
JOBS = ("check", "test", "plan", "train", "model_tests", "scan")


def needs(changed="true", **results):
    """Return a needs context of jobs that all succeeded, but for those named."""
    jobs = {job: {"result": results.get(job, "success"), "outputs": {}} for job in JOBS}
    jobs["plan"]["outputs"] = {"changed": changed} if changed else None
    return jobs


def judged(context, gate="success"):
    return required(read_needs(json.dumps(context)), gate)


SKIPPED = dict.fromkeys(("train", "model_tests", "scan"), "skipped")


def test_required__a_model_that_came_through_may_be_merged():
    assert judged(needs()) == "every job passed"


def test_required__a_documentation_change_may_be_merged_without_a_model():
    assert judged(needs("false", **SKIPPED), "skipped") == (
        "nothing that makes or judges a model changed, so none was trained"
    )


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("result", ["failure", "cancelled", "skipped", ""])
def test_required__no_job_may_be_anything_but_successful(job, result):
    with pytest.raises((Refused, CannotTell), match=job):
        judged(needs(**{job: result}))


@pytest.mark.parametrize("job", JOBS)
def test_required__no_job_may_be_missing(job):
    context = needs()
    del context[job]
    with pytest.raises(CannotTell, match=f"the job {job} is not among the needs"):
        judged(context)


@pytest.mark.parametrize("gate", ["failure", "cancelled", "skipped", ""])
def test_required__the_verdict_itself_must_be_a_pass(gate):
    with pytest.raises((Refused, CannotTell), match="the verdict"):
        judged(needs(), gate)


@pytest.mark.parametrize("job", ["check", "test", "plan"])
def test_required__a_documentation_change_still_needs_its_tests(job):
    with pytest.raises(Refused, match=f"did not pass: {job}"):
        judged(needs("false", **SKIPPED, **{job: "failure"}), "skipped")


def test_required__a_model_made_where_none_was_planned_is_odd():
    with pytest.raises(CannotTell, match="train is success where skipped is needed"):
        judged(needs("false"), "skipped")


@pytest.mark.parametrize("changed", ["", "True", "yes"])
def test_required__a_plan_that_says_nothing_is_no_pass(changed):
    with pytest.raises(CannotTell, match="plan did not say"):
        judged(needs(changed, **SKIPPED), "skipped")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"check": {}}', '{"check": {"result": 1}}', '{"check": "success"}'])
def test_read_needs__takes_nothing_but_a_needs_context(text):
    with pytest.raises(CannotTell, match="give the needs context"):
        read_needs(text)


@pytest.mark.parametrize(
    ("context", "code", "line"),
    [
        (needs(), 0, "every job passed"),
        (needs(scan="failure"), 1, "refused: did not pass: scan; the pull request's comment says why"),
        (needs(train="cancelled"), 2, "cannot tell: train is cancelled where success is needed: run it again"),
    ],
)
def test_required_script__ends_with_the_outcome(context, code, line):
    environment = os.environ | {"NEEDS": json.dumps(context), "GATE": "success"}
    command = [sys.executable, str(ROOT / "scripts/required.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (code, line + "\n")
