"""Zip the files that the paths name. Names start below what all paths have in common, as in the real action."""

import glob
import os
import re
import sys
import zipfile
from pathlib import Path

patterns = [line.strip() for line in os.environ["FROM"].splitlines() if line.strip()]
name, hidden = os.environ["NAME"], os.environ["HIDDEN"] == "true"
if re.search(r'[\\/":<>|*?\r\n]', name):
    sys.exit(f"The artifact name is not valid: {name!r}")


def search_path(pattern: str) -> Path:
    """Return the part of a pattern before its first wildcard."""
    parts = Path(pattern).parts
    plain = [part for place, part in enumerate(parts) if not any(glob.has_magic(one) for one in parts[: place + 1])]
    return Path.cwd().joinpath(*plain)


def seen(path: Path) -> bool:
    """Say whether a file is taken: hidden ones, and what lies in hidden folders, are not unless asked for."""
    return path.is_file() and (hidden or not any(part.startswith(".") for part in path.relative_to(Path.cwd()).parts))


matched = [Path(found).absolute() for pattern in patterns for found in glob.iglob(pattern, recursive=True)]  # noqa: PTH207  absolute ones too
inside = [Path(top, file) for path in matched if path.is_dir() for top, _, names in os.walk(path) for file in names]
files = sorted({path for path in [*matched, *inside] if seen(path)})
roots = [search_path(pattern) for pattern in patterns]
root = Path(os.path.commonpath(roots)) if len(roots) > 1 else roots[0]
root = root if root.is_dir() else root.parent
if not files:
    said = f"No files were found with the provided path: {', '.join(patterns)}. No artifacts will be uploaded."
    sys.exit(said) if os.environ["NONE"] == "error" else print(said)
    sys.exit(0)
target = Path(os.environ["LOCAL_HUB"], "artifacts", os.environ["GITHUB_RUN_ID"], f"{name}.zip")
if target.exists() and os.environ["OVERWRITE"] != "true":
    sys.exit("Failed to CreateArtifact: (409) Conflict: an artifact with this name already exists on the workflow run")
target.parent.mkdir(parents=True, exist_ok=True)
unfinished = target.with_suffix(f".{os.getpid()}")
with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
    for path in files:
        archive.write(path, path.relative_to(root))
unfinished.rename(target)
print(f"Artifact {name}: {len(files)} files, {target.stat().st_size} bytes")
