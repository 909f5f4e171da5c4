"""A small grid is trained and scored on validation rows alone; killed half-way, it goes on; a mistake is one line."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from tests.small import LABELS, TFIDF, data_report, small_rows, transformer_config
from tests.test_train import write_rows

from textgate import records
from textgate.choose import Choice
from textgate.config import Ensemble, Experiment, TrainConfig, load
from textgate.errors import CannotTell
from textgate.evidence import Estimate
from textgate.experiments.grid import SweepConfig, candidates
from textgate.experiments.outcome import as_experiment, best, doubt, table
from textgate.experiments.sweep import Point, sweep
from textgate.rows import fingerprint, split_hashes

ROOT = Path(__file__).resolve().parent.parent
TRAIN = "experiment: small\nbaseline: small\nseed: 1\ndevice: cpu\nthreads: 2\ntracking: {tracking}\n"
MODEL = "description: Small.\nmodel: {kind: tfidf, min_n: 2, max_n: 3, min_df: 1, c: 1.0}\n"
GRID = {"max_n": (2, 3), "c": (0.5, 1.0)}


def make_project(folder, grid=GRID, rows=60, tracking="none"):
    """Fill a folder with configuration and rows of which the test split is no JSON at all."""
    for name, text in {
        "requirements.txt": "numpy\n",
        "configs/train.yaml": TRAIN.format(tracking=tracking),
        "configs/experiments/small.yaml": MODEL,
        "configs/sweep.yaml": yaml.safe_dump({"experiment": "small", "grid": {k: list(v) for k, v in grid.items()}}),
        "build/data/test.jsonl": "a sweep never reads this\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for split, count, seed in (("train", rows, 1), ("valid", 40, 2)):
        texts, targets = small_rows(count, seed)
        write_rows(folder / "build", split, texts, [LABELS[target] for target in targets])
    write_report(folder)
    return folder


def write_report(folder):
    data = folder / "build" / "data"
    report = data_report().model_copy(update={"fingerprint": fingerprint(split_hashes(data))})
    records.write(data / "data.json", report)
    return report


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return make_project(tmp_path)


def choice(tracking="none"):
    train = TrainConfig(experiment="small", baseline="small", seed=1, device="cpu", threads=2, tracking=tracking)
    return Choice(train=train, experiments={"small": Experiment(description="Small.", model=TFIDF)})


def grid(**values):
    return candidates(SweepConfig(experiment="small", grid=values or GRID), TFIDF)


def run(folder):
    """Run the script in a folder, as make does."""
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "sweep.py")],
        cwd=folder,
        env={key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def again(folder, wanted=None, report=None):
    """Sweep in this process and return the points."""
    return sweep(wanted or choice(), report or write_report(folder), grid(), folder / "build")


def files(folder):
    """Return the inode and time of each finished point, which a second training would change."""
    found = (folder / "build" / "sweep").glob("*.json")
    return {file.name: (file.stat().st_ino, file.stat().st_mtime_ns) for file in found}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Return (what MLflow holds of a sweep that was killed once and then finished, points at the kill, last words)."""
    folder = make_project(
        tmp_path_factory.mktemp("killed"),
        grid={"c": tuple(0.1 * number for number in range(1, 13))},
        rows=6000,
        tracking="mlflow",
    )
    quiet = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    with (folder / "log").open("w") as log:
        command = [sys.executable, str(ROOT / "scripts" / "sweep.py")]
        process = subprocess.Popen(command, cwd=folder, env=quiet, stdout=log, stderr=log)
        while len(files(folder)) < 3 and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait(600) == -signal.SIGKILL
    before = files(folder)
    done = run(folder)
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("textgate").experiment_id])
    return runs, before, files(folder), done, folder


def test_sweep__killed_half_way_does_not_train_again_what_is_finished(store):
    _, before, after, done, _ = store
    assert 3 <= len(before) < 12
    assert len(after) == 12
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("finished before") == len(before)
    assert done.stdout.count(": training") == 12 - len(before)


