"""GitHub releases as a registry: a version is a release, its files are assets, the champion is the one marked latest.

A release is filled as a draft, which nobody fetches, and published when everything has arrived. Published ones are
never changed, except for which of them is the latest.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from textgate.errors import CannotTell, Refused
from textgate.evidence import VERSION, Release
from textgate.files import read_text
from textgate.github.api import GitHub
from textgate.registry.fetched import clear, settle
from textgate.registry.github_history import happened, promotion
from textgate.registry.history import Event
from textgate.registry.releases import (
    MOST_RELEASES,
    Asset,
    Found,
    all_releases,
    assets_of,
    by_tag,
    differences,
    holds,
    latest,
    newer,
    published,
    read,
    read_back,
    withdraw,
)
from textgate.release.assets import NOTES, SUMS, archive_name, check, check_list, most_bytes, read_sums
from textgate.release.tags import commit_of_tag

WITHDRAWN = "> **Withdrawn: it failed its smoke test.** Do not use it."  # comes before the notes


@dataclass(frozen=True)
class GitHubReleases:
    """The releases of one repository."""

    github: GitHub

    def current(self) -> str | None:
        """Return the champion's version; None only if GitHub shows the repository, and it has no release.

        Drafts and pre-releases serve nobody and do not count. Raises CannotTell for anything less clear.
        """
        tag = latest(self.github)
        if tag is None:
            self.github.get("")  # of a repository that may not be seen, GitHub says 404 as well
            there = [found.tag_name for found in all_releases(self.github) if not (found.draft or found.prerelease)]
            if not there:
                return None
            raise CannotTell(f"{there[0][:40]!a} is released, but no release is the latest: promote one")
        if not VERSION.fullmatch(tag):
            raise CannotTell(f"the latest release is {tag[:40]!a}, which is no version: promote one that is")
        return tag

    def challenger(self) -> str | None:
        """Return the newest published version, if it is newer than the champion."""
        return next((version for version in self.versions()[:1] if newer(version, latest(self.github))), None)

    def versions(self) -> tuple[str, ...]:
        """Return the published versions, newest first."""
        return tuple(found.tag_name for found in published(self.github))

    def names(self) -> frozenset[str]:
        """Return all tags and published versions: the names that are taken."""
        tags = self.github.pages("tags", most=MOST_RELEASES)
        return frozenset((*self.versions(), *(str(tag.get("name")) for tag in tags)))

    def find_digest(self, digest: str, version: str | None = None) -> str | None:
        """Return the newest published version of a bundle, None if it was never released; or ask about one version."""
        name = archive_name(digest)
        found = (found for found in published(self.github) if name in {asset.name for asset in found.assets})
        return next((release.tag_name for release in found if version in (None, release.tag_name)), None)

    def waits(self, version: str, commit: str | None) -> bool:
        """Say whether a published version is of this commit, and newer than the champion: it was never promoted.

        An older one may have been the champion before, and nobody asked to go back.
        """
        return newer(version, latest(self.github)) and commit_of_tag(self.github, version) == commit

    def check_tag(self, release: Release, *, must_exist: bool = False) -> None:
        """Raise Refused if the tag of a release is on another commit than the one that was judged."""
        commit = commit_of_tag(self.github, release.version)
        if commit != release.judged_commit and (commit or must_exist):
            where = f"on commit {commit[:12]}" if commit else "missing"
            raise Refused(
                f"the tag {release.version} is {where}, but {release.judged_commit[:12]} was judged: "
                "mend the tag or take another version"
            )

    def register(self, folder: Path) -> tuple[Release, Literal["new", "already"]]:
        """Publish a release folder, without making it the champion. Killed and called again, it finishes the work.

        Raises Refused if the folder is not a whole release, if its tag is on another commit, or if the version is
        published with other content: that is never overwritten.
        """
        release = check(folder)
        files = {path.name: path for path in folder.iterdir()}
        found = by_tag(self.github, release.version)
        if found is not None:
            self._same(found, files)
        else:
            self.check_tag(release)
            self._publish(release, files)
        self.check_tag(release, must_exist=True)
        return release, "already" if found else "new"

    def promote(self, version: str, over: str | None = None, moving: Callable[[], object] = lambda: None) -> str | None:
        """Make a published version the champion and return the one it replaced; None if it replaced no other."""
        found = self._must(version)
        before = latest(self.github)
        if over is not None and before not in (None, over, version):
            raise Refused(f"{before} was promoted over {over} meanwhile: nothing was changed, look again")
        changes = promotion(all_releases(self.github), found, before, rollback=over is not None)
        moving()
        self.github.send("PATCH", f"releases/{found.id}", changes)
        read_back(self.github, version, "promote it again")
        return before if before and before != version and VERSION.fullmatch(before) else None

    def restore(self, previous: str | None, failed: str) -> str | None:
        """Go back to the version before one that failed, withdraw that one, and return the champion, None for none.

        The failed one becomes a pre-release, which is never the latest. A third version, which somebody promoted
        meanwhile, stays the champion. Without a previous version only the first one that was ever released can be
        withdrawn; where there are others, CannotTell is raised, because which is right is for a person to say.
        """
        found = by_tag(self.github, failed)
        if found is None:
            raise Refused(f"{failed} was never released: name the version that failed")
        champion = latest(self.github)
        if champion in (None, failed, previous):
            champion = self._go_back(previous, failed)
        withdraw(self.github, failed, WITHDRAWN)
        read_back(self.github, champion, "mend it there")
        return champion

    def history(self) -> tuple[Event, ...]:
        """Return how the champion changed, oldest first; what was moved by hand has no time and no name."""
        return happened(all_releases(self.github), latest(self.github))

    def retire(self, version: str) -> None:
        """Mark a version as a pre-release, which is never promoted or fetched. Raises Refused for the champion."""
        if latest(self.github) == version:
            raise Refused(f"{version} is the champion: promote another version first")
        withdraw(self.github, version, "> **Retired.** Do not use it.")

    def _go_back(self, previous: str | None, failed: str) -> str | None:
        others = [version for version in self.versions() if version != failed]
        if previous is not None:
            self.promote(previous, over=failed)
        elif others:
            known = ", ".join(others[:5])
            raise CannotTell(f"{failed} replaced no version, so there is no way back (there are {known}): deploy one")
        return previous

    def fetch(self, version: str, to: Path) -> Release:
        """Download a published version, verify all of it, and leave it in the folder `to`.

        There are then `to`/bundle, release.json, the evidence and the model card. Raises Refused for anything missing,
        extra, changed or not vouched for, CannotTell if it cannot be had; `to` is then not there.
        """
        clear(to)
        found = self._must(version)
        with tempfile.TemporaryDirectory(prefix=f".{to.name}.", dir=to.parent) as temporary:
            assets = Path(temporary, "assets")
            assets.mkdir()
            listed = assets_of(self.github, found)
            self._download(version, listed, assets)
            release = check(assets)
            if release.version != version:
                raise Refused(f"the release {version} holds {release.version}: it was altered, take another one")
            self.check_tag(release, must_exist=True)
            if assets_of(self.github, self._must(version)) != listed:
                raise Refused(f"the release {version} was changed while it was fetched: see who did, then fetch again")
            settle(assets, release, to)
        return release

    def _download(self, version: str, listed: Mapping[str, Asset], to: Path) -> None:
        if SUMS not in listed:
            raise Refused(f"the release {version} has no {SUMS}: it is not one of textgate's, take another one")
        for name in (SUMS, *sorted(set(listed) - {SUMS})):
            size, most = listed[name].size, most_bytes(name)
            if size > most:
                raise Refused(f"{name} of {version} has {size:,} bytes, {most:,} are the most: it is not fetched")
            self.github.download(f"releases/assets/{listed[name].id}", to / name, most)
            if name == SUMS:
                check_list(set(read_sums(to)), set(listed))

    def _must(self, version: str) -> Found:
        found = by_tag(self.github, version)
        if found is None:
            known = ", ".join(self.versions()[:5]) or "none"
            raise Refused(f"{version} was never released (the newest: {known}): name one that was")
        if found.prerelease:
            raise Refused(f"{version} is marked as a pre-release, so it is not for production: name another version")
        return found

    def _publish(self, release: Release, files: Mapping[str, Path]) -> None:
        said: dict[str, Any] = {
            "tag_name": release.version,
            "name": release.version,
            "body": read_text(files[NOTES], "build the release again"),
            "prerelease": False,
            "make_latest": "false",  # before its smoke test it serves nobody
        }
        # Only where there is no tag yet: GitHub refuses a workflow's token that names a commit whose workflow files
        # differ from those on the default branch, and a tag says it anyway.
        if commit_of_tag(self.github, release.version) is None:
            said["target_commitish"] = release.judged_commit
        draft = self._draft(release.version, said)
        there = assets_of(self.github, draft)
        good = {name for name in files if name in there and holds(self.github, there[name], files[name])}
        for name in sorted(set(there) - good):
            self.github.send("DELETE", f"releases/assets/{there[name].id}")
        for name in sorted(set(files) - good):
            self.github.upload(draft.upload_url, files[name])
        if wrong := next(differences(self.github, draft, files), None):
            raise CannotTell(f"{wrong} of the draft {release.version} did not arrive as it is here: run this again")
        self.github.send("PATCH", f"releases/{draft.id}", {**said, "draft": False})

    def _draft(self, version: str, said: dict[str, Any]) -> Found:
        """Return the draft that a killed run left, or a new one; a second one of the same version is deleted."""
        drafts = [found for found in all_releases(self.github) if found.draft and found.tag_name == version]
        drafts.sort(key=lambda draft: draft.id)
        for double in drafts[1:]:
            self.github.send("DELETE", f"releases/{double.id}")
        if drafts:
            return drafts[0]
        return read(self.github.send("POST", "releases", {**said, "draft": True}), Found, version)

    def _same(self, found: Found, files: Mapping[str, Path]) -> None:
        wrong = next(differences(self.github, found, files), None)
        if found.prerelease or wrong:
            what = "as a pre-release" if found.prerelease else f"with another {wrong}"
            raise Refused(f"{found.tag_name} is released already, {what}: take another version, none is overwritten")
