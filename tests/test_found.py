"""Evidence that is missing, broken, stale or foreign becomes a sentence, never a figure and never a crash."""

import time
from dataclasses import replace

import pytest
from tests.evidence_examples import BUNDLE, example, handed_on, scan, sha, stages, write_all

from textgate.bundle import digest
from textgate.files import sha256_file
from textgate.report.found import FILES, Found, find, flat, from_files, without_foreign, without_stale


def judged(build, outcome="passed"):
    """Leave the evidence of a whole run beside its bundle and its limits, and return it."""
    (build / "model").mkdir()
    (build / "model" / "config.json").write_text("{}")
    (build / "gates.yaml").write_text("min_accuracy: 0.85\n")
    there = {BUNDLE: digest(build / "model"), sha("gates"): sha256_file(build / "gates.yaml")}
    pieces = {}
    for name, (_, kind, _) in FILES.items():
        text = getattr(example(outcome=outcome), name).model_dump_json()
        for made_up, true in there.items():
            text = text.replace(made_up, true)
        pieces[name] = kind.model_validate_json(text)
    found = Found(**pieces, stages=example(outcome=outcome).stages)
    write_all(found, build)
    return found


def find_judged(build):
    return find(build, build / "gates.yaml")


def test_find__reads_back_what_the_stages_wrote(tmp_path):
    assert judged(tmp_path) == find_judged(tmp_path)


def other_bundle(build):
    (build / "model" / "config.json").write_text("[]")


def no_bundle(build):
    (build / "model" / "config.json").unlink()
    (build / "model").rmdir()


def other_limits(build):
    (build / "gates.yaml").write_text("min_accuracy: 0.95\n")


def no_limits(build):
    (build / "gates.yaml").unlink()


def no_digest(build):
    gate = judged_gate(build)
    (build / "gate.json").write_text(gate.model_copy(update={"bundle_digest": None}).model_dump_json())


def judged_gate(build):
    gate = find_judged(build).gate
    assert gate is not None
    return gate


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (other_bundle, "gate.json is about another bundle than the one there now: run make gate again"),
        (no_bundle, 'model is missing: run "make train" first, or name a bundle folder): run make gate again'),
        (other_limits, "gates.yaml: run make gate again"),
        (no_limits, "gates.yaml: run make gate again"),
        (no_digest, "gate.json is about another bundle than the one there now: run make gate again"),
    ],
)
def test_find__a_verdict_on_what_is_no_longer_there_is_set_aside(tmp_path, change, sentence):
    judged(tmp_path)
    change(tmp_path)
    found = find_judged(tmp_path)
    assert found.gate is None
    assert [problem.stage for problem in found.problems] == ["gate"]
    assert found.problems[0].sentence.endswith(sentence)


def test_find__a_verdict_that_there_was_no_bundle_to_judge_is_shown(tmp_path):
    judged(tmp_path, "unknown")
    no_digest(tmp_path)
    assert judged_gate(tmp_path).outcome == "unknown"


def test_find__says_of_each_missing_file_which_command_makes_it(tmp_path):
    found = find(tmp_path)
    assert found == Found(problems=found.problems)
    assert [problem.stage for problem in found.problems] == [
        "data", "train", "evaluate", "evaluate", "model_tests", "scan", "gate",
    ]  # fmt: skip
    assert found.problems[0].sentence == f'{tmp_path / "data/data.json"} is missing: run "make data" first'


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"\x00" * 10, b'{"schema_version": 2}', b"null"])
@pytest.mark.parametrize("name", FILES)
def test_find__turns_broken_files_into_problems(tmp_path, name, content):
    write_all(example(), tmp_path)
    file = FILES[name][0]
    (tmp_path / file).write_bytes(content)
    found = find(tmp_path)
    assert getattr(found, name) is None
    assert any(file in problem.sentence for problem in found.problems)
    handed = from_files({**handed_on(example()), flat(file): content})
    assert getattr(handed, name) is None
    assert any(flat(file) in problem.sentence for problem in handed.problems)


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"stage": "scan"}', b'{"stage": "gate", "seconds": "1"}'])
def test_find__a_broken_word_on_a_stage_is_a_problem_and_the_other_stages_are_shown(tmp_path, content):
    write_all(example(), tmp_path)
    (tmp_path / "stages" / "scan.json").write_bytes(content)
    for found in (find(tmp_path), from_files({**handed_on(example()), "stages-scan.json": content})):
        assert found.stages is not None
        assert [stage.stage for stage in found.stages.stages] == ["data", "train", "evaluate", "model_tests", "gate"]
        assert [problem.stage for problem in found.problems if "scan.json" in problem.sentence] == ["scan"]


