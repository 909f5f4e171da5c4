"""Every figure of a model is the one that the standard libraries compute; intervals are wide when they must be."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.metrics import brier_score_loss, confusion_matrix, f1_score, precision_recall_fscore_support
from statsmodels.stats.proportion import proportion_confint

from textgate.evaluate.metrics import MIN_GROUP_ROWS, Marked, Predictions, brier, ece, reliability, score, wilson
from textgate.evidence import Scores
from textgate.rows import Rows


def marked(truth, labels=("da", "nb", "sv"), columns=None, texts=None, groups=None):
    names = tuple(labels[index] for index in truth)
    ids = tuple(f"r{number}" for number in range(len(truth)))
    rows = Rows(ids, texts or ("a text of words",) * len(ids), names, groups or ("one",) * len(ids))
    return Marked(rows, tuple(labels), tuple(columns or labels), np.array(truth))


def said(predicted, truth, confidence=0.9):
    predicted, truth = np.array(predicted), np.array(truth)
    top = np.full(len(truth), float(confidence))
    return Predictions(predicted, top, np.where(predicted == truth, top, 1 - top), top**2 + (1 - top) ** 2)


def example(rows=400, columns=3, seed=0):
    random = np.random.default_rng(seed)
    truth = random.choice(3, rows, p=(0.1, 0.3, 0.6))
    truth[:3] = (0, 1, 2)
    return truth, np.where(random.random(rows) < 0.85, truth, random.integers(0, columns, rows))


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 3000).flatmap(lambda rows: st.tuples(st.integers(0, rows), st.just(rows))))
def test_wilson__is_that_of_statsmodels(case):
    right, rows = case
    found, theirs = wilson(right, rows), proportion_confint(right, rows, method="wilson")
    assert found.value == right / rows
    assert (found.low, found.high) == pytest.approx(theirs, abs=1e-9)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_score__figures_are_those_of_scikit_learn():
    truth, predicted = example(columns=4)
    found = score(marked(truth, columns=("da", "nb", "sv", "fi")), said(predicted, truth))
    present = [0, 1, 2]
    precision, recall, f1, rows = precision_recall_fscore_support(truth, predicted, labels=present)
    assert found.accuracy.value == (truth == predicted).mean()
    assert found.macro_f1.value == pytest.approx(f1_score(truth, predicted, labels=present, average="macro"))
    assert [label.label for label in found.labels] == ["da", "nb", "sv"]
    assert [label.precision.value for label in found.labels] == pytest.approx(precision)
    assert [label.recall.value for label in found.labels] == pytest.approx(recall)
    assert [label.f1.value for label in found.labels] == pytest.approx(f1)
    assert [label.rows for label in found.labels] == rows.tolist()


def test_score__confusion_has_true_labels_down_and_every_known_label_across():
    truth, predicted = example(columns=4)
    found = score(marked(truth, columns=("da", "nb", "sv", "fi")), said(predicted, truth))
    assert found.columns == ("da", "nb", "sv", "fi")
    table = [[found.confusion[label].get(column, 0) for column in found.columns] for label in ("da", "nb", "sv")]
    assert table == confusion_matrix(truth, predicted, labels=range(4))[:3].tolist()
    assert all(count for row in found.confusion.values() for count in row.values())


def test_scores__a_table_with_its_zeros_is_read_as_earlier_releases_have_it():
    truth, predicted = example(columns=4)
    found = score(marked(truth, columns=("da", "nb", "sv", "fi")), said(predicted, truth))
    raw = json.loads(found.model_dump_json())
    raw["confusion"] = confusion_matrix(truth, predicted, labels=range(4))[:3].tolist()
    assert Scores.model_validate_json(json.dumps(raw)) == found


@pytest.mark.parametrize("confusion", [1, "x", [1, 2], [["x"]], {"da": [1]}, {"da": {"nb": -1}}, None])
def test_scores__what_is_no_table_is_refused(confusion):
    truth, predicted = example()
    raw = json.loads(score(marked(truth), said(predicted, truth)).model_dump_json())
    with pytest.raises(ValidationError, match="confusion"):
        Scores.model_validate_json(json.dumps(raw | {"confusion": confusion}))


def test_score__a_label_that_the_rows_do_not_have_is_a_mistake_and_not_a_part_of_macro_f1():
    found = score(marked([0, 0, 1, 1], ("da", "nb"), ("da", "nb", "fi")), said([0, 2, 1, 1], [0, 0, 1, 1]))
    assert found.accuracy.value == 0.75
    assert found.macro_f1.value == pytest.approx((2 / 3 + 1) / 2)


def test_score__45_rows_give_wide_intervals_even_when_all_are_right():
    truth = np.arange(45) % 3
    found = score(marked(truth), said(truth, truth))
    assert found.macro_f1.value == 1
    assert found.macro_f1.low < 0.97
    for label in found.labels:
        for estimate in (label.precision, label.recall, label.f1):
            assert estimate.value == 1
            assert estimate.low < 0.93


def test_score__one_row_tells_next_to_nothing():
    found = score(marked([0], ("da",)), said([0], [0]))
    assert found.accuracy.low < 0.3
    assert found.labels[0].recall.low < 0.5


def test_score__a_thousand_labels_work():
    random = np.random.default_rng(1)
    truth = np.concatenate([np.arange(1000), random.integers(0, 1000, 3000)])
    predicted = np.where(random.random(4000) < 0.9, truth, random.integers(0, 1000, 4000))
    labels = tuple(f"label {number}" for number in range(1000))
    found = score(marked(truth, labels), said(predicted, truth))
    assert found.macro_f1.value == pytest.approx(f1_score(truth, predicted, average="macro"))
    assert found.macro_f1.low < found.macro_f1.value < found.macro_f1.high
    assert len(found.labels) == len(found.confusion) == 1000
    assert len(found.model_dump_json(indent=1)) < 1_000_000  # a table with its zeros would be nine times that


def test_score__the_same_predictions_give_the_same_intervals():
    truth, predicted = example()
    assert score(marked(truth), said(predicted, truth)) == score(marked(truth), said(predicted, truth))


def test_reliability__ece_of_an_example_done_by_hand():
    # two rows at .95 (one right) and two at .35 (one right): (2 * |.95 - .5| + 2 * |.35 - .5|) / 4 = .3
    bins = reliability(np.array([0.95, 0.35, 0.95, 0.35]), np.array([True, False, False, True]))
    assert [(part.rows, part.accuracy) for part in bins] == [(2, 0.5), (2, 0.5)]
    assert [part.confidence for part in bins] == pytest.approx([0.35, 0.95])
    assert ece(bins) == pytest.approx(0.3)


def test_reliability__a_model_that_knows_how_sure_it_is_has_almost_no_error():
    random = np.random.default_rng(2)
    confidence = random.uniform(0.3, 1, 200_000)
    assert ece(reliability(confidence, random.random(200_000) < confidence)) < 0.01


def test_reliability__a_bin_is_a_fifteenth_wide_and_holds_its_upper_end():
    below, at, above = 14 / 15 - 0.001, 14 / 15, 14 / 15 + 0.001
    bins = reliability(np.array([above, below, at, 1.0]), np.array([True, False, False, True]))
    assert [(part.rows, part.accuracy) for part in bins] == [(2, 0.0), (2, 1.0)]


def test_reliability__confidence_0_and_1_have_a_bin():
    bins = reliability(np.array([0.0, 1.0]), np.array([False, True]))
    assert [(part.rows, part.confidence, part.accuracy) for part in bins] == [(1, 0.0, 0.0), (1, 1.0, 1.0)]


def test_brier__is_that_of_scikit_learn():
    random = np.random.default_rng(3)
    given_, truth = random.dirichlet(np.ones(3), 50), np.arange(50) % 3
    columns = Predictions(given_.argmax(1), given_.max(1), given_[np.arange(50), truth], (given_**2).sum(1))
    assert brier(columns) == pytest.approx(brier_score_loss(truth, given_, labels=[0, 1, 2], scale_by_half=False))


def slices(found, kind):
    return [part for part in found.slices if part.slice == kind]


def test_slices__lengths_are_quarters_that_hold_every_row_once():
    truth = np.arange(100) % 3
    texts = tuple("x" * (20 + number) for number in range(100))
    found = slices(
        score(marked(truth, texts=texts), said(np.where(np.arange(100) < 25, 0, truth), truth)), "characters"
    )
    assert [part.name for part in found] == ["20-44", "45-69", "70-94", "95-119"]
    assert [part.rows for part in found] == [25, 25, 25, 25]
    assert found[0].accuracy.value == 0.36
    assert [part.accuracy.value for part in found[1:]] == [1, 1, 1]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=40))
def test_slices__lengths_hold_every_row_once_whatever_the_texts_are(lengths):
    truth = np.zeros(len(lengths), int)
    found = score(marked(truth, ("da",), texts=tuple("x" * length for length in lengths)), said(truth, truth))
    assert sum(part.rows for part in slices(found, "characters")) == len(lengths)


def test_slices__a_label_is_judged_by_its_own_rows():
    found = slices(score(marked([0, 0, 1, 2]), said([0, 1, 1, 2], [0, 0, 1, 2])), "label")
    assert {part.name: (part.rows, part.accuracy.value) for part in found} == {
        "da": (2, 0.5),
        "nb": (1, 1.0),
        "sv": (1, 1.0),
    }


def test_slices__only_the_five_largest_groups_with_enough_rows():
    groups = tuple(name for number, name in enumerate("abcdefg") for _ in range(MIN_GROUP_ROWS + number))
    groups += ("small",) * (MIN_GROUP_ROWS - 1)
    truth = np.zeros(len(groups), int)
    found = slices(score(marked(truth, ("da",), groups=groups), said(truth, truth)), "group")
    assert [part.name for part in found] == ["g", "f", "e", "d", "c"]
    few = ("small",) * (MIN_GROUP_ROWS - 1)
    assert (
        slices(score(marked([0] * len(few), ("da",), groups=few), said([0] * len(few), [0] * len(few))), "group") == []
    )
