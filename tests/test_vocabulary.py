"""A vocabulary that is cut to the scripts of the training texts gives the same scores, in a smaller file."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.small import LABELS, task, transformer_config

from textgate.errors import CannotTell
from textgate.models.transformer import Encoder
from textgate.train.export import save_transformer
from textgate.train.pretrained import pretrained
from textgate.train.vocabulary import cut_vocabulary

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
LATIN = ("▁", "s", "n", "o", "w", "▁snow", "▁house", "e", "h", "u", "ø", "▁cold", "c", "l", "d")
OTHERS = ("д", "▁дом", "о", "м", "漢", "漢字", "語", "ש")
EVERYWHERE = ("1", ".", "😀", "▁μ", "m")
QUOTED = "漢字"
TEXTS = (*(["snow house snøw"] * 60), f"cold {QUOTED}", "1.")


@pytest.fixture
def base(tmp_path):
    """Return a folder with an untrained BERT and a Unigram tokenizer of four scripts, whose last piece is a mask."""
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel

    folder = tmp_path / "base"
    pieces = [(piece, 0.0) for piece in SPECIAL]
    pieces += [(piece, -float(2 + number % 9)) for number, piece in enumerate((*OTHERS, *LATIN, *EVERYWHERE))]
    pieces.append(("<mask>", 0.0))
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in (*SPECIAL, "<mask>")])
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"} | names))
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = BertConfig(vocab_size=len(pieces), max_position_embeddings=32, pad_token_id=1, **sizes)
    model = BertModel(config)
    with torch.no_grad():
        model.get_input_embeddings().weight[0] *= 9  # the largest weight is that of a piece that stays
    model.save_pretrained(folder)
    return folder


def opened(base):
    torch.manual_seed(1)  # of the head
    return pretrained(base, LABELS, transformer_config(dropout=0.0)).eval()


def cut(base, folder, texts=TEXTS):
    """Return the cut model and what its tokenizer makes of texts."""
    model = opened(base)
    folder.mkdir()
    shutil.copyfile(base / "tokenizer_config.json", folder / "tokenizer_config.json")
    cut_vocabulary(model, base, folder, texts, 16)
    return model, Encoder(folder, 16)


def pieces(folder):
    return [piece for piece, _ in json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]]


def changed_tokenizer(base, change):
    tokenizer = json.loads((base / "tokenizer.json").read_text())
    change(tokenizer)
    (base / "tokenizer.json").write_text(json.dumps(tokenizer))


@torch.no_grad()
def scores(model, encode, texts):
    return np.concatenate([model(torch.tensor([ids])).logits.numpy() for ids in encode(texts)])


def test_cut_vocabulary__texts_in_scripts_that_stay_get_the_same_scores(base, tmp_path):
    model, encode = cut(base, tmp_path / "cut")
    texts = (
        "snow",
        "whole cold snow",
        "hønsehus 1 😀. 5 µm",
        "",
        "<mask> snow",
        "x",
        TEXTS[-2],
    )  # some never trained on
    np.testing.assert_array_equal(scores(model, encode, texts), scores(opened(base), Encoder(base, 16), texts))


def test_cut_vocabulary__pieces_of_other_scripts_go_but_those_of_a_quotation_stay(base, tmp_path):
    model, _ = cut(base, tmp_path / "cut")
    left = pieces(tmp_path / "cut")
    assert left == [*SPECIAL, QUOTED, *LATIN, *EVERYWHERE, "<mask>"]
    assert model.get_input_embeddings().weight.shape == (len(left), 16)
    assert model.config.vocab_size == len(left)


def test_cut_vocabulary__letters_of_other_scripts_become_the_unknown_piece(base, tmp_path):
    _, encode = cut(base, tmp_path / "cut")
    assert Encoder(base, 16).with_unknown(["дом"])[1] == [0.0]
    ((first, *between, last),) = encode(["дом"])
    assert (first, last) == (0, 2)
    assert 3 in between
    assert encode.with_unknown(["дом 漢字 snow"])[1][0] > encode.with_unknown(["snow"])[1][0] == 0.0


def test_cut_vocabulary__a_script_of_one_letter_in_a_hundred_stays_whole(base, tmp_path):
    cut(base, tmp_path / "cut", (*["snow"] * 100, "语 дом", "дом"))
    assert {"д", "▁дом", "о", "м"} <= set(pieces(tmp_path / "cut"))
    assert not {"漢字", "語", "ש"} & set(pieces(tmp_path / "cut"))


def test_cut_vocabulary__the_price_of_an_unknown_piece_stays_the_same(base, tmp_path):
    changed_tokenizer(base, lambda tokenizer: tokenizer["model"]["vocab"].insert(-1, ["ש", -40.0]))
    changed_tokenizer(base, lambda tokenizer: tokenizer["model"]["vocab"].pop(len(SPECIAL) + OTHERS.index("ש")))
    cut(base, tmp_path / "cut")
    assert pieces(tmp_path / "cut")[-2:] == ["ש", "<mask>"]


def test_save_transformer__a_cut_vocabulary_makes_a_smaller_file_with_the_same_scores(base, tmp_path):
    texts, targets = ("snow house", "cold snøw") * 12, np.array([0, 1] * 12, np.int64)
    found = {}
    for name, wanted in (("whole", False), ("cut", True)):
        changed = replace(task(cut_vocabulary=wanted), train=(texts, targets), valid=(texts, targets))
        (tmp_path / name).mkdir()
        found[name], _ = save_transformer(opened(base), base, changed, tmp_path / name)
    np.testing.assert_allclose(found["cut"].logits(texts), found["whole"].logits(texts), atol=1e-6)
    sizes = [(tmp_path / name / "onnx/model.onnx").stat().st_size for name in ("cut", "whole")]
    assert sizes[0] == sizes[1] - 4 * 16 * (len(pieces(tmp_path / "whole")) - len(pieces(tmp_path / "cut")))


def test_save_transformer__a_cut_vocabulary_gives_the_same_scores_in_8_bits(base, tmp_path):
    rows, found = (("snow house", "cold snøw") * 12, np.array([0, 1] * 12, np.int64)), {}
    for name, wanted in (("whole", False), ("cut", True)):
        model = opened(base)
        with torch.no_grad():  # of a piece that goes, if its weight did not set the scale of all
            model.get_input_embeddings().weight[len(SPECIAL) + OTHERS.index("м")] *= 200
        (tmp_path / name).mkdir()
        changed = replace(task(cut_vocabulary=wanted, int8=True), train=rows, valid=rows)
        found[name], _ = save_transformer(model, base, changed, tmp_path / name)
    np.testing.assert_allclose(found["cut"].logits(rows[0]), found["whole"].logits(rows[0]), atol=1e-7)


def test_cut_vocabulary__needs_a_unigram_tokenizer(tiny_base, tmp_path):
    with pytest.raises(CannotTell) as caught:
        cut_vocabulary(opened(tiny_base), tiny_base, tmp_path, TEXTS, 16)
    assert str(caught.value) == (
        "cut_vocabulary: only a Unigram tokenizer can be cut, and this base's is WordLevel: set cut_vocabulary: false"
    )


def end_with_the_mask(tokenizer):
    tokenizer["post_processor"]["special_tokens"]["</s>"]["ids"] = [len(tokenizer["model"]["vocab"]) - 1]


def add_behind_the_table(tokenizer):
    number = len(tokenizer["model"]["vocab"])
    tokenizer["added_tokens"].append(tokenizer["added_tokens"][0] | {"id": number, "content": "<new>"})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (end_with_the_mask, "gives its special tokens numbers of its own"),
        (add_behind_the_table, "has tokens outside its vocabulary"),
        (lambda tokenizer: tokenizer["model"].update(unk_id=None), "has tokens outside its vocabulary"),
        (lambda tokenizer: tokenizer["model"]["vocab"].append(["x", -9.0]), "has tokens outside its vocabulary"),
    ],
)
def test_cut_vocabulary__refuses_what_it_would_number_wrongly(base, tmp_path, change, problem):
    changed_tokenizer(base, change)
    with pytest.raises(CannotTell) as caught:
        cut(base, tmp_path / "cut")
    assert str(caught.value) == f"cut_vocabulary: this base's tokenizer {problem}: set cut_vocabulary: false"


def test_cut_vocabulary__refuses_a_padding_that_would_get_another_number(base, tmp_path):
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"pad_token_id": config["vocab_size"] - 1}))
    with pytest.raises(CannotTell, match="gives its special tokens numbers of its own: set cut_vocabulary: false"):
        cut(base, tmp_path / "cut")


def test_cut_vocabulary__a_fallback_to_bytes_is_not_cut(base, tmp_path):
    changed_tokenizer(base, lambda tokenizer: tokenizer["model"].update(byte_fallback=True))
    with pytest.raises(
        CannotTell, match="and this base's is Unigram with a fallback to bytes: set cut_vocabulary: fal"
    ):
        cut(base, tmp_path / "cut")
