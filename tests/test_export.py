"""What is served computes what was trained: parity is measured on the exported file, and a broken export is refused."""

import json
from collections import Counter
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from tests.small import small_rows, task
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DebertaConfig,
    DebertaForSequenceClassification,
    XmodConfig,
    XmodForSequenceClassification,
)

from textgate.errors import CannotTell
from textgate.models.transformer import Encoder
from textgate.scan.policy import vouch_folder
from textgate.train.export import save_transformer, to_onnx


def torch_logits(model, folder, texts):
    encode = Encoder(folder, 16)
    with torch.no_grad():
        return np.concatenate([model(torch.tensor([ids])).logits.numpy() for ids in encode(texts)])


def test_save_transformer__32_bit_scores_are_torch_s(trained, tiny_base):
    texts = ("", *small_rows(60, seed=4)[0])
    np.testing.assert_allclose(trained[1].logits(texts), torch_logits(trained[0], tiny_base, texts), atol=1e-4)


def test_save_transformer__8_bit_labels_nearly_always_agree_and_the_file_is_smaller(trained, tiny_base, tmp_path):
    small, scores = save_transformer(trained[0], tiny_base, task(int8=True), tmp_path)
    texts, _ = small_rows(200, seed=4)
    agree = small.predict_proba(texts).argmax(axis=1) == trained[1].predict_proba(texts).argmax(axis=1)
    assert agree.mean() >= 0.97
    np.testing.assert_array_equal(scores, small.predict_proba(task().valid[0]))
    trained[1].save(tmp_path / "exact")
    sizes = [(folder / "onnx" / "model.onnx").stat().st_size for folder in (tmp_path, tmp_path / "exact")]
    assert sizes[0] < sizes[1]


def test_save_transformer__attention_activation_and_sum_with_norm_are_one_operator_each(trained, tiny_base, tmp_path):
    layers = 2
    for int8, attention in ((False, "Attention"), (True, "QAttention")):
        save_transformer(trained[0], tiny_base, task(int8=int8), tmp_path)
        kinds = Counter(node.op_type for node in onnx.load(tmp_path / "onnx" / "model.onnx").graph.node)
        names = (attention, "Gelu", "SkipLayerNormalization", "Softmax", "Erf")
        assert [kinds[name] for name in names] == [layers, layers, 2 * layers, 0, 0]


def test_save_transformer__the_last_layer_goes_on_with_the_first_token_alone(trained, tiny_base, tmp_path):
    save_transformer(trained[0], tiny_base, task(int8=True), tmp_path)
    made = onnx.load(tmp_path / "onnx" / "model.onnx")
    sums = [node.output[0] for node in made.graph.node if node.op_type == "SkipLayerNormalization"]
    made.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sums)
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    tokens = np.full((2, 5), 7)
    found = session.run(sums, {"input_ids": tokens, "attention_mask": np.ones_like(tokens)})
    assert [states.shape[1] for states in found] == [5, 5, 5, 1]


def test_save_transformer__writes_files_that_the_policy_vouches_for_and_no_others(trained, tiny_base, tmp_path):
    save_transformer(trained[0], tiny_base, task(int8=True), tmp_path)
    assert set(vouch_folder(tmp_path)) == {
        "config.json", "onnx/model.onnx", "tokenizer.json", "tokenizer_config.json", "transformer.json"
    }  # fmt: skip


def test_save_transformer__keeps_the_torch_weights_only_if_asked(transformer_bundle):
    assert (transformer_bundle / "model.safetensors").is_file()
    assert json.loads((transformer_bundle / "config.json").read_text())["id2label"] == {"0": "north", "1": "south"}


def test_save_transformer__fits_the_temperature_on_validation_rows(trained):
    texts, targets = task().valid
    row = np.arange(len(targets))
    calibrated = trained[1].predict_proba(texts)[row, targets]
    scores = trained[1].logits(texts)
    plain = (np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True))[row, targets]
    assert np.log(calibrated).mean() > np.log(plain).mean()


class Sum(torch.nn.Module):
    """Token ids into two scores, in a way that a trace gets right."""

    def forward(self, tokens, mask):  # noqa: D102 - as the class says
        total = (tokens * mask).sum(dim=1).float()
        return (torch.stack([total, -total], dim=1),)


class FixedLength(torch.nn.Module):
    """Divides by the length as a Python number, which a trace keeps as a constant."""

    def forward(self, tokens, mask):  # noqa: D102 - as the class says
        total = (tokens * mask).sum(dim=1).float() / int(tokens.shape[1])
        return (torch.stack([total, -total], dim=1),)


class FixedShape(torch.nn.Module):
    """Adds a tensor of the traced length, which no other length can be added to."""

    def forward(self, tokens, mask):  # noqa: D102 - as the class says
        total = (tokens * mask + torch.tensor([0] * int(tokens.shape[1]))).sum(dim=1).float()
        return (torch.stack([total, -total], dim=1),)


