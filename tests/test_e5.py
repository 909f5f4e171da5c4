"""The quantised file becomes a folder with exactly its weights and its tokenizer, or one line says why not."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file
from tests.e5_file import PIECES, e5_file

from textgate.errors import CannotTell
from textgate.models.transformer import Encoder
from textgate.scan.policy import vouch_folder
from textgate.train.e5 import convert

NAMES = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """Return the folder that the tiny file becomes."""
    folder = tmp_path_factory.mktemp("e5")
    convert(e5_file()[0], folder)
    return folder


def test_convert__every_weight_arrives_under_its_name_and_in_its_shape(converted):
    found, (_, expected) = load_file(converted / "model.safetensors"), e5_file()
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], values, atol=1e-7, err_msg=name)


def test_convert__transformers_finds_every_weight_that_it_uses(converted):
    from transformers import AutoModel

    model, notes = AutoModel.from_pretrained(converted, output_loading_info=True, attn_implementation="eager")
    assert set(notes["missing_keys"]) == {"pooler.dense.weight", "pooler.dense.bias"}  # unused by mean pooling
    assert not notes["unexpected_keys"]
    assert model.config.layer_norm_eps == 1e-12


def test_convert__tokenises_by_the_pieces_with_the_best_scores(converted):
    encode = Encoder(converted, 16)
    ids = [PIECES.index(piece) for piece in ("<s>", "▁snow", "▁is", "▁", "ø", "</s>")]
    assert encode(["snow is ø"]) == [ids]
    assert encode(["ｓnow"]) == encode(["snow"])  # full width: NFKC
    assert encode(["z"]) == [[0, PIECES.index("▁"), PIECES.index("<unk>"), 2]]
    assert encode(["<pad>"])[0] == [0, PIECES.index("<pad>"), 2]


def test_convert__writes_four_files_that_the_policy_vouches_for(converted):
    assert set(vouch_folder(converted)) == NAMES
    assert json.loads((converted / "config.json").read_text())["pad_token_id"] == 1


def test_convert__twice_gives_the_same_bytes(converted, tmp_path):
    convert(e5_file()[0], tmp_path)
    for name in NAMES:
        assert (tmp_path / name).read_bytes() == (converted / name).read_bytes()


def refusal(content, folder):
    with pytest.raises(CannotTell) as caught:
        convert(content, folder)
    message = str(caught.value)
    assert message.startswith("the base weights are not in the layout that textgate knows: ")
    assert "\n" not in message


def test_convert__refuses_a_file_that_was_cut_short_anywhere(tmp_path):
    content, _ = e5_file()
    for length in (*range(0, 700, 13), len(content) // 2, len(content) - 1):
        refusal(content[:length], tmp_path)


@pytest.mark.parametrize(
    ("at", "new"),
    [
        (0, b"E5S2"),
        (8, b"\x00\x00\x00\x00"),  # hidden
        (44, b"\xff\xff\xff\xff"),  # pieces: -1
        (44, b"\xff\xff\xff\x7f"),  # pieces: two thousand million
        (60, b"\xff\xff\x00\x00"),  # the unknown piece
        (64, b"\xff" * 8),  # bytes of pieces
    ],
)
def test_convert__refuses_figures_that_cannot_be(tmp_path, at, new):
    content, _ = e5_file()
    refusal(content[:at] + new + content[at + len(new) :], tmp_path)
