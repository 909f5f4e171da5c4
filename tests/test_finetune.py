"""Fine-tuning learns, keeps its best epoch, and ends with the same weights whether or not it was killed."""

import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from tests.small import task

from textgate.errors import CannotTell
from textgate.train.devices import choose_device, memory_errors, precision
from textgate.train.finetune import finetune

KILLED = """
import io, os, signal, sys
from pathlib import Path
import torch
from tests.small import task
from textgate.train.finetune import finetune
torch.set_num_threads(1)

class Last(io.TextIOBase):  # killed when it says that an epoch is over: later it might be at its end
    def write(self, text):
        if text.startswith("epoch 1:"):
            os.kill(os.getpid(), signal.SIGKILL)

sys.stdout = Last()
finetune(task(epochs=15, patience=15), Path(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.fixture(autouse=True)
def one_thread():
    """Keep to one thread: sums of floats depend on their number, which other tests change."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def weights(model):
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_finetune__learns_a_separable_task(tiny_base, tmp_path):
    model, epochs, _ = finetune(task(), tiny_base, tmp_path / "checkpoint")
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3]
    assert epochs[-1].train_loss < epochs[0].train_loss / 2
    assert epochs[-1].valid_macro_f1 > 0.95
    assert not model.training


FROZEN = {"dropout": 0.0, "freeze_embeddings": True, "freeze_layers": 1}  # hidden states are kept


@pytest.mark.parametrize("changes", [{}, FROZEN])
def test_finetune__the_same_seed_gives_the_same_weights_and_another_seed_others(tiny_base, tmp_path, changes):
    wanted = task(epochs=1, **changes)
    first, second = (finetune(wanted, tiny_base, tmp_path / name)[0] for name in "ab")
    assert same(weights(first), weights(second))
    other, *_ = finetune(replace(wanted, seed=8), tiny_base, tmp_path / "c")
    assert not same(weights(first), weights(other))


def kill_behind_an_epoch(base, checkpoint):
    """Let a training in a process of its own die after a whole epoch, without a chance to tidy up."""
    environment = os.environ | {"PYTHONPATH": "src" + os.pathsep + "."}
    command = [sys.executable, "-c", KILLED, str(base), str(checkpoint)]
    done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr  # the checkpoint is written before the epoch is said


def test_finetune__killed_and_run_again_gives_the_weights_of_an_unbroken_run(tiny_base, tmp_path, capsys):
    kill_behind_an_epoch(tiny_base, tmp_path / "killed")
    killed_after = load_file(tmp_path / "killed")
    wanted = task(epochs=15, patience=15)
    whole, history, _ = finetune(wanted, tiny_base, tmp_path / "whole")
    capsys.readouterr()
    again, *_ = finetune(wanted, tiny_base, tmp_path / "killed")
    epochs_done_again = capsys.readouterr().out.count("epoch")
    assert 0 < epochs_done_again < len(history) == 15
    assert same(weights(whole), weights(again))
    assert not torch.equal(
        killed_after["now.classifier.weight"], load_file(tmp_path / "whole")["now.classifier.weight"]
    )


def test_finetune__with_kept_states_it_goes_on_behind_the_last_whole_epoch(tiny_base, tmp_path):
    """A run that had less patience leaves the checkpoint of one that was killed."""
    wanted = task(**FROZEN)
    whole, history, _ = finetune(wanted, tiny_base, tmp_path / "whole")
    cut = finetune(replace(wanted, config=wanted.config.model_copy(update={"patience": 1})), tiny_base, tmp_path / "x")
    again, same_history, _ = finetune(wanted, tiny_base, tmp_path / "x")
    assert len(cut[1]) < len(same_history) == 3
    assert [epoch.train_loss for epoch in same_history] == [epoch.train_loss for epoch in history]
    assert same(weights(whole), weights(again))


