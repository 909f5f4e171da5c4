"""All runs of a store are seen side by side, from a file and from a server; a store that is not there is one line."""

import csv
import io
import os
import sqlite3
import subprocess
import sys
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.evidence_examples import example, sha
from tests.kept_port import kept_port
from tests.mlflow_server import mlflow_server

from textgate import tracking
from textgate.choose import Choice
from textgate.config import Experiment, Tfidf, TrainConfig
from textgate.errors import CannotTell
from textgate.experiments.runs import Run, one_a_bundle, read_runs
from textgate.experiments.table import as_csv, differing

ROOT = Path(__file__).resolve().parent.parent
FOUND = example()
COMMIT = "3c037782256f0e1d2c3b4a5968778695a4b3c2d1"
BUNDLES = {sha("first"): (1.0, "001_baseline"), sha("second"): (2.0, "001_baseline"), sha("third"): (2.0, "020_other")}
EVALUATED = list(BUNDLES)[:2]


def record(digest):
    """Log a training, and for some an evaluation."""
    c, name = BUNDLES[digest]
    train = TrainConfig(experiment=name, baseline="b", seed=13, device="cpu", threads=2, tracking="mlflow")
    model = Tfidf(kind="tfidf", min_n=2, max_n=5, min_df=1, c=c)
    choice = Choice(train=train, experiments={"b": Experiment(description="x", model=model)})
    report = FOUND.train.model_copy(update={"bundle_digest": digest, "experiment": name})
    tracking.log_training(choice, FOUND.data, report)
    if digest in EVALUATED:
        tracking.log_evaluation(train, FOUND.metrics.model_copy(update={"bundle_digest": digest}))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Return a folder with a store of three bundles, the third not evaluated; the first one is trained twice."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        for digest in (*BUNDLES, next(iter(BUNDLES))):
            record(digest)
        from mlflow import MlflowClient

        client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
        client.create_run(client.get_experiment_by_name("textgate").experiment_id)  # somebody else's: no bundle
        yield folder


@pytest.fixture(scope="module")
def server(project, tmp_path_factory):
    """Start MLflow's UI on the store, as `make mlflow` does, and return its address."""
    log = tmp_path_factory.mktemp("server") / "log"
    with mlflow_server(project, log, "ui", "--backend-store-uri", "sqlite:///mlflow.db") as address:
        yield address


def show(folder, *options, **environment):
    """Run the script in a folder, as make does."""
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "experiments.py"), *options],
        cwd=folder,
        env={key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


@pytest.fixture(scope="module")
def shown(project):
    """Return what the script prints without options."""
    return show(project).stdout


def cells(output):
    """Return the rows of a printed table, without the header."""
    rows = [line.split("│")[1:-1] for line in output.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in row] for row in rows]


def run(number, digest="a", **changes):
    """Return a run that was started on a day of this number."""
    usual = {"experiment": "e", "digest": digest, "commit": "", "params": {}, "metrics": {}}
    return Run(started=datetime(2026, 1, number, tzinfo=UTC), **usual | changes)


def test_table__shows_each_bundle_once_newest_first_with_its_figures(shown):
    rows = cells(shown)
    third, second, first = list(BUNDLES)[::-1]
    assert [row[9] for row in rows] == [third[:12], second[:12], first[:12]]
    test = FOUND.metrics.of("candidate").test
    for row in rows[1:]:
        assert row[1] == "001_baseline"
        assert row[3] == f"{FOUND.train.valid_macro_f1['candidate']:.3f}"
        estimates = [f"{e.value:.3f} ({e.low:.3f} to {e.high:.3f})" for e in (test.macro_f1, test.accuracy)]
        assert row[4:6] == estimates
        assert row[6] == f"{FOUND.metrics.of('candidate').external.accuracy.value:.3f}"
        assert row[7:9] == ["14.2", "2 min 11 s"]


def test_table__a_bundle_that_was_not_evaluated_has_no_test_figures(shown):
    row = cells(shown)[0]
    assert row[1] == "020_other"
    assert row[4:8] == ["-"] * 4


