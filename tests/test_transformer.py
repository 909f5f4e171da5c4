"""The ONNX side of the transformer: any text in any order and number, without torch, and transformers opens it too."""

import json
import os
import shutil
import subprocess
import sys
import weakref

import numpy as np
import pytest
from onnx import TensorProto
from onnxruntime.quantization import quantize_dynamic
from tests.small import LABELS, small_rows, task

from textgate.models.transformer import Encoder, TransformerClassifier, open_encoder
from textgate.train.export import save_transformer

ODD = ("", " ", "x", "\x00", "\ud800 snow", "\udcff", "🏔", "مرحبا", "snow " * 20_000, "x" * 100_000, "\n\n")


def test_predict_proba__learned_and_keeps_the_order_of_texts(trained):
    texts, targets = small_rows(80, seed=4)
    found = trained[1].predict_proba(texts)
    assert (found.argmax(axis=1) == targets).mean() > 0.95
    np.testing.assert_allclose(found[::-1], trained[1].predict_proba(texts[::-1]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("int8", [False, True])
def test_predict_proba__a_text_among_others_is_scored_as_alone(trained, tiny_base, tmp_path, int8):
    model, _ = save_transformer(trained[0], tiny_base, task(int8=int8), tmp_path)
    texts = (*small_rows(40, seed=4)[0], *ODD)
    alone = np.concatenate([model.predict_proba([text]) for text in texts])
    np.testing.assert_allclose(model.predict_proba(texts), alone, rtol=0, atol=1e-6)


def test_predict_proba__a_file_whose_scales_depend_on_its_input_is_given_one_text_at_a_time(trained, tmp_path):
    trained[1].save(tmp_path)
    (tmp_path / "onnx" / "model.onnx").rename(tmp_path / "exact.onnx")
    known = {"DefaultTensorType": TensorProto.FLOAT}  # of what operators give that ONNX itself does not know
    quantize_dynamic(tmp_path / "exact.onnx", tmp_path / "onnx" / "model.onnx", extra_options=known)
    model = TransformerClassifier.load(tmp_path, LABELS)
    texts = (*small_rows(40, seed=4)[0], *ODD)
    alone = np.concatenate([model.predict_proba([text]) for text in texts])
    np.testing.assert_array_equal(model.predict_proba(texts), alone)


def test_predict_proba__equal_texts_and_many_lengths_keep_their_places(trained):
    texts, _ = small_rows(400, seed=5)
    texts = [*texts, *texts[:50], "", *["snow"] * 300]
    alone = {text: trained[1].predict_proba([text])[0] for text in set(texts)}
    np.testing.assert_allclose(trained[1].predict_proba(texts), [alone[text] for text in texts], rtol=0, atol=1e-6)


@pytest.mark.parametrize("text", ODD)
def test_predict_proba__takes_any_text(trained, text):
    found = trained[1].predict_proba([text])
    assert found.shape == (1, 2)
    assert np.isfinite(found).all()
    assert found.sum() == pytest.approx(1)


def test_predict_proba__no_text_gives_no_row(trained):
    assert trained[1].predict_proba([]).shape == (0, 2)


def test_predict_proba__what_stands_behind_the_last_token_does_not_matter(trained):
    start = "snow pine " * 20
    np.testing.assert_array_equal(trained[1].predict_proba([start]), trained[1].predict_proba([start + "palm " * 999]))


def test_encoder__cuts_to_the_longest_input_and_keeps_the_last_special_token(tiny_base):
    (ids,) = Encoder(tiny_base, 6)(["snow " * 100])
    assert len(ids) == 6
    assert (ids[0], ids[-1]) == (0, 2)


def test_encoder__reads_a_lone_surrogate_as_a_question_mark(tiny_base):
    encode = Encoder(tiny_base, 16)
    assert encode(["\ud800 snow"]) == encode(["? snow"])


def test_unknown_shares__count_tokens_and_not_the_special_ones(trained):
    texts = ["snow pine", "snow qwertz", "qwertz", "", "snow " * 40 + "qwertz"]
    assert trained[1].predict(texts)[1] == [0, 0.5, 1, 0, 0]
    assert trained[1].predict([])[1] == []


@pytest.mark.parametrize(("named", "shares"), [('{"content": "<unk>"}', [1, 0]), ("null", [0, 0]), ('""', [0, 0])])
def test_unknown_shares__the_unknown_token_is_the_one_that_transformers_wrote(tiny_base, tmp_path, named, shares):
    shutil.copy(tiny_base / "tokenizer.json", tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(f'{{"unk_token": {named}}}')
    assert Encoder(tmp_path, 16).with_unknown(["qwertz", "snow"])[1] == shares


def test_open_encoder__is_shared_while_it_is_used_and_never_with_other_bytes(tiny_base, tmp_path):
    copy = shutil.copytree(tiny_base, tmp_path / "copy")
    first = open_encoder(tiny_base, 16)
    assert open_encoder(copy, 16) is first
    assert open_encoder(copy, 15) is not first
    (copy / "tokenizer_config.json").write_text('{"unk_token": "snow"}')
    other = open_encoder(copy, 16)
    assert other is not first
    assert (first.with_unknown(["snow"])[1], other.with_unknown(["snow"])[1]) == ([0], [1])
    gone = weakref.ref(other)
    del other
    assert gone() is None


def test_save__a_round_trip_changes_no_probability(trained, tmp_path):
    trained[1].save(tmp_path)
    texts, _ = small_rows(20, seed=3)
    opened = TransformerClassifier.load(tmp_path, LABELS)
    np.testing.assert_array_equal(opened.predict_proba(texts), trained[1].predict_proba(texts))


def test_load__refuses_labels_that_do_not_fit(transformer_bundle):
    with pytest.raises(ValueError, match="the ONNX file gives 2 scores, but there are 3 labels"):
        TransformerClassifier.load(transformer_bundle, ("a", "b", "c"))


@pytest.mark.parametrize(("key", "value"), [("temperature", 0.0), ("temperature", -1.0), ("max_tokens", 0)])
def test_load__refuses_settings_that_give_no_probabilities(transformer_bundle, tmp_path, key, value):
    settings = json.loads((transformer_bundle / "transformer.json").read_text())
    (tmp_path / "transformer.json").write_text(json.dumps(settings | {key: value}))
    with pytest.raises(ValueError, match=f"{key}\n  Input should be greater than"):
        TransformerClassifier.load(tmp_path, LABELS)


def test_open_bundle__needs_neither_torch_nor_transformers(transformer_bundle):
    script = (
        "import sys; from pathlib import Path; from textgate.models.classifier import open_bundle\n"
        f"model = open_bundle(Path({str(transformer_bundle)!r})).classifier\n"
        "model.predict_proba(['snow'])\n"
        "print([name for name in ('torch', 'transformers', 'sklearn', 'scipy') if name in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": "src"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_bundle__opens_in_a_transformers_pipeline_with_the_same_labels_and_probabilities(transformer_bundle, trained):
    from transformers import pipeline

    texts = list(small_rows(20, seed=3)[0])
    classify = pipeline("text-classification", model=str(transformer_bundle), device="cpu", top_k=None)
    ours = trained[1].logits(texts)
    odds = np.exp(ours - ours.max(axis=1, keepdims=True))
    for found, expected in zip(classify(texts, truncation=True, max_length=16), odds, strict=True):
        theirs = {answer["label"]: answer["score"] for answer in found}
        assert max(theirs, key=theirs.__getitem__) == LABELS[expected.argmax()]
        np.testing.assert_allclose([theirs[label] for label in LABELS], expected / expected.sum(), atol=1e-4)


def test_bundle__opens_in_automodel_and_autotokenizer(transformer_bundle, tiny_base):
    from transformers import AutoModel, AutoTokenizer

    assert AutoModel.from_pretrained(transformer_bundle).config.hidden_size == 32
    ids = AutoTokenizer.from_pretrained(transformer_bundle)("snow house")["input_ids"]
    assert ids == Encoder(tiny_base, 16)(["snow house"])[0]
