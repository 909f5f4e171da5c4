"""Leaves out of a trained encoder what it knows of scripts that it was not trained to judge.

Of the 250,002 pieces of XLM-RoBERTa's vocabulary, 117,134 are left for texts in Latin letters, and with each piece that
goes, a row of the embeddings. A text in scripts that stay is split into the same pieces as before, and so gets the same
scores: the best split of a word is sought among the pieces that occur in it. Other letters become the unknown piece.
Scripts: Unicode Standard Annex 24. Unigram: Kudo (2018), "Subword regularization".
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fontTools.unicodedata

from textgate.errors import CannotTell
from textgate.files import read_text, write_text
from textgate.models.transformer import Encoder
from textgate.train.pretrained import token_ids

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LEAST = 0.01  # of the letters of the training texts: a script with less is only quoted in them
IN_ALL_SCRIPTS = {"Zyyy", "Zinh", "Zzzz"}  # digits, punctuation, accents, emoji
NEXT = "set cut_vocabulary: false"


def cut_vocabulary(model: PreTrainedModel, base: Path, folder: Path, texts: Sequence[str], max_tokens: int) -> None:
    """Cut the embeddings of a trained model, and a base's tokenizer.json on its way to a folder, to the texts' scripts.

    `texts` are those of training; pieces that any of them has stay whatever their script. Raises CannotTell if the
    tokenizer is not one that can be cut, or if a text would not be the same tokens as before.
    """
    import torch

    tokenizer: dict[str, Any] = json.loads(read_text(base / "tokenizer.json", NEXT))
    table: Any = model.get_input_embeddings()
    special = _special(tokenizer, len(table.weight))
    # An 8-bit table has one scale, that of its largest weight: its row stays, and so do the scores.
    special.add(int(table.weight.detach().abs().amax(dim=1).argmax()))
    whole = Encoder(base, max_tokens)
    used = Counter(chain.from_iterable(token_ids(whole, texts)))
    kept = _kept(tokenizer["model"]["vocab"], used, special)
    numbers = {old: new for new, old in enumerate(kept)}
    _write(tokenizer, numbers, folder / "tokenizer.json")
    pairs = zip(token_ids(whole, texts), token_ids(Encoder(folder, max_tokens), texts), strict=True)
    pad = model.config.pad_token_id
    moved = pad is not None and numbers.get(pad) != pad
    if moved or any([numbers[old] for old in before] != after for before, after in pairs):
        raise CannotTell(f"cut_vocabulary: this base's tokenizer gives its special tokens numbers of its own: {NEXT}")
    rows = table.weight.detach()[torch.tensor(kept)]
    model.set_input_embeddings(torch.nn.Embedding.from_pretrained(rows, padding_idx=table.padding_idx))
    model.config.vocab_size = len(kept)


def _special(tokenizer: dict[str, Any], rows: int) -> set[int]:
    """Return the numbers of the pieces that a tokenizer gives a meaning of their own. Raises CannotTell if it has more.

    With a fallback to bytes, a letter of any script is pieces of none.
    """
    model = tokenizer["model"]
    if (kind := model.get("type")) != "Unigram" or model.get("byte_fallback"):
        kind = f"{kind} with a fallback to bytes" if kind == "Unigram" else kind
        raise CannotTell(f"cut_vocabulary: only a Unigram tokenizer can be cut, and this base's is {kind}: {NEXT}")
    special = {model["unk_id"], *(added["id"] for added in tokenizer["added_tokens"])}
    if len(model["vocab"]) > rows or not special.issubset(range(len(model["vocab"]))):
        raise CannotTell(f"cut_vocabulary: this base's tokenizer has tokens outside its vocabulary: {NEXT}")
    return special


def _kept(pieces: Sequence[tuple[str, float]], used: Counter[int], special: set[int]) -> list[int]:
    """Return the numbers of the pieces that stay: used ones, special ones, and all in the scripts of the used ones."""
    letters: Counter[str] = Counter()
    for number in used.keys() - special:
        for script in map(_script, pieces[number][0]):
            letters[script] += used[number] * (script not in IN_ALL_SCRIPTS)
    scripts = IN_ALL_SCRIPTS | {script for script, count in letters.items() if count > LEAST * letters.total()}
    lowest = min(range(len(pieces)), key=lambda number: pieces[number][1])  # an unknown one costs more than this
    stay = {*used, *special, lowest}
    normal = _normalised()

    def written(text: str) -> bool:
        return all(_script(character) in scripts or character in normal for character in text)

    return [number for number, (text, _) in enumerate(pieces) if number in stay or written(text)]


@cache
def _script(character: str) -> str:
    return str(fontTools.unicodedata.script(character))


def _normalised() -> set[str]:
    """Return what normalisation (NFKC) makes of characters of all scripts, such as Greek letters of units."""
    composed = (chr(code) for code in range(sys.maxunicode + 1) if unicodedata.decomposition(chr(code)))
    common = (character for character in composed if _script(character) in IN_ALL_SCRIPTS)
    return set(chain.from_iterable(unicodedata.normalize("NFKC", character) for character in common))


def _write(tokenizer: dict[str, Any], numbers: dict[int, int], path: Path) -> None:
    """Write a tokenizer with the pieces that have a new number."""
    model = tokenizer["model"]
    added = [token | {"id": numbers[token["id"]]} for token in tokenizer["added_tokens"]]
    cut = model | {"vocab": [model["vocab"][number] for number in numbers], "unk_id": numbers[model["unk_id"]]}
    text = json.dumps(tokenizer | {"added_tokens": added, "model": cut}, ensure_ascii=False, separators=(",", ":"))
    write_text(path, text)
