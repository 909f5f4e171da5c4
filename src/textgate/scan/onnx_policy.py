"""ONNX bytes, walked field by field without loading them: one file, known operators, nothing that reaches outside.

The walk follows the protocol buffer encoding (https://protobuf.dev/programming-guides/encoding) and the messages of
onnx.proto. It needs no memory beyond the page cache, so a file made to explode in a parser only meets a count.
"""

from __future__ import annotations

import mmap
from pathlib import Path

from textgate.errors import Refused
from textgate.scan.onnx_fields import DATA, EXTERNAL, LOCATION, MESSAGES, NUMBER, NUMBERS, OPERATORS_OF_MICROSOFT, TEXT

DOMAINS = frozenset({b"", b"ai.onnx", b"ai.onnx.ml", b"com.microsoft"})
# Operator sets that onnxruntime declares in whatever it saves; no operator of theirs is accepted.
DECLARED = DOMAINS | {b"ai.onnx.training", b"ai.onnx.preview.training", b"com.microsoft.nchwc", b"org.pytorch.aten"} | {
    b"com.microsoft.experimental", b"com.ms.internal.nhwc",
}  # fmt: skip
MAX_FIELDS = 500_000  # a 12-layer encoder has 30,000; one costs 4 µs
MAX_DEPTH = 50  # messages within messages; protobuf itself stops at 100
MAX_STRING = 64 * 1024  # names, comments and attribute strings; weights have fields of their own
MAX_NOTES = 1024 * 1024  # all comments and metadata of a model together
_NOTES = {("Model", 14), ("Model", 6), ("Graph", 16), ("Graph", 10), ("Node", 9), ("Node", 6), ("Attribute", 13)} | {
    ("Tensor", 12), ("Tensor", 16), ("ValueInfo", 3), ("ValueInfo", 4), ("Function", 8), ("Function", 14),
}  # fmt: skip


def check_onnx(path: Path) -> None:
    """Accept a self-contained ONNX model made of standard or onnxruntime operators. Raises Refused with one line."""
    if path.stat().st_size == 0:
        raise Refused("not ONNX: the file is empty")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        try:
            walk = _Walk(content)
            found = walk.message("Model", 0, len(content), 0)
        except IndexError as error:
            raise Refused("not ONNX: the file ends in the middle of a field") from error
    if 7 not in found or 8 not in found:
        raise Refused("not ONNX: it has no graph or does not say which operators it uses")


class _Walk:
    """One pass over a model; what it has met so far is counted against the limits."""

    def __init__(self, content: mmap.mmap) -> None:
        self._content = content
        self._fields = 0
        self._notes = 0

    def message(self, kind: str, start: int, end: int, depth: int) -> dict[int, bytes]:
        """Check the message between two positions. Returns its short texts by field number (others as b"")."""
        if depth > MAX_DEPTH:
            raise Refused(f"not ONNX that anyone needs: messages are nested more than {MAX_DEPTH} deep")
        known, found, position = MESSAGES[kind], dict[int, bytes](), start
        while position < end:
            self._fields += 1
            if self._fields > MAX_FIELDS:
                raise Refused(f"not ONNX that anyone needs: more than {MAX_FIELDS:,} fields")
            key, position = self._varint(position)
            number, wire, rule = key >> 3, key & 7, known.get(key >> 3)
            if rule is None:
                raise Refused(f"not ONNX that can be judged: {kind} field {number} (byte {position:,}) is unknown")
            begin, position, value = self._span(wire, position)
            if position > end:
                raise Refused(f"not ONNX: a {kind} field runs past its end")
            found[number] = self._field(kind, number, rule, (wire, begin, position, value, depth), found)
        if kind in ("Node", "Function", "OperatorSet"):
            _refuse_foreign(kind, found)
        return found

    def _field(
        self, kind: str, number: int, rule: str, span: tuple[int, int, int, int, int], found: dict[int, bytes]
    ) -> bytes:
        wire, begin, end, value, depth = span
        if (kind, number) in _NOTES:
            self._notes += end - begin
            if self._notes > MAX_NOTES:
                raise Refused(f"not ONNX that anyone needs: comments and metadata above {MAX_NOTES >> 20} MiB")
        if rule == EXTERNAL or (rule == LOCATION and (wire != 0 or value != 0)):
            raise Refused("a tensor lies in another file (external data): save the model as one file")
        if (wire == 2) != (rule not in (NUMBER, LOCATION)) and rule != NUMBERS:
            raise Refused(f"not ONNX: {kind} field {number} is of the wrong type")
        if rule in (NUMBER, NUMBERS, LOCATION, DATA):
            return b""
        if rule == TEXT:
            if end - begin > MAX_STRING:
                raise Refused(f"not ONNX that anyone needs: a text in {kind} has {end - begin:,} bytes")
            if (kind, number) in _DECISIVE and number in found:
                raise Refused(f"not ONNX that can be judged: {kind} names its domain or operator twice")
            return self._content[begin:end]
        self.message(rule, begin, end, depth + 1)
        return b""

    def _span(self, wire: int, position: int) -> tuple[int, int, int]:
        """Return where a field's value begins and ends, and the value if it is a varint."""
        if wire == 0:
            value, end = self._varint(position)
            return position, end, value
        if wire == 2:
            length, position = self._varint(position)
            return position, position + length, 0
        if wire not in (1, 5):
            raise Refused(f"not ONNX: byte {position:,} begins no field")
        return position, position + (8 if wire == 1 else 4), 0

    def _varint(self, position: int) -> tuple[int, int]:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._content[position]
            position += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value, position
        raise Refused(f"not ONNX: the number before byte {position:,} does not end")


_DECISIVE = {("Node", 4), ("Node", 7), ("Function", 1), ("Function", 10), ("OperatorSet", 1)}


def _refuse_foreign(kind: str, found: dict[int, bytes]) -> None:
    domain = found.get({"Node": 7, "Function": 10, "OperatorSet": 1}[kind], b"")
    operator = found.get({"Node": 4, "Function": 1}.get(kind, 0), b"")
    shown = f"{domain[:80].decode('ascii', 'replace')}::{operator[:80].decode('ascii', 'replace')}"
    if domain not in (DECLARED if kind == "OperatorSet" else DOMAINS):
        what = "operator set" if kind == "OperatorSet" else "operator" if kind == "Node" else "function"
        raise Refused(f"the {what} {shown.removesuffix('::')} is foreign: export with standard operators only")
    if kind != "OperatorSet" and domain == b"com.microsoft" and operator not in OPERATORS_OF_MICROSOFT:
        raise Refused(f"the operator {shown} is not among those known to be arithmetic only")
