"""One temperature makes probabilities honest, never changes a label and never makes the validation rows worse."""

import numpy as np
import pytest
from scipy.special import log_softmax
from scipy.special import softmax as scipy_softmax

from textgate.models.calibration import fit_temperature, softmax


def log_loss(scores, targets):
    return -log_softmax(scores, axis=1)[np.arange(len(targets)), targets].mean()


def drawn(rows, labels, sharpness, seed):
    """Scores whose softmax is the truth, sharpened."""
    random = np.random.default_rng(seed)
    honest = random.normal(0, 2, (rows, labels))
    targets = np.array([random.choice(labels, p=row) for row in scipy_softmax(honest, axis=1)])
    return honest * sharpness, targets


def test_softmax__agrees_with_scipy():
    scores = np.random.default_rng(1).normal(0, 5, (50, 4))
    np.testing.assert_allclose(softmax(scores), scipy_softmax(scores, axis=1), rtol=1e-12)


@pytest.mark.parametrize("row", [[8e307, -8e307], [1e4, 1e4], [-1e4, -1e4, -1e4], [0.0, 745.0], [5.0]])
def test_softmax__extreme_scores_stay_a_distribution(row):
    found = softmax(np.array([row]))
    assert np.isfinite(found).all()
    assert found.sum() == pytest.approx(1)


def test_softmax__of_no_rows_is_no_rows():
    assert softmax(np.empty((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("sharpness", [0.2, 1.0, 5.0, 30.0])
def test_fit_temperature__recovers_how_much_the_scores_were_sharpened(sharpness):
    scores, targets = drawn(4000, 3, sharpness, seed=2)
    assert fit_temperature(scores, targets) == pytest.approx(sharpness, rel=0.1)


@pytest.mark.parametrize("seed", range(20))
def test_fit_temperature__log_loss_is_never_above_the_uncalibrated(seed):
    random = np.random.default_rng(seed)
    scores = random.normal(0, 10 ** random.uniform(-2, 2), (30, 3))
    targets = random.integers(0, 3, 30)
    temperature = fit_temperature(scores, targets)
    assert log_loss(scores / temperature, targets) <= log_loss(scores, targets) + 1e-6


def test_fit_temperature__stays_in_its_bounds_when_every_row_is_right_or_wrong():
    scores = np.array([[2.0, -2.0], [-2.0, 2.0]] * 5)
    right = np.array([0, 1] * 5)
    assert 0.01 <= fit_temperature(scores, right) < 0.2
    assert 50 < fit_temperature(scores, 1 - right) <= 100


def test_fit_temperature__never_changes_a_label():
    scores, targets = drawn(200, 4, 3.0, seed=4)
    found = softmax(scores / fit_temperature(scores, targets))
    np.testing.assert_array_equal(found.argmax(axis=1), scores.argmax(axis=1))
