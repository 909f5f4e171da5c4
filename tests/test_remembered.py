"""A model scores the validation rows once, however often it is asked."""

import numpy as np
from tests.small import LABELS, fit_tfidf, small_rows

from textgate.train.remembered import Remembered

TEXTS = small_rows(20, seed=2)[0]


class Counting:
    """A linear model that counts how often it is asked."""

    labels = LABELS

    def __init__(self):
        """Fit it."""
        self.asked = 0
        self.model = fit_tfidf()

    def predict_proba(self, texts):
        """Count, and ask it."""
        self.asked += 1
        return self.model.predict_proba(texts)


def test_remembered__scores_its_texts_once_and_gives_the_same_bytes():
    model = Counting()
    found = Remembered(model, TEXTS)
    first, again = found.predict_proba(TEXTS), found.predict_proba(TEXTS)
    assert model.asked == 1
    assert first.tobytes() == again.tobytes() == model.model.predict_proba(TEXTS).tobytes()
    first[:] = 0  # whoever changes what he was given changes nothing else
    assert found.predict_proba(TEXTS).tobytes() == again.tobytes()


def test_remembered__other_texts_are_scored_each_time():
    model = Counting()
    found = Remembered(model, TEXTS)
    assert found.predict_proba(TEXTS[:3]).shape == (3, 2)
    assert found.predict_proba(list(TEXTS)).shape == (20, 2)
    assert model.asked == 2


def test_remembered__known_probabilities_are_not_computed():
    model, known = Counting(), np.full((20, 2), 0.5)
    assert (Remembered(model, TEXTS, known).predict_proba(TEXTS) == known).all()
    assert model.asked == 0


def test_remembered__saves_and_explains_as_its_model_does(tmp_path):
    model = fit_tfidf()
    found = Remembered(model, TEXTS)
    found.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"tfidf.json", "tfidf.safetensors"}
    assert found.predict(["zzz", TEXTS[0]])[1] == model.predict(["zzz", TEXTS[0]])[1]
    assert found.labels == LABELS
