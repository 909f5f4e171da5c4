"""Base weights that cannot be trained, exported or served are refused in one line before anything is trained."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.small import LABELS, transformer_config
from transformers import AlbertConfig, AlbertModel, RobertaConfig, RobertaModel

from textgate.errors import CannotTell
from textgate.train.pretrained import check_size, pretrained, tokenizer

NEXT = "name another `base` in the experiment"


@pytest.fixture
def base(tiny_base, tmp_path):
    """Return a copy of the tiny base, free to be damaged."""
    return shutil.copytree(tiny_base, tmp_path / "base")


def opened(base, **changes):
    config = transformer_config(**changes)
    return pretrained(base, LABELS, config), tokenizer(base, config.max_tokens)


def refusal(base, **changes):
    with pytest.raises(CannotTell) as caught:
        opened(base, **changes)
    return str(caught.value)


def test_pretrained__is_the_base_with_a_head_for_the_labels(base):
    model = pretrained(base, LABELS, transformer_config(freeze_embeddings=True, freeze_layers=1, max_tokens=32))
    found, weights = model.state_dict(), load_file(base / "model.safetensors")
    assert all(torch.equal(found[f"bert.{name}"], value) for name, value in weights.items())
    assert model.config.id2label == dict(enumerate(LABELS))
    learned = {name.rsplit(".", 2)[0] for name, value in model.named_parameters() if value.requires_grad}
    assert {"bert.encoder.layer.1.output", "bert.pooler", "classifier"} <= learned
    assert not [name for name in learned if "embeddings" in name or "layer.0." in name]


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        (33, "max_tokens: 33 is more than these base weights take (32): write less"),
        (2, "max_tokens: 2 leaves nothing of a text, the tokenizer itself adds 2: write more"),
        (1, "max_tokens: 1 leaves nothing of a text, the tokenizer itself adds 2: write more"),
    ],
)
def test_pretrained__texts_must_be_as_long_as_the_base_takes(base, tokens, said):
    assert refusal(base, max_tokens=tokens) == said


def another(base, config, made):
    """Put an encoder of another kind into the folder."""
    for name in ("config.json", "model.safetensors"):
        (base / name).unlink()
    made(config).save_pretrained(base)
    return base


def test_pretrained__roberta_counts_positions_from_behind_the_padding(base):
    config = RobertaConfig(
        vocab_size=30,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=32,
        pad_token_id=1,
    )
    another(base, config, RobertaModel)
    pretrained(base, LABELS, transformer_config(max_tokens=30))
    assert refusal(base, max_tokens=31) == "max_tokens: 31 is more than these base weights take (32): write less"


def test_pretrained__an_encoder_that_is_built_otherwise_is_named(base):
    config = AlbertConfig(
        vocab_size=30, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
    )
    another(base, config, AlbertModel)
    assert refusal(base) == f"{base}: albert is not built like BERT, RoBERTa and XLM-RoBERTa: {NEXT}"


def test_pretrained__more_frozen_layers_than_there_are_is_a_mistake(base):
    pretrained(base, LABELS, transformer_config(freeze_layers=2))
    assert refusal(base, freeze_layers=3) == "freeze_layers: 3, but these base weights have 2: write less"


def test_pretrained__weights_that_lack_a_part_of_the_encoder_are_not_filled_up_at_random(base):
    weights = load_file(base / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, base / "model.safetensors", {"format": "pt"})
    said = "model.safetensors lacks 1 weights, such as bert.encoder.layer.1.output.dense.weight"
    assert refusal(base) == f"{base}: {said}: {NEXT}"


def damage(base, how):
    config = json.loads((base / "config.json").read_text())
    if how == "cut":
        (base / "model.safetensors").write_bytes((base / "model.safetensors").read_bytes()[:-1])
    elif how == "no weights":
        (base / "model.safetensors").unlink()
    else:
        changes = {"model_type": "nope"} if how == "unknown type" else {"hidden_size": 16}
        (base / "config.json").write_text(json.dumps(config | changes))


@pytest.mark.parametrize("how", ["cut", "no weights", "unknown type", "another width"])
def test_pretrained__what_transformers_does_not_open_is_one_line(base, how):
    damage(base, how)
    said = refusal(base)
    assert said.startswith(f"{base}: transformers does not open these base weights (")
    assert said.endswith(f"): {NEXT}")
    assert len(said.splitlines()) == 1


def test_pretrained__a_tokenizer_that_cannot_be_read_is_one_line(base):
    (base / "tokenizer_config.json").unlink()
    assert refusal(base).startswith(f"{base / 'tokenizer_config.json'} is missing")
    (base / "tokenizer.json").write_text('{"version": "1.0"}')
    assert refusal(base).startswith(f"{base}: tokenizer.json is no tokenizer that can be read (")


def test_check_size__an_onnx_file_has_no_room_for_more_than_2_gib():
    base = 278_000_000  # XLM-RoBERTa base, of which 192 are a table
    check_size(base, base - 86_000_000, int8=False)
    large = 560_000_000
    check_size(large, 257_000_000, int8=True)
    with pytest.raises(CannotTell) as caught:
        check_size(large, 257_000_000, int8=False)
    said = "560,000,000 weights take 2.1 GiB, and an ONNX file no more than 2"
    assert str(caught.value) == f"{said}: set int8: true, or {NEXT}"
    with pytest.raises(CannotTell, match=r"take 12\.4 GiB, and an ONNX file no more than 2: name another"):
        check_size(3_480_000_000, 205_000_000, int8=True)
