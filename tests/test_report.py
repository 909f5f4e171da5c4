"""The comment: the verdict first, one table, what changed; whatever the evidence, and never too long."""

import contextlib
import json
import os
import random
import re
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
from pydantic import ValidationError
from tests.evidence_examples import comparison, delta, example, model, sha, stages, write_all
from tests.test_markdown import ACTED_ON, HIDDEN, PARSER, PIECES

from textgate.report.document import MAX_CHARACTERS, to_markdown
from textgate.report.found import FILES, Found, Problem
from textgate.report.page import to_html
from textgate.report.report import beside_baseline, compose
from textgate.verdicts import Check, Stages

ROOT = Path(__file__).resolve().parent.parent


def comment(found: Found) -> str:
    return to_markdown(compose(found))


def checks_of(found: Found, *extra: Check) -> Found:
    assert found.gate is not None
    return replace(found, gate=found.gate.model_copy(update={"checks": (*found.gate.checks, *extra)}))


def row(markdown: str, name: str) -> list[str]:
    line = next(line for line in markdown.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_compose__puts_the_verdict_in_the_first_line():
    lines = comment(example(outcome="refused")).splitlines()
    assert lines[0] == "### textgate refused this model: F1 da got worse"
    assert lines[2].startswith("Overall: accuracy 0.958, macro-F1 0.950 on 1,624 test rows. A change of 0.008 or more")
    assert lines[2].endswith(" in macro-F1, would be seen four times out of five.")


def test_compose__shows_each_figure_once_with_every_model_beside_its_limit():
    shown = comment(example())
    head = (
        "| check | this model | production v1.3.0 | baseline | change to production (95 % interval) | limit | verdict |"
    )
    assert head in shown
    assert row(shown, "accuracy") == [
        "accuracy", "0.958", "0.963", "0.972", "−0.005 (−0.012, +0.002)", "≥ 0.850; not worse by 0.020", "passed",
    ]  # fmt: skip
    assert row(shown, "external accuracy")[1:5] == ["0.922", "0.899", "0.889", "+0.023 (+0.006, +0.041)"]
    assert row(shown, "latency p95 (ms)")[1:6] == [
        "14.2 ms", "14.2 ms", "1.3 ms", "×1.04 (0.98, 1.11)", "&lt; 500.0 ms",
    ]  # fmt: skip
    assert row(shown, "bundle size (MB)")[1:4] == ["121.3 MB", "121.3 MB", "9.4 MB"]


def test_compose__a_row_shows_the_worse_of_its_own_and_its_production_outcome():
    shown = comment(example(outcome="refused"))
    assert row(shown, "F1 da")[-1] == "**refused**"
    assert "- **refused** F1 da against production: the change lies between" in shown
    assert row(shown, "F1 nb")[-1] == "**cannot tell** (advisory)"


def test_compose__a_check_with_an_unknown_name_gets_a_row_of_its_own():
    extra = Check(name="licence of the weights", outcome="refused", found="none", limit="MIT", reason="no file")
    shown = comment(checks_of(example(), extra))
    assert row(shown, "licence of the weights") == [
        "licence of the weights", "none", "", "", "", "MIT", "**refused**",
    ]  # fmt: skip
    assert "- **refused** licence of the weights: no file" in shown


def test_compose__says_that_there_is_no_production_model_yet():
    shown = comment(example(champion=False))
    assert "| production (none yet) |" in shown
    assert "change to baseline (95 % interval)" in shown
    assert "There is no production model yet, so changes are shown against the baseline." in shown


def test_compose__says_what_changed_and_what_cannot_be_told():
    shown = comment(example())
    assert "**What changed:** 31 rows lost and 24 won against production." in shown
    assert "- **better than production:** external accuracy +0.023 (+0.006, +0.041)" in shown
    assert "- **worse than production:** F1 nb −0.014 (−0.028, −0.001), though p is 0.126" in shown
    assert "- **no difference could be told:** accuracy, macro-F1, F1 da, F1 sv" in shown


@pytest.mark.parametrize(
    ("labels", "bullet"),
    [
        (3, "- **worse than production:** F1 nb −0.030 (−0.058, −0.002), though p is 0.116"),
        (1, "- **worse than production:** F1 nb −0.030 (−0.058, −0.002)"),
    ],
)
def test_compose__a_change_whose_p_value_among_labels_is_not_small_says_so(labels, bullet):
    ours = example().comparison
    assert ours is not None
    assert ours.champion is not None
    lone = delta("F1 nb", 0.90, 0.93, 0.0145, adjust=labels)
    assert lone.p_value < 0.05
    changed = ours.champion.model_copy(update={"labels": (lone,)})
    found = replace(example(), comparison=ours.model_copy(update={"champion": changed}))
    assert bullet in comment(found).splitlines()


def test_beside_baseline__says_where_the_simple_model_wins_and_where_it_does_not():
    line = beside_baseline(comparison(model("candidate"), model("baseline")))[0]
    assert line[1] == (
        "at home the baseline is better in accuracy (0.972 against 0.958); "
        "at home the baseline is better in macro-F1 (0.965 against 0.950); "
        "away from home this model is better in accuracy (0.922 against 0.889)."
    )


def test_beside_baseline__is_silent_when_the_baseline_is_nowhere_ahead():
    assert beside_baseline(comparison(model("baseline"), model("baseline"))) == ()


def test_compose__shows_ten_flips_escaped_and_cut():
    texts = [f"@all | `x` <b>{number}</b> " + "lang " * 90 for number in range(40)]
    shown = comment(example(texts=texts))
    flips = [line for line in shown.splitlines() if line.startswith(("| won |", "| lost |"))]
    assert len(flips) == 10
    assert "`@all ¦ ˋxˋ <b>0</b> lang" in flips[0]
    assert all(len(line) < 260 for line in flips)


@pytest.mark.parametrize("judged", [None, "the same"])
def test_compose__one_commit_that_trained_and_judged_is_named_once(judged):
    found = example()
    assert found.gate is not None
    commit = found.gate.commit if judged else None
    shown = comment(replace(found, gate=found.gate.model_copy(update={"judged_commit": commit})))
    assert row(shown, "commit") == ["commit", f"`{found.gate.commit}`"]


def test_compose__the_last_line_says_that_the_files_were_those_of_no_commit():
    found = example()
    assert found.gate is not None
    for commit, words in {
        "c" * 40: f"`{'c' * 11}…` ·",
        f"{'c' * 40}+changes": f"`{'c' * 11}…` with changes that",
    }.items():
        last = comment(replace(found, gate=found.gate.model_copy(update={"commit": commit}))).splitlines()[-1]
        assert f"commit {words}" in last


def test_compose__a_model_judged_at_a_later_commit_shows_both():
    found = example()
    assert found.gate is not None
    shown = comment(replace(found, gate=found.gate.model_copy(update={"judged_commit": "b" * 40})))
    assert row(shown, "commit")[1] == f"trained at `{found.gate.commit}` · judged at `{'b' * 40}`"


def test_compose__shows_how_it_was_made_and_what_was_not_checked():
    shown = comment(example())
    for words in (
        "`a1b2c3d4e5f60718293a4b5c6d7e8f9001122334`",
        f"`sha256:{sha('data')}`",
        "2 min 11 s, 4 epochs, 2810 MB",
        "12 in valid, 19 in test",
        "no plain sentences for two labels",
        "| `train` | 4.2 s | passed |",
        "**Not checked:** plain sentences: `configs/data.yaml` names none",
        "4 of 4 files vouched for · canary caught",
        "xychart-beta",
    ):
        assert words in shown


def test_compose__says_how_many_processes_trained_if_there_were_several():
    found = example()
    assert "on cpu (2 threads) ·" in comment(found)
    assert "· 2 threads ·" in to_html(compose(found), "report")
    several = replace(found, train=found.train.model_copy(update={"processes": 4}))
    assert "on cpu (4 processes of 2 threads) ·" in comment(several)
    assert "· 4 processes of 2 threads ·" in to_html(compose(several), "report")


def test_compose__names_the_stage_that_stopped_and_still_shows_the_rest():
    found = replace(
        example(),
        gate=None,
        scan=None,
        stages=stages(scan="unknown"),
        problems=(Problem("scan", 'build/scan.json is missing: run "make scan" first'),),
    )
    shown = comment(found)
    assert shown.startswith("### No verdict: the stage scan did not finish\n")
    assert "- **cannot tell** scan: modelscan did not end within 60 s" in shown
    assert '- `build/scan.json` is missing: run "make scan" first' in shown
    assert "<details><summary>Confusion</summary>" in shown


@pytest.mark.parametrize("stage", ["model_tests", "scan"])
def test_compose__a_judging_stage_whose_no_the_table_explains_does_not_head_the_comment(stage):
    found = example(outcome="refused")
    assert found.stages is not None
    times = tuple(
        time.model_copy(update={"outcome": "refused", "reason": None}) if time.stage == stage else time
        for time in found.stages.stages
    )
    said = replace(found, stages=found.stages.model_copy(update={"stages": times}))
    assert "Stages that did not pass" not in comment(said)
    assert comment(said).splitlines()[2].startswith("Overall: ")
    without_gate = replace(said, gate=None, problems=(Problem("gate", "build/gate.json is missing"),))
    assert comment(without_gate).startswith("### No verdict: the stage gate did not finish\n")


def test_compose__a_making_stage_that_stopped_without_a_word_is_still_named():
    found = example()
    assert found.stages is not None
    times = tuple(
        time.model_copy(update={"outcome": "unknown", "reason": None}) if time.stage == "train" else time
        for time in found.stages.stages
    )
    said = comment(replace(found, stages=found.stages.model_copy(update={"stages": times})))
    assert "- **cannot tell** train: it gave no reason" in said


@pytest.mark.parametrize("name", [item.name for item in fields(Found) if item.name != "problems"])
def test_compose__does_without_any_one_piece(name):
    without = replace(example(), **{name: None})
    assert comment(without).startswith("### ")
    assert to_html(compose(without), "t").startswith("<!doctype html>")


def test_compose__does_without_all_of_it():
    assert comment(Found()).startswith("### No verdict: the stage gate did not finish")


@pytest.mark.parametrize("count", [2, 1000])
def test_compose__works_with_two_and_with_a_thousand_labels(count):
    labels = [f"label number {number}" for number in range(count)]
    shown = comment(example(labels, rows=count * 10))
    assert len(shown) <= MAX_CHARACTERS
    assert "| accuracy |" in shown
    assert "How it was made" in shown
    assert ("… and " in shown) == (count == 1000)


def test_compose__a_thousand_labels_lose_what_passed_before_what_did_not():
    shown = comment(example([f"label {number}" for number in range(1000)], rows=10_000))
    verdicts = [cells.rsplit("|", 2)[1].strip() for cells in shown.splitlines() if cells.startswith("| F1 label")]
    order = ["**refused**", "**cannot tell** (advisory)", "passed"]
    assert verdicts == sorted(verdicts, key=order.index)
    assert "**refused**" in verdicts


WORDS = ("passed", "refused", "unknown", "candidate", "champion", "baseline", "given", "none yet")


def hostile(found: Found, texts: list[str]) -> Found:
    """Put foreign text in the place of every string that evidence may hold; equal strings stay equal."""
    put: dict[str, str] = {}

    def spoil(value):
        if isinstance(value, dict):
            return {key if key in FIELD_NAMES else spoil(key): spoil(item) for key, item in value.items()}
        if isinstance(value, list):
            return [spoil(item) for item in value]
        if not isinstance(value, str) or value in WORDS or len(value) == 64:
            return value
        return put.setdefault(value, f"{texts[len(put) % len(texts)]}{len(put)}")

    pieces = {}
    for item in fields(found):
        piece = getattr(found, item.name)
        if item.name != "problems":
            pieces[item.name] = type(piece).model_validate_json(json.dumps(spoil(json.loads(piece.model_dump_json()))))
    return Found(**pieces, problems=(Problem("scan", texts[0]), Problem(texts[1], texts[2])))


def field_names(schema: dict) -> set[str]:
    definitions = [schema, *schema.get("$defs", {}).values()]
    return {name for definition in definitions for name in definition.get("properties", {})}


KINDS = (Stages, *(kind for _, kind, _ in FILES.values()))
FIELD_NAMES = {name for kind in KINDS for name in field_names(kind.model_json_schema())}
ALLOWED = {
    f"{kind}_{side}"
    for kind in ("paragraph", "heading", "bullet_list", "list_item", "table", "thead", "tbody", "tr", "th", "td")
    for side in ("open", "close")
} | {"inline", "text", "text_special", "code_inline", "strong_open", "strong_close", "em_open", "em_close"}
FOLD = re.compile(r"<details><summary>[\w .,…-]+</summary>\n|</details>\n")


@pytest.mark.parametrize("champion", [True, False])
def test_compose__nothing_in_the_evidence_becomes_markup(champion):
    texts = [f"{piece} x{piece}" for piece in PIECES if "\ud800" not in piece]
    shown = comment(hostile(example(champion=champion), texts))
    assert not HIDDEN.search(shown.replace("\n", " "))
    for token in PARSER.parse(shown):
        if token.type == "html_block":
            assert FOLD.fullmatch(token.content)
        elif token.type == "fence":
            assert token.info == "mermaid"
            assert re.fullmatch(r"[\w\s.,…\"\[\]>-]+", token.content)
        else:
            assert token.type in ALLOWED
        for child in token.children or ():
            assert child.type in ALLOWED
        words = "".join("\0" if child.type == "code_inline" else child.content for child in token.children or ())
        assert not ACTED_ON.search(words)


def test_compose__five_megabytes_of_text_anywhere_stay_within_the_limit():
    texts = ["w" * 5_000_000, *"abcdefghijk", " & " * 1_600_000, *"lmnopqrs"]
    shown = comment(hostile(example(), texts))
    assert len(shown) <= MAX_CHARACTERS
    assert shown.startswith("### ")
    assert len(to_html(compose(hostile(example(), texts)), "t")) < 500_000


def test_compose__a_thousand_hostile_labels_stay_within_the_limit():
    labels = [f"& & | @{number} " + "& " * 400 for number in range(1000)]
    found = example(labels, rows=4000, texts=["`|@& " * 1000] * 40)
    assert len(comment(found)) <= MAX_CHARACTERS


def numbers_spoiled(value, draw: random.Random):
    if isinstance(value, dict):
        return {key: numbers_spoiled(item, draw) for key, item in value.items()}
    if isinstance(value, list):
        return [] if draw.random() < 0.02 else [numbers_spoiled(item, draw) for item in value]
    if isinstance(value, bool | str) or value is None or draw.random() > 0.05:
        return value
    if isinstance(value, int):
        return draw.choice([0, 1, 10**18])
    return draw.choice([0.0, 1.0, 1e-300, -1e308, 1e308])


@pytest.mark.parametrize("seed", range(40))
def test_compose__takes_odd_numbers_and_empty_lists_that_the_types_allow(seed):
    draw, whole_run, pieces = random.Random(seed), example(), {}
    for item in fields(whole_run):
        piece = getattr(whole_run, item.name)
        pieces[item.name] = piece
        if item.name != "problems":
            odd = numbers_spoiled(json.loads(piece.model_dump_json()), draw)
            with contextlib.suppress(ValidationError):
                pieces[item.name] = type(piece).model_validate_json(json.dumps(odd))
    found = Found(**pieces)
    assert len(comment(found)) <= MAX_CHARACTERS
    assert "</html>" in to_html(compose(found), "t")


def script(*arguments: str, cwd: Path, colour: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "report.py"), *arguments]
    environment = os.environ | {"FORCE_COLOR": colour, "COLUMNS": "120"}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, encoding="utf-8", check=False
    )


def test_script__writes_both_reports_and_prints_the_markdown(tmp_path):
    write_all(example(), tmp_path / "build")
    done = script("--print", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    markdown = (tmp_path / "build" / "report.md").read_text(encoding="utf-8")
    assert done.stdout == f"{markdown}report: build/report.md and build/report.html\n"
    assert (tmp_path / "build" / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_script__renders_for_a_terminal_without_folds_or_charts(tmp_path):
    write_all(example(), tmp_path / "build")
    shown = script("--print", cwd=tmp_path, colour="1").stdout
    assert "\x1b[1m" in shown
    assert "Rows won and lost against production" in shown
    assert "<details>" not in shown
    assert "mermaid" not in shown


def test_script__without_any_evidence_says_what_is_missing(tmp_path):
    done = script(cwd=tmp_path)
    assert done.returncode == 0
    shown = (tmp_path / "build" / "report.md").read_text(encoding="utf-8")
    assert shown.startswith("### No verdict: the stage data did not finish")
    assert '- `build/data/data.json` is missing: run "make data" first' in shown


def test_script__explains_itself(tmp_path):
    assert "report.md and report.html" in script("--help", cwd=tmp_path).stdout