def test_sweep__leaves_no_half_written_point_and_no_checkpoint(store):
    folder = store[4]
    left = {path.name for path in (folder / "build" / "sweep").iterdir()}
    assert {name for name in left if not name.startswith(".")} == set(store[2])  # a killed write leaves a hidden file
    assert all(records.read(folder / "build" / "sweep" / name, Point, "sweep").tracked for name in store[2])


def test_sweep__is_one_run_with_a_child_for_each_point_also_after_a_kill(store):
    parents = [found for found in store[0] if "sweep_key" in found.data.tags]
    children = [found for found in store[0] if "point_key" in found.data.tags]
    assert (len(parents), len(children), len(store[0])) == (1, 12, 13)
    assert {child.data.tags["mlflow.parentRunId"] for child in children} == {parents[0].info.run_id}
    assert len({child.data.params["experiments.small.c"] for child in children}) == 12
    assert {child.info.status for child in children} == {"FINISHED"}
    assert parents[0].data.params["experiment"] == "small"


def test_sweep__each_child_holds_validation_figures_with_their_interval_and_none_of_the_test(store):
    for child in (found for found in store[0] if "point_key" in found.data.tags):
        metrics = child.data.metrics
        for name in ("valid_macro_f1.candidate", "valid_accuracy"):
            assert metrics[f"{name}_low"] <= metrics[name] <= metrics[f"{name}_high"]
        assert not [name for name in metrics if name.startswith(("test", "external"))]


def test_sweep__is_not_among_the_bundles_of_make_experiments(store, monkeypatch):
    from textgate.experiments.runs import read_runs

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store[4]}/mlflow.db")
    with pytest.raises(CannotTell, match="holds no run yet"):
        read_runs()


def test_sweep__the_best_is_printed_as_an_experiment_that_can_be_used(project):
    done = run(project)
    assert done.returncode == 0, done.stderr
    text = done.stdout.split("configs/experiments/NAME.yaml:\n\n")[1]
    (project / "configs" / "experiments" / "best.yaml").write_text(text)
    chosen = load(project / "configs" / "experiments" / "best.yaml", Experiment)
    points = again(project)
    settings = points[best(points)].settings
    assert {name: getattr(chosen.model, name) for name in settings} == settings
    assert sorted(path.name for path in (project / "configs" / "experiments").iterdir()) == ["best.yaml", "small.yaml"]


def test_sweep__never_looks_at_the_test_rows(project):
    first = again(project)
    (project / "build" / "data" / "test.jsonl").unlink()
    for file in (project / "build" / "sweep").glob("*.json"):
        file.unlink()
    figures = [[(point.macro_f1, point.accuracy) for point in points] for points in (first, again(project))]
    assert figures[0] == figures[1]


def test_sweep__scores_as_the_train_stage_does(project):
    from textgate.train.train import train

    report = train(choice(), write_report(project), project / "build")
    point = next(p for p in again(project) if p.settings == {"max_n": 3, "c": 1.0})
    assert point.macro_f1.value == pytest.approx(report.valid_macro_f1["candidate"])
    assert point.macro_f1.low <= point.macro_f1.value <= point.macro_f1.high


def test_sweep__other_rows_are_other_points(project):
    again(project)
    before = files(project)
    texts, targets = small_rows(60, seed=9)
    write_rows(project / "build", "train", texts, [LABELS[target] for target in targets])
    again(project)
    assert (len(before), len(files(project))) == (4, 8)


def test_sweep__another_seed_is_another_point(project):
    again(project)
    changed = choice()
    again(project, changed.model_copy(update={"train": changed.train.model_copy(update={"seed": 2})}))
    assert len(files(project)) == 8


def test_sweep__other_versions_are_other_points(project):
    again(project)
    (project / "requirements.txt").write_text("numpy==2\n")
    again(project)
    assert len(files(project)) == 8


def test_sweep__the_same_again_trains_nothing(project, capsys):
    first = again(project)
    before = files(project)
    capsys.readouterr()
    assert again(project) == first
    assert files(project) == before
    assert "training" not in capsys.readouterr().out


