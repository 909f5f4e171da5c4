"""A version fetched from MLflow is verified whole, or nothing is left of it; two are shown side by side."""

import json
import os
import shutil
from pathlib import Path

import pytest
from tests.judged_example import judge
from tests.mlflow_example import A, B, C, release_files
from tests.release_files import altered

from textgate.bundle import verify
from textgate.choose import find_champion
from textgate.errors import CannotTell, Refused
from textgate.registry.tables import comparison_table
from textgate.release.release import build

pytest_plugins = ("tests.mlflow_fixtures",)


# --- fetch


def test_fetch__leaves_the_verified_bundle_and_its_evidence(two, tmp_path):
    release = two.fetch(A, tmp_path / "champion")
    assert release.version == A
    assert verify(tmp_path / "champion" / "bundle", release.bundle_digest)
    assert find_champion(str(tmp_path / "champion")).name == A
    assert (tmp_path / "champion" / "scan.json").is_file()


def nothing_left(registry, said, to, version=A, error=Refused):
    with pytest.raises(error, match=said):
        registry.fetch(version, to)
    assert not to.exists()
    assert [path.name for path in to.parent.iterdir() if path.name.startswith(f".{to.name}")] == []


def test_fetch__a_changed_cut_missing_or_added_file_is_refused(two, tmp_path):
    files = release_files(two, A)
    for spoil, said in (
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), r"scan\.json is not the file that SHA256SUMS lists"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"!"), r"scan\.json is not the file that SHA256SUMS"),
        (lambda path: path.unlink(), r"scan\.json is missing: this release was altered"),
        (lambda path: (path.parent / "note.txt").write_text("x"), r"note\.txt is not listed in SHA256SUMS"),
    ):
        good = (files / "scan.json").read_bytes()
        spoil(files / "scan.json")
        nothing_left(two, said, tmp_path / "to")
        (files / "scan.json").write_bytes(good)
    (files / "note.txt").unlink()
    assert two.fetch(A, tmp_path / "to")


def test_fetch__links_folders_and_odd_names_are_refused_unread(two, tmp_path):
    files = release_files(two, A)
    (files / "note.txt").symlink_to("/dev/zero")
    nothing_left(two, r"note\.txt is a link, a folder or a special file: v0\.1\.0 was altered", tmp_path / "to")
    (files / "note.txt").unlink()
    os.mkfifo(files / "note.txt")
    nothing_left(two, r"note\.txt is a link, a folder or a special file", tmp_path / "to")
    (files / "note.txt").unlink()
    (files / "..note").write_text("x")
    nothing_left(two, r"v0\.1\.0 has odd or too many files \('\.\.note'\)", tmp_path / "to")
    (files / "..note").unlink()
    (files / "scan.json").rename(tmp_path / "scan.json")
    (files / "scan.json").symlink_to(tmp_path / "scan.json")
    nothing_left(two, r"scan\.json is a link, a folder or a special file", tmp_path / "to")


def test_fetch__what_is_too_large_or_too_many_is_refused_unread(two, tmp_path):
    files = release_files(two, A)
    with (files / "note.txt").open("wb") as file:
        file.truncate(30_000_000)
    nothing_left(two, r"note\.txt of v0\.1\.0 has 30,000,000 bytes, 20,000,000 are the most", tmp_path / "to")
    (files / "note.txt").unlink()
    for number in range(50):
        (files / f"note{number}").write_text("x")
    nothing_left(two, r"v0\.1\.0 has odd or too many files", tmp_path / "to")


def test_fetch__another_whole_release_in_its_place_is_refused(two, three_releases, tmp_path):
    files = release_files(two, A)
    shutil.rmtree(files)
    shutil.copytree(three_releases / B, files)
    nothing_left(two, r"the files of v0\.1\.0 are not those that were registered", tmp_path / "to")


def test_fetch__evidence_about_another_bundle_with_a_new_list_is_refused(two, three_releases, tmp_path):
    files = release_files(two, A)
    altered(files, "gate.json", bundle_digest="0" * 64)
    nothing_left(two, "is about another bundle", tmp_path / "to")


def test_fetch__an_emptied_or_moved_store_is_unknown(two, tmp_path):
    files = release_files(two, A)
    (files / "SHA256SUMS").unlink()
    nothing_left(two, r"v0\.1\.0 has no SHA256SUMS in .*: was the store moved", tmp_path / "to", error=CannotTell)
    (tmp_path / "mlruns").rename(tmp_path / "elsewhere")
    nothing_left(two, r"the files of v0\.1\.0 are not in .*: was the project moved", tmp_path / "to", error=CannotTell)


# --- compare


def test_compare__shows_figures_of_both_and_their_differences_on_the_same_rows(two):
    lines = comparison_table(two, A, B).splitlines()
    assert lines[0].split() == [A, B, "difference"]
    assert next(line for line in lines if line.startswith("accuracy")).endswith("+0.000")
    assert lines[-1].startswith("The same rows were scored.")
    assert list(Path("build").iterdir()) == []


def test_compare__figures_on_other_rows_are_not_subtracted(two, three_releases, tmp_path):
    bundle = shutil.copytree(three_releases / f"bundle-{A}", tmp_path / "other")
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps(manifest | {"data_fingerprint": "1" * 64}))
    build(judge(bundle, tmp_path / "judged"), tmp_path / C, C)
    two.register(tmp_path / C)
    said = comparison_table(two, A, C)
    assert "+0.000" not in said
    assert said.splitlines()[-1].startswith("Other rows were scored, so these figures do not compare")
