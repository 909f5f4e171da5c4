"""The stage scores real bundles on the same rows in one run, and says so when it cannot."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from textgate import records
from textgate.bundle import seal
from textgate.choose import Choice
from textgate.config import Experiment, Tfidf, TrainConfig
from textgate.errors import CannotTell, Refused
from textgate.evaluate.evaluate import check_probabilities, evaluate, table
from textgate.evidence import Champion, Comparisons, DataReport, Metrics, Reference
from textgate.files import write_jsonl, write_text
from textgate.models.tfidf import TfidfClassifier
from textgate.rows import fingerprint, read_split, split_hashes

ROOT = Path(__file__).resolve().parent.parent
OTHER = "0" * 64
LABELS = ("ba", "do", "ki")
REFERENCE = Reference(label_share={}, characters_quantiles=(), words_quantiles=(), character_share={})
MODEL = Tfidf(kind="tfidf", min_n=1, max_n=3, min_df=1, c=1.0)


def texts(label, count, seed):
    """Make up sentences of a language whose words mostly hold its own name; one word in two is anybody's."""
    random = np.random.default_rng(seed)
    words = [label * 2, label + "ra", "lu" + label, "mo", "ne", "ro", "si", "lu", "ra"]
    return [" ".join(random.choice(words, 4)) for _ in range(count)]


def split(path, counts, seed):
    rows = [(label, text) for label, count in counts.items() for text in texts(label, count, seed)]
    write_jsonl(
        path,
        ({"id": f"r{n}", "text": text, "label": label, "group": "g"} for n, (label, text) in enumerate(rows)),
    )


def bundle(folder, labels=LABELS, seed=1, rows=40, data_fingerprint=OTHER, spoil=None):
    folder.mkdir(parents=True, exist_ok=True)
    said = [text for label in labels for text in texts(label, rows, seed)]
    targets = np.repeat(np.arange(len(labels)), rows)
    TfidfClassifier.fit(said, targets, (said, targets), labels, MODEL, 13).save(folder)
    if spoil:
        tensors = load_file(folder / "tfidf.safetensors")
        save_file(spoil(tensors), folder / "tfidf.safetensors")
    return seal(
        folder,
        kind="tfidf",
        labels=labels,
        experiment=f"test_{folder.name}",
        config=Experiment(description="a test", model=MODEL),
        parts=(),
        seed=13,
        data_fingerprint=data_fingerprint,
        commit="none",
        lock_sha256=OTHER,
        versions={},
        reference=REFERENCE,
    )


def data_report(fingerprint, labels=LABELS):
    return DataReport(
        source="made up",
        licence="none",
        fingerprint=fingerprint,
        test_sha256=OTHER,
        test_locked=False,
        labels=labels,
        rows={},
        dropped={},
        near_duplicates={},
        near_duplicate_examples=(),
        expectations=0,
        notes=(),
        reference=REFERENCE,
    )


@pytest.fixture
def build(tmp_path):
    """Make a build folder as `make data train` leaves it: 45 test rows, an external split, no champion yet."""
    folder = tmp_path / "build"
    split(folder / "data" / "test.jsonl", {"ba": 5, "do": 15, "ki": 25}, seed=2)
    split(folder / "data" / "external.jsonl", {"do": 6, "ki": 6}, seed=3)
    records.write(folder / "champion.json", Champion(state="none yet"))
    bundle(folder / "model", rows=60)
    bundle(folder / "baseline", rows=8)
    describe_rows(folder)
    return folder


def describe_rows(build, labels=LABELS):
    """Let data.json and both bundles name the rows that lie there now."""
    found = fingerprint(split_hashes(build / "data"))
    records.write(build / "data" / "data.json", data_report(found, labels))
    for role in ("model", "baseline"):
        path = build / role / "manifest.json"
        write_text(path, json.dumps(json.loads(path.read_text()) | {"data_fingerprint": found}))


