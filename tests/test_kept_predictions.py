"""What evaluate kept about the test rows is used if it is about this bundle, and is found out if it is not."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from tests.project import ROOT, edit
from tests.tested_project import make_project, run_script

from textgate import files, records
from textgate.bundle import digest
from textgate.choose import find_champion
from textgate.errors import CannotTell
from textgate.evaluate.evaluate import evaluate
from textgate.evidence import DataReport, Metrics
from textgate.kept_predictions import read_predictions
from textgate.models.classifier import open_bundle
from textgate.rows import read_split
from textgate.verdicts import ModelTests

ROWS = 300
OTHER = "2" * 64


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """Return a project whose model was evaluated, and is wrong about every tenth test row."""
    folder = tmp_path_factory.mktemp("evaluated") / "project"
    folder.mkdir()
    make_project(folder, ROWS, wrong=10)
    build = folder / "build"
    shutil.copytree(build / "model", build / "baseline")
    records.write(build / "champion.json", find_champion("none"))
    found = evaluate(build)
    records.write(build / "metrics.json", found.metrics)
    files.write_jsonl(build / "predictions.jsonl", found.predictions)
    return folder


@pytest.fixture
def project(evaluated, tmp_path):
    return shutil.copytree(evaluated, tmp_path / "project")


def read(folder, **about):
    build = folder / "build"
    data = records.read(build / "data" / "data.json", DataReport, "data")
    given = {"bundle_digest": digest(build / "model"), "data_fingerprint": data.fingerprint} | about
    return read_predictions(build, read_split("test", build / "data"), **given)


def change(folder, alter):
    path = folder / "build" / "predictions.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    files.write_jsonl(path, alter(lines))


def test_read_predictions__are_what_the_bundle_says(evaluated):
    found = read(evaluated)
    model = open_bundle(evaluated / "build" / "model")
    said = model.classifier.predict_proba(read_split("test", evaluated / "build" / "data").texts)
    assert found.labels == tuple(model.manifest.labels[index] for index in said.argmax(axis=1))
    assert found.probabilities == pytest.approx(said.max(axis=1), abs=1e-6)


def test_read_predictions__a_bundle_that_was_not_evaluated_has_none(project):
    assert read(project, bundle_digest=OTHER) is None
    assert read(project, data_fingerprint=OTHER) is None
    (project / "build" / "metrics.json").unlink()
    assert read(project) is None


def flip_one(lines):
    lines[3]["candidate"] = {"red": "blue", "blue": "red"}[lines[3]["candidate"]]
    return lines


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (flip_one, r"predictions\.jsonl does not hold the predictions that metrics\.json counted"),
        (lambda lines: lines[:-1], r"predictions\.jsonl is not about the rows in .*test\.jsonl"),
        (lambda lines: lines[::-1], r"predictions\.jsonl is not about the rows in .*test\.jsonl"),
        (
            lambda lines: [lines[0] | {"candidate_probability": 2.0}],
            r"predictions\.jsonl, line 1: .* less than or equal",
        ),
        (lambda _: [{}], r"predictions\.jsonl, line 1: Field required"),
    ],
)
def test_read_predictions__others_than_those_of_the_evaluation_cannot_be_told(project, alter, message):
    change(project, alter)
    with pytest.raises(CannotTell, match=f'{message}.*: run "make evaluate" again'):
        read(project)


def test_read_predictions__metrics_without_predictions_cannot_be_told(project):
    (project / "build" / "predictions.jsonl").unlink()
    with pytest.raises(CannotTell, match=r'predictions\.jsonl is missing: run "make evaluate" again'):
        read(project)


# The model tests with them.


def evidence(folder):
    return records.read(folder / "build" / "model-tests.json", ModelTests, "model_tests")


@pytest.fixture(scope="module")
def counted(evaluated, tmp_path_factory):
    """Return a project whose model missed limits that only a faultless one meets, with the evidence of that."""
    folder = shutil.copytree(evaluated, tmp_path_factory.mktemp("counted") / "project")
    edit(folder, "gates", min_accuracy=1.0, min_macro_f1=1.0, min_label_f1=1.0)
    assert run_script(folder).returncode == 1
    return folder, evidence(folder)


def test_script__counts_what_was_kept_as_the_evaluation_did_and_asks_about_a_part_of_the_rows(counted):
    folder, found = counted
    scores = records.read(folder / "build" / "metrics.json", Metrics, "evaluate").of("candidate").test
    reasons = {failure.test.removeprefix("accuracy: "): failure.reason for failure in found.failures}
    assert reasons["test_accuracy"].startswith(f"accuracy is {scores.accuracy.value:.3f} on {ROWS} test rows")
    assert reasons["test_macro_f1"].startswith(f"macro-F1 is {scores.macro_f1.value:.3f} on {ROWS} test rows")
    for score in scores.labels:
        assert reasons[f"test_label_f1[{score.label}]"].startswith(f"F1 of {score.label} is {score.f1.value:.3f} on")
    assert len(reasons) == 4
    assert 0.8 < scores.accuracy.value < 0.95
    assert found.asked_rows == 200


def test_suite__imports_nothing_that_takes_seconds(evaluated):
    suite = f"-m pytest {ROOT}/model_tests --collect-only -q -s --bundle=build/model"
    quiet = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *suite.split()],
        cwd=evaluated,
        env=os.environ | quiet,
        capture_output=True,
        text=True,
        check=True,
    )
    imported = set(re.findall(r"(?m)^import time: +\d+ \| +\d+ \| +(\w+)", done.stderr))
    assert {"pytest", "numpy", "textgate"} <= imported
    assert not imported & {"sklearn", "scipy", "pandas", "torch", "transformers", "mlflow", "matplotlib"}


def test_script__asks_about_all_rows_if_the_bundle_was_not_evaluated_and_counts_the_same(counted, tmp_path):
    folder = shutil.copytree(counted[0], tmp_path / "project")
    (folder / "build" / "metrics.json").unlink()
    assert run_script(folder).returncode == 1
    found = evidence(folder)
    assert (found.failures, found.groups) == (counted[1].failures, counted[1].groups)
    assert found.asked_rows == ROWS


def swap_two(lines):
    """Exchange what was said about two rows of one label: the sums stay the same."""
    wrong = next(line for line in lines if line["label"] == "red" != line["candidate"])
    for line in lines:
        if line["label"] == line["candidate"] == "red":
            said = {key: line[key] for key in ("candidate", "candidate_probability")}
            line |= {key: wrong[key] for key in said}
            wrong |= said
            wrong = line
    return lines


def test_script__kept_predictions_that_the_bundle_does_not_repeat_are_unknown(project):
    change(project, swap_two)
    done = run_script(project)
    assert done.returncode == 2, done.stdout + done.stderr
    found = evidence(project)
    assert found.groups["accuracy"].errors == 1
    [failure] = found.failures
    assert failure.test == "accuracy: test_kept_predictions_are_what_the_bundle_says_now"
    assert "off what evaluate kept, the limit is 0.001" in failure.reason
    assert 'run "make evaluate" again' in failure.reason


def test_script__predictions_of_another_evaluation_are_one_line_and_no_evidence(project):
    change(project, flip_one)
    done = run_script(project)
    assert done.returncode == 2
    assert "does not hold the predictions that metrics.json counted" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (project / "build" / "model-tests.json").exists()
