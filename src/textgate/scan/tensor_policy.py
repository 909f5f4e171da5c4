"""Files of plain numbers, judged by their headers: safetensors and .npy. The numbers themselves are never read."""

from __future__ import annotations

import math
import re
import struct
from pathlib import Path
from typing import IO, Any

from textgate.errors import Refused
from textgate.scan.json_policy import parse_json

MAX_HEADER = 16 * 1024 * 1024  # 100,000 tensors; also what keeps a pickle or a zip from passing as a header length
MAX_METADATA = 64 * 1024
MAX_NPY_HEADER = 4096
_BYTES = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3"), 1),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 2),
    **dict.fromkeys(("I32", "U32", "F32"), 4),
    **dict.fromkeys(("I64", "U64", "F64"), 8),
}
_NPY = re.compile(
    rb"\{'descr': '[<>|=]?([biufcSU])(\d{1,4})', 'fortran_order': (?:True|False), "
    rb"'shape': \(((?:\d{1,18}, ?)*\d{0,18})\),? ?\}[ ]*\n?"
)


def check_safetensors(path: Path) -> None:
    """Accept a safetensors file whose tensors fill it without gap or overlap. Raises Refused with one line.

    The format is described at https://huggingface.co/docs/safetensors (header length, header, data).
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(size - 8, MAX_HEADER):
            raise Refused(f"not safetensors: its header would be {length:,} bytes long, the file has {size:,}")
        raw = file.read(length)
    if not raw.startswith(b"{"):
        raise Refused("not safetensors: its header does not begin with {")
    header = parse_json(raw)
    _check_metadata(header.pop("__metadata__", {}))
    end = 0
    for name, (begin, stop) in sorted(_spans(header).items(), key=lambda item: item[1]):
        if begin != end:
            what = "overlaps the one before it" if begin < end else "leaves a gap before it"
            raise Refused(f"not safetensors: the tensor {name[:80]!r} {what}")
        end = stop
    if end != size - 8 - length:
        raise Refused(f"not safetensors: the tensors take {end:,} bytes, the file holds {size - 8 - length:,}")


def _check_metadata(metadata: Any) -> None:
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise Refused("not safetensors: __metadata__ is not a table of strings")
    if sum(len(key) + len(text) for key, text in metadata.items()) > MAX_METADATA:
        raise Refused(f"not safetensors that anyone needs: __metadata__ is larger than {MAX_METADATA >> 10} KiB")


def _spans(header: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Return where each tensor begins and ends, counted in bytes from the end of the header."""
    spans = {}
    for name, tensor in header.items():
        here = f"not safetensors: the tensor {name[:80]!r}"
        if not isinstance(tensor, dict) or set(tensor) != {"dtype", "shape", "data_offsets"}:
            raise Refused(f"{here} has other keys than dtype, shape and data_offsets")
        width = _BYTES.get(tensor["dtype"]) if isinstance(tensor["dtype"], str) else None
        if width is None:
            raise Refused(f"{here} has the unknown type {str(tensor['dtype'])[:20]!r}")
        shape, offsets = tensor["shape"], tensor["data_offsets"]
        if not (_counts(shape) and _counts(offsets) and len(offsets) == 2 and len(shape) <= 16):
            raise Refused(f"{here} has a shape or offsets that are not whole numbers")
        if offsets[1] - offsets[0] != width * math.prod(shape):
            raise Refused(f"{here} has a shape that does not fit its {offsets[1] - offsets[0]:,} bytes")
        spans[name] = (offsets[0], offsets[1])
    return spans


def _counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def check_npy(file: IO[bytes], size: int) -> None:
    """Accept an array of numbers or fixed-width text that fills its file. Raises Refused; never evaluates the header.

    The format is described in numpy.lib.format; an array of objects holds a pickle and is refused.
    """
    start = file.read(8)
    width, code = (2, "<H") if start[6:7] == b"\1" else (4, "<I")
    raw_length = file.read(width)
    if start[:6] != b"\x93NUMPY" or start[6:8] not in (b"\1\0", b"\2\0", b"\3\0") or len(raw_length) != width:
        raise Refused("not .npy: it does not begin as numpy's format does")
    length = struct.unpack(code, raw_length)[0]
    header = _NPY.fullmatch(file.read(length)) if length <= MAX_NPY_HEADER else None
    if header is None:
        raise Refused("not a plain .npy: its header names objects or fields, or is broken")
    item = int(header[2]) * (4 if header[1] == b"U" else 1)
    count = math.prod(int(number) for number in header[3].split(b",") if number.strip())
    if item * count != size - 8 - width - length:
        raise Refused("not .npy: its shape does not fit its size")