def test_table__names_only_the_parameters_that_differ(shown):
    assert [row[2] for row in cells(shown)] == ["b.c 2.0", "b.c 2.0", "b.c 1.0"]


def test_table__marks_the_production_model(project, shown):
    build = project / "build"
    build.mkdir()
    champion = f'{{"schema_version": 1, "state": "given", "name": "v1", "path": "x", "digest": "{EVALUATED[1]}"}}'
    (build / "champion.json").write_text(champion)
    said = show(project).stdout
    (build / "champion.json").unlink()
    build.rmdir()
    assert [row[9][-1] == "*" for row in cells(said)] == [False, True, False]
    assert "* the production model" in said
    assert "production model" not in shown


def test_table__last_shows_the_newest_and_says_that_there_are_more(project):
    said = show(project, "--last", "1").stdout
    assert [row[9] for row in cells(said)] == [list(BUNDLES)[2][:12]]
    assert "the newest 1 of 3 bundles: --last 3 shows all" in said
    assert show(project, "--last", "0").returncode == 2


def test_csv__holds_every_parameter_and_every_figure(project, tmp_path):
    assert show(project, "--csv", str(tmp_path / "runs.csv")).returncode == 0
    rows = list(csv.DictReader(io.StringIO((tmp_path / "runs.csv").read_text())))
    assert [row["digest"] for row in rows] == list(BUNDLES)[::-1]
    first = rows[-1]
    assert (first["experiments.b.c"], first["train.seed"], first["champion"]) == ("1.0", "13", "False")
    test = FOUND.metrics.of("candidate").test
    assert float(first["test_accuracy_low"]) == test.accuracy.low
    assert float(first["test_f1.1"]) == test.labels[1].f1.value
    assert rows[0]["test_accuracy"] == ""


def test_runs__are_the_same_from_a_server(project, server, shown):
    over_http = show(project, MLFLOW_TRACKING_URI=server)
    assert over_http.stdout == shown
    assert len(cells(over_http.stdout)) == 3


