"""The comment on a pull request: it reads as passed only if GitHub says so too, and names what stopped a run."""

import json
from dataclasses import replace

import pytest
from tests.comment_example import PASSED, first, jobs
from tests.evidence_examples import example, handed_on, stages
from tests.github_api import REPO, SHA
from tests.test_markdown import ACTED_ON, PARSER, PIECES
from tests.test_pull_request_of_run import found

from textgate.github.comment import Facts, compose
from textgate.github.jobs import NEEDED, Job, Step
from textgate.github.plan import Plan
from textgate.report.document import to_markdown
from textgate.report.found import from_files

pytest_plugins = ("tests.github_fixtures",)


SERVER = "https://github.com"


NOTHING_CHANGED = Plan(changed=False, reason="docs", runner=("x",), gpu=False, cloud=False, fork=False)
TRAIN = "Run .venv/bin/python scripts/pr.py --stage train"


def facts(conclusion="success", evidence=None, **more):
    wanted = {"jobs": jobs(), "changed": ("src/textgate/models/tfidf.py",), "more_changed": False, "found": evidence}
    return Facts(SERVER, REPO, found(conclusion=conclusion), **(wanted | more))


def shown(*arguments, **more):
    return to_markdown(compose(facts(*arguments, **more)))


def test_compose__a_run_that_passed_is_the_report_and_a_link_to_it():
    text = shown("success", example())
    assert first(text) == PASSED
    assert "What stopped" not in text
    assert "Look closely" not in text
    assert "| accuracy | 0.958 |" in text
    assert text.endswith(f"\nCommit `{SHA[:12]}` · attempt 1 · [run 5](https://github.com/octo/gate/actions/runs/5)\n")


@pytest.mark.parametrize(
    ("conclusion", "ended", "line"),
    [
        ("failure", {"test": ("failure", "Run make test", "failure")}, "### This run did not succeed: test failed"),
        ("failure", {"gate": ("failure", "Run x", "failure")}, "### This run did not succeed: gate failed"),
        ("failure", {"scan": "failure", "check": "failure"}, "### This run did not succeed: check failed"),
        ("cancelled", {"scan": "cancelled"}, "### This run did not succeed: scan was cancelled"),
        ("failure", {"model_tests": "timed_out"}, "### This run did not succeed: `model_tests` ran out of time"),
        ("success", {"scan": "skipped"}, "### No verdict: this run ended well, but its files do not show that a model"),
        (
            "success",
            {"train": "skipped"},
            "### No verdict: this run ended well, but its files do not show that a model",
        ),
        ("failure", {}, "### This run did not succeed: it ended (failure) before any job did"),
        ("action_required", {}, "### This run did not succeed: it ended (action required) before any job did"),
    ],
)
def test_compose__files_that_say_passed_do_not_pass_a_run_that_github_does_not(conclusion, ended, line):
    text = shown(conclusion, example(), jobs=jobs(**ended))
    assert text.startswith(line)
    assert "**What its files say,** which does not count, because GitHub says otherwise" in text
    assert "`textgate passed this model: every check holds`" in text
    assert PASSED not in text


@pytest.mark.parametrize("without", NEEDED)
def test_compose__a_job_that_is_missing_or_there_twice_has_not_passed(without):
    fewer = tuple(job for job in jobs() if job.name != without)
    for listed in (fewer, (*jobs(), *[job for job in jobs() if job.name == without])):
        assert shown("success", example(), jobs=listed).startswith("### No verdict: this run ended well, but its")


def test_compose__a_refusal_is_the_report_and_does_not_repeat_itself():
    ended = {"gate": ("failure", "Run .venv/bin/python scripts/pr.py --stage gate", "failure")}
    ended["model_tests"] = ("failure", "model_tests", "failure")
    evidence = replace(example(outcome="refused"), stages=stages(gate="passed"))
    text = shown("failure", evidence, jobs=jobs(**ended))
    assert first(text) == "### textgate refused this model: F1 da got worse"
    assert "What stopped" not in text
    assert "What its files say" not in text


def test_compose__a_refusal_beside_broken_tests_says_both():
    ended = {"gate": ("failure", "Run x --stage gate", "failure"), "test": ("failure", "Run make test", "failure")}
    text = shown("failure", example(outcome="refused"), jobs=jobs(**ended))
    assert first(text) == "### textgate refused this model: F1 da got worse"
    stopped = "- job `test` **failed** in step `Run make test` · it left no reason; the run's log says more"
    assert stopped in text
    assert "job `gate`" not in text


def test_compose__a_refusal_under_the_wrong_sentence_is_no_verdict():
    gate = example(outcome="refused").gate
    assert gate is not None
    lie = gate.model_copy(update={"sentence": "Well done: textgate passed this model"})
    text = shown("failure", replace(example(), gate=lie), jobs=jobs(gate="failure"))
    assert first(text) == "### No verdict: gate failed"
    assert "**What its files say,** which does not count" in text


