"""A run is found again by its bundle's digest, with what was trained and how it did; no store ever stops a run."""

import contextlib
import os
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from tests.evidence_examples import BUNDLE, example
from tests.small import TFIDF, transformer_config

from textgate import tracking
from textgate.choose import Choice
from textgate.config import Ensemble, Experiment, TrainConfig

FOUND = example()
ROOT = Path(__file__).resolve().parent.parent
WITHOUT_WANDB = """
import sys
sys.modules["wandb"] = None  # what Python itself notes for a module that cannot be had
from tests.test_tracking import FOUND, choice
from textgate import tracking
tracking.log_evaluation(choice("wandb").train, FOUND.metrics)
"""


def choice(store="mlflow", seed=13):
    train = TrainConfig(experiment="both", baseline="baseline", seed=seed, device="auto", threads=2, tracking=store)
    both = Ensemble(kind="ensemble", parts=("baseline", "slow"))
    long = transformer_config().base.model_copy(update={"member": "x" * 10_000})
    models = {"both": both, "baseline": TFIDF, "slow": transformer_config(base=long)}
    return Choice(
        train=train, experiments={name: Experiment(description="x", model=model) for name, model in models.items()}
    )


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """Return a client of a real store into which one training and its evaluation were logged."""
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        tracking.log_training(choice(), FOUND.data, FOUND.train)
        tracking.log_evaluation(choice().train, FOUND.metrics)
        from mlflow import MlflowClient

        yield MlflowClient(f"sqlite:///{folder}/mlflow.db")


@pytest.fixture
def run(client):
    """Return the one run that is there."""
    experiment = client.get_experiment_by_name("textgate")
    (found,) = client.search_runs([experiment.experiment_id])
    return found


def test_log_training__is_found_by_the_digest_of_the_bundle(client, run):
    experiment = client.get_experiment_by_name("textgate").experiment_id
    (found,) = client.search_runs([experiment], f"tags.bundle_digest = '{BUNDLE}'")
    assert found.info.run_id == run.info.run_id
    assert found.info.status == "FINISHED"
    assert run.data.tags["data_fingerprint"] == FOUND.data.fingerprint
    assert run.data.tags["commit"] == "no git"


def test_log_training__holds_every_parameter_of_every_experiment_that_had_a_part(run):
    assert run.data.params["train.seed"] == "13"
    assert run.data.params["experiments.both.parts"] == "('baseline', 'slow')"
    assert run.data.params["experiments.baseline.kind"] == "tfidf"
    assert run.data.params["experiments.slow.kind"] == "transformer"
    assert float(run.data.params["experiments.slow.learning_rate"]) == 5e-3
    assert run.data.params["experiments.slow.base.wheel"] == "tiny==1"


def test_log_training__a_value_too_long_for_mlflow_is_cut(run):
    assert run.data.params["experiments.slow.base.member"] == "x" * 6000


def test_log_training__holds_the_course_of_the_epochs(client, run):
    history = client.get_metric_history(run.info.run_id, "epoch.valid_macro_f1")
    assert [(point.step, point.value) for point in history] == [
        (epoch.epoch, epoch.valid_macro_f1) for epoch in FOUND.train.epochs
    ]
    assert run.data.metrics["valid_macro_f1.candidate"] == FOUND.train.valid_macro_f1["candidate"]


def test_log_evaluation__adds_figures_and_the_confusion_picture_to_the_same_run(client, run):
    candidate = FOUND.metrics.of("candidate")
    for name, estimate in (("accuracy", candidate.test.accuracy), ("macro_f1", candidate.test.macro_f1)):
        ends = [run.data.metrics[f"test_{name}{end}"] for end in ("", "_low", "_high")]
        assert ends == [estimate.value, estimate.low, estimate.high]
    assert run.data.metrics["test_f1.2_low"] == candidate.test.labels[2].f1.low
    assert run.data.metrics["external_accuracy"] == candidate.external.accuracy.value
    assert run.data.metrics["latency_p95_ms"] == candidate.latency.p95_ms
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["confusion.png"]
    picture = client.download_artifacts(run.info.run_id, "confusion.png")
    assert Path(picture).read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_log_training__the_same_bundle_again_is_the_same_run_with_what_it_was_first_made_of(
    tmp_path, monkeypatch, client
):
    monkeypatch.chdir(tmp_path)
    for seed, seconds in ((13, 10.0), (14, 20.0)):
        report = FOUND.train.model_copy(update={"bundle_digest": "8" * 64, "seconds": seconds})
        tracking.log_training(choice(seed=seed), FOUND.data, report)
    experiment = client.get_experiment_by_name("textgate").experiment_id
    (found,) = client.search_runs([experiment], f"tags.bundle_digest = '{'8' * 64}'")
    assert (found.data.params["train.seed"], found.data.metrics["train_seconds"]) == ("13", 20.0)
    assert len(client.get_metric_history(found.info.run_id, "epoch.train_loss")) == len(FOUND.train.epochs)
    client.delete_run(found.info.run_id)