def with_champion(build, **options):
    digest = bundle(build.parent / "old", **options)
    champion = Champion(state="given", name="v1.3.0", path=str(build.parent / "old"), digest=digest)
    records.write(build / "champion.json", champion)


def script(folder, *arguments):
    train = TrainConfig(experiment="a", baseline="a", seed=13, device="cpu", threads=1, tracking="none")
    if folder != ROOT:
        records.write(folder / "build" / "choice.json", Choice(train=train, experiments={}))
    command = [sys.executable, ROOT / "scripts" / "evaluate.py", *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]}
    )


def test_script__writes_metrics_comparison_and_predictions_and_prints_a_table(build):
    with_champion(build)
    done = script(build.parent)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.findall(r"^\w+", done.stdout, re.MULTILINE) == ["candidate", "champion", "baseline"]
    metrics = records.read(build / "metrics.json", Metrics, "evaluate")
    comparisons = records.read(build / "comparison.json", Comparisons, "evaluate")
    assert [model.role for model in metrics.models] == ["candidate", "champion", "baseline"]
    assert metrics.bundle_digest == comparisons.bundle_digest == metrics.of("candidate").digest
    assert metrics.data_fingerprint == comparisons.data_fingerprint == fingerprint(split_hashes(build / "data"))
    assert comparisons.champion_state == "given"
    lines = [json.loads(line) for line in (build / "predictions.jsonl").read_text().splitlines()]
    assert [line["split"] for line in lines] == ["test"] * 45 + ["external"] * 12
    right = sum(line["candidate"] == line["label"] for line in lines[:45])
    assert right / 45 == metrics.of("candidate").test.accuracy.value
    assert all(0 <= line["champion_probability"] <= 1 for line in lines)


def test_script__says_in_one_line_what_is_missing_and_writes_nothing(build):
    (build / "data" / "data.json").unlink()
    done = script(build.parent)
    assert done.returncode == 2
    assert done.stderr == 'cannot tell: build/data/data.json is missing: run "make data" first\n'
    assert not (build / "metrics.json").exists()


def test_script__explains_itself():
    done = script(ROOT, "--help")
    assert done.returncode == 0
    assert "Score candidate, champion and baseline" in done.stdout


def test_evaluate__first_release_has_no_champion_but_a_baseline(build):
    found = evaluate(build)
    assert [model.role for model in found.metrics.models] == ["candidate", "baseline"]
    assert found.metrics.of("champion") is None
    assert (found.comparisons.champion_state, found.comparisons.champion) == ("none yet", None)
    assert found.comparisons.baseline.reference_digest == found.metrics.of("baseline").digest
    assert found.metrics.of("candidate").name == "test_model"
    assert found.metrics.of("candidate").latency.texts == 45


def test_evaluate__candidate_and_champion_are_compared_on_the_same_rows(build):
    with_champion(build, rows=3)
    found = evaluate(build)
    candidate, champion = found.metrics.of("candidate"), found.metrics.of("champion")
    comparison = found.comparisons.champion
    assert champion.name == "v1.3.0"
    assert candidate.test.rows == champion.test.rows == comparison.rows == 45
    difference = candidate.test.accuracy.value - champion.test.accuracy.value
    assert comparison.accuracy.delta.value == pytest.approx(difference)
    assert comparison.won - comparison.lost == round(45 * difference)
    assert [delta.name for delta in comparison.labels] == ["F1 ba", "F1 do", "F1 ki"]
    medians = candidate.latency.p50_ms, champion.latency.p50_ms
    assert comparison.latency_ratio.value == pytest.approx(medians[0] / medians[1])


def test_evaluate__candidate_and_champion_are_compared_away_from_home_too(build):
    with_champion(build, labels=("ba", "do"))
    found = evaluate(build)
    away = [found.metrics.of(role).external.accuracy.value for role in ("candidate", "champion")]
    assert away[0] > 0.8
    assert away[1] <= 0.5
    assert found.comparisons.champion.external_accuracy.delta.value == pytest.approx(away[0] - away[1])


