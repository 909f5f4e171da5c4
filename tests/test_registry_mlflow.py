"""MLflow as a registry, in the store that is in a folder: one champion, whole versions, nothing overwritten."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys

import pytest
from tests.mlflow_example import A, B, C, aliases, embedded, release_files
from tests.project import EXAMPLE
from tests.run_script import ROOT, finished, outputs, run_script

from textgate.bundle import digest
from textgate.errors import CannotTell, Refused
from textgate.registry.rollback import roll_back
from textgate.release.release import build

pytest_plugins = ("tests.mlflow_fixtures",)


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


def test_current__a_store_with_runs_alone_says_none_without_mlflow(embedded_registry):
    """MLflow takes seconds to import, and most first pull requests have nothing to compare with."""
    code = (
        "import sys; from textgate.registry.chosen import chosen_registry as found; "
        "print(found().current(), 'mlflow' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "TEXTGATE_REGISTRY": "mlflow"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "None False\n"


def test_current__a_version_that_nobody_promoted_is_no_champion(embedded_registry, three_releases):
    embedded_registry.register(three_releases / A)
    assert (embedded_registry.current(), embedded_registry.challenger()) == (None, A)


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


def test_register__again_is_already_there_and_changes_nothing(two, three_releases):
    before = sqlite3.connect("mlflow.db").execute("SELECT count(*) FROM runs").fetchone()
    assert two.register(three_releases / B)[1] == "already"
    assert two.register(three_releases / A)[1] == "already"
    assert (two.current(), two.challenger(), two.versions()) == (A, B, (B, A))
    assert sqlite3.connect("mlflow.db").execute("SELECT count(*) FROM runs").fetchone() == before


def test_register__a_version_that_served_does_not_come_back_as_challenger(two, three_releases):
    two.promote(B)
    two.promote(A)
    assert two.register(three_releases / B)[1] == "already"
    assert two.challenger() is None


def test_register__a_version_with_other_content_is_never_overwritten(two, three_releases, tmp_path):
    build(three_releases / f"judged-{B}", tmp_path / "other", A)
    with pytest.raises(Refused, match=r"v0\.1\.0 is released already, with other content: take another version, none"):
        two.register(tmp_path / "other")
    two.retire(B)
    with pytest.raises(Refused, match=r"v0\.2\.0 is released already, and retired: take another version"):
        two.register(three_releases / B)
    assert two.versions() == (A,)


def test_register__a_folder_that_is_no_whole_release_makes_no_store(tmp_path, monkeypatch, three_releases):
    registry = embedded(tmp_path, monkeypatch)
    folder = shutil.copytree(three_releases / A, tmp_path / A)
    (folder / "scan.json").unlink()
    with pytest.raises(Refused, match=r"scan\.json is missing"):
        registry.register(folder)
    assert [path.name for path in tmp_path.iterdir()] == [A]


def test_register__of_two_with_one_name_the_first_one_counts_and_the_second_goes(two, three_releases):
    """No lock holds on a server: the same command from two machines."""
    from textgate.evidence import Release
    from textgate.files import sha256_file
    from textgate.registry.mlflow_changes import add
    from textgate.registry.mlflow_registry import NOTHING

    release = Release.model_validate_json((three_releases / A / "release.json").read_text())
    with two.store.reading() as client:
        add(client, two.store, three_releases / A, release, sha256_file(three_releases / A / "SHA256SUMS"), NOTHING)
    assert two.versions() == (B, A)


def test_register__what_does_not_arrive_as_it_is_here_is_no_version(two, three_releases):
    from textgate.evidence import Release
    from textgate.registry.mlflow_changes import add
    from textgate.registry.mlflow_registry import NOTHING

    release = Release.model_validate_json((three_releases / C / "release.json").read_text())
    with (
        two.store.reading() as client,
        pytest.raises(CannotTell, match=r"the files of v0\.3\.0 did not arrive as they are here: run this again"),
    ):
        add(client, two.store, three_releases / C, release, "0" * 64, NOTHING)
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


def test_promote__is_said_to_begin_before_anything_changes_and_not_if_it_is_refused(two):
    said = []
    two.promote(B, moving=lambda: said.append(two.current()))
    assert said == [A]
    two.retire(A)
    for version in (A, "v9.9.9"):
        with pytest.raises(Refused):
            two.promote(version, moving=lambda: said.append("again"))
    assert said == [A]


def test_retire__the_champion_is_refused_and_files_stay(two):
    with pytest.raises(Refused, match=r"v0\.1\.0 is the champion: promote another version first"):
        two.retire(A)
    files = release_files(two, B)
    two.retire(B)
    assert (files / "SHA256SUMS").is_file()
    assert two.find_digest(json.loads((files / "release.json").read_text())["bundle_digest"]) is None


def test_find_digest__is_the_newest_version_of_a_bundle_or_the_one_asked_about(two, three_releases, tmp_path):
    named = digest(three_releases / f"judged-{A}" / "model")
    assert (two.find_digest(named), two.find_digest(named, B), two.find_digest("0" * 64)) == (A, None, None)
    build(three_releases / f"judged-{A}", tmp_path / "again", "v1.0.0")
    two.register(tmp_path / "again")
    assert (two.find_digest(named), two.find_digest(named, A)) == ("v1.0.0", A)


# --- rollback, restore, history


def test_rollback__returns_to_what_served_before_and_a_second_one_goes_no_further(two, three_releases):
    two.promote(B)
    two.register(three_releases / C)
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


def test_rollback__there_is_none_for_the_first_version_a_retired_one_and_no_champion(embedded_registry, three_releases):
    with pytest.raises(Refused, match="there is no champion to go back from: promote a version"):
        roll_back(embedded_registry)
    embedded_registry.register(three_releases / A)
    embedded_registry.promote(A)
    with pytest.raises(Refused, match=r"no version served before v0\.1\.0: promote the one that you want"):
        roll_back(embedded_registry)
    embedded_registry.register(three_releases / B)
    embedded_registry.promote(B)
    embedded_registry.retire(A)
    with pytest.raises(Refused, match=r"v0\.1\.0 is retired, so it is not for production"):
        roll_back(embedded_registry)
    assert embedded_registry.current() == B


def test_rollback__a_champion_promoted_meanwhile_stays(two, three_releases):
    two.promote(B)
    two.register(three_releases / C)
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


def test_restore__of_the_first_version_leaves_none(embedded_registry, three_releases):
    embedded_registry.register(three_releases / A)
    previous = embedded_registry.promote(A)
    for _ in range(2):
        assert embedded_registry.restore(previous, A) is None
        assert (embedded_registry.current(), embedded_registry.versions()) == (None, ())
    assert steps(embedded_registry) == [(None, A, False), (A, None, True)]


def test_restore__without_a_way_back_and_with_a_third_version(two, three_releases):
    with pytest.raises(CannotTell, match=r"v0\.2\.0 replaced no version, so there is no way back \(there are v0\.1"):
        two.restore(None, B) if two.promote(B) else None
    two.register(three_releases / C)
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


def test_scripts__a_version_goes_in_serves_and_is_gone_back_from(two, tmp_path, three_releases):
    def script(*options):
        note = tmp_path / "output"
        note.write_text("")
        code, said, err = finished(run_script("registry", *options, GITHUB_OUTPUT=str(note)))
        return code, said, err, outputs(note)

    shutil.copytree(EXAMPLE, tmp_path / "configs")
    assert script("register", three_releases / C) == (
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
    code, said, err, found = script("promote", "0.3.0")
    assert (code, said, found) == (1, "", {})
    assert err == "refused: v0.3.0 is retired, so it is not for production: name another version\n"
    assert script("current")[1] == "the champion is v0.1.0\n"
