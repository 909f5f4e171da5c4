"""A run is found again by its bundle's digest, with what was trained and how it did; no store ever stops a run."""

from pathlib import Path

import pytest
from tests.evidence_examples import BUNDLE, example
from tests.small import TFIDF, transformer_config

from textgate import tracking
from textgate.choose import Choice
from textgate.config import Ensemble, Experiment, TrainConfig

FOUND = example()


def choice(store="mlflow"):
    train = TrainConfig(experiment="both", baseline="baseline", seed=13, device="auto", threads=2, tracking=store)
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
    assert run.data.metrics["test_macro_f1"] == candidate.test.macro_f1.value
    assert run.data.metrics["external_accuracy"] == candidate.external.accuracy.value
    assert run.data.metrics["latency_p95_ms"] == candidate.latency.p95_ms
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["confusion.png"]
    picture = client.download_artifacts(run.info.run_id, "confusion.png")
    assert Path(picture).read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


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


def test_log__nothing_is_written_if_nothing_is_wanted(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    tracking.log_training(choice("none"), FOUND.data, FOUND.train)
    tracking.log_evaluation(choice("none").train, FOUND.metrics)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