def test_evaluate__the_bundle_of_production_as_candidate_changes_nothing(build):
    with_champion(build, rows=60)
    found = evaluate(build).comparisons.champion
    assert (found.won, found.lost, found.macro_f1.delta.value) == (0, 0, 0)


def test_evaluate__a_label_that_the_champion_does_not_know_has_f1_0_there(build):
    with_champion(build, labels=("do", "ki"))
    found = evaluate(build)
    scores = {label.label: label.f1.value for label in found.metrics.of("champion").test.labels}
    assert scores["ba"] == 0
    assert found.comparisons.champion.labels[0].reference == 0
    assert found.metrics.of("champion").test.columns == LABELS


def test_evaluate__a_label_that_only_the_champion_knows_comes_last_and_is_a_mistake(build):
    with_champion(build, labels=("xu", "do", "ki"))
    found = evaluate(build)
    assert found.metrics.of("candidate").test.columns == ("ba", "do", "ki", "xu")
    test = found.metrics.of("champion").test
    assert [label.label for label in test.labels] == ["ba", "do", "ki"]
    assert sum(sum(row.values()) for row in test.confusion.values()) == 45
    assert "ba" not in test.confusion["ba"]
    assert all("xu" not in row for row in found.metrics.of("candidate").test.confusion.values())


def test_evaluate__external_labels_are_those_that_the_external_rows_have(build):
    external = evaluate(build).metrics.of("candidate").external
    assert [label.label for label in external.labels] == ["do", "ki"]
    assert external.columns == ("do", "ki", "ba")
    assert external.rows == 12


def test_evaluate__without_external_rows_there_are_no_external_figures(build):
    (build / "data" / "external.jsonl").unlink()
    describe_rows(build)
    found = evaluate(build)
    assert found.metrics.of("candidate").external is None
    assert found.comparisons.baseline.external_accuracy is None
    assert "external" not in {line["split"] for line in found.predictions}
    assert re.search(r"^candidate.* - ", list(table(found.metrics))[1])


def test_evaluate__an_empty_external_file_is_the_same_as_none(build):
    (build / "data" / "external.jsonl").write_text("")
    describe_rows(build)
    assert evaluate(build).metrics.of("candidate").external is None


def test_evaluate__the_same_bundles_give_the_same_figures_except_for_the_clock(build):
    one, two = evaluate(build), evaluate(build)
    assert one.metrics.of("candidate").test == two.metrics.of("candidate").test
    ratio = {"latency_ratio"}
    assert one.comparisons.baseline.model_dump(exclude=ratio) == two.comparisons.baseline.model_dump(exclude=ratio)


def test_evaluate__no_test_rows_cannot_be_judged(build):
    (build / "data" / "test.jsonl").write_text("")
    describe_rows(build)
    with pytest.raises(CannotTell, match=r'test\.jsonl has no rows: mend the split and run "make data" again'):
        evaluate(build)


@pytest.mark.parametrize("name", ["test", "external", "train"])
def test_evaluate__rows_that_data_json_does_not_describe_cannot_be_judged(build, name):
    split(build / "data" / f"{name}.jsonl", {"do": 15, "ki": 25}, seed=9)
    with pytest.raises(CannotTell, match=r'data does not hold the rows that its data\.json describes: run "make data"'):
        evaluate(build)


def test_evaluate__a_test_row_with_a_label_outside_the_data_cannot_be_judged(build):
    describe_rows(build, ("ba", "do"))
    with pytest.raises(CannotTell, match="rows have the label 'ki'"):
        evaluate(build)


def test_evaluate__no_statement_about_the_champion_is_not_the_same_as_no_champion(build):
    (build / "champion.json").unlink()
    with pytest.raises(CannotTell, match=r'champion\.json is missing: run "make choose" first'):
        evaluate(build)