def test_finetune__a_finished_run_is_not_trained_again(tiny_base, tmp_path, capsys):
    first, history, _ = finetune(task(epochs=2), tiny_base, tmp_path / "checkpoint")
    capsys.readouterr()
    again, same_history, _ = finetune(task(epochs=2), tiny_base, tmp_path / "checkpoint")
    assert "epoch" not in capsys.readouterr().out
    assert same_history == history
    assert same(weights(first), weights(again))


def test_finetune__stops_early_and_keeps_the_best_epoch(tiny_base, tmp_path):
    model, epochs, _ = finetune(task(epochs=10, patience=2), tiny_base, tmp_path / "checkpoint")
    scores = [epoch.valid_macro_f1 for epoch in epochs]
    assert len(epochs) == scores.index(max(scores)) + 1 + 2 < 10
    stored = load_file(tmp_path / "checkpoint")
    kept = model.state_dict()
    assert all(torch.equal(kept[name[5:]], value) for name, value in stored.items() if name.startswith("best."))
    assert not torch.equal(stored["now.classifier.weight"], kept["classifier.weight"])


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_finetune__frozen_embeddings_and_layers_stay_those_of_the_base(tiny_base, tmp_path, dropout):
    model, *_ = finetune(task(epochs=1, **FROZEN | {"dropout": dropout}), tiny_base, tmp_path / "checkpoint")
    base, now = load_file(tiny_base / "model.safetensors"), model.state_dict()
    changed = {
        name for name, value in base.items() if f"bert.{name}" in now and not torch.equal(value, now[f"bert.{name}"])
    }
    assert changed
    assert not [name for name in changed if name.startswith(("embeddings.", "encoder.layer.0."))]
    assert any(name.startswith("encoder.layer.1.") for name in changed)
    assert not [name for name in load_file(tmp_path / "checkpoint") if "embeddings" in name]


def test_finetune__without_freezing_everything_learns(tiny_base, tmp_path):
    model, *_ = finetune(task(epochs=1), tiny_base, tmp_path / "checkpoint")
    before = load_file(tiny_base / "model.safetensors")["embeddings.word_embeddings.weight"]
    assert not torch.equal(before, model.state_dict()["bert.embeddings.word_embeddings.weight"])


@pytest.mark.parametrize("count", [1, 16, 17])
def test_finetune__takes_any_number_of_rows(tiny_base, tmp_path, count):
    usual = task(epochs=1)
    few = replace(usual, train=(usual.train[0][:count], usual.train[1][:count]))
    assert len(finetune(few, tiny_base, tmp_path / "checkpoint")[1]) == 1


def test_finetune__a_training_that_falls_apart_says_so_and_keeps_no_checkpoint_of_it(tiny_base, tmp_path):
    with pytest.raises(CannotTell) as caught:
        finetune(task(learning_rate=1e4), tiny_base, tmp_path / "checkpoint")
    assert str(caught.value) == "the training fell apart in epoch 1 (loss nan): lower learning_rate"
    assert not list(tmp_path.iterdir())


def test_choose_device__auto_takes_a_gpu_where_there_is_one():
    assert choose_device("cpu") == "cpu"
    assert choose_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")


def test_choose_device__cuda_without_a_gpu_is_said():
    code = "from textgate.errors import run; from textgate.train.devices import choose_device; import sys;"
    done = subprocess.run(
        [sys.executable, "-c", f"{code} sys.exit(run(lambda: print(choose_device('cuda'))))"],
        env=os.environ | {"PYTHONPATH": "src", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (
        2,
        "cannot tell: configs/train.yaml: device: cuda: torch finds no GPU here: set auto, or mend the driver\n",
    )


def test_memory_errors__torch_s_own_are_python_s_and_others_stay():
    with pytest.raises(MemoryError), memory_errors():
        torch.empty(1 << 60)
    with pytest.raises(MemoryError, match="CUDA out of memory"), memory_errors():
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 80 GiB")
    with pytest.raises(RuntimeError, match="size of tensor a"), memory_errors():
        torch.zeros(2) + torch.zeros(3)


def test_precision__is_one_that_training_can_use():
    assert precision("cpu") in (torch.bfloat16, torch.float32)
