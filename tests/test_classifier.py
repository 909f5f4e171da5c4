"""A sealed bundle opens as its kind, or is refused in one line: never a traceback, never another model."""

import shutil

import numpy as np
import pytest
from tests.small import fit_tfidf, seal_small, small_rows

from textgate.bundle import digest
from textgate.errors import CannotTell, Refused
from textgate.models.classifier import open_bundle


def refusal(folder):
    with pytest.raises(Refused) as caught:
        open_bundle(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_open_bundle__gives_the_model_that_was_saved(bundle):
    opened = open_bundle(bundle)
    texts, _ = small_rows(10, seed=3)
    np.testing.assert_array_equal(opened.classifier.predict_proba(texts), fit_tfidf().predict_proba(texts))
    assert opened.digest == digest(bundle)


def test_open_bundle__refuses_another_digest_than_the_expected(bundle):
    with pytest.raises(Refused, match="but ffffffffffff… was expected"):
        open_bundle(bundle, "f" * 64)
    assert open_bundle(bundle, digest(bundle)).digest == digest(bundle)


def test_open_bundle__refuses_an_unknown_kind(bundle):
    seal_small(bundle, kind="prompt")
    assert refusal(bundle) == f"{bundle}: unknown kind of model 'prompt' (known: tfidf, transformer, ensemble)"


def test_open_bundle__refuses_labels_that_the_model_does_not_have(bundle):
    seal_small(bundle, labels=("north", "south", "west"))
    assert "the tfidf model in it cannot be opened: weights of shape (2, " in refusal(bundle)


@pytest.mark.parametrize("content", [b"", b"junk", b"\x00" * 100, b"{}", b"[]"])
@pytest.mark.parametrize("name", ["tfidf.json", "tfidf.safetensors"])
def test_open_bundle__refuses_a_broken_file_under_a_new_seal(bundle, name, content):
    assert f"{bundle}: the tfidf model in it cannot be opened: " in refusal(break_it(bundle, name, content))


def break_it(folder, name, content):
    (folder / name).write_bytes(content)
    seal_small(folder)
    return folder


@pytest.mark.parametrize("temperature", ["0.0", "-1.0", "1e999", "NaN"])
def test_open_bundle__refuses_a_temperature_that_gives_no_probabilities(bundle, temperature):
    text = (bundle / "tfidf.json").read_text(encoding="utf-8")
    start = text.index('"temperature":') + len('"temperature":')
    broken = text[:start] + temperature + text[text.index(",", start) :]
    assert "temperature" in refusal(break_it(bundle, "tfidf.json", broken.encode()))


def test_open_bundle__a_bundle_without_its_model_says_which_file_is_missing(bundle):
    (bundle / "tfidf.json").unlink()
    seal_small(bundle)
    with pytest.raises(CannotTell, match=r"tfidf\.json is missing: train again"):
        open_bundle(bundle)


@pytest.mark.parametrize("name", ["onnx/model.onnx", "tokenizer.json", "transformer.json"])
@pytest.mark.parametrize("content", [b"", b"junk", b"{}"])
def test_open_bundle__refuses_a_broken_transformer_under_a_new_seal(transformer_bundle, tmp_path, name, content):
    folder = shutil.copytree(transformer_bundle, tmp_path / "broken")
    (folder / name).write_bytes(content)
    seal_small(folder, kind="transformer")
    assert f"{folder}: the transformer model in it cannot be opened: " in refusal(folder)
