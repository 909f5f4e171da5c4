"""The linear model learns, takes any text, and is the same after a round trip and on a second training."""

import numpy as np
import pytest
from tests.small import LABELS, TFIDF, fit_tfidf, small_rows

from textgate.models.tfidf import WINDOW, TfidfClassifier

ODD = ("", " ", "x", "\x00", "\ud800 snow", "🏔 snow", "مرحبا", "snow " * 20_000, "\n\n", "1234")


def test_fit__learns_rows_it_has_not_seen():
    texts, targets = small_rows(40, seed=5)
    assert (fit_tfidf().predict_proba(texts).argmax(axis=1) == targets).mean() > 0.95


def test_fit__three_labels_and_two_give_one_probability_each():
    texts, targets = small_rows(60)
    three = TfidfClassifier.fit(
        (*texts, *["grey rain cloud"] * 6), np.append(targets, [2] * 6), (texts, targets), (*LABELS, "west"), TFIDF, 1
    )
    assert three.predict_proba(["grey rain", "snow ice"]).argmax(axis=1).tolist() == [2, 0]
    assert fit_tfidf().predict_proba(["snow"]).shape == (1, 2)


def test_fit__is_only_as_sure_as_the_validation_rows_show():
    texts, targets = small_rows(60)
    unseen, truth = small_rows(40, seed=5)
    coin = np.arange(40) // 2 % 2  # labels that the texts do not tell
    sure, unsure = (
        TfidfClassifier.fit(texts, targets, (unseen, labels), LABELS, TFIDF, 1).predict_proba(unseen).max(axis=1).mean()
        for labels in (truth, coin)
    )
    assert sure > 0.99
    assert unsure < 0.6


def test_fit__two_labels_are_scored_as_scikit_learn_scores_them():
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVC

    texts, targets = small_rows(60)
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3), sublinear_tf=True, dtype=np.float32)
    machine = LinearSVC(C=1.0, class_weight="balanced", random_state=1).fit(vectorizer.fit_transform(texts), targets)
    unseen, _ = small_rows(30, seed=9)
    expected = machine.decision_function(vectorizer.transform(unseen))
    margins = fit_tfidf()._margins(unseen)
    np.testing.assert_allclose(margins[:, 1] - margins[:, 0], expected, atol=1e-5)


def test_save__a_round_trip_changes_no_probability(tmp_path):
    model = fit_tfidf()
    model.save(tmp_path)
    texts, _ = small_rows(30, seed=6)
    opened = TfidfClassifier.load(tmp_path, LABELS)
    np.testing.assert_array_equal(opened.predict_proba((*texts, *ODD)), model.predict_proba((*texts, *ODD)))


def test_save__two_trainings_write_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        fit_tfidf().save(tmp_path / name)
    for name in ("tfidf.json", "tfidf.safetensors"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize("text", ODD)
def test_predict_proba__takes_any_text(text):
    found = fit_tfidf().predict_proba([text])
    assert np.isfinite(found).all()
    assert found.sum() == pytest.approx(1)


def test_predict_proba__no_text_gives_no_row():
    assert fit_tfidf().predict_proba([]).shape == (0, 2)


def test_predict_proba__windows_change_nothing():
    texts, _ = small_rows(10)
    many = texts * (WINDOW // 10 + 3)
    model = fit_tfidf()
    np.testing.assert_array_equal(model.predict_proba(many)[-10:], model.predict_proba(texts))


def test_load__refuses_labels_that_do_not_fit(tmp_path):
    fit_tfidf().save(tmp_path)
    with pytest.raises(ValueError, match=r"weights of shape \(2, \d+\) do not fit 3 labels"):
        TfidfClassifier.load(tmp_path, (*LABELS, "west"))