@pytest.mark.parametrize("change", [{"outcome": "passed"}, {"checks": ()}])
def test_compose__a_verdict_that_its_checks_contradict_is_none(change):
    gate = example(outcome="refused").gate
    assert gate is not None
    said = {"sentence": "textgate passed this model: hooray", "outcome": "passed"}
    lie = gate.model_copy(update=said | change)
    assert shown("success", replace(example(), gate=lie)).startswith("### No verdict: this run ended well, but")


def test_compose__a_stage_that_broke_is_named_with_its_reason():
    words = {"train": "refused", "evaluate": "not run", "model_tests": "not run", "scan": "not run", "gate": "unknown"}
    ended = {"train": ("failure", TRAIN, "failure"), "model_tests": "skipped", "scan": "skipped", "gate": "failure"}
    evidence = replace(example(outcome="unknown"), stages=stages(**words), metrics=None, train=None)
    text = shown("failure", evidence, jobs=jobs(**ended))
    assert first(text) == "### No verdict: train failed"
    assert (
        "What stopped:\n\n- `train` in job `train` **failed** · the gate said no\n\nNot run: `model_tests` `scan`\n"
        in text
    )
    assert "What its files say" not in text  # that nothing could be judged is what follows, and no contradiction


def test_compose__a_scan_that_crashed_has_its_reason_shown_beside_the_verdict():
    ended = {"scan": ("failure", "Run x --stage scan", "failure"), "gate": ("failure", "gate", "failure")}
    text = shown("failure", example(outcome="unknown"), jobs=jobs(**ended))
    assert first(text) == "### No verdict: scan failed"
    assert "- `scan` in job `scan` **failed** · modelscan did not end within 60 s" in text


@pytest.mark.parametrize(
    ("conclusion", "ended", "line", "stopped"),
    [
        (
            "failure", {"train": ("failure", "Set up job", "failure"), "gate": "failure"},
            "### No verdict: train failed", "- job `train` **failed** in step `Set up job` · it left no reason;",
        ),
        (
            "cancelled", {"train": ("cancelled", TRAIN, "cancelled"), "gate": "cancelled"},
            "### No verdict: train was cancelled", "- `train` in job `train` **was cancelled** · it left no reason;",
        ),
        (
            "timed_out", {"scan": "timed_out"},
            "### No verdict: scan ran out of time", "- job `scan` **ran out of time** ·",
        ),
        ("failure", {"gate": "failure"}, "### No verdict: gate failed", "- job `gate` **failed** ·"),
        (
            "startup_failure", {},
            "### No verdict: it ended (startup failure) before any job did", "It left no evidence.",
        ),
    ],
)  # fmt: skip
def test_compose__a_run_without_evidence_still_says_what_stopped_it(conclusion, ended, line, stopped):
    text = shown(conclusion, None, jobs=jobs(**ended))
    assert first(text) == line
    assert stopped in text
    assert "It left no evidence." in text
    assert "/actions/runs/5)" in text


def test_compose__a_job_that_was_cancelled_before_it_began_did_not_stop_the_run():
    waiting = tuple(Job(name=name, conclusion="cancelled") for name in ("model_tests", "scan"))
    ended = (*jobs(train=("cancelled", TRAIN, "cancelled"), gate="failure")[:4], *waiting, jobs(gate="failure")[-1])
    text = shown("cancelled", None, jobs=ended)
    assert first(text) == "### No verdict: train was cancelled"
    assert text.count("**was cancelled**") == 1
    assert "Not run: `model_tests` `scan`\n" in text
    text = shown("cancelled", None, jobs=tuple(Job(name=name, conclusion="cancelled") for name in NEEDED))
    assert first(text) == "### No verdict: check was cancelled"
    assert "- job `check` **was cancelled** ·" in text
    assert "Not run: `test` `plan` `train` `model_tests` `scan` `gate`\n" in text


def test_compose__a_run_without_any_job_has_a_comment():
    assert (
        first(shown("startup_failure", None, jobs=()))
        == "### No verdict: it ended (startup failure) before any job did"
    )


def test_compose__evidence_that_cannot_be_read_is_not_shown_and_the_jobs_are():
    problem = "the artifact holds a file that is no evidence: @all <img> [x](http://y)"
    text = shown("failure", None, problem=problem, jobs=jobs(scan="failure"))
    assert first(text) == "### No verdict: what this run left could not be read"
    assert (
        "**Not shown:** the run's evidence could not be read: the artifact holds a file that is no evidence: `@all`"
        in text
    )
    assert "- job `scan` **failed** ·" in text
    assert "left no evidence" not in text


SKIPPED = jobs(train="skipped", model_tests="skipped", scan="skipped")


