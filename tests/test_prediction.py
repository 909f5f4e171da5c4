"""A probability row becomes exactly the object that the published schema describes, or nothing at all."""

import json

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textgate.errors import Refused
from textgate.prediction import Prediction, prediction, schema

DIGEST = "a" * 64


def validator():
    return jsonschema.Draft202012Validator(schema())


def test_prediction__the_label_is_the_most_probable_one():
    found = prediction(np.array([0.1, 0.7, 0.2]), ("da", "nb", "sv"), DIGEST)
    assert found.label == "nb"
    assert found.probabilities == {"da": 0.1, "nb": 0.7, "sv": 0.2}
    assert found.model_digest == DIGEST


def test_prediction__of_equal_probabilities_the_first_label_wins():
    assert prediction(np.array([0.5, 0.5]), ("b", "a"), DIGEST).label == "b"


def test_prediction__rounding_of_32_bit_floats_never_leaves_0_to_1():
    found = prediction(np.array([1 + 5e-7, -5e-7]), ("a", "b"), DIGEST)
    assert found.probabilities == {"a": 1.0, "b": 0.0}


@settings(deadline=None, derandomize=True)
@given(st.lists(st.floats(-30, 30), min_size=2, max_size=8))
def test_prediction__every_distribution_fits_the_schema(scores):
    powers = np.exp(np.array(scores) - max(scores))
    found = prediction(powers / powers.sum(), [f"l{i}" for i in range(len(scores))], DIGEST)
    validator().validate(json.loads(found.model_dump_json()))


@pytest.mark.parametrize("row", [[np.nan, 1.0], [np.inf, 0.0], [0.6, 0.6], [1.2, -0.2], [0.0, 0.0]])
def test_prediction__what_is_no_distribution_is_refused(row):
    with pytest.raises(Refused, match="not probabilities that add up to 1"):
        prediction(np.array(row), ("a", "b"), DIGEST)


def test_prediction__a_row_for_other_labels_is_refused():
    with pytest.raises(Refused, match=r"shape \(3,\) for 2 labels"):
        prediction(np.array([0.2, 0.3, 0.5]), ("a", "b"), DIGEST)


def test_schema__is_itself_valid():
    jsonschema.Draft202012Validator.check_schema(schema())


def test_schema__names_the_same_fields_as_the_type():
    assert set(schema()["properties"]) == set(schema()["required"]) == set(Prediction.model_fields)


@pytest.mark.parametrize(
    "wrong",
    [
        {"label": ""},
        {"probabilities": {"a": 1.0}},
        {"probabilities": {"a": 1.5, "b": 0.0}},
        {"probabilities": {"a": "0.5", "b": 0.5}},
        {"model_digest": "latest"},
        {"text": "no echo of what was asked"},
    ],
)
def test_schema__anything_else_does_not_fit(wrong):
    right = {"label": "a", "probabilities": {"a": 0.9, "b": 0.1}, "model_digest": DIGEST}
    assert validator().is_valid(right)
    assert not validator().is_valid(right | wrong)
