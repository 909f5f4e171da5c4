"""GitHub's answers about releases into typed values, strictly: an answer of another form tells nothing."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from textgate.errors import CannotTell, Refused
from textgate.evidence import VERSION
from textgate.files import sha256_file
from textgate.github.api import GitHub
from textgate.release.assets import MOST, NAME
from textgate.release.versions import order

MOST_RELEASES = 10_000


class _Answer(BaseModel):
    """The part of an answer that is used."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class Asset(_Answer):
    """A file of a release."""

    id: int
    name: str
    size: Annotated[int, Field(ge=0)]
    state: str
    digest: str | None = None  # "sha256:…"; older servers do not say it


class Found(_Answer):
    """A release as GitHub has it."""

    id: int
    tag_name: str
    draft: bool
    prerelease: bool
    upload_url: str
    body: str | None = None
    assets: list[Asset]


AnyAnswer = TypeVar("AnyAnswer", bound=_Answer)


def read(raw: Any, kind: type[AnyAnswer], what: str) -> AnyAnswer:
    """Read an answer through its type. Raises CannotTell if it does not fit."""
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise CannotTell(f"GitHub's answer about {what} has an unknown form: is this the right host?") from error


def latest(github: GitHub) -> str | None:
    """Return the tag of the release that is marked latest, None if GitHub says 404."""
    raw = github.find("releases/latest")
    return None if raw is None else read(raw, Found, "the latest release").tag_name


def read_back(github: GitHub, wanted: str | None, cure: str) -> None:
    """Raise CannotTell unless GitHub comes to name this release as the latest, or none."""
    for wait in (1, 1, 0):  # seconds: what was written is not always read at once
        if (now := latest(github)) == wanted:
            return
        time.sleep(wait)
    raise CannotTell(f"GitHub still names {str(now)[:40]!a} as the latest release, not {wanted or 'none'}: {cure}")


def all_releases(github: GitHub) -> list[Found]:
    """Return all releases; drafts are among them if the token may write."""
    return [read(raw, Found, "the releases") for raw in github.pages("releases", most=MOST_RELEASES)]


def published(github: GitHub) -> list[Found]:
    """Return the published versions, newest first."""
    releases = all_releases(github)
    good = [
        found for found in releases if not found.draft and not found.prerelease and VERSION.fullmatch(found.tag_name)
    ]
    return sorted(good, key=lambda found: order(found.tag_name), reverse=True)


def by_tag(github: GitHub, version: str) -> Found | None:
    """Return a version that was published, also as a pre-release; None for one that was not."""
    raw = github.find(f"releases/tags/{version}")
    found = None if raw is None else read(raw, Found, version)
    return None if found is None or found.draft else found


def newer(version: str, champion: str | None) -> bool:
    """Say whether a version comes after the champion; one that is no version comes after nothing."""
    return champion is None or (VERSION.fullmatch(champion) is not None and order(version) > order(champion))


def withdraw(github: GitHub, version: str, words: str) -> None:
    """Mark a published version as a pre-release, which is never the latest, and say why at the top of its page."""
    found = by_tag(github, version)
    if found is None:
        raise Refused(f"{version} was never released: name one that was")
    if not found.prerelease:
        changes = {"prerelease": True, "make_latest": "false", "body": f"{words}\n\n{found.body or ''}"}
        github.send("PATCH", f"releases/{found.id}", changes)


def assets_of(github: GitHub, release: Found) -> dict[str, Asset]:
    """Return all assets by name. Raises Refused for an odd name, a double one, or one that a published one half has."""
    raws = github.pages(f"releases/{release.id}/assets", most=MOST)
    assets = {asset.name: asset for asset in (read(raw, Asset, release.tag_name) for raw in raws)}
    for name, asset in assets.items():
        if not NAME.fullmatch(name) or len(assets) != len(raws):
            raise Refused(f"the release {release.tag_name} has odd or double files ({name[:60]!a}): it was altered")
        if asset.state != "uploaded" and not release.draft:
            raise Refused(f"{name} of {release.tag_name} is not whole ({asset.state[:20]!a}): take another version")
    return assets


def differences(github: GitHub, release: Found, files: Mapping[str, Path]) -> Iterator[str]:
    """Yield the name of each asset that is not the file of its name here, or is on one side only."""
    there = assets_of(github, release)
    yield from sorted(set(files) ^ set(there))
    yield from (name for name in sorted(files) if name in there and not holds(github, there[name], files[name]))


def holds(github: GitHub, asset: Asset, file: Path) -> bool:
    """Say whether an asset is this very file: by the hash that GitHub gives, else by fetching it."""
    if asset.state != "uploaded" or asset.size != file.stat().st_size:
        return False
    if asset.digest is not None:
        return asset.digest == f"sha256:{sha256_file(file)}"
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "copy")
        github.download(f"releases/assets/{asset.id}", copy, asset.size)
        return sha256_file(copy) == sha256_file(file)