def test_evaluate__a_champion_without_a_digest_cannot_be_vouched_for(build):
    records.write(build / "champion.json", Champion(state="given", name="v1", path="old"))
    with pytest.raises(CannotTell, match="names no path or no digest"):
        evaluate(build)


def test_evaluate__a_champion_with_another_digest_is_refused(build):
    with_champion(build)
    champion = Champion(state="given", name="v1", path=str(build.parent / "old"), digest=OTHER)
    records.write(build / "champion.json", champion)
    with pytest.raises(Refused, match=r"but 000000000000… was expected"):
        evaluate(build)


def test_evaluate__a_champion_that_holds_what_nobody_vouches_for_is_refused_though_it_was_sealed(build):
    (build.parent / "old").mkdir()
    (build.parent / "old/modeling.py").write_text("print('hello')\n")
    with_champion(build)
    with pytest.raises(Refused, match=r"modeling\.py: is code: store data only"):
        evaluate(build)


@pytest.mark.parametrize("role", ["model", "baseline"])
def test_evaluate__a_model_trained_on_other_rows_cannot_be_judged(build, role):
    (build / role).rename(build / "away")
    bundle(build / role)
    with pytest.raises(CannotTell, match=rf'{role} was trained on the data 000000000000….*: run "make train" again'):
        evaluate(build)


def test_evaluate__an_altered_bundle_is_refused(build):
    path = build / "model" / "tfidf.json"
    path.write_text(path.read_text() + " ")
    with pytest.raises(Refused, match=r"tfidf\.json is not the file that was sealed"):
        evaluate(build)


def test_evaluate__a_missing_bundle_cannot_be_judged(build):
    (build / "model").rename(build / "away")
    with pytest.raises(CannotTell, match=r'model is missing: run "make train" first'):
        evaluate(build)


def test_evaluate__a_model_that_answers_nan_is_refused_by_name_and_row(build):
    with_champion(build, spoil=lambda tensors: {**tensors, "bias": tensors["bias"] * np.float32("nan")})
    with pytest.raises(Refused, match=r"champion .*old, test row r0: nan, nan, nan are not probabilities"):
        evaluate(build)


def rows(*values):
    return np.array(values, float)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (rows([0.5, 0.5], [0.5, 0.4]), r"candidate x, row 2: 0.5, 0.4 are not probabilities that add up to 1 \(1 of 2"),
        (rows([0.5, 0.5], [np.inf, 0]), "row 2: inf, 0 are not"),
        (rows([np.inf, -np.inf], [0.5, 0.5]), "row 1: inf, -inf are not"),
        (rows([1.5, -0.5], [0.5, 0.5]), "row 1: 1.5, -0.5 are not"),
        (rows([0.2, 0.3, 0.5]), r"candidate x gave answers of shape \(1, 3\) for 2 rows and 2 labels"),
    ],
)
def test_check_probabilities__names_the_model_and_the_first_wrong_row(given, message):
    with pytest.raises(Refused, match=message):
        check_probabilities(given, 2, "candidate x", ["row 1", "row 2"])


def test_check_probabilities__rounding_of_32_bit_floats_is_no_mistake():
    thousand = np.random.default_rng(0).dirichlet(np.full(1000, 0.1), 20).astype(np.float32).astype(float)
    check_probabilities(thousand, 1000, "candidate", [f"row {n}" for n in range(20)])


def test_evaluate__more_rows_than_one_window_keep_their_order(build):
    split(build / "data" / "test.jsonl", {"ba": 300, "do": 500, "ki": 700}, seed=4)
    describe_rows(build)
    found = evaluate(build)
    lines = [line for line in found.predictions if line["split"] == "test"]
    assert [line["row"] for line in lines] == list(read_split("test", build / "data").ids)
    right = sum(line["candidate"] == line["label"] for line in lines)
    assert right / 1500 == pytest.approx(found.metrics.of("candidate").test.accuracy.value)
    assert found.metrics.of("candidate").test.accuracy.value > 0.8
