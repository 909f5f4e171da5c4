"""A checkpoint is read back whole, or training starts over from weights that it did not touch."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from textgate.evidence import Epoch
from textgate.train.checkpoint import Checkpoint, restore, store


def epoch(number, score):
    return Epoch(epoch=number, train_loss=0.5, valid_macro_f1=score, seconds=0.1)


def stepped(seed=1):
    """Return (weights, optimiser) after one step."""
    torch.manual_seed(seed)
    trainable = {"a": torch.nn.Parameter(torch.randn(3, 2)), "b": torch.nn.Parameter(torch.randn(4))}
    optimiser = torch.optim.AdamW(trainable.values(), lr=0.1, fused=True)
    sum((value**2).sum() for value in trainable.values()).backward()
    optimiser.step()
    return trainable, optimiser


def copy(trainable):
    return {name: value.detach().clone() for name, value in trainable.items()}


def test_store__everything_comes_back(tmp_path):
    trainable, optimiser = stepped()
    state = Checkpoint.fresh(trainable).after(epoch(1, 0.5), trainable).after(epoch(2, 0.4), trainable)
    store(tmp_path / "x", state, trainable, optimiser)
    others, fresh = stepped(seed=2)
    found = restore(tmp_path / "x", others, fresh)
    assert (found.epochs, found.since_best) == (state.epochs, 1)
    for name, value in trainable.items():
        assert torch.equal(others[name], value)
        assert torch.equal(found.best[name], state.best[name])
        for moment, tensor in optimiser.state[value].items():
            assert torch.equal(fresh.state[others[name]][moment], tensor)


def test_after__a_better_epoch_is_kept_and_ties_keep_the_earlier():
    trainable, _ = stepped()
    first = Checkpoint.fresh(trainable).after(epoch(1, 0.5), trainable)
    kept = copy(trainable)
    with torch.no_grad():
        trainable["a"] += 1
    tie = first.after(epoch(2, 0.5), trainable)
    assert torch.equal(tie.best["a"], kept["a"])
    assert tie.since_best == 1
    better = tie.after(epoch(3, 0.6), trainable)
    assert torch.equal(better.best["a"], trainable["a"])
    assert better.since_best == 0


def test_after__an_epoch_that_got_nothing_right_counts_as_the_first_best():
    trainable, _ = stepped()
    assert Checkpoint.fresh(trainable).after(epoch(1, 0.0), trainable).since_best == 0


def test_restore__without_a_file_there_is_nothing_to_go_on_with(tmp_path):
    assert restore(tmp_path / "x", *stepped()) is None


def damage(path, how):
    content = path.read_bytes()
    if how == "cut":
        path.write_bytes(content[:-1])
    elif how in ("empty", "junk"):
        path.write_bytes(b"" if how == "empty" else b"junk" * 100)
    elif how == "no metadata":
        save_file(load_file(path), path)
    elif how == "foreign metadata":
        save_file(load_file(path), path, {"epochs": "[{}]", "since_best": "0"})
    else:
        tensors = load_file(path)
        if how == "another shape":
            tensors["now.b"] = torch.zeros(5)
        else:
            del tensors["exp_avg.b"]
        save_file(tensors, path, {"epochs": "[]", "since_best": "0"})


@pytest.mark.parametrize(
    "how", ["cut", "empty", "junk", "no metadata", "foreign metadata", "another shape", "a tensor is missing"]
)
def test_restore__a_broken_file_is_removed_and_leaves_model_and_optimiser_alone(tmp_path, how):
    trainable, optimiser = stepped()
    store(tmp_path / "x", Checkpoint.fresh(trainable), trainable, optimiser)
    damage(tmp_path / "x", how)
    others, fresh = stepped(seed=2)
    before = copy(others)
    assert restore(tmp_path / "x", others, fresh) is None
    assert not (tmp_path / "x").exists()
    assert all(torch.equal(others[name], value) for name, value in before.items())