class FixedMask(torch.nn.Module):
    """Looks whether there is any padding, which a trace answers once for all texts."""

    def forward(self, tokens, mask):  # noqa: D102 - as the class says
        total = ((tokens if bool(mask.all()) else tokens * mask) + 0 * mask).sum(dim=1).float()
        return (torch.stack([total, -total], dim=1),)


class FixedBegin(torch.nn.Module):
    """Looks whether a text begins with padding, which a trace answers once for all texts."""

    def forward(self, tokens, mask):  # noqa: D102 - as the class says
        total = ((tokens * mask if bool(mask[:, 0].all()) else tokens) + 0 * mask).sum(dim=1).float()
        return (torch.stack([total, -total], dim=1),)


class Random(torch.nn.Module):
    """Never gives the same score twice."""

    def forward(self, tokens, mask):  # noqa: D102 - as the class says
        total = torch.rand(tokens.shape[0]) * 100 + (tokens * mask).sum(dim=1).float()
        return (torch.stack([total, -total], dim=1),)


class NotANumber(torch.nn.Module):
    """Gives NaN for a padded text, which no comparison finds different."""

    def forward(self, tokens, mask):  # noqa: D102 - as the class says
        total = (tokens * mask).sum(dim=1).float() / mask.min()
        total = total - total + 1
        return (torch.stack([total, -total], dim=1),)


EXAMPLE = torch.tensor([[3, 4, 5, 6], [3, 4, 5, 6]])


def test_to_onnx__takes_any_number_and_length_of_texts(tmp_path):
    to_onnx(Sum(), EXAMPLE, tmp_path / "model.onnx", None)
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    for shape in ((1, 1), (5, 9), (2, 4)):
        ones = np.ones(shape, np.int64)
        assert session.run(["logits"], {"input_ids": ones, "attention_mask": ones})[0][0].tolist() == [
            shape[1], -shape[1]
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (FixedLength(), "the ONNX export differs from torch by "),
        (FixedShape(), "the ONNX export does not take all that torch takes: "),
        (FixedMask(), "the ONNX export differs from torch by "),
        (FixedBegin(), "the ONNX export differs from torch by "),
        (Random(), "the ONNX export differs from torch by "),
        (NotANumber(), "the ONNX export differs from torch by nan: "),
    ],
)
def test_to_onnx__refuses_an_export_that_is_another_function_and_leaves_no_file(tmp_path, model, problem):
    with pytest.raises(CannotTell) as caught:
        to_onnx(model, EXAMPLE, tmp_path / "model.onnx", None)
    assert str(caught.value).startswith(problem)
    assert "this architecture needs another export" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_to_onnx__what_the_fusion_does_not_take_is_exported_all_the_same(tmp_path, caplog):
    model = Sum()
    model.config = SimpleNamespace(num_attention_heads=3, hidden_size=10)
    to_onnx(model, EXAMPLE, tmp_path / "model.onnx", None)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    [said] = [record.getMessage() for record in caplog.records]
    assert said.startswith("the ONNX file keeps its many small operators: ")


def deberta(sizes):
    config = DebertaConfig(relative_attention=True, pos_att_type="c2p|p2c", **sizes)
    return DebertaForSequenceClassification(config)


def xmod(sizes):
    """Return a model of two languages, of which one is spoken: no text reaches what is the other's."""
    model = XmodForSequenceClassification(XmodConfig(languages=["en_XX", "de_DE"], **sizes))
    model.set_default_language("en_XX")
    return model


@pytest.mark.parametrize("made", [deberta, xmod])
def test_to_onnx__other_architectures_say_nothing_and_8_bits_are_near_32(tmp_path, caplog, capfd, made):
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    model = made(sizes | {"vocab_size": 50}).eval()
    typical = [[number, (number * 7) % 50, (number * 3) % 50] for number in range(50)]
    scores = []
    for name, texts in (("exact.onnx", None), ("small.onnx", typical)):
        to_onnx(model, torch.tensor(typical[:2]), tmp_path / name, texts)
        session = onnxruntime.InferenceSession(str(tmp_path / name), providers=["CPUExecutionProvider"])
        ids = np.array(typical)
        scores.append(session.run(["logits"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0])
    np.testing.assert_allclose(scores[1], scores[0], atol=0.1 * np.abs(scores[0]).max())
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


@pytest.mark.long
def test_to_onnx__weights_above_2_gib_in_32_bits_are_one_file_in_8(tmp_path):
    sizes = {"hidden_size": 1024, "num_hidden_layers": 1, "num_attention_heads": 16, "intermediate_size": 2048}
    model = BertForSequenceClassification(BertConfig(vocab_size=525_000, **sizes)).eval()
    to_onnx(model, EXAMPLE, tmp_path / "model.onnx", [[3, 4, 5, 6]])
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert vouch_folder(tmp_path)
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    feed = {"input_ids": EXAMPLE.numpy(), "attention_mask": np.ones_like(EXAMPLE.numpy())}
    with torch.no_grad():
        expected = model(EXAMPLE).logits.numpy()
    np.testing.assert_allclose(session.run(["logits"], feed)[0], expected, atol=0.1)
