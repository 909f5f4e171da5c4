"""A folder into a model that is ready to answer: verified, vouched for, opened and warmed up.

The folder is what a registry fetched (bundle/ with release.json beside it), a link to it, or a plain bundle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

from textgate.bundle import digest, verify
from textgate.choose import bundle_in
from textgate.errors import CannotTell, Refused
from textgate.models.classifier import Bundle, open_verified
from textgate.prediction import Prediction, prediction
from textgate.scan.policy import vouch_folder

Variant = Literal["champion", "challenger"]
UNRELEASED = "unreleased"
# The first runs of a session allocate what the later ones use, and there is a size for each length.
WARM_UP = ("", "a", "a few words to begin with", "more words than anybody writes in a line " * 20)


class Scored(NamedTuple):
    """What is known about one text."""

    prediction: Prediction
    unknown_share: float


@dataclass(frozen=True)
class Served:
    """An opened model, the version that it answers as, and the folder that its card and evidence lie in."""

    version: str
    bundle: Bundle
    folder: Path

    @property
    def labels(self) -> frozenset[str]:
        """Return the labels that it gives."""
        return frozenset(self.bundle.manifest.labels)

    def answer(self, texts: Sequence[str]) -> list[Scored]:
        """Return one answer a text. Raises Refused if the model gives anything but probabilities."""
        bundle = self.bundle
        rows, unknown = bundle.classifier.predict(texts)
        made = [prediction(row, bundle.manifest.labels, bundle.digest) for row in rows]
        return [Scored(*both) for both in zip(made, unknown, strict=True)]


def open_served(named: Path, current: Served | None = None, labels: frozenset[str] | None = None) -> Served:
    """Open the model in a folder; if it is the `current` one, that is not opened twice.

    Raises CannotTell if there is no bundle, or a circle of links; Refused if it was altered, holds what nobody vouches
    for, gives other labels than those that are asked for, or fails when it is asked.
    """
    try:
        folder = named.resolve()  # a link may move on while its target is read
    except RuntimeError as error:  # Python 3.13 goes on, and finds nothing there
        raise CannotTell(f"{named} is a circle of links: let it point to a folder") from error
    path, release = bundle_in(folder)
    expected, version = (release.bundle_digest, release.version) if release else (None, UNRELEASED)
    manifest = verify(path, expected)
    if labels is not None and labels != set(manifest.labels):
        found, wanted = (", ".join(sorted(names)) for names in (manifest.labels, labels))
        raise Refused(f"{folder} gives {found}, the champion {wanted}: compare models of the same labels")
    verified = expected or digest(path)
    if current is not None and current.bundle.digest == verified:
        return replace(current, version=version, folder=folder)
    vouch_folder(path)  # before anything in it is opened
    return _warmed_up(Served(version, open_verified(path, manifest, verified), folder))


def _warmed_up(served: Served) -> Served:
    try:
        for text in WARM_UP:
            served.answer([text])
    except Exception as error:  # readers in C++ and Rust raise bare exceptions
        reason = " ".join(str(error).split())[:300]
        raise Refused(f"{served.folder}: asked something, the model fails: {reason}: do not serve it") from error
    return served
