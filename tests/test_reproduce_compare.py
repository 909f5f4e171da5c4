"""Two bundles compared by what they answer to the test rows: rounding is told from another model."""

from pathlib import Path

import numpy as np
import pytest
from tests.small import LABELS, REFERENCE, SHA, TFIDF, fit_tfidf, seal_small
from tests.small import small_rows as small_texts
from tests.turned import turn

from textgate.bundle import digest, seal
from textgate.config import Experiment
from textgate.errors import Refused
from textgate.files import write_jsonl
from textgate.models.classifier import open_bundle
from textgate.versions.reproduce import Reproduction, compare, verdict

pytestmark = pytest.mark.long


def small_bundle(folder: Path, seed: int = 1, labels: tuple[str, ...] = LABELS) -> Path:
    folder.mkdir()
    fit_tfidf(seed).save(folder)
    seal_small(folder, labels=labels)
    return folder


@pytest.fixture
def data(tmp_path) -> Path:
    """Return a folder with 2,000 test rows."""
    texts, targets = small_texts(2000, seed=5)
    rows = enumerate(reversed(list(zip(texts, targets, strict=True))))  # the largest difference comes early
    write_jsonl(
        tmp_path / "data/test.jsonl",
        ({"id": str(number), "text": text, "label": LABELS[target], "group": "g"} for number, (text, target) in rows),
    )
    return tmp_path / "data"


def test_compare__looks_at_every_test_row_and_names_the_fields_that_differ(tmp_path, data):
    old, new = small_bundle(tmp_path / "old"), small_bundle(tmp_path / "new")
    assert compare(old, new, data, ()) == Reproduction(digest(old), digest(old))
    turn(new, 0.01)
    seal(
        new,
        kind="tfidf",
        labels=LABELS,
        experiment="small",
        config=Experiment(description="other", model=TFIDF.model_copy(update={"c": 2.0})),
        parts=(),
        seed=2,
        data_fingerprint=SHA,
        commit="none",
        lock_sha256=SHA,
        versions={"numpy": "9"},
        reference=REFERENCE,
    )
    found = compare(old, new, data, ("machines",))
    assert found.rows == 2000
    assert 0 < found.max_difference < 0.1
    assert found.differences == (
        "manifest.json: config differs",
        "manifest.json: seed differs",
        "numpy 9, was missing",
        "files that differ: tfidf.safetensors",
        "machines",
    )


def test_compare__counts_each_row_with_another_answer_and_keeps_the_largest_difference(tmp_path, data):
    old, new = small_bundle(tmp_path / "old"), small_bundle(tmp_path / "new")
    turn(new, 1.0)
    seal_small(new)
    found = compare(old, new, data, ())
    texts = small_texts(2000, seed=5)[0][::-1]
    answers = [open_bundle(bundle).classifier.predict_proba(texts) for bundle in (old, new)]
    differences = np.abs(answers[0] - answers[1]).max(axis=1)
    assert found.agreeing == int((answers[0].argmax(axis=1) == answers[1].argmax(axis=1)).sum()) < 2000
    assert found.max_difference == pytest.approx(differences.max())
    assert differences[1024:].max() < 0.99 * differences.max()  # else this would not show that windows are put together


@pytest.mark.parametrize("only", ["idf", "coef"])
def test_compare__an_answer_that_is_no_probability_is_refused(tmp_path, data, only):
    old, new = small_bundle(tmp_path / "old"), small_bundle(tmp_path / "new")
    turn(new, float("nan"), only)
    seal_small(new)
    with pytest.raises(Refused, match="are not probabilities that add up to 1"):
        compare(old, new, data, ())


def test_compare__other_labels_are_refused(tmp_path, data):
    old, new = small_bundle(tmp_path / "old"), small_bundle(tmp_path / "new", labels=("north", "west"))
    with pytest.raises(Refused, match="other labels"):
        compare(old, new, data, ())


@pytest.mark.parametrize(("agreeing", "passes"), [(2000, True), (1998, True), (1997, False), (0, False)])
def test_verdict__one_row_in_a_thousand_may_differ_and_no_more(agreeing, passes):
    found = Reproduction("a" * 64, "b" * 64, rows=2000, agreeing=agreeing, max_difference=0.01, differences=("why",))
    lines = []
    if passes:
        lines += verdict(found)
        assert lines[-1].startswith(f"reproduced but for rounding: same answer to {agreeing} of 2000 test rows")
    else:
        with pytest.raises(Refused, match=f"not reproduced: same answer to {agreeing} of 2000"):
            lines.extend(verdict(found))
    assert "  why" in lines if passes else True


def test_verdict__no_test_rows_is_no_agreement():
    with pytest.raises(Refused, match="not reproduced: same answer to 0 of 0"):
        list(verdict(Reproduction("a" * 64, "b" * 64)))
