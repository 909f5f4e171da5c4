"""The linear model learns, takes any text, and is the same after a round trip and on a second training."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer
from tests.small import LABELS, TFIDF, fit_tfidf, small_rows

from textgate.errors import CannotTell
from textgate.models import ngrams
from textgate.models.ngrams import columns_of
from textgate.models.tfidf import TfidfClassifier

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


@pytest.mark.parametrize(("texts", "min_df"), [(6, 7), (2, 2)])
def test_fit__n_grams_that_no_two_texts_share_are_said(texts, min_df):
    words = ("snow", "sand", "elk", "palm", "mud", "fjord")[:texts]
    targets = np.array([0, 1] * (texts // 2))
    wanted = TFIDF.model_copy(update={"min_df": min_df, "min_n": 3})
    with pytest.raises(CannotTell) as caught:
        TfidfClassifier.fit(words, targets, (words, targets), LABELS, wanted, 1)
    said = f"no n-gram of 3 to 3 characters is in {min_df} of the {texts} training texts"
    assert str(caught.value) == f"{said}: lower min_df or min_n in the experiment"


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


def test_predict_proba__a_text_among_others_is_scored_exactly_as_alone():
    model, texts = fit_tfidf(), (*small_rows(40, seed=3)[0], *ODD)
    alone = np.concatenate([model.predict_proba([text]) for text in texts])
    np.testing.assert_array_equal(model.predict_proba(texts), alone)


# --- the n-grams are scikit-learn's

ALPHABET = "ab. SNOWsnowüßİΣσς'-\t\n\x0b\x1c\x85\xa0\u2003\u200b🏔\ud800"
TEXTS = st.text(st.sampled_from(ALPHABET) | st.characters(), max_size=60)
LEARNED = (*small_rows(60)[0], ALPHABET, *ODD[:7])


@pytest.mark.parametrize("lengths", [(1, 1), (2, 3), (2, 5), (4, 9)])
@given(text=TEXTS)
def test_columns_of__are_those_of_scikit_learn(lengths, text):
    theirs = vectorizer(lengths)
    names = list(theirs.get_feature_names_out())
    found = columns_of(names, *lengths)(text)
    analyzed = theirs.build_analyzer()(text)
    column = {name: number for number, name in enumerate(names)}
    assert sorted(found) == sorted(column.get(ngram, len(names)) for ngram in analyzed)


@given(text=TEXTS)
def test_margins__are_those_of_scikit_learns_vectors(text):
    theirs, rng = vectorizer((2, 4)), np.random.default_rng(1)
    size = len(theirs.get_feature_names_out())
    coef, bias = rng.normal(size=(3, size)).astype(np.float32), np.float32([0.5, 0, -1])
    ours = classifier(theirs, (2, 4), coef, bias)
    expected = theirs.transform([text]).toarray().astype(np.float64) @ coef.T + bias
    np.testing.assert_allclose(ours._margins([text]), expected, atol=1e-5)
    values = classifier(theirs, (2, 4), np.eye(size, dtype=np.float32), np.zeros(size, np.float32))
    np.testing.assert_allclose(values._margins([text]), theirs.transform([text]).toarray(), atol=1e-6)


def vectorizer(lengths, made={}):  # noqa: B006 - each is fitted once
    if lengths not in made:
        empty = TfidfVectorizer(analyzer="char_wb", ngram_range=lengths, sublinear_tf=True, dtype=np.float32)
        made[lengths] = empty.fit(LEARNED)
    return made[lengths]


def classifier(theirs, lengths, coef, bias):
    from textgate.models.tfidf import _Vocabulary

    names = tuple(map(str, theirs.get_feature_names_out()))
    tensors = {"idf": theirs.idf_.astype(np.float32), "coef": coef, "bias": bias}
    vocabulary = _Vocabulary(min_n=lengths[0], max_n=lengths[1], temperature=1.0, ngrams=names)
    return TfidfClassifier(tuple(map(str, range(len(coef)))), vocabulary, tensors)


def test_columns_of__a_word_too_long_to_be_remembered_is_read_all_the_same():
    word = "snow" * ngrams.REMEMBERED_CHARACTERS
    short = columns_of(["sn", "no", "ow", "ws"], 2, 2)(word)
    assert [short.count(column) for column in range(4)] == [32, 32, 32, 31]


def test_predict_proba__needs_no_scikit_learn(tmp_path):
    fit_tfidf().save(tmp_path)
    script = (
        "import sys; from pathlib import Path; from textgate.models.tfidf import TfidfClassifier\n"
        f"print(TfidfClassifier.load(Path({str(tmp_path)!r}), ('north', 'south')).predict_proba(['snow']).shape)\n"
        "print([name for name in ('sklearn', 'scipy') if name in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": "src"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "(1, 2)\n[]\n"


# --- what it does not know


def test_unknown_shares__count_the_ngrams_that_were_not_learned():
    names = (" s", "sn", "no", "ow", "w ")
    model = classifier_of(names)
    assert model.predict(["snow", "Snow snow", "xy", "", " \n", "snob"])[1] == [0, 0, 1, 0, 0, 2 / 5]


def classifier_of(names):
    from textgate.models.tfidf import _Vocabulary

    size = len(names)
    tensors = {"idf": np.ones(size, np.float32), "coef": np.ones((2, size), np.float32), "bias": np.ones(2, np.float32)}
    return TfidfClassifier(LABELS, _Vocabulary(min_n=2, max_n=2, temperature=1.0, ngrams=names), tensors)


def test_load__refuses_labels_that_do_not_fit(tmp_path):
    fit_tfidf().save(tmp_path)
    with pytest.raises(ValueError, match=r"weights of shape \(2, \d+\) do not fit 3 labels"):
        TfidfClassifier.load(tmp_path, (*LABELS, "west"))


@pytest.mark.parametrize(("name", "cut"), [("idf", 1), ("bias", 1), ("coef", 1)])
def test_load__refuses_arrays_that_do_not_fit(name, cut):
    model = fit_tfidf()
    with pytest.raises(ValueError, match=r"of shape \(.*\) do not fit 2 labels and the n-grams"):
        TfidfClassifier(LABELS, model._vocabulary, model._tensors | {name: model._tensors[name][..., cut:]})