def test_runs__are_recorded_by_a_server(server, project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    metrics = FOUND.metrics.model_copy(update={"bundle_digest": "5" * 64})
    train = TrainConfig(experiment="x", baseline="b", seed=1, device="cpu", threads=2, tracking="mlflow")
    tracking.log_evaluation(train, metrics)
    newest = read_runs()[0]
    from mlflow import MlflowClient

    client = MlflowClient(server)
    (found,) = client.search_runs(
        [client.get_experiment_by_name("textgate").experiment_id], f"tags.bundle_digest = '{'5' * 64}'"
    )
    client.delete_run(found.info.run_id)
    assert (newest.digest, newest.experiment) == ("5" * 64, "003_ensemble")


def test_mlflow__its_page_and_the_pictures_of_a_run_are_there(server, project):
    from mlflow import MlflowClient

    assert b"MLflow" in urllib.request.urlopen(server, timeout=600).read()
    client = MlflowClient(server)
    experiment = client.get_experiment_by_name("textgate").experiment_id
    (found,) = client.search_runs([experiment], f"tags.bundle_digest = '{EVALUATED[1]}'")
    picture = f"{server}/get-artifact?path=confusion.png&run_uuid={found.info.run_id}"
    assert urllib.request.urlopen(picture, timeout=600).read().startswith(b"\x89PNG")


def test_one_a_bundle__the_newest_counts_and_an_older_one_fills_what_it_lacks():
    old = run(1, metrics={"test_accuracy": 0.9, "train_seconds": 1.0}, commit="old")
    new = run(2, metrics={"train_seconds": 2.0}, commit="new")
    (found,) = one_a_bundle([new, old])
    assert found.metrics == {"test_accuracy": 0.9, "train_seconds": 2.0}
    assert (found.started, found.commit) == (new.started, "new")


def test_one_a_bundle__is_newest_first():
    assert [found.digest for found in one_a_bundle([run(2, "b"), run(3, "c"), run(1, "a")])] == ["c", "b", "a"]


def test_differing__a_parameter_that_only_some_runs_have_does_not_differ():
    runs = [run(1, params={"c": "1", "seed": "13"}), run(2, params={"seed": "13", "epochs": "3"})]
    assert differing(runs) == ()
    assert differing([*runs, run(3, params={"c": "2"})]) == ("c",)


def test_differing__the_experiment_has_a_column_of_its_own():
    assert differing([run(1, params={"train.experiment": "a"}), run(2, params={"train.experiment": "b"})]) == ()


def test_table__an_older_store_without_intervals_is_read(tmp_path, monkeypatch):
    from rich.console import Console

    from textgate.experiments.table import table

    console = Console(width=200, file=io.StringIO())
    console.print(table([run(1, metrics={"test_macro_f1": 0.9}, commit="no git")], None))
    assert cells(console.file.getvalue())[0][4] == "0.900"


def test_table__a_name_cannot_steer_the_terminal():
    from rich.console import Console

    from textgate.experiments.table import table

    console = Console(width=200, file=io.StringIO())
    console.print(table([run(1, experiment="\x1b[2J[red]\n", commit=f"{COMMIT}+changes")], None))
    (row,) = cells(console.file.getvalue())
    assert (row[1], row[10]) == ("?[2J[red]?", "3c03778+")


def test_csv__a_champion_is_marked():
    (row,) = csv.DictReader(io.StringIO(as_csv([run(1, "x")], "x")))
    assert row["champion"] == "True"


def one_line(said):
    assert (said.returncode, said.stdout) == (2, "")
    (line,) = said.stderr.splitlines()
    return line


def test_store__a_missing_one_is_said_and_not_made(tmp_path):
    cure = 'nothing was recorded here yet: run "make pr" with tracking: mlflow first'
    assert one_line(show(tmp_path)) == f"cannot tell: mlflow.db is missing: {cure}"
    assert list(tmp_path.iterdir()) == []


def test_store__an_empty_one_is_said(tmp_path):
    sqlite3.connect(tmp_path / "mlflow.db").close()
    (tmp_path / "mlflow.db").touch()
    cure = 'run "make pr" with tracking: mlflow first'
    assert one_line(show(tmp_path)) == f"cannot tell: mlflow.db holds no run yet: {cure}"


def test_store__a_locked_one_is_said(tmp_path):
    holder = sqlite3.connect(tmp_path / "mlflow.db")
    holder.execute("CREATE TABLE held (a)")
    holder.execute("BEGIN EXCLUSIVE")
    line = one_line(show(tmp_path))
    holder.close()
    cure = "end the program that holds it, then run again"
    assert line == f"cannot tell: mlflow.db: database is locked: {cure}"


def test_store__what_is_no_database_is_said(tmp_path):
    (tmp_path / "mlflow.db").write_text("hello, I am no database at all")
    line = one_line(show(tmp_path))
    assert line == "cannot tell: mlflow.db: file is not a database: move it away, or mend it, then run again"


def test_store__a_server_that_is_away_is_said_without_its_password(tmp_path):
    with kept_port() as port:
        line = one_line(show(tmp_path, MLFLOW_TRACKING_URI=f"http://ann:secret@127.0.0.1:{port}"))
    where = f"http://127.0.0.1:{port}"
    assert line.startswith(f"cannot tell: the MLflow store {where} cannot be read: {where} does not answer (")
    assert line.endswith("): look whether it runs, and at MLFLOW_TRACKING_URI")


def test_store__an_address_that_is_none_is_said(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:")
    with pytest.raises(
        CannotTell, match=r"MLFLOW_TRACKING_URI is 'sqlite:', which names no file: write it as sqlite:///mlf"
    ):
        read_runs()


def test_store__an_empty_variable_is_no_address(project, shown):
    assert show(project, MLFLOW_TRACKING_URI="").stdout == shown


def test_store__a_broken_champion_is_said_and_not_taken_for_none(project):
    (project / "build").mkdir()
    (project / "build" / "champion.json").write_text("{}")
    line = one_line(show(project))
    (project / "build" / "champion.json").unlink()
    (project / "build").rmdir()
    assert line.startswith("cannot tell: build/champion.json: state: ")
