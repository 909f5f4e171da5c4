"""Scores into probabilities that mean what they say: softmax with one temperature."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities for scores of shape (rows, labels)."""
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def fit_temperature(scores: NDArray[np.float64], targets: NDArray[np.int64]) -> float:
    """Return the temperature in 0.01 … 100 that minimises the log loss; the order of the labels never changes.

    Guo et al. (2017), "On calibration of modern neural networks". Scores have shape (rows, labels).
    """
    from scipy.optimize import minimize_scalar

    def log_loss(log_temperature: float) -> float:
        scaled = scores / np.exp(log_temperature)
        top = scaled.max(axis=1)
        log_total = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        return float((log_total - scaled[np.arange(len(targets)), targets]).mean())

    found = minimize_scalar(log_loss, bounds=(np.log(0.01), np.log(100.0)), method="bounded")
    return float(np.exp(found.x))