def test_find__a_word_on_a_stage_counts_under_its_own_name_alone(tmp_path):
    write_all(example(), tmp_path)
    (tmp_path / "stages" / "scan.json").write_bytes((tmp_path / "stages" / "gate.json").read_bytes())
    found = find(tmp_path)
    assert found.stages is not None
    assert "scan" not in [stage.stage for stage in found.stages.stages]
    assert "stages-scan.json is about another stage" in [problem.sentence for problem in found.problems]


def test_from_files__reads_what_a_run_handed_on():
    assert from_files(handed_on(example())) == replace(example(), champion=None)  # that names a folder


def test_from_files__names_each_piece_that_is_missing():
    found = from_files({})
    assert found == Found(problems=found.problems)
    assert [problem.sentence for problem in found.problems] == [
        "data.json is missing: the stage data left none",
        "train.json is missing: the stage train left none",
        "metrics.json is missing: the stage evaluate left none",
        "comparison.json is missing: the stage evaluate left none",
        "model-tests.json is missing: the stage model_tests left none",
        "scan.json is missing: the stage scan left none",
        "gate.json is missing: the stage gate left none",
    ]


def test_from_files__sets_foreign_and_stale_pieces_aside():
    other = scan().model_copy(update={"bundle_digest": sha("other")})
    files = handed_on(replace(example(), scan=other, stages=stages(evaluate="refused")))
    found = from_files(files)
    assert found.scan is None
    assert found.metrics is None
    assert {problem.stage for problem in found.problems} == {"scan", "evaluate"}


def test_from_files__eight_megabytes_of_nonsense_take_seconds():
    started = time.process_time()  # of this process: a busy machine must not fail a test
    wide = b"{" + b",".join(b'"%d": 1' % number for number in range(700_000)) + b"}"
    deep = b"[" * 8_000_000
    found = from_files({"gate.json": wide, "scan.json": deep, "train.json": b'{"a": "' + b"x" * 8_000_000 + b'"}'})
    assert found == Found(problems=found.problems)
    assert all(len(problem.sentence) < 1000 for problem in found.problems)
    assert time.process_time() - started < 20


def test_find__a_folder_in_the_place_of_a_file_is_a_problem(tmp_path):
    (tmp_path / "gate.json").mkdir()
    assert any("gate.json is missing" in problem.sentence for problem in find(tmp_path).problems)


def test_without_foreign__sets_evidence_about_another_bundle_aside():
    found = without_foreign(replace(example(), scan=scan().model_copy(update={"bundle_digest": sha("other")})))
    assert found.scan is None
    assert (
        found.problems[0].sentence == f"scan.json is about another bundle ({sha('other')[:12]}…): run make scan again"
    )
    assert found.metrics is not None


def test_without_foreign__sets_evidence_about_other_rows_aside():
    data = example().data
    assert data is not None
    found = without_foreign(replace(example(), data=data.model_copy(update={"fingerprint": sha("other rows")})))
    assert found.data is None
    assert "data/data.json is about other rows (" in found.problems[0].sentence


def test_without_foreign__without_a_verdict_the_training_report_says_which_bundle_is_meant():
    found = without_foreign(
        replace(example(), gate=None, scan=scan().model_copy(update={"bundle_digest": sha("other")}))
    )
    assert found.scan is None
    assert found.train is not None
    assert found.train.bundle_digest == BUNDLE


def test_without_stale__what_a_failed_stage_left_in_an_earlier_run_is_not_shown():
    found = without_stale(replace(example(), stages=stages(train="refused", evaluate="not run")))
    assert found.train is None
    assert found.metrics is None
    assert found.data is not None
    assert found.problems[0].sentence == ("train.json is of an earlier run: in this one train did not come through")


def test_without_stale__a_refusal_of_a_judging_stage_is_evidence():
    found = without_stale(replace(example(), stages=stages(model_tests="refused", scan="refused", gate="refused")))
    assert found.model_tests is not None
    assert found.scan is not None
    assert found.problems == ()
