"""What goes wrong around an embedded MLflow store: two at once, locks, full disks, many versions."""

import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from tests.mlflow_example import A, B, C, aliases
from tests.project import EXAMPLE
from tests.run_script import ROOT, UNCOMPILED, finished, run_script

from textgate.errors import CannotTell
from textgate.registry.history import Event
from textgate.registry.rollback import roll_back

pytest_plugins = ("tests.mlflow_fixtures",)


@pytest.fixture(autouse=True)
def _configs(tmp_path):
    shutil.copytree(EXAMPLE, tmp_path / "configs")


def test_promote__killed_between_the_event_and_the_alias_it_did_not_happen(two):
    with two.store.reading() as client:
        event = Event(number=2, before=A, version=B, at="2026-01-01T00:00:00Z", by="killed")
        client.set_registered_model_tag("textgate", "event.000002.00000000", event.model_dump_json())
    assert (two.current(), len(two.history())) == (A, 1)
    two.promote(B)
    assert [(event.number, event.version) for event in two.history()] == [(1, A), (3, B)]


def test_promote__while_another_process_changes_the_store_it_is_told_so(two):
    with two.store.changing():
        code, _, err = finished(run_script("registry", "promote", B))
    assert code == 2
    assert err.startswith("cannot tell: another process is changing the registry in ")
    assert err.endswith("mlflow.db: wait for it, then run this again\n")
    assert (two.current(), len(two.history())) == (A, 1)


def test_promote__two_processes_at_once_leave_one_champion_and_a_history_that_fits(two, three_releases):
    two.register(three_releases / C)
    processes = [run_script("registry", "promote", version) for version in (B, C)]
    ended = [finished(process) for process in processes]
    assert {code for code, _, _ in ended} <= {0, 2}
    won = [version for version, (code, _, _) in zip((B, C), ended, strict=True) if code == 0]
    assert won
    assert all("another process is changing the registry" in err for code, _, err in ended if code)
    assert two.current() in won
    steps = [(event.before, event.version) for event in two.history()]
    assert {version for _, version in steps} == {A, *won}
    assert all(event.number for event in two.history())


@pytest.mark.parametrize("lock", ["IMMEDIATE", "EXCLUSIVE"])
def test_promote__a_database_that_another_program_holds_is_said_soon(two, lock):
    with closing(sqlite3.connect("mlflow.db", isolation_level=None)) as other:
        other.execute(f"BEGIN {lock}")
        started = time.monotonic()
        with pytest.raises(
            CannotTell, match=r"mlflow\.db: database is locked: wait for the program that uses it, then"
        ):
            two.promote(B)
        assert time.monotonic() - started < 30
        other.execute("ROLLBACK")
    assert two.current() == A
    assert two.promote(B) == A