def test_sweep__a_point_that_is_not_ours_is_trained(project):
    first = again(project)
    for file in (project / "build" / "sweep").glob("*.json"):
        file.write_text("{}")
    assert [point.macro_f1 for point in again(project)] == [point.macro_f1 for point in first]


def test_sweep__a_store_that_was_away_gets_the_points_later_without_training(project, monkeypatch, capfd):
    (project / "mlflow.db").write_text("no database, and that is more than sixteen bytes")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project}/mlflow.db")
    points = again(project, choice("mlflow"))
    said = capfd.readouterr().err
    assert said.count("not tracked: ") == 1  # not once a point
    assert [point.tracked for point in points] == [False] * 4
    (project / "mlflow.db").unlink()
    points = again(project, choice("mlflow"))
    said = capfd.readouterr()
    assert (said.err, [point.tracked for point in points]) == ("", [True] * 4)
    assert said.out.count("finished before") == 4
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{project}/mlflow.db")
    assert len(client.search_runs([client.get_experiment_by_name("textgate").experiment_id])) == 5


def test_sweep__in_wandb_the_points_are_a_group(project, monkeypatch):
    from tests.test_wandb import KEYS, records_of

    for key in KEYS:
        monkeypatch.delenv(key, raising=False)
    assert all(point.tracked for point in again(project, choice("wandb")))
    found = [records_of(file) for file in (project / "wandb").glob("offline-run-*/run-*.wandb")]
    runs = [record.run for records in found for record in records if record.HasField("run")]
    assert len({run.run_id for run in runs}) == 4
    assert {run.job_type for run in runs} == {"point"}
    (group,) = {run.run_group for run in runs}
    assert len(group) == 16


def test_sweep__a_transformer_can_be_swept(project, wheel_base):
    small = transformer_config(base=wheel_base, epochs=1, freeze_embeddings=True)
    both = candidates(SweepConfig(experiment="small", grid={"learning_rate": (1e-3, 5e-3)}), small)
    experiments = {"small": Experiment(description="x", model=small)}
    points = sweep(
        choice().model_copy(update={"experiments": experiments}), write_report(project), both, project / "build"
    )
    assert [point.settings for point in points] == [{"learning_rate": 1e-3}, {"learning_rate": 5e-3}]
    assert not (project / "build" / "sweep" / "checkpoints").exists()
    assert yaml.safe_load(as_experiment(experiments["small"], both[1]))["model"]["learning_rate"] == 5e-3


def test_sweep__a_label_without_rows_is_said(project):
    texts, _ = small_rows(20)
    write_rows(project / "build", "valid", texts, ["north"] * 20)
    with pytest.raises(CannotTell, match="label 'south' has no validation row"):
        again(project)


def test_sweep__rows_that_data_json_does_not_describe_are_not_taken(project):
    (project / "build" / "data" / "train.jsonl").write_text("")
    done = run(project)
    assert done.returncode == 2
    assert done.stderr.endswith('does not hold the rows that its data.json describes: run "make data" again\n')


def test_sweep__outside_the_repository_is_said(project):
    (project / "requirements.txt").unlink()
    with pytest.raises(CannotTell, match=r"requirements\.txt is missing: run this in the repository's folder"):
        again(project)


def point(value, low, c):
    estimate = Estimate(value=value, low=low, high=1.0)
    return Point(settings={"c": c}, macro_f1=estimate, accuracy=estimate, seconds=1.0, tracked=False)


