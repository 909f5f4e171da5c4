"""Weights & Biases is given what MLflow is given, without an account, a network or a word on the console."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.evidence_examples import BUNDLE
from tests.kept_port import kept_port
from tests.test_tracking import FOUND, ROOT, choice

from textgate import tracking

KEYS = ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_DIR", "WANDB_PROJECT", "WANDB_RUN_GROUP")
COMMIT = ["-c", "user.name=a", "-c", "user.email=a@b.invalid", "commit", "-q", "--allow-empty", "-m", "x"]
# As the two stages do it: each in a process of its own.
STAGES = {
    "train": "tracking.log_training(choice('wandb'), FOUND.data, FOUND.train)",
    "evaluate": "tracking.log_evaluation(choice('wandb').train, FOUND.metrics)",
}


def stage(name, folder, **environment):
    """Run one stage's record in a process of its own, and return what it printed."""
    clean = {key: value for key, value in os.environ.items() if key not in KEYS}
    code = f"from textgate import tracking\nfrom tests.test_tracking import FOUND, choice\n{STAGES[name]}"
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=clean | environment | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT / "src", ROOT)))},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )


def records_of(file):
    """Return the records in a run's file, read as wandb itself reads them."""
    from wandb.proto.wandb_internal_pb2 import Record
    from wandb.sdk.internal.datastore import DataStore

    store = DataStore()
    store.open_for_scan(str(file))
    found = []
    while (content := store.scan_data()) is not None:
        record = Record()
        record.ParseFromString(content)
        found.append(record)
    return found


def name_of(item):
    return item.key or "/".join(item.nested_key)


def kept(folder):
    """Return (run record, config, summary, history) of the one run in a folder."""
    (file,) = (folder / "wandb").glob("offline-run-*/run-*.wandb")
    found = records_of(file)
    (run,) = (record.run for record in found if record.HasField("run"))
    config, summary = {}, {}
    for record in found:
        for items, target in ((record.run.config, config), (record.config, config), (record.summary, summary)):
            target.update({name_of(item): json.loads(item.value_json) for item in items.update})
    history = [
        {name_of(item): json.loads(item.value_json) for item in record.history.item}
        for record in found
        if record.HasField("history")
    ]
    return run, config, summary, history


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    """Return the folder of each stage's record, and what the stages printed."""
    folders = {name: tmp_path_factory.mktemp(name) for name in STAGES}
    for folder in folders.values():
        for command in (["init", "-q"], ["remote", "add", "origin", "https://git.invalid/secret"], COMMIT):
            subprocess.run(["git", *command], cwd=folder, check=True)
    return folders, {name: stage(name, folder) for name, folder in folders.items()}


@pytest.fixture(scope="module")
def in_mlflow(tmp_path_factory):
    """Return what MLflow holds of the same training and evaluation."""
    folder = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        tracking.log_training(choice(), FOUND.data, FOUND.train)
        tracking.log_evaluation(choice().train, FOUND.metrics)
        from mlflow import MlflowClient

        client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
        (run,) = client.search_runs([client.get_experiment_by_name("textgate").experiment_id])
        return run.data


@pytest.mark.parametrize("name", STAGES)
def test_wandb__without_a_key_keeps_the_run_here_and_prints_nothing(stages, name):
    folders, said = stages
    assert (said[name].stdout, said[name].stderr) == ("", "")
    assert len(list((folders[name] / "wandb").glob("offline-run-*"))) == 1


def test_wandb__both_stages_write_to_the_run_named_by_the_bundle(stages):
    runs = [kept(folder)[0] for folder in stages[0].values()]
    assert [run.run_id for run in runs] == [BUNDLE[:16]] * 2
    assert {(run.project, run.job_type) for run in runs} == {("textgate", "bundle")}


def test_wandb__holds_what_mlflow_holds(stages, in_mlflow):
    config, summary, history = {}, {}, []
    for folder in stages[0].values():
        _, settings, figures, steps = kept(folder)
        config, summary, history = config | settings, summary | figures, history + steps
    config.pop("_wandb")
    assert config.keys() == {key for key in in_mlflow.params if not key.startswith("experiments.slow.base.files")}
    assert (config["train.seed"], config["experiments.slow.learning_rate"]) == (13, 5e-3)
    figures = {name: value for name, value in in_mlflow.metrics.items() if not name.startswith("epoch.")}
    assert {name: summary[name] for name in figures} == figures
    assert summary["data_fingerprint"] == in_mlflow.tags["data_fingerprint"]
    assert (len(summary["commit"]), in_mlflow.tags["commit"]) == (40, "no git")  # only here is a repository
    assert summary["bundle"] == in_mlflow.tags["bundle_digest"] == BUNDLE
    losses = [step["epoch.train_loss"] for step in history if "epoch.train_loss" in step]
    assert losses == [epoch.train_loss for epoch in FOUND.train.epochs]


def test_wandb__keeps_the_confusion_picture(stages):
    (picture,) = (stages[0]["evaluate"] / "wandb").glob("offline-run-*/files/media/images/confusion*.png")
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_wandb__tells_neither_host_nor_user_nor_packages_nor_code(stages):
    for folder in stages[0].values():
        (run,) = (folder / "wandb").glob("offline-run-*")
        assert {path.name for path in (run / "files").glob("*")} <= {"media"}
        (file,) = run.glob("run-*.wandb")
        assert not [record for record in records_of(file) if record.HasField("environment")]
        record = kept(folder)[0]
        assert (record.host, record.git.remote_url, record.git.commit) == ("", "", "")


def test_wandb__a_server_that_is_away_is_said_in_one_line_and_the_run_goes_on(tmp_path):
    with kept_port() as port:
        address = f"http://127.0.0.1:{port}"
        said = stage("evaluate", tmp_path, WANDB_BASE_URL=address, WANDB_API_KEY="a" * 40)
    (line,) = said.stderr.splitlines()
    assert line.startswith("not tracked: ")
    assert line.endswith(" (the run goes on)")
    assert "a" * 40 not in said.stdout + said.stderr


def test_wandb__asked_to_send_without_a_key_asks_nobody_for_one(tmp_path):
    said = stage("evaluate", tmp_path, WANDB_MODE="online", HOME=str(tmp_path))
    (line,) = said.stderr.splitlines()
    assert line.startswith("not tracked: No API key configured.")


def test_wandb__a_folder_that_cannot_be_written_does_not_stop_the_run(tmp_path):
    (tmp_path / "wandb").write_text("in the way")
    said = stage("evaluate", tmp_path)
    (line,) = said.stderr.splitlines()
    assert line.startswith("not tracked: [Errno 20] Not a directory: ")


def test_wandb__what_installs_it_changes_no_version_of_requirements_txt():
    pins = [set(Path(ROOT, name).read_text().splitlines()) for name in ("requirements-wandb.txt", "requirements.txt")]
    names = {line.partition("==")[0] for line in pins[1]}
    assert {line for line in pins[0] if line.partition("==")[0] in names} <= pins[1]
    assert any(line.startswith("wandb==") for line in pins[0])
