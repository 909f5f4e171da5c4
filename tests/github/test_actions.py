"""The stand-ins for artifact actions name files as the real ones do; those of `act` are tried in test_runner.py."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ACTIONS = Path(__file__).resolve().parent / "actions"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Return a workspace with a few files under build/; the hub's folder is beside it."""
    folder = tmp_path / "workspace"
    for name in ("build/a.json", "build/b.json", "build/model/weights", "build/.hidden", "build/stages/scan.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name, encoding="utf-8")
    return folder


def action(workspace: Path, script: str, **inputs: str) -> subprocess.CompletedProcess[str]:
    hub = {"LOCAL_HUB": str(workspace.parent / "hub"), "GITHUB_RUN_ID": "7"}
    defaults = {
        "NONE": "warn",
        "HIDDEN": "false",
        "OVERWRITE": "false",
        "RUN": "",
        "TOKEN": "",
        "PATTERN": "",
        "MERGE": "",
    }
    command = [sys.executable, "-I", str(ACTIONS / script)]
    environment = {"PATH": os.environ["PATH"]} | hub | defaults | inputs
    return subprocess.run(command, cwd=workspace, env=environment, capture_output=True, text=True, check=False)


def upload(workspace: Path, name: str, path: str, **inputs: str) -> set[str]:
    """Upload and return the names in the artifact."""
    done = action(workspace, "upload-artifact/upload.py", NAME=name, FROM=path, **inputs)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(workspace.parent / "hub/artifacts/7" / f"{name}.zip") as archive:
        return set(archive.namelist())


def test_upload__names_start_below_what_the_paths_have_in_common(workspace: Path) -> None:
    everything = {"a.json", "b.json", "model/weights", "stages/scan.json"}
    assert upload(workspace, "folder", "build") == everything
    assert upload(workspace, "file", "build/stages/scan.json") == {"scan.json"}
    assert upload(workspace, "two", "build/a.json\nbuild/stages/scan.json") == {"a.json", "stages/scan.json"}
    assert upload(workspace, "wild", "build/a.*\nbuild/none.json") == {"a.json"}
    assert upload(workspace, "all", "build", HIDDEN="true") == everything | {".hidden"}


def test_upload__a_second_artifact_of_the_same_name_is_refused(workspace: Path) -> None:
    upload(workspace, "one", "build/a.json")
    done = action(workspace, "upload-artifact/upload.py", NAME="one", FROM="build/b.json")
    assert (done.returncode, "(409) Conflict" in done.stderr) == (1, True)
    assert upload(workspace, "one", "build/b.json", OVERWRITE="true") == {"b.json"}


def test_upload__nothing_found_is_a_warning_unless_an_error_is_asked_for(workspace: Path) -> None:
    warned = action(workspace, "upload-artifact/upload.py", NAME="none", FROM="nothing")
    assert (warned.returncode, "No files were found" in warned.stdout) == (0, True)
    assert not (workspace.parent / "hub/artifacts/7/none.zip").exists()
    assert action(workspace, "upload-artifact/upload.py", NAME="none", FROM="nothing", NONE="error").returncode == 1


def test_download__by_name_into_the_folder_by_pattern_into_one_each(workspace: Path) -> None:
    upload(workspace, "stage-a", "build/a.json")
    upload(workspace, "stage-b", "build/b.json")
    assert action(workspace, "download-artifact/download.py", NAME="stage-a", TO="one").returncode == 0
    action(workspace, "download-artifact/download.py", NAME="", PATTERN="stage-*", TO="each")
    action(workspace, "download-artifact/download.py", NAME="", PATTERN="stage-*", MERGE="true", TO="merged")
    found = {
        str(path.relative_to(workspace)) for top in ("one", "each", "merged") for path in (workspace / top).rglob("*.*")
    }
    assert found == {"one/a.json", "each/stage-a/a.json", "each/stage-b/b.json", "merged/a.json", "merged/b.json"}


def test_download__an_unknown_name_is_an_error(workspace: Path) -> None:
    done = action(workspace, "download-artifact/download.py", NAME="champion", TO="champion")
    assert (done.returncode, "Artifact not found for name: champion" in done.stderr) == (1, True)
