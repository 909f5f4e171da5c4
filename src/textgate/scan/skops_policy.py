"""A .skops archive, judged by its table of contents and schema.json against a fixed list of types; never loaded."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED

from textgate.errors import Refused
from textgate.scan.json_policy import parse_json
from textgate.scan.tensor_policy import check_npy

MAX_SCHEMA = 64 * 1024 * 1024
MAX_UNPACKED = 1024 * 1024 * 1024
MAX_DIRECTORY = 1024 * 1024
MAX_MEMBERS = 10_000
PROTOCOL = 2  # older ones are read by other code, which had holes (CVE-2025-54412, CVE-2025-54413)
_ARRAY = re.compile(r"[0-9]{1,20}\.npy")
_NUMBER_TYPES = frozenset(
    f"numpy.{name}"
    for name in (
        "float16",
        "float32",
        "float64",
        *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    )
)
# Which types each loader may build. A loader with another type is how skops was tricked before.
LOADERS: dict[str, frozenset[str]] = {
    "DictNode": frozenset({"builtins.dict"}),
    "ListNode": frozenset({"builtins.list"}),
    "TupleNode": frozenset({"builtins.tuple"}),
    "SetNode": frozenset({"builtins.set"}),
    "JsonNode": frozenset({"builtins.str"}),
    "TypeNode": _NUMBER_TYPES | {"builtins.str", "builtins.int", "builtins.float", "builtins.bool"},
    "NdArrayNode": _NUMBER_TYPES | {"numpy.ndarray"},
    "ObjectNode": frozenset({
        "sklearn.calibration.CalibratedClassifierCV",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.feature_extraction.text.CountVectorizer",
        "sklearn.feature_extraction.text.HashingVectorizer",
        "sklearn.feature_extraction.text.TfidfTransformer",
        "sklearn.feature_extraction.text.TfidfVectorizer",
        "sklearn.linear_model._logistic.LogisticRegression",
        "sklearn.linear_model._ridge.RidgeClassifier",
        "sklearn.naive_bayes.ComplementNB",
        "sklearn.naive_bayes.MultinomialNB",
        "sklearn.pipeline.FeatureUnion",
        "sklearn.pipeline.Pipeline",
        "sklearn.preprocessing._data.MaxAbsScaler",
        "sklearn.preprocessing._label.LabelBinarizer",
        "sklearn.preprocessing._label.LabelEncoder",
        "sklearn.svm._classes.LinearSVC",
    }),
}  # fmt: skip


def check_skops(path: Path) -> None:
    """Accept an archive of arrays and known scikit-learn types. Raises Refused with one line."""
    _check_directory(path)
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive)
            _check_types(parse_json(archive.read("schema.json")))
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise Refused(f"not skops: the archive is broken ({error})") from error


def _check_directory(path: Path) -> None:
    """Look at both ends of the archive before zipfile does: a directory of millions of members fills the memory."""
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(max(path.stat().st_size - 42, 0))
        end = file.read(42)
    if start != b"PK\3\4" or len(end) != 42 or end[20:24] != b"PK\5\6" or end[:4] == b"PK\6\7":
        raise Refused("not skops: it does not begin and end as a plain zip archive does")
    if struct.unpack("<I", end[32:36])[0] > MAX_DIRECTORY:
        raise Refused(f"not skops: its table of contents is larger than {MAX_DIRECTORY >> 20} MiB")


def _check_members(archive: zipfile.ZipFile) -> None:
    members = archive.infolist()
    names = [member.filename for member in members]
    if len(names) > MAX_MEMBERS or len(set(names)) != len(names):
        raise Refused("not skops: the archive has too many members, or one twice")
    if "schema.json" not in names:
        raise Refused("not skops: schema.json is not in the archive")
    if sum(member.file_size for member in members) > MAX_UNPACKED:
        raise Refused(f"not skops that anyone needs: more than {MAX_UNPACKED >> 30} GiB when unpacked")
    if archive.getinfo("schema.json").file_size > MAX_SCHEMA:
        raise Refused(f"not skops: schema.json is larger than {MAX_SCHEMA >> 20} MiB")
    for member in members:
        if member.filename == "schema.json":
            continue
        if not _ARRAY.fullmatch(member.filename) or member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise Refused(f"not skops: the member {member.filename[:80]!r} is no array")
        with archive.open(member) as file:
            check_npy(file, member.file_size)


def _check_types(schema: Any) -> None:
    if not isinstance(schema, dict) or schema.get("protocol") != PROTOCOL:
        raise Refused(f"not skops of protocol {PROTOCOL}: save the model again with a current skops")
    waiting: list[Any] = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if not {"__loader__", "__module__", "__class__"}.isdisjoint(value):
                _check_node(value)
            waiting.extend(item for item in value.values() if isinstance(item, (dict, list)))
        elif isinstance(value, list):
            waiting.extend(item for item in value if isinstance(item, (dict, list)))


def _check_node(node: dict[str, Any]) -> None:
    loader = str(node.get("__loader__"))[:80]
    what = f"{node.get('__module__')}.{node.get('__class__')}"[:160]
    if loader not in LOADERS:
        raise Refused(f"the skops loader {loader!r} (for {what}) is not on the list of safe ones")
    if what not in LOADERS[loader]:
        raise Refused(f"the type {what!r} (by {loader}) is not on the list of safe ones")
