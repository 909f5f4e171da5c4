"""A released bundle is trained again: the same commit, rows and packages give the same bytes, or the same answers.

Nothing is taken from DVC's cache but the rows.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from textgate.bundle import MANIFEST, Manifest, digest, verify
from textgate.choose import bundle_in
from textgate.errors import CannotTell, Refused, TextgateError
from textgate.evaluate.evaluate import WINDOW, check_probabilities
from textgate.files import read_text, sha256_file
from textgate.models.classifier import Bundle, Probabilities, open_bundle
from textgate.records import BUILD
from textgate.report.markdown import visible
from textgate.rows import Rows, read_split
from textgate.scan.policy import vouch_folder
from textgate.versions.worktree import on_a_branch, restore_rows, run_in, worktree

LOCK = Path("requirements.txt")
# Sums of floats in another order change a probability in its last digits, and turn an answer only where two labels are
# as good as equal: fewer than one row in a thousand. More than that is another model.
MIN_AGREEMENT = 0.999
MADE_FROM = ("kind", "labels", "experiment", "config", "parts", "seed", "lock_sha256", "reference")


@dataclass(frozen=True)
class Reproduction:
    """What came of training again. Without the same bytes: how far the answers agree, and what differs."""

    digest: str  # of the release
    digest_again: str
    rows: int = 0  # test rows that both answered
    agreeing: int = 0
    max_difference: float = 0.0  # of any probability
    differences: tuple[str, ...] = ()


def reproduce(folder: Path) -> Reproduction:
    """Train the bundle in a fetched release's folder again, in a worktree of its commit, and compare the two.

    Raises CannotTell if commit, rows or packages cannot be had; Refused for an altered bundle, for one that was trained
    from files in no commit, and if other rows come out.
    """
    released, release = bundle_in(folder)
    manifest = verify(released, release.bundle_digest if release else None)
    vouch_folder(released)
    commit = _commit(manifest)
    name = release.version if release else digest(released)[:12]
    _say(f"{name}: experiment {visible(manifest.experiment, 100)}, trained at {commit[:12]}")
    with worktree(commit) as tree:
        if sha256_file(tree / LOCK) != manifest.lock_sha256:
            raise Refused(f"{name} names another {LOCK} than commit {commit[:12]} has: it was not trained there")
        restore_rows(tree)
        python = _python(tree, manifest)
        chosen = [f"--experiment={manifest.experiment}", "--champion=none"]  # no registry is asked
        for script in (["choose", *chosen], ["data"], ["train"]):
            _say(script[0])
            run_in(tree, [python, f"scripts/{script[0]}.py", *script[1:]], f"{script[0]} at {commit[:12]}")
        return compare(released, tree / BUILD / "model", tree / BUILD / "data", _machines(folder, tree))


def compare(released: Path, again: Path, data: Path, machines: tuple[str, ...]) -> Reproduction:
    """Compare two bundles: bytes first, then the rows that they were made from, then their answers to test rows.

    `machines` says where they were trained. Raises Refused if the rows differ, or the labels, or if a bundle does not
    verify.
    """
    old, new = verify(released), verify(again)
    digests = digest(released), digest(again)
    if digests[0] == digests[1]:
        return Reproduction(*digests)
    if old.data_fingerprint != new.data_fingerprint:
        both = f"{new.data_fingerprint[:12]}…, not {old.data_fingerprint[:12]}…"
        raise Refused(f"the rows that come out today have the fingerprint {both}: restore the rows of that time first")
    vouch_folder(again)
    differences = (*_differences(old, new), *machines)
    rows = read_split("test", data)
    agreeing, most = _answers(open_bundle(released), open_bundle(again), rows)
    return Reproduction(*digests, len(rows), agreeing, most, differences)


def verdict(found: Reproduction) -> Iterator[str]:
    """Yield what was found as lines. Raises Refused, after them, if it is another model that came out."""
    if found.digest == found.digest_again:
        yield f"reproduced: same bytes, {found.digest}"
        return
    yield f"not the same bytes: released {found.digest[:12]}…, trained again {found.digest_again[:12]}…"
    yield from (f"  {difference}" for difference in found.differences)
    share = found.agreeing / found.rows if found.rows else 0.0
    said = f"same answer to {found.agreeing} of {found.rows} test rows ({100 * share:.2f} %)"
    said += f", probabilities differ by {found.max_difference:.2g} at most"
    if share < MIN_AGREEMENT:
        raise Refused(f"not reproduced: {said}: look at what differs, or train on the kind of machine of that time")
    yield f"reproduced but for rounding: {said}"


def _commit(manifest: Manifest) -> str:
    """Return the commit that a bundle was trained at, if this repository has it on a branch or a tag.

    A release can name any commit, and its code is about to run: one that is on no branch may be anybody's.
    """
    if not re.fullmatch(r"[0-9a-f]{40}", manifest.commit):
        found = visible(manifest.commit, 60)
        raise Refused(f"it was trained from files that are in no commit ({found}): nobody can train it again")
    if not on_a_branch(manifest.commit):
        commit = manifest.commit[:12]
        raise CannotTell(f"commit {commit} is on no branch and no tag here: run git fetch, in a clone with all history")
    return manifest.commit


def _python(tree: Path, manifest: Manifest) -> Path:
    """Return a Python with the packages of that time: this one, or that of a new environment inside the worktree."""
    wanted = {name: version for name, version in manifest.versions.items() if name != "python"}
    if LOCK.is_file() and sha256_file(LOCK) == manifest.lock_sha256 and wanted == _installed(wanted):
        return Path(sys.executable)
    _say(f"installing {LOCK} of that time into an environment of its own")
    minor = re.match(r"3\.\d+", manifest.versions.get("python", ""))
    base = shutil.which(f"python{minor[0]}") if minor else None
    made = tree / BUILD / "venv"
    python = made / "bin" / "python"
    for command in (
        [base or sys.executable, "-m", "venv", str(made)],
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(LOCK)],
    ):
        run = subprocess.run(command, cwd=tree, capture_output=True, encoding="utf-8", errors="replace", check=False)
        if run.returncode:
            last = (run.stderr + run.stdout).strip().splitlines()[-1:] or ["it said nothing"]
            reason = re.sub(r"https?://\S+", "<address>", last[0])
            raise CannotTell(f"the packages of that time cannot be installed: {visible(reason, 200)}")
    return python


def _installed(names: dict[str, str]) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "missing"
    return found


def _differences(old: Manifest, new: Manifest) -> Iterator[str]:
    """Yield a line for each entry of the manifests that differs, and for the files that do."""
    for field in MADE_FROM:
        if getattr(old, field) != getattr(new, field):
            yield f"{MANIFEST}: {field} differs"
    for package in sorted({*old.versions, *new.versions}):
        before, after = (manifest.versions.get(package, "missing") for manifest in (old, new))
        if before != after:
            yield f"{visible(package, 60)} {visible(after, 40)}, was {visible(before, 40)}"
    files = {path for path in {*old.files, *new.files} if old.files.get(path) != new.files.get(path)}
    yield f"files that differ: {', '.join(sorted(files)) or MANIFEST}"


def _machines(folder: Path, tree: Path) -> tuple[str, ...]:
    """Return what is known of the two machines, in a line each."""
    lines = []
    for when, path in (("released", folder / "train.json"), ("now", tree / BUILD / "train.json")):
        try:  # written by the textgate of that time, and only shown
            report = {"processes": 1} | json.loads(read_text(path, "train"))
            how = ", ".join(f"{key} {report[key]}" for key in ("device", "threads", "processes", "precision"))
        except (CannotTell, ValueError, KeyError, TypeError, RecursionError):
            how = "no train.json says how"
        lines.append(f"trained {when}: {visible(how, 120)}")
    return (*lines, f"this machine: {_processor()}; a release does not say which its own was")


def _processor() -> str:
    cpu = Path("/proc/cpuinfo")
    told = cpu.read_text(encoding="utf-8", errors="replace") if cpu.is_file() else ""
    named = re.search(r"^model name\s*:\s*(.+)$", told, re.MULTILINE)
    return f"{named[1] if named else platform.processor() or 'processor unknown'} ({platform.machine()})"


def _answers(old: Bundle, new: Bundle, rows: Rows) -> tuple[int, float]:
    """Return to how many rows both give the same label, and the largest difference of any probability."""
    labels = old.classifier.labels
    if labels != new.classifier.labels:
        raise Refused("the two bundles have other labels: they cannot be compared")
    agreeing, most = 0, 0.0
    for start in range(0, len(rows), WINDOW):
        texts, ids = rows.texts[start : start + WINDOW], rows.ids[start : start + WINDOW]
        said = [_probabilities(bundle, texts) for bundle in (old, new)]
        for bundle, given in zip((old, new), said, strict=True):
            check_probabilities(given, len(labels), str(bundle.path), [f"test row {row}" for row in ids])
        agreeing += int((said[0].argmax(axis=1) == said[1].argmax(axis=1)).sum())
        most = max(most, float(np.abs(said[0] - said[1]).max()))
    return agreeing, most


def _probabilities(bundle: Bundle, texts: tuple[str, ...]) -> Probabilities:
    try:
        return np.asarray(bundle.classifier.predict_proba(texts), np.float64)
    except (TextgateError, MemoryError):
        raise
    except Exception as error:  # libraries say in their own ways that weights make no sense
        reason = visible(str(error), 200)
        raise Refused(f"the model in {bundle.path} cannot answer: {reason}") from error


def _say(line: str) -> None:
    print(f"=== {line}", file=sys.stderr, flush=True)