def test_log_training__a_run_that_was_killed_at_its_start_is_filled(tmp_path, monkeypatch, client):
    monkeypatch.chdir(tmp_path)
    experiment = client.get_experiment_by_name("textgate").experiment_id
    begun = client.create_run(experiment, tags={"bundle_digest": "7" * 64})
    tracking.log_training(choice(), FOUND.data, FOUND.train.model_copy(update={"bundle_digest": "7" * 64}))
    found = client.get_run(begun.info.run_id)
    assert (found.info.status, found.data.params["train.seed"]) == ("FINISHED", "13")
    client.delete_run(begun.info.run_id)


def test_log_evaluation__without_an_earlier_run_starts_one(tmp_path, monkeypatch, client):
    monkeypatch.chdir(tmp_path)
    metrics = FOUND.metrics.model_copy(update={"bundle_digest": "9" * 64})
    tracking.log_evaluation(choice().train, metrics)
    experiment = client.get_experiment_by_name("textgate").experiment_id
    (found,) = client.search_runs([experiment], f"tags.bundle_digest = '{'9' * 64}'")
    assert found.data.metrics["test_accuracy"] == FOUND.metrics.of("candidate").test.accuracy.value
    client.delete_run(found.info.run_id)


@pytest.mark.parametrize(
    "address", ["sqlite:///{folder}/junk.db", "sqlite:///{folder}/junk.db/x.db", "bogus://ann:secret@x"]
)
def test_log__a_broken_store_is_said_in_one_line_and_the_run_goes_on(tmp_path, monkeypatch, capfd, address):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "junk.db").write_text("no database")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address.format(folder=tmp_path))
    tracking.log_training(choice(), FOUND.data, FOUND.train)
    tracking.log_evaluation(choice().train, FOUND.metrics)
    said = capfd.readouterr()
    lines = said.err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("not tracked: ") and line.endswith(" (the run goes on)") for line in lines)
    assert "secret" not in said.err


def test_log__a_locked_store_is_said(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    holder = sqlite3.connect(tmp_path / "mlflow.db")
    holder.execute("CREATE TABLE held (a)")
    holder.execute("BEGIN EXCLUSIVE")
    tracking.log_evaluation(choice().train, FOUND.metrics)
    holder.close()
    cure = "end the program that holds it, then run again"
    assert capfd.readouterr().err == f"not tracked: mlflow.db: database is locked: {cure} (the run goes on)\n"


def waiting(server):
    """Return how many connections nobody has taken."""
    server.setblocking(False)
    count = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            server.accept()[0].close()
            count += 1
    return count


def test_log__a_server_that_never_answers_is_given_up_after_three_tries(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        tracking.log_evaluation(choice().train, FOUND.metrics)
        assert waiting(silent) == 3
    said = f"not tracked: {address} does not answer (ReadTimeoutError) (the run goes on)\n"
    assert capfd.readouterr().err == said


def test_log__wandb_that_is_not_installed_is_said_with_the_cure(tmp_path):
    said = subprocess.run(
        [sys.executable, "-c", WITHOUT_WANDB],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT / "src", ROOT)))},
        capture_output=True,
        text=True,
        check=True,
    )
    cure = 'run ".venv/bin/python -m pip install -r requirements-wandb.txt"'
    line = f"not tracked: wandb is not installed: {cure}, or set another tracking in configs/train.yaml"
    assert (said.stdout, said.stderr) == ("", f"{line} (the run goes on)\n")
    assert (ROOT / "requirements-wandb.txt").is_file()


def test_log__nothing_is_written_if_nothing_is_wanted(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    tracking.log_training(choice("none"), FOUND.data, FOUND.train)
    tracking.log_evaluation(choice("none").train, FOUND.metrics)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
