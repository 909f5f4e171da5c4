"""A folder as a judging run leaves it: a small real bundle, and evidence about it that passed."""

import shutil

from tests.evidence_examples import example, sha
from tests.small import LABELS

from textgate import records
from textgate.bundle import digest, verify
from textgate.files import sha256_file
from textgate.release.assets import EVIDENCE
from textgate.verdicts import ScannedFile, TestGroup

COMMIT = "c" * 40
GROUPS = {name: TestGroup(passed=3, failed=0, skipped=0) for name in ("accuracy", "latency", "schema", "behaviour")}


def judge(bundle, build, commit=COMMIT):
    """Lay out `build` around a copy of a bundle and return it."""
    shutil.copytree(bundle, build / "model")
    found, manifest = example(LABELS), verify(bundle)
    about = {"bundle_digest": digest(bundle), "data_fingerprint": manifest.data_fingerprint}
    changes = {
        "data": {"fingerprint": manifest.data_fingerprint},
        "model_tests": {"groups": GROUPS},
        "scan": {"files": tuple(scanned(bundle, name) for name in (*manifest.files, "manifest.json"))},
        "gate": {"commit": manifest.commit, "judged_commit": commit},
    }
    for field, (place, _, _) in EVIDENCE.items():
        piece = getattr(found, field)
        same = {key: value for key, value in about.items() if hasattr(piece, key)}
        records.write(build / place, piece.model_copy(update=same | changes.get(field, {})))
    (build / "model" / "README.md").write_text(f"# A model\n\n`sha256:{digest(bundle)}`\n", encoding="utf-8")
    return build


def scanned(bundle, name):
    path = bundle / name
    return ScannedFile(path=name, bytes=path.stat().st_size, sha256=sha256_file(path), voucher="json", findings=())


def change(build, field, **changes):
    """Change a piece of evidence as only its file could be changed."""
    place, kind, stage = EVIDENCE[field]
    records.write(build / place, records.read(build / place, kind, stage).model_copy(update=changes))


OTHER = sha("another")
