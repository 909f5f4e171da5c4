"""A folder as a judging run leaves it: a small real bundle, and evidence about it that passed."""

import shutil

from tests.evidence_examples import example, sha
from tests.small import LABELS

from textgate import records
from textgate.bundle import digest
from textgate.release.assets import EVIDENCE
from textgate.verdicts import TestGroup

COMMIT = "c" * 40
GROUPS = {name: TestGroup(passed=3, failed=0, skipped=0) for name in ("accuracy", "latency", "schema", "behaviour")}


def judge(bundle, build, commit=COMMIT):
    """Lay out `build` around a copy of a bundle and return it."""
    shutil.copytree(bundle, build / "model")
    found, about = example(LABELS), {"bundle_digest": digest(bundle)}
    for field, (place, _, _) in EVIDENCE.items():
        piece = getattr(found, field)
        changes = {"groups": GROUPS} if field == "model_tests" else {}
        changes |= {"judged_commit": commit} if field == "gate" else {}
        changes |= about if hasattr(piece, "bundle_digest") else {}
        records.write(build / place, piece.model_copy(update=changes))
    (build / "model" / "README.md").write_text(f"# A model\n\n`sha256:{digest(bundle)}`\n", encoding="utf-8")
    return build


def change(build, field, **changes):
    """Change a piece of evidence as only its file could be changed."""
    place, kind, stage = EVIDENCE[field]
    records.write(build / place, records.read(build / place, kind, stage).model_copy(update=changes))


OTHER = sha("another")
