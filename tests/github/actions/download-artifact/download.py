"""Unpack artifacts: by name into the folder itself, by pattern into a folder each unless merge-multiple is true."""

import fnmatch
import io
import json
import os
import sys
import urllib.request
import zipfile
from pathlib import Path

name, run, token = os.environ["NAME"], os.environ["RUN"], os.environ["TOKEN"]
to, merge = Path(os.environ["TO"]), os.environ["MERGE"] == "true"


def ask(path: str) -> bytes:
    """Ask the API with the token that the step was given."""
    address = f"{os.environ['GITHUB_API_URL']}/repos/{os.environ['GITHUB_REPOSITORY']}/{path}"
    asked = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(asked) as answer:
        return answer.read()


def of_this_run() -> dict[str, bytes]:
    folder = Path(os.environ["LOCAL_HUB"], "artifacts", os.environ["GITHUB_RUN_ID"])
    return {path.stem: path.read_bytes() for path in sorted(folder.glob("*.zip"))}


def of_another_run() -> dict[str, bytes]:
    listed = json.loads(ask(f"actions/runs/{run}/artifacts?per_page=100"))["artifacts"]
    wanted = [one for one in listed if not name or one["name"] == name]
    return {one["name"]: ask(f"actions/artifacts/{one['id']}/zip") for one in wanted}


found = of_another_run() if token and run else of_this_run()
if name and name not in found:
    sys.exit(f"Unable to download artifact(s): Artifact not found for name: {name}")
wanted = [name] if name else fnmatch.filter(found, os.environ["PATTERN"] or "*")
to.mkdir(parents=True, exist_ok=True)
for one in wanted:
    with zipfile.ZipFile(io.BytesIO(found[one])) as archive:
        archive.extractall(to if name or merge else to / one)
print(f"Total of {len(wanted)} artifact(s) downloaded: {', '.join(wanted)}")
