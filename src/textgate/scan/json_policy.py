"""JSON bytes into values, strictly: no bombs, no duplicate keys, no NaN; and nothing in them that names code to run."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from itertools import accumulate
from typing import Any

from textgate.errors import Refused

MAX_DEPTH = 64  # a tokenizer needs 8; parsers of other languages stop at 128
MAX_VALUES = 5_000_000  # a 250,000-piece tokenizer has 750,000; each costs some 90 bytes once parsed

# An unterminated string ends with the text, so that this takes one pass whatever the text.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
# Keys by which transformers finds Python files beside the weights.
_CODE_KEYS = frozenset({"auto_map", "custom_pipelines"})
# `__` leads from any value to every class in the process; the rest are ways to write it without writing it.
_TEMPLATE_ESCAPE = re.compile(r"""__|\\(?:x5f|u005f|U0000005f|137|N\{)|\|\s*attr\b|(['"])_\1""", re.IGNORECASE)


def parse_json(content: bytes) -> Any:
    """Return the value of UTF-8 JSON. Raises Refused with one line for anything that is not plain, strict JSON."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(f"not JSON: byte {error.start} is not UTF-8") from error
    _refuse_bombs(content)
    try:
        return json.loads(
            text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite, parse_int=_short
        )
    except (ValueError, RecursionError) as error:
        raise Refused(f"not JSON: {error}") from error


def check_json(content: bytes) -> None:
    """Accept a configuration, vocabulary or manifest. Raises Refused for broken JSON or JSON that leads to code."""
    waiting = [parse_json(content)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            for key, item in value.items():
                _refuse_code(key, item)
            value = list(value.values())
        if isinstance(value, list):
            waiting.extend(item for item in value if isinstance(item, (dict, list)))


def _refuse_bombs(content: bytes) -> None:
    bare = _STRING.sub(b"", content)
    values = sum(map(bare.count, (b",", b"[", b"{")))
    if values > MAX_VALUES:
        raise Refused(f"not JSON that anyone needs: {values:,} values, the limit is {MAX_VALUES:,}")
    brackets = bare.translate(None, _NOT_BRACKETS)
    depth = max(accumulate(map(_STEPS.__getitem__, brackets)), default=0)
    if depth > MAX_DEPTH:
        raise Refused(f"not JSON that anyone needs: nested {depth:,} deep, the limit is {MAX_DEPTH}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a repeated key: two readers of the same file could see two different values."""
    result = dict(pairs)
    if len(result) != len(pairs):
        (twice, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {twice[:80]!r} stands there twice")
    return result


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"the number {digits[:20]} is too large")
    return number


def _short(digits: str) -> int:
    if len(digits) > 40:  # transformers writes 10^30 for "no limit"
        raise ValueError(f"the number {digits[:20]}… is too large")
    return int(digits)


def _refuse_code(key: str, item: Any) -> None:
    if isinstance(item, (int, float)):  # a number names no code: vocabularies map any piece to its id
        return
    if key in _CODE_KEYS:
        raise Refused(f"{key} names Python code to import: use a model that needs none")
    if key.endswith("attn_implementation") and any("/" in text for text in _strings(item)):
        raise Refused(f"{key} names a kernel to download: use eager, sdpa or leave it out")
    if "template" in key.lower():
        for text in _strings(item):
            if found := _TEMPLATE_ESCAPE.search(text):
                raise Refused(
                    f"the template in {key[:80]!r} contains {found[0]!r}, which reaches Python from inside it"
                )


def _strings(value: Any) -> list[str]:
    """Return every string in a value, keys included."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in _strings(part)]
    return [text for item in value for text in _strings(item)] if isinstance(value, list) else []