def test_outcome__says_how_many_points_cannot_be_told_from_the_best():
    points = [point(0.80, 0.7, 1), point(0.90, 0.85, 2), point(0.86, 0.8, 3), point(0.90, 0.85, 4)]
    assert best(points) == 1
    assert doubt(points) == ("2 of the other 3 lie within the interval of the best: these rows hardly tell them apart")
    assert doubt(points[:2]) == "no other point lies within the interval of the best"
    assert list(table(points).columns[0].cells) == ["2", "4", "3", "1"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_m": (3,)}, r"grid\.max_m: unknown setting \(known: min_n, max_n, min_df, c\)"),
        ({"kind": ("tfidf",)}, r"grid\.kind: unknown setting \(known: min_n, max_n, min_df, c\)"),
        ({"c": ()}, r"grid\.c: name at least one value"),
        ({}, r"grid: name at least one setting \(known: min_n, max_n, min_df, c\)"),
        ({"max_n": (3, "four")}, r"grid: max_n four: max_n: Input should be a valid integer \(found 'four'\)"),
        ({"max_n": (3.5,)}, r"grid: max_n 3\.5: max_n: Input should be a valid integer \(found '3\.5'\)"),
        ({"c": (0.0,)}, r"grid: c 0\.0: c: Input should be greater than 0 \(found '0\.0'\)"),
        ({"c": ("4e-4",)}, r"grid: c 4e-4: c: .* write 4\.0e-4 instead of 4e-4"),
        ({"c": ((1.0, 2.0),)}, r"grid: c \(1\.0, 2\.0\): c: Input should be a valid number"),
        ({"min_n": (2, 4)}, r"grid: min_n 4: min_n must not be above max_n"),
        ({"c": (1, 2.0, 1.0)}, r"grid: c 1\.0 stands there twice"),
        (
            {"min_df": tuple(range(1, 6)), "c": tuple(map(float, range(1, 14)))},
            "grid: 65 combinations are more than 64: leave some values out",
        ),
    ],
)
def test_grid__a_mistake_is_said_with_its_place(values, message):
    with pytest.raises(CannotTell, match=rf"^configs/sweep\.yaml: {message}"):
        candidates(SweepConfig(experiment="small", grid=values), TFIDF)


def test_grid__an_ensemble_names_what_can_be_swept_instead():
    both = Ensemble(kind="ensemble", parts=("001_baseline", "002_transformer"))
    message = r"configs/sweep\.yaml: experiment: both is an ensemble: name one of 001_baseline, 002_transformer"
    with pytest.raises(CannotTell, match=message):
        candidates(SweepConfig(experiment="both", grid={"c": (1.0,)}), both)


def test_grid__is_every_combination_with_the_other_settings_as_they_were():
    found = grid()
    assert [str(candidate) for candidate in found] == [
        "max_n 2, c 0.5",
        "max_n 2, c 1.0",
        "max_n 3, c 0.5",
        "max_n 3, c 1.0",
    ]
    assert {candidate.model.min_df for candidate in found} == {TFIDF.min_df}
    assert len(grid(c=tuple(map(float, range(1, 65))))) == 64


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("experiment: small\n", "grid: this key is missing"),
        ("experiment: small\ngrid: {c: 1.0}\n", r"grid\.c: Input should be a valid tuple"),
        ("experiment: small\ngrid: [c]\n", "grid: Input should be a valid dictionary"),
        ("experiment: small\ngrids: {}\n", r"grids: unknown key \(known: experiment, grid\)"),
        ("experiment: ../x\ngrid: {c: [1.0]}\n", "experiment: String should match pattern"),
    ],
)
def test_config__a_mistake_is_said_with_its_key(tmp_path, text, message):
    (tmp_path / "sweep.yaml").write_text(text)
    with pytest.raises(CannotTell, match=rf"sweep\.yaml: {message}"):
        load(tmp_path / "sweep.yaml", SweepConfig)


def test_config__the_one_in_configs_fits_its_experiment():
    config = load(ROOT / "configs" / "sweep.yaml", SweepConfig)
    experiment = load(ROOT / "configs" / "experiments" / f"{config.experiment}.yaml", Experiment)
    assert candidates(config, experiment.model)


def test_config__an_experiment_that_is_not_there_is_said(project):
    (project / "configs" / "sweep.yaml").write_text("experiment: nope\ngrid: {c: [1.0]}\n")
    done = run(project)
    assert done.returncode == 2
    assert "configs/experiments/nope.yaml does not exist (known: small)" in done.stderr
    assert len(done.stderr.splitlines()) == 1