def test_current__a_database_that_another_program_holds_is_not_none_yet(embedded_registry):
    with closing(sqlite3.connect("mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(CannotTell, match=r"mlflow\.db: database is locked"):
            embedded_registry.current()


@pytest.mark.parametrize("most", [20_000, 1_500_000])
def test_register__a_full_disk_is_one_line_and_nothing_is_registered(two, three_releases, most):
    """The limit of a file stands for a disk: the first stops the database, the second the files."""
    command = [sys.executable, str(ROOT / "scripts" / "registry.py"), "register", str(three_releases / C)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | UNCOMPILED,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("cannot tell: ")
    assert done.stderr.count("\n") == 1
    assert (two.versions(), two.challenger()) == ((B, A), B)
    assert two.register(three_releases / C)[1] == "new"
    assert len(list(Path("mlruns/releases").iterdir())) == 3


@pytest.mark.parametrize("command", [("promote", B), ("fetch", "--to", "got")])
def test_registry__on_a_full_disk_nothing_moves_and_nothing_half_fetched_stays(two, command):
    script = [sys.executable, str(ROOT / "scripts" / "registry.py"), *command]
    done = subprocess.run(
        ["prlimit", "--fsize=20000", *script], capture_output=True, text=True, check=False, env=os.environ | UNCOMPILED
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert done.stderr.startswith("cannot tell: ")
    assert (two.current(), len(two.history())) == (A, 1)
    assert list(Path.cwd().glob("*got*")) == []
    code, _, err = finished(run_script("registry", *command))
    assert (code, err) == (0, "")


def test_register__a_folder_without_rights_is_one_line(two, three_releases):
    """Root may write everywhere, so a file in the place of the folder stands for it."""
    shutil.rmtree("mlruns")
    Path("mlruns").write_text("")
    code, _, err = finished(run_script("registry", "register", three_releases / C))
    assert (code, err.count("\n")) == (2, 1)
    assert "mlruns" in err


def fill(versions):
    """Put many versions into the store, as if each had been registered, and half of them promoted."""
    with closing(sqlite3.connect("mlflow.db")) as database, database:
        tags = dict(
            database.execute("SELECT key, value FROM model_version_tags WHERE name = 'textgate' AND version = 1")
        )
        row = database.execute("SELECT * FROM model_versions WHERE name = 'textgate' AND version = 1").fetchone()
        columns = [column[1] for column in database.execute("PRAGMA table_info(model_versions)")]
        before = A
        for number in range(3, versions + 1):
            values = dict(zip(columns, row, strict=True)) | {"version": number}
            marks = ", ".join("?" * len(columns))
            database.execute(f"INSERT INTO model_versions ({', '.join(columns)}) VALUES ({marks})", [*values.values()])
            version = f"v1.0.{number}"
            for key, value in (tags | {"version": version}).items():
                database.execute(
                    "INSERT INTO model_version_tags (name, version, key, value) VALUES ('textgate', ?, ?, ?)",
                    (number, key, value),
                )
            event = Event(number=number, before=before, version=version, at="2026-01-01T00:00:00Z", by="ann")
            database.execute(
                "INSERT INTO registered_model_tags (name, key, value) VALUES ('textgate', ?, ?)",
                (f"event.{number:06}.00000000", event.model_dump_json()),
            )
            before = version
        database.execute("UPDATE registered_model_aliases SET version = ? WHERE alias = 'champion'", (versions,))


def test_history__with_200_versions_history_and_fetch_take_less_than_2_s(two, tmp_path):
    fill(200)
    two.current()  # MLflow is imported now
    started = time.process_time()  # of the processor: how long others made it wait says nothing about us
    happened = two.history()
    history_s = time.process_time() - started
    started = time.process_time()
    two.fetch(B, tmp_path / "to")
    fetch_s = time.process_time() - started
    assert (len(two.versions()), len(happened), two.current()) == (200, 199, "v1.0.200")
    assert (history_s < 2, fetch_s < 2) == (True, True), (history_s, fetch_s)
    two.promote(A)
    assert aliases("mlflow.db")["champion"] == A


def test_rollback__takes_less_than_10_s_of_work_from_a_cold_start(two):
    two.promote(B)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code, _, err = finished(run_script("registry", "rollback"))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (code, err) == (0, "")
    # Of the processor: how long others made it wait says nothing about us.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 10
    assert two.current() == A
    assert roll_back(two) == (A, B)


def test_history__any_order_of_changes_and_kills_keeps_the_chain_whole(two, three_releases):
    """The last link of what happened is always the champion."""
    two.register(three_releases / C)
    for version, kill in ((B, True), (C, False), (A, True), (B, False), (B, True), (A, False)):
        if kill:
            with two.store.reading() as client:
                number = max(event.number for event in two.history()) + 1
                event = Event(number=number, before=two.current(), version=version, at="2026-01-01T00:00:00Z", by="x")
                if event.before != event.version:
                    client.set_registered_model_tag("textgate", f"event.{number:06}.0000000a", event.model_dump_json())
        else:
            two.promote(version)
        happened = two.history()
        assert happened[-1].version == two.current()
        assert all(one.version == other.before for one, other in pairwise(happened))