def test_compose__a_change_of_documentation_alone_has_a_short_comment():
    text = shown("success", None, plan=NOTHING_CHANGED, jobs=SKIPPED, changed=("docs/a.md", "README.md"))
    assert text == (
        "### No model was trained: only documentation changed, or other files that make and judge no model\n\n"
        "The checks passed. The model in production stays as it is. Changed:\n\n- `docs/a.md`\n- `README.md`\n\n"
        f"Commit `{SHA[:12]}` · attempt 1 · [run 5](https://github.com/octo/gate/actions/runs/5)\n"
    )


@pytest.mark.parametrize(
    "more",
    [
        {"plan": None},
        {"plan": NOTHING_CHANGED.model_copy(update={"changed": True})},
        {"jobs": jobs()},
        {"jobs": jobs(train="skipped", model_tests="skipped", scan="skipped", gate="failure")},
        {"jobs": jobs(train="skipped", model_tests="skipped", scan="skipped", check="skipped")},
        {"jobs": jobs(train="skipped", model_tests="skipped", scan="skipped", test="skipped")},
        {"jobs": SKIPPED[:-1]},
    ],
)
def test_compose__that_nothing_had_to_be_trained_takes_the_plan_and_githubs_word(more):
    assert "No model was trained" not in shown("success", None, **({"plan": NOTHING_CHANGED, "jobs": SKIPPED} | more))
    assert "No model was trained" not in shown("failure", None, plan=NOTHING_CHANGED, jobs=SKIPPED)


@pytest.mark.parametrize(
    "name",
    [
        "configs/gates.yaml", "configs/sentences.yaml", "configs/data.yaml", "model_tests/test_x.py", "scripts/gate.py",
        ".github/workflows/ci.yml", "src/textgate/gate/limits.py", "src/textgate/scan/scan.py", "requirements.txt",
        "src/textgate/evaluate/metrics.py", "src/textgate/report/found.py", "src/textgate/model_tests.py",
        "src/textgate/files.py", "src/yaml.py", "src/pydantic/__init__.py", "dvc.py", "src/numpy.so", ".dvc/config",
    ],
)  # fmt: skip
def test_compose__a_pull_request_that_changes_what_judges_it_says_so_below_the_verdict(name):
    lines = shown("success", example(), changed=("docs/a.md", name)).splitlines()
    assert lines[0] == PASSED
    assert lines[2] == "**Look closely:** this pull request changes what judges it, and so was judged by its own rules:"
    assert lines[4:6] == [f"- `{name}`", ""]


@pytest.mark.parametrize("name", ["src/textgate/train/train.py", "tests/test_gate.py", "data/rows.csv", "dvc.md"])
def test_compose__a_pull_request_that_changes_what_makes_a_model_is_no_reason_to_look_closely(name):
    assert "Look closely" not in shown("success", example(), changed=(name,))


def test_compose__many_changed_judges_are_counted():
    text = shown("success", example(), changed=tuple(f"scripts/{number}.py" for number in range(2999)))
    assert text.count("- `scripts/") == 20
    assert "… and 2,979 more" in text


def test_compose__more_files_than_github_lists_are_a_reason_to_look_closely():
    assert "**Look closely:** it changes more files than could be looked through" in shown(more_changed=True)


def test_compose__no_name_or_reason_becomes_markup():
    texts = [f"{piece} x{piece}" for piece in PIECES if "\ud800" not in piece]
    for text in texts:
        ended = (Job(name=text, conclusion="failure", steps=(Step(name=text, conclusion="failure"),)),)
        comment = shown(text, None, jobs=ended, problem=text, changed=(f"scripts/{text}",))
        links = 0
        for token in PARSER.parse(comment):
            assert token.type not in ("html_block", "fence", "table_open", "blockquote_open", "hr", "code_block")
            for child in token.children or ():
                assert child.type not in ("image", "html_inline", "softbreak")
                links += child.type == "link_open"
                words = child.content if child.type == "text" else ""
                assert not ACTED_ON.search(words)
        assert links == 1


def test_compose__eight_megabytes_in_every_file_stay_a_comment():
    long = "w @x " * 1_500_000
    files = handed_on(example(outcome="refused"))
    gate = json.loads(files["gate.json"])
    gate["checks"] = [gate["checks"][0] | {"name": f"c{number}", "reason": long[:900]} for number in range(7000)]
    files["gate.json"] = json.dumps(gate | {"sentence": gate["sentence"] + long[:1_000_000]}).encode()
    files["stages-train.json"] = json.dumps(
        {"stage": "train", "seconds": 1.0, "outcome": "refused", "reason": long}
    ).encode()
    text = shown("failure", from_files(files), jobs=jobs(train=("failure", long, "failure"), gate="failure"))
    assert len(text) <= 60_000
    assert text.startswith("### ")
