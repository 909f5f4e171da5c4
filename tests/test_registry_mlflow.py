"""MLflow as a registry, in the store that is in a folder: one champion, whole versions, nothing overwritten."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys

import pytest
from tests.judged_example import judge
from tests.mlflow_example import aliases, embedded, make_releases, migrated, release_files
from tests.project import EXAMPLE
from tests.run_script import ROOT, finished, outputs, run_script
from tests.test_release import altered

from textgate.bundle import digest, verify
from textgate.choose import find_champion
from textgate.errors import CannotTell, Refused
from textgate.registry.chosen import chosen_registry
from textgate.registry.github import GitHubReleases
from textgate.registry.mlflow_registry import MlflowRegistry
from textgate.registry.mlflow_store import Store, store
from textgate.registry.rollback import roll_back
from textgate.registry.tables import comparison_table
from textgate.release.release import build

A, B, C = "v0.1.0", "v0.2.0", "v0.3.0"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder with three releases. Read only."""
    return make_releases(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """Return a database without anything in it. Read only."""
    return migrated(tmp_path_factory.mktemp("empty"))


@pytest.fixture
def registry(tmp_path, monkeypatch, empty):
    shutil.copy(empty, tmp_path / "mlflow.db")
    return embedded(tmp_path, monkeypatch)


@pytest.fixture
def two(registry, made):
    """Return a registry with v0.1.0 as champion and v0.2.0 as challenger."""
    registry.register(made / A)
    registry.promote(A)
    registry.register(made / B)
    return registry


def steps(registry):
    return [(event.before, event.version, event.rollback) for event in registry.history()]


# --- none yet


def test_current__a_store_that_does_not_exist_says_none_and_is_not_made(tmp_path, monkeypatch):
    registry = embedded(tmp_path, monkeypatch)
    assert (registry.current(), registry.challenger(), registry.versions(), registry.history()) == (None, None, (), ())
    assert registry.names() == frozenset()
    with pytest.raises(Refused, match=r"v0\.1\.0 was never released \(the newest: none\): name one that was"):
        registry.promote(A)
    for change in (registry.retire, lambda version: registry.restore(None, version)):
        with pytest.raises(Refused, match=r"v0\.1\.0 was never released"):
            change(A)
    assert list(tmp_path.iterdir()) == []


def test_current__a_store_with_runs_alone_says_none_without_mlflow(registry):
    """MLflow takes seconds to import, and most first pull requests have nothing to compare with."""
    code = (
        "import sys; from textgate.registry.chosen import chosen_registry as found; "
        "print(found().current(), 'mlflow' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "TEXTGATE_REGISTRY": "mlflow"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "None False\n"


def test_current__a_version_that_nobody_promoted_is_no_champion(registry, made):
    registry.register(made / A)
    assert (registry.current(), registry.challenger()) == (None, A)


def test_current__a_champion_whose_alias_is_gone_is_not_none_yet(two):
    with two.store.reading() as client:
        client.delete_registered_model_alias("textgate", "champion")
    with pytest.raises(CannotTell, match=r"there is no champion, though v0\.1\.0 was to become it: promote it again"):
        two.current()
    two.promote(B)
    assert two.current() == B


def test_current__an_alias_on_a_version_that_is_not_of_textgate_is_unknown(two):
    with two.store.reading() as client:
        other = client.create_model_version("textgate", "file:///nowhere", None)
        client.set_registered_model_alias("textgate", "champion", other.version)
    with pytest.raises(CannotTell, match="alias champion is on version 3, which textgate did not register: move it"):
        two.current()
    assert aliases("mlflow.db").keys() == {"challenger"}


@pytest.mark.parametrize("content", [b"no database" * 1000, b"\x00" * 5000])
def test_current__a_database_that_is_none_is_unknown(tmp_path, monkeypatch, content):
    registry = embedded(tmp_path, monkeypatch)
    (tmp_path / "mlflow.db").write_bytes(content)
    with pytest.raises(CannotTell, match=r"mlflow\.db: file is not a database: mend it, or move it away"):
        registry.current()


def test_current__a_link_to_nowhere_and_a_folder_are_not_none_yet(tmp_path, monkeypatch):
    registry = embedded(tmp_path, monkeypatch)
    (tmp_path / "mlflow.db").symlink_to(tmp_path / "gone")
    with pytest.raises(CannotTell, match=r"mlflow\.db: unable to open database file"):
        registry.current()
    (tmp_path / "mlflow.db").unlink()
    (tmp_path / "mlflow.db").mkdir()
    with pytest.raises(CannotTell, match=r"mlflow\.db: .*: mend it, or move it away, then run this again"):
        registry.current()


@pytest.mark.parametrize(
    ("table", "change", "said"),
    [
        ("model_version_tags", "value = 'gone' WHERE key = 'state'", "in MLflow has another state than"),
        ("model_version_tags", "value = 'x' WHERE key = 'bundle_digest'", "has another bundle_digest than textgate"),
        ("model_version_tags", "value = '../v1' WHERE key = 'version'", "has another version than textgate writes"),
        ("registered_model_tags", "value = '{}'", r"the tag event\.000001\.\w+ of the model in MLflow is not as"),
    ],
)
def test_current__what_textgate_cannot_have_written_is_unknown(two, table, change, said):
    with sqlite3.connect("mlflow.db") as database:
        database.execute(f"UPDATE {table} SET {change}")
    with pytest.raises(CannotTell, match=said):
        two.current()


# --- register, promote, retire


def test_register__a_new_version_is_the_challenger_until_it_is_promoted(two):
    assert (two.current(), two.challenger(), two.versions(), two.names()) == (A, B, (B, A), {A, B})
    assert two.promote(B) == A
    assert (two.current(), two.challenger()) == (B, None)
    assert aliases("mlflow.db") == {"champion": B}


def test_register__again_is_already_there_and_changes_nothing(two, made):
    before = sqlite3.connect("mlflow.db").execute("SELECT count(*) FROM runs").fetchone()
    assert two.register(made / B)[1] == "already"
    assert two.register(made / A)[1] == "already"
    assert (two.current(), two.challenger(), two.versions()) == (A, B, (B, A))
    assert sqlite3.connect("mlflow.db").execute("SELECT count(*) FROM runs").fetchone() == before


def test_register__a_version_that_served_does_not_come_back_as_challenger(two, made):
    two.promote(B)
    two.promote(A)
    assert two.register(made / B)[1] == "already"
    assert two.challenger() is None


def test_register__a_version_with_other_content_is_never_overwritten(two, made, tmp_path):
    build(made / f"judged-{B}", tmp_path / "other", A)
    with pytest.raises(Refused, match=r"v0\.1\.0 is released already, with other content: take another version, none"):
        two.register(tmp_path / "other")
    two.retire(B)
    with pytest.raises(Refused, match=r"v0\.2\.0 is released already, and retired: take another version"):
        two.register(made / B)
    assert two.versions() == (A,)


def test_register__a_folder_that_is_no_whole_release_makes_no_store(tmp_path, monkeypatch, made):
    registry = embedded(tmp_path, monkeypatch)
    folder = shutil.copytree(made / A, tmp_path / A)
    (folder / "scan.json").unlink()
    with pytest.raises(Refused, match=r"scan\.json is missing"):
        registry.register(folder)
    assert [path.name for path in tmp_path.iterdir()] == [A]


def test_register__of_two_with_one_name_the_first_one_counts_and_the_second_goes(two, made):
    """No lock holds on a server: the same command from two machines."""
    from textgate.evidence import Release
    from textgate.files import sha256_file
    from textgate.registry.mlflow_changes import add
    from textgate.registry.mlflow_registry import NOTHING

    release = Release.model_validate_json((made / A / "release.json").read_text())
    with two.store.reading() as client:
        add(client, two.store, made / A, release, sha256_file(made / A / "SHA256SUMS"), NOTHING)
    assert two.versions() == (B, A)


def test_register__what_does_not_arrive_as_it_is_here_is_no_version(two, made):
    from textgate.evidence import Release
    from textgate.registry.mlflow_changes import add
    from textgate.registry.mlflow_registry import NOTHING

    release = Release.model_validate_json((made / C / "release.json").read_text())
    with (
        two.store.reading() as client,
        pytest.raises(CannotTell, match=r"the files of v0\.3\.0 did not arrive as they are here: run this again"),
    ):
        add(client, two.store, made / C, release, "0" * 64, NOTHING)
    assert two.versions() == (B, A)


def test_promote__again_and_back_and_forth(two):
    assert two.promote(A) is None
    assert two.promote(B) == A
    assert two.promote(B) is None
    assert two.promote(A) == B
    assert steps(two) == [(None, A, False), (A, B, False), (B, A, False)]


def test_promote__never_released_and_retired_are_refused(two):
    two.retire(B)
    with pytest.raises(Refused, match=r"v0\.2\.0 is retired, so it is not for production: name another version"):
        two.promote(B)
    with pytest.raises(Refused, match=r"v9\.9\.9 was never released \(the newest: v0\.2\.0, v0\.1\.0\): name one"):
        two.promote("v9.9.9")
    assert (two.current(), two.challenger(), two.versions(), two.names()) == (A, None, (A,), {A, B})
    two.retire(B)


def test_retire__the_champion_is_refused_and_files_stay(two):
    with pytest.raises(Refused, match=r"v0\.1\.0 is the champion: promote another version first"):
        two.retire(A)
    files = release_files(two, B)
    two.retire(B)
    assert (files / "SHA256SUMS").is_file()
    assert two.find_digest(json.loads((files / "release.json").read_text())["bundle_digest"]) is None


def test_find_digest__is_the_newest_version_of_a_bundle_or_the_one_asked_about(two, made, tmp_path):
    named = digest(made / f"judged-{A}" / "model")
    assert (two.find_digest(named), two.find_digest(named, B), two.find_digest("0" * 64)) == (A, None, None)
    build(made / f"judged-{A}", tmp_path / "again", "v1.0.0")
    two.register(tmp_path / "again")
    assert (two.find_digest(named), two.find_digest(named, A)) == ("v1.0.0", A)


# --- rollback, restore, history


def test_rollback__returns_to_what_served_before_and_a_second_one_goes_no_further(two, made):
    two.promote(B)
    two.register(made / C)
    two.promote(C)
    assert roll_back(two) == (B, C)
    assert roll_back(two) == (B, C)
    assert two.current() == B
    assert steps(two)[-1] == (C, B, True)


def test_rollback__checks_the_bundle_and_its_evidence_before_anything_moves(two):
    two.promote(B)
    archive = next(release_files(two, A).glob("model-*.tar"))
    archive.write_bytes(archive.read_bytes()[:-1000] + b"!" * 1000)
    with pytest.raises(Refused, match=r"model-\w+\.tar is not the file that SHA256SUMS lists"):
        roll_back(two)
    assert two.current() == B


def test_rollback__there_is_none_for_the_first_version_a_retired_one_and_no_champion(registry, made):
    with pytest.raises(Refused, match="there is no champion to go back from: promote a version"):
        roll_back(registry)
    registry.register(made / A)
    registry.promote(A)
    with pytest.raises(Refused, match=r"no version served before v0\.1\.0: promote the one that you want"):
        roll_back(registry)
    registry.register(made / B)
    registry.promote(B)
    registry.retire(A)
    with pytest.raises(Refused, match=r"v0\.1\.0 is retired, so it is not for production"):
        roll_back(registry)
    assert registry.current() == B


def test_rollback__a_champion_promoted_meanwhile_stays(two, made):
    two.promote(B)
    two.register(made / C)
    two.promote(C)
    with pytest.raises(Refused, match=r"v0\.3\.0 was promoted over v0\.2\.0 meanwhile: nothing was changed, look"):
        two.promote(A, over=B)
    assert two.current() == C


def test_rollback__a_champion_moved_by_hand_can_be_left_too(two):
    with two.store.reading() as client:
        client.set_registered_model_alias("textgate", "champion", "2")
    assert steps(two) == [(None, A, False), (A, B, False)]
    two.promote(B)
    assert two.history()[-1].by
    assert roll_back(two) == (A, B)


def test_restore__goes_back_and_retires_what_failed(two):
    previous = two.promote(B)
    for _ in range(2):  # a killed one is called again
        assert two.restore(previous, B) == A
        assert (two.current(), two.versions()) == (A, (A,))
    assert steps(two)[-1] == (B, A, True)


def test_restore__of_the_first_version_leaves_none(registry, made):
    registry.register(made / A)
    previous = registry.promote(A)
    for _ in range(2):
        assert registry.restore(previous, A) is None
        assert (registry.current(), registry.versions()) == (None, ())
    assert steps(registry) == [(None, A, False), (A, None, True)]


def test_restore__without_a_way_back_and_with_a_third_version(two, made):
    with pytest.raises(CannotTell, match=r"v0\.2\.0 replaced no version, so there is no way back \(there are v0\.1"):
        two.restore(None, B) if two.promote(B) else None
    two.register(made / C)
    two.promote(C)
    assert two.restore(A, B) == C
    assert two.versions() == (C, A)


def test_history__a_clock_that_goes_back_does_not_change_the_order(two):
    with sqlite3.connect("mlflow.db") as database:  # the first promotion was made by a machine that is ahead
        database.execute("UPDATE registered_model_tags SET value = json_set(value, '$.at', '2099-01-01T00:00:00Z')")
    two.promote(B)
    assert [event.version for event in two.history()] == [A, B]
    assert two.history()[0].at > two.history()[1].at
    assert roll_back(two) == (A, B)


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


def test_fetch__another_whole_release_in_its_place_is_refused(two, made, tmp_path):
    files = release_files(two, A)
    shutil.rmtree(files)
    shutil.copytree(made / B, files)
    nothing_left(two, r"the files of v0\.1\.0 are not those that were registered", tmp_path / "to")


def test_fetch__evidence_about_another_bundle_with_a_new_list_is_refused(two, made, tmp_path):
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
    assert not list((ROOT / "build").glob(".compare.*"))


def test_compare__figures_on_other_rows_are_not_subtracted(two, made, tmp_path):
    bundle = shutil.copytree(made / f"bundle-{A}", tmp_path / "other")
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps(manifest | {"data_fingerprint": "1" * 64}))
    build(judge(bundle, tmp_path / "judged"), tmp_path / C, C)
    two.register(tmp_path / C)
    said = comparison_table(two, A, C)
    assert "+0.000" not in said
    assert said.splitlines()[-1].startswith("Other rows were scored, so these figures do not compare")


# --- which registry, and the scripts


def test_chosen_registry__is_what_the_file_says_unless_the_variable_says_otherwise(tmp_path, monkeypatch):
    configs = tmp_path / "configs"
    shutil.copytree(EXAMPLE, configs)
    monkeypatch.delenv("TEXTGATE_REGISTRY", raising=False)
    monkeypatch.setenv("GITHUB_REPOSITORY", "team/model")
    assert isinstance(chosen_registry(configs), MlflowRegistry)
    monkeypatch.setenv("TEXTGATE_REGISTRY", "github")
    assert isinstance(chosen_registry(configs), GitHubReleases)
    monkeypatch.delenv("TEXTGATE_REGISTRY")
    (configs / "registry.yaml").write_text("kind: github\n")
    assert isinstance(chosen_registry(configs), GitHubReleases)
    monkeypatch.delenv("GITHUB_REPOSITORY")
    with pytest.raises(
        CannotTell, match=r"^kind in .*configs/registry\.yaml is github, so .* is '': set it to owner/name"
    ):
        chosen_registry(configs)
    (configs / "registry.yaml").write_text("kind: s3\n")
    with pytest.raises(CannotTell, match=r"registry\.yaml: kind: .*'mlflow'.*'github'"):
        chosen_registry(configs)
    for value in ("", "GitHub"):
        monkeypatch.setenv("TEXTGATE_REGISTRY", value)
        with pytest.raises(CannotTell, match=rf"TEXTGATE_REGISTRY is '{value}': set it to one of mlflow, github, or"):
            chosen_registry(configs)


@pytest.mark.parametrize("address", ["sqlite://", "sqlite:///", "sqlite:///?x=1", "sqlite:mlflow.db"])
def test_store__an_address_that_names_no_file_is_said(monkeypatch, address):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with pytest.raises(CannotTell, match=r"which names no file: write it as sqlite:///mlflow\.db"):
        store()


def test_store__an_address_that_mlflow_does_not_know_is_one_line_without_its_password():
    registry = MlflowRegistry(Store("bogus://ann:secret@x", None))
    with pytest.raises(CannotTell, match="MLflow at bogus://x says: ") as caught:
        registry.current()
    assert "secret" not in str(caught.value)


def test_scripts__a_version_goes_in_serves_and_is_gone_back_from(two, tmp_path, made):
    def script(*options):
        note = tmp_path / "output"
        note.write_text("")
        code, said, err = finished(run_script("registry", *options, GITHUB_OUTPUT=str(note)))
        return code, said, err, outputs(note)

    shutil.copytree(EXAMPLE, tmp_path / "configs")
    assert script("register", made / C) == (
        0, "v0.3.0 is published, and not yet the champion\n", "", {"version": C, "state": "new"}
    )  # fmt: skip
    code, said, _, found = script("fetch", "--version", "challenger", "--to", "candidate")
    assert (code, found) == (0, {"champion": "candidate", "version": C})
    assert script("promote", "0.3.0")[3] == {"previous": A, "moving": "true"}
    code, _, err, found = script("fetch", "--version", "challenger", "--to", "candidate")
    assert (code, err) == (1, "refused: there is no challenger: register a version that is newer than the champion\n")
    code, said, _, found = script("rollback")
    assert (code, found) == (0, {"version": A, "previous": C})
    assert said == "v0.1.0 is the champion again in the place of v0.3.0; to go further back, promote a version\n"
    assert script("history")[1].count("\n") == 4
    assert script("compare", A, "0.3.0")[1].startswith("      ")
    assert script("retire", "0.3.0")[:2] == (
        0, "v0.3.0 is retired: it stays where it is, and is never promoted or fetched again\n"
    )  # fmt: skip
    assert script("current")[1] == "the champion is v0.1.0\n"
