"""A folder of files into vouchers: which strict reader stands for each file, judged by its name and its content.

Nothing is loaded, and what no reader stands for is refused: the list is of what may be there, not of what may not.
"""

from __future__ import annotations

import io
import os
import pickletools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from textgate.bundle import SAFE_NAME
from textgate.errors import CannotTell, Refused
from textgate.files import MAX_TEXT_BYTES
from textgate.scan.json_policy import check_json
from textgate.scan.onnx_policy import check_onnx
from textgate.scan.skops_policy import check_skops
from textgate.scan.tensor_policy import check_npy, check_safetensors

MAX_FILES = 10_000
MAX_BYTES = 16 * 1024**3  # each byte is hashed
MIB = 1024 * 1024
SNIFFED = MIB  # how far a binary file is read as if it were a pickle
_PICKLE_START = re.compile(rb"\x80[\x02-\x05]")
_DOTTED = re.compile(r"[A-Za-z_][\w.]* [A-Za-z_][\w.]*")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_CODE = {
    **dict.fromkeys(
        (".pkl", ".pickle", ".joblib", ".dill", ".pt", ".pth", ".bin", ".ckpt"), "a pickle, which can carry code"
    ),
    **dict.fromkeys((".h5", ".hdf5", ".keras", ".pb"), "a Keras or TensorFlow file, which can carry code"),
    **dict.fromkeys((".py", ".pyc", ".so", ".dll", ".sh", ".jinja", ".js", ".ipynb"), "code"),
    **dict.fromkeys((".zip", ".npz", ".tar", ".gz", ".whl", ".7z", ".mar"), "an archive, which can hide code"),
}


@dataclass(frozen=True)
class Judgement:
    """What the policy says about one file. `voucher` None: nobody stands for it, for the reason in `finding`."""

    path: str
    bytes: int
    voucher: str | None
    finding: str | None


@dataclass(frozen=True)
class _Reader:
    voucher: str
    max_bytes: int
    check: Callable[[Path], None]


def vouch_folder(folder: Path) -> dict[str, str]:
    """Return file -> voucher for every file of a folder, such as base weights before a trainer opens them.

    By policy alone, in seconds, without modelscan. Raises CannotTell if the folder is missing or empty, Refused with
    the first finding if any file has no voucher (an .npy has none here: its voucher is modelscan).
    """
    vouchers = {}
    for path in list_files(folder):
        judged = judge_file(folder, path)
        if judged.voucher is None or judged.voucher == "modelscan":
            raise Refused(f"{folder}: {judged.path}: {judged.finding or 'needs modelscan, which does not run here'}")
        vouchers[judged.path] = judged.voucher
    if not vouchers:
        raise CannotTell(f"{folder} holds no files: nothing there to vouch for")
    return vouchers


def list_files(folder: Path) -> list[str]:
    """Return the sorted relative paths of everything in a folder that is not a plain folder, links included.

    Raises CannotTell if it is no folder or cannot be read, Refused if it holds too much to be judged.
    """
    if not folder.is_dir():
        raise CannotTell(f'{folder} is not a folder: run "make train" first, or name a folder')
    paths: list[str] = []
    total = 0
    for path in _walk(folder):
        paths.append(path)
        total += (folder / path).lstat().st_size
        if len(paths) > MAX_FILES or total > MAX_BYTES:
            limits = f"{MAX_FILES:,} files or {MAX_BYTES >> 30} GiB"
            raise Refused(f"{folder} holds more than {limits}: scan only the parts that are opened")
    return sorted(paths)


def _walk(folder: Path) -> Iterator[str]:
    def stop(error: OSError) -> None:
        raise CannotTell(f"{error.filename}: {error.strerror}: make it readable, then run again")

    for base, folders, files in os.walk(folder, onerror=stop):
        for name in (*folders, *files):
            path = Path(base, name)
            if path.is_symlink() or not path.is_dir():
                yield path.relative_to(folder).as_posix()


def is_plain(folder: Path, relative: str) -> bool:
    """Say whether a path is a regular file: no link, no pipe, no device."""
    path = folder / relative
    return path.is_file() and not path.is_symlink()


def judge_file(folder: Path, relative: str) -> Judgement:
    """Say who vouches for one file. Never raises for what is in the file; the finding is one line."""
    path = folder / relative
    shown = relative if SAFE_NAME.fullmatch(relative) else ascii(relative)[1:-1]
    size = path.lstat().st_size
    try:
        reader = _reader(folder, relative)
        _check_content(path, size, reader)
    except Refused as error:
        return Judgement(shown, size, None, one_line(str(error)))
    return Judgement(shown, size, reader.voucher, None)


def _reader(folder: Path, relative: str) -> _Reader:
    if not is_plain(folder, relative):
        raise Refused("is a link or a special file: put the file itself there")
    if not SAFE_NAME.fullmatch(relative) or len(relative) > 200:
        raise Refused("has an odd name: use letters, digits, dot, dash and underscore, at most four levels deep")
    suffix = Path(relative).suffix
    if what := _CODE.get(suffix.lower()):
        raise Refused(f"is {what}: store data only (safetensors, ONNX, JSON)")
    if suffix not in _READERS:
        raise Refused(f"nobody vouches for {suffix or 'nameless'} files: known are {', '.join(sorted(_READERS))}")
    return _READERS[suffix]


def _check_content(path: Path, size: int, reader: _Reader) -> None:
    if size > reader.max_bytes:
        limit = f"{reader.max_bytes // MIB:,} MiB"
        raise Refused(f"has {size:,} bytes, a {path.suffix} file may have {limit}: make it smaller or leave it out")
    if _is_pickle(path):
        raise Refused("is a pickle under another name: loading it can run code")
    reader.check(path)


def _is_pickle(path: Path) -> bool:
    """Say whether the start of a file is a pickle that imports something. Reads opcodes, builds nothing."""
    with path.open("rb") as file:
        start = file.read(SNIFFED)
    if _PICKLE_START.match(start):
        return True
    imports = False
    try:
        for opcode, argument, _ in pickletools.genops(io.BytesIO(start)):
            named = opcode.name in ("GLOBAL", "INST") and isinstance(argument, str) and _DOTTED.fullmatch(argument)
            imports = imports or bool(named) or opcode.name == "STACK_GLOBAL"
    except (ValueError, UnicodeError, IndexError, OverflowError):  # text or data, as it should be
        return False
    return imports


def _check_text(path: Path) -> None:
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(f"not text: byte {error.start} is not UTF-8") from error
    if found := _CONTROL.search(text):
        raise Refused(f"not text: it contains the control character {found[0]!a}")


def _check_npy_file(path: Path) -> None:
    with path.open("rb") as file:
        check_npy(file, path.stat().st_size)


def one_line(text: str) -> str:
    """Return text as one printable line of at most 300 characters."""
    return _CONTROL.sub("?", " ".join(text.split()))[:300]


_READERS = {
    ".json": _Reader("json", MAX_TEXT_BYTES, lambda path: check_json(path.read_bytes())),
    ".md": _Reader("text", 4 * MIB, _check_text),
    ".txt": _Reader("text", 16 * MIB, _check_text),  # WordPiece vocabularies and merges are .txt
    ".safetensors": _Reader("safetensors", 8 * 1024 * MIB, check_safetensors),
    ".onnx": _Reader("onnx", 2 * 1024 * MIB, check_onnx),  # the format itself ends there
    ".skops": _Reader("skops", 256 * MIB, check_skops),
    ".npy": _Reader("modelscan", 1024 * MIB, _check_npy_file),
}
