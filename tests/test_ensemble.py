"""Two models together are at least as good as either on the rows that chose their weights."""

import json

import numpy as np
import pytest
from sklearn.metrics import f1_score
from tests.small import LABELS, fit_tfidf, small_rows

from textgate.models.ensemble import EnsembleClassifier


def parts(trained):
    return {"tfidf": fit_tfidf(), "transformer": trained[1]}


def noisy(seed):
    """Return validation rows of which a quarter have the wrong label, so that no part is perfect."""
    texts, targets = small_rows(60, seed=seed)
    wrong = np.random.default_rng(seed).random(60) < 0.25
    return texts, np.where(wrong, 1 - targets, targets)


def macro_f1(model, valid):
    return f1_score(valid[1], model.predict_proba(valid[0]).argmax(axis=1), average="macro")


@pytest.mark.parametrize("seed", range(4))
def test_fit__is_at_least_as_good_as_both_parts_on_validation_rows(trained, seed):
    valid = noisy(seed)
    both = EnsembleClassifier.fit(parts(trained), valid, LABELS)
    assert macro_f1(both, valid) >= max(macro_f1(part, valid) for part in parts(trained).values())
    assert sum(both.weights) == pytest.approx(1)


def test_fit__of_weights_that_are_good_enough_the_most_even_are_taken(trained):
    valid = small_rows(30, seed=8)  # both parts know every row, so any weights are right
    assert EnsembleClassifier.fit(parts(trained), valid, LABELS).weights == (0.5, 0.5)


def test_fit__a_part_that_knows_nothing_gets_no_more_weight_than_does_no_harm(trained):
    valid = small_rows(30, seed=8)
    wrong = fit_tfidf()
    wrong._coef *= -1
    both = EnsembleClassifier.fit({"tfidf": wrong, "transformer": trained[1]}, valid, LABELS)
    assert both.weights[0] < 0.5
    assert macro_f1(both, valid) >= macro_f1(trained[1], valid)


def test_predict_proba__is_the_weighted_mean(trained):
    first, second = parts(trained).values()
    both = EnsembleClassifier(LABELS, parts(trained), (0.3, 0.7))
    texts = ("snow pine", "", "palm")
    expected = 0.3 * first.predict_proba(texts) + 0.7 * second.predict_proba(texts)
    np.testing.assert_allclose(both.predict_proba(texts), expected)
    np.testing.assert_allclose(both.predict_proba(texts).sum(axis=1), 1)
    assert both.predict_proba([]).shape == (0, 2)


def test_unknown_shares__are_the_weighted_mean(trained):
    both = EnsembleClassifier(LABELS, parts(trained), (0.25, 0.75))
    assert both.predict(["snow", "zzz", ""])[1] == [0, 1, 0]
    (half,) = both.predict(["snowsnow"])[1]
    (ngrams,), (tokens,) = (part.predict(["snowsnow"])[1] for part in parts(trained).values())
    assert (ngrams, tokens) == (pytest.approx(3 / 17), 1)
    assert half == pytest.approx(0.25 * ngrams + 0.75 * tokens)
    assert both.predict([])[1] == []


def test_save__a_round_trip_changes_no_probability(trained, tmp_path):
    both = EnsembleClassifier(LABELS, parts(trained), (0.35, 0.65))
    both.save(tmp_path)
    texts, _ = small_rows(20, seed=3)
    opened = EnsembleClassifier.load(tmp_path, LABELS)
    assert opened.weights == (0.35, 0.65)
    np.testing.assert_array_equal(opened.predict_proba(texts), both.predict_proba(texts))
    assert (tmp_path / "transformer" / "onnx" / "model.onnx").is_file()


@pytest.mark.parametrize(
    ("kinds", "weights", "problem"),
    [
        (("ensemble", "tfidf"), (0.5, 0.5), "two different plain kinds, not ensemble and tfidf"),
        (("tfidf", "tfidf"), (0.5, 0.5), "two different plain kinds, not tfidf and tfidf"),
        (("tfidf", "transformer"), (1.0, 1.0), "the weights of an ensemble add up to 1, not 2"),
        (("tfidf", "transformer"), (1.5, -0.5), "weights.0"),
        (("tfidf", "transformer"), (1.0,), "weights"),
    ],
)
def test_load__refuses(tmp_path, kinds, weights, problem):
    (tmp_path / "ensemble.json").write_text(json.dumps({"kinds": kinds, "weights": weights}))
    with pytest.raises(ValueError, match=problem):
        EnsembleClassifier.load(tmp_path, LABELS)
