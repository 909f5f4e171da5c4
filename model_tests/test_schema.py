"""Every answer has the form that was promised, and is the same answer each time."""

from __future__ import annotations

import jsonschema
import numpy as np

from textgate.config import Gates
from textgate.models.classifier import Bundle, Probabilities
from textgate.prediction import prediction, schema


def test_every_answer_fits_the_schema(bundle: Bundle, together: list[str], alone: Probabilities) -> None:
    validator = jsonschema.Draft202012Validator(schema())
    for text, row in zip(together, alone, strict=True):
        answer = prediction(row, bundle.manifest.labels, bundle.digest).model_dump()
        problem = next(validator.iter_errors(answer), None)
        assert problem is None, (
            f"the answer to {text[:60]!r} does not fit output.schema.json: {problem and problem.message}"
        )


def test_labels_are_those_of_the_manifest(bundle: Bundle) -> None:
    found, promised = bundle.classifier.labels, bundle.manifest.labels
    assert found == promised, f"the model's labels are {found}, its manifest promises {promised}"


def test_probabilities_are_finite_and_add_up_to_1(
    bundle: Bundle, together: list[str], probabilities: Probabilities
) -> None:
    shape = (len(together), len(bundle.manifest.labels))
    assert probabilities.shape == shape, f"the answers have the shape {probabilities.shape}, expected {shape}"
    assert np.isfinite(probabilities).all(), f"{(~np.isfinite(probabilities)).sum()} probabilities are not finite"
    off = np.abs(probabilities.sum(axis=1) - 1)
    assert off.max() <= 1e-5, (
        f"sum off by {off.max():.2e} (limit 1e-5), for example {together[int(off.argmax())][:60]!r}"
    )


def test_no_texts_give_no_rows(bundle: Bundle) -> None:
    shape = bundle.classifier.predict_proba([]).shape
    assert shape == (0, len(bundle.manifest.labels)), f"no texts give an array of shape {shape}"


def test_the_same_question_gets_the_same_answer(
    bundle: Bundle, together: list[str], probabilities: Probabilities
) -> None:
    difference = np.abs(bundle.classifier.predict_proba(together) - probabilities).max()
    assert difference <= 1e-6, f"asked twice, a probability differs by {difference:.2e}, the limit is 1e-6"


def test_a_text_alone_gets_the_answer_it_gets_in_a_batch(
    together: list[str], alone: Probabilities, probabilities: Probabilities, gates: Gates
) -> None:
    """Neighbours must not decide.

    Not to the last digit: sums are added up in another order, and scales that are taken from the input would show here.
    The limit bounds what that may do to a probability; a label can then change only where two were nearly equal.
    """
    off = np.abs(alone - probabilities).max(axis=1)
    worst, limit = int(off.argmax()), gates.max_batch_difference
    assert off[worst] <= limit, f"alone, {together[worst][:60]!r} differs by {off[worst]:.3f}, the limit is {limit:.3f}"
