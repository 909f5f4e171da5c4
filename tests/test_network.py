"""What makes training faster computes the same: kept states, one token in the last layer, weights in 32 bits apart."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.small import small_rows, task
from transformers import (
    AutoModelForSequenceClassification,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from textgate.models.transformer import Encoder
from textgate.train import finetune
from textgate.train.network import Texts, first_token_alone, keep_states, lean_layers, working_copy
from textgate.train.pretrained import pretrained
from textgate.train.processes import Processes

COUNT = 40

SMALL = {
    "vocab_size": 30,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 32,
}


def bert(base, dropout=0.0):
    torch.manual_seed(3)
    return AutoModelForSequenceClassification.from_pretrained(
        base,
        num_labels=2,
        attn_implementation="eager",
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    ).eval()


def roberta():
    torch.manual_seed(3)
    config = RobertaConfig(
        **SMALL,
        pad_token_id=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        attn_implementation="eager",
    )
    return RobertaForSequenceClassification(config).eval()


@pytest.fixture(params=["bert", "roberta"])
def model(request, tiny_base):
    """Return an untrained classifier without dropout whose weights are large enough to tell its answers apart."""
    made = bert(tiny_base) if request.param == "bert" else roberta()
    with torch.no_grad():
        for value in made.parameters():
            value.add_(torch.randn_like(value) * 0.2)
    return made


@pytest.fixture
def texts(tiny_base):
    return Texts.of(Encoder(tiny_base, 16)(small_rows(COUNT)[0]), "cpu")


def alone(model, texts):
    """Return scores of each text without padding, by the model as transformers made it."""
    found = []
    for start, length in zip(texts.starts, texts.lengths, strict=True):
        with torch.no_grad():
            found.append(model(input_ids=texts.ids[None, start : start + length]).logits)
    return torch.cat(found)


def batched(network, texts, size=7):
    return torch.cat(
        [network(**texts.batch(list(range(COUNT))[at : at + size])).logits for at in range(0, COUNT, size)]
    )


def test_batch__padding_has_no_influence(model, texts):
    assert len(set(texts.lengths.tolist())) > 3
    torch.testing.assert_close(batched(model, texts), alone(model, texts), atol=1e-4, rtol=1e-4)


def test_by_length__holds_every_text_once_shortest_first(texts):
    rows = [row for batch in texts.by_length() for row in batch]
    assert sorted(rows) == list(range(COUNT))
    assert texts.lengths[rows].tolist() == sorted(texts.lengths.tolist())


@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_keep_states__scores_are_those_of_the_whole_model(model, texts, frozen):
    network = working_copy(model, torch.float32)
    first, second = keep_states(network, frozen, texts, texts)
    assert first.states.shape == (len(texts.ids), 32)
    assert torch.equal(first.states, second.states)
    lean_layers(network)
    torch.testing.assert_close(batched(network, first), alone(model, texts), atol=1e-4, rtol=1e-4)


def test_keep_states__runs_nothing_that_is_frozen_again(model, texts):
    network = working_copy(model, torch.float32)
    (kept,) = keep_states(network, 1, texts)
    encoder = getattr(network, network.base_model_prefix)
    assert len(encoder.encoder.layer) == 1
    assert not list(encoder.embeddings.parameters())
    assert set(kept.batch([0])) == {"inputs_embeds", "attention_mask"}


def test_keep_states__where_more_happens_than_in_bert_they_are_computed_each_time(texts):
    """DeBERTa convolves once what comes out of its first layer: behind a frozen one it would do so again."""
    config = DebertaV2Config(
        **SMALL,
        relative_attention=True,
        position_biased_input=False,
        conv_kernel_size=3,
        attn_implementation="eager",
    )
    network = DebertaV2ForSequenceClassification(config).eval()
    expected = batched(network, texts)
    (kept,) = keep_states(network, 1, texts)
    assert torch.equal(batched(network, kept), expected)


def test_keep_states__above_the_limit_they_are_computed_each_time(model, texts):
    needed = len(texts.ids) * 32 * 4
    network = working_copy(model, torch.float32)
    assert keep_states(network, 1, texts, max_bytes=needed - 1) == (texts,)
    torch.testing.assert_close(batched(network, texts), alone(model, texts), atol=1e-4, rtol=1e-4)
    assert keep_states(network, 1, texts, max_bytes=needed)[0].states is not None


def test_lean_layers__scores_and_gradients_are_those_of_the_model(model, texts):
    network = working_copy(model, torch.float32)
    lean_layers(network)
    assert str(network) != str(model)
    names = [name for name, _ in model.named_parameters()]
    scores = [batched(made, texts) for made in (model, network)]
    torch.testing.assert_close(*scores, atol=1e-4, rtol=1e-4)
    for one in scores:
        one.square().sum().backward()
    for name, ours, whole in zip(names, network.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, whole.grad, atol=1e-3, rtol=1e-3, msg=name)


def test_first_token_alone__scores_are_those_of_all_tokens_and_nothing_stays_behind(model, texts):
    encoder = getattr(model, model.base_model_prefix)
    shapes = []
    encoder.encoder.register_forward_hook(lambda _, __, found: shapes.append(found.last_hidden_state.shape[1]))
    whole = batched(model, texts)
    lengths = shapes.copy()
    with first_token_alone(model):
        torch.testing.assert_close(batched(model, texts), whole, atol=1e-5, rtol=1e-5)
    assert min(lengths) > 1
    assert shapes[len(lengths) :] == [1] * len(lengths)
    assert torch.equal(batched(model, texts), whole)


def test_working_copy__leaves_the_model_as_it_is(model):
    before = copy.deepcopy(model)
    network = working_copy(model, torch.bfloat16)
    kinds = {type(part).__name__: part.weight.dtype for part in network.modules() if hasattr(part, "weight")}
    assert kinds == {"Linear": torch.bfloat16, "LayerNorm": torch.float32, "Embedding": torch.float32}
    assert str(model) == str(before)
    assert all(torch.equal(now, then) for now, then in zip(model.parameters(), before.parameters(), strict=True))


def test_lean_layers__with_dropout_nothing_changes(tiny_base):
    model = bert(tiny_base, dropout=0.1)
    before = str(model)
    lean_layers(model)
    assert str(model) == before


def uneven(rows):
    """Return all rows of the first label and a quarter of those of the second."""
    texts, targets = rows
    keep = [number for number, label in enumerate(targets) if label == 0 or number % 8 == 1]
    return tuple(texts[row] for row in keep), targets[keep]


def test_epoch__is_the_textbook_s_adamw_on_clipped_gradients(tiny_base):
    """Every batch by hand: weighted loss, gradients of length 1 at most, rate up and down, in 32 bits."""
    usual = task(epochs=1, dropout=0.0, freeze_embeddings=True, freeze_layers=1, learning_rate=1e-3)
    wanted = replace(usual, train=uneven(usual.train))
    torch.manual_seed(3)
    model, plain = (pretrained(tiny_base, wanted.labels, wanted.config) for _ in "ab")
    model.classifier.weight.data.mul_(20)  # gradients of which some are long, and cut
    plain.load_state_dict(model.state_dict())
    learner = finetune._learner(model, tiny_base, wanted, torch.float32)
    finetune._refresh(learner)
    finetune._epoch(learner, 0, lambda: None)

    ids = Encoder(tiny_base, 16)(wanted.train[0])
    trained = [value for value in plain.parameters() if value.requires_grad]
    optimiser = torch.optim.AdamW(trained, weight_decay=0.01)
    orders, lengths = finetune._order(learner, 0), []
    for step, rows in enumerate(orders):
        logits = torch.cat([plain(input_ids=torch.tensor([ids[row]])).logits for row in rows])
        weights = torch.tensor([0.790569, 1.581139])  # roots of 50 / 80 and 50 / 20: the mean count by each label's
        torch.nn.functional.cross_entropy(logits, torch.tensor(wanted.train[1][rows]), weights).backward()
        lengths.append(float(torch.nn.utils.clip_grad_norm_(trained, 1.0)))
        optimiser.param_groups[0]["lr"] = 1e-3 * (1.0 if step == 0 else (len(orders) - step) / (len(orders) - 1))
        optimiser.step()
        optimiser.zero_grad()
    assert min(lengths) < 1 < max(lengths)
    for name, value in plain.named_parameters():
        torch.testing.assert_close(model.get_parameter(name), value, atol=2e-4, rtol=1e-2, msg=name)


@pytest.mark.parametrize("rows", [[3], [0, 1, 2, 3], [60, 61, 62, 63, 64, 4, 5, 6]])
def test_missed__the_shares_of_three_processes_add_up_to_the_batch_s_mean(tiny_base, rows):
    usual = task(epochs=1, dropout=0.0)
    wanted = replace(usual, train=uneven(usual.train))
    learner = finetune._learner(pretrained(tiny_base, wanted.labels, wanted.config), tiny_base, wanted, torch.float32)
    balance = finetune._balance(wanted)
    whole = finetune._missed(learner, rows, balance)
    parts = [finetune._missed(replace(learner, processes=Processes(rank, 3)), rows, balance) for rank in range(3)]
    torch.testing.assert_close(sum(parts), whole)
    gradients = [torch.autograd.grad(loss, learner.network.classifier.weight) for loss in (sum(parts), whole)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(
    ("changes", "kept"), [({}, True), ({"dropout": 0.1}, False), ({"freeze_embeddings": False}, False)]
)
def test_learner__keeps_states_only_if_they_stay_what_they_are(tiny_base, changes, kept):
    wanted = task(**{"dropout": 0.0, "freeze_embeddings": True, "freeze_layers": 1} | changes)
    learner = finetune._learner(pretrained(tiny_base, wanted.labels, wanted.config), tiny_base, wanted, torch.float32)
    assert (learner.train.states is not None, learner.valid.states is not None) == (kept, kept)
    assert len(learner.network.bert.encoder.layer) == (1 if kept else 2)


def test_order__every_row_once_and_another_order_each_epoch(tiny_base):
    wanted = task()
    learner = finetune._learner(pretrained(tiny_base, wanted.labels, wanted.config), tiny_base, wanted, torch.float32)
    first, again, other = (finetune._order(learner, epoch) for epoch in (0, 0, 1))
    assert first == again != other
    assert sorted(sum(first, [])) == sorted(sum(other, [])) == list(range(160))  # noqa: RUF017 - a few lists
    spread = [np.ptp(learner.train.lengths[batch].numpy()) for batch in first]
    assert np.mean(spread) < np.ptp(learner.train.lengths.numpy()) / 3


def test_order__all_processes_have_the_same_batches_and_each_drops_what_it_draws(tiny_base):
    wanted = task()
    model = pretrained(tiny_base, wanted.labels, wanted.config)
    learner = finetune._learner(model, tiny_base, wanted, torch.float32)
    orders, drawn = [], set()
    for rank in range(3):
        orders.append(finetune._order(replace(learner, processes=Processes(rank, 3)), 0))
        drawn.add(float(torch.rand(())))
    assert orders[0] == orders[1] == orders[2]
    assert len(drawn) == 3


def test_macro_f1__is_scored_without_dropout(tiny_base):
    wanted = task(dropout=0.5)
    learner = finetune._learner(pretrained(tiny_base, wanted.labels, wanted.config), tiny_base, wanted, torch.float32)
    learner.network.train()
    finetune._macro_f1(learner)
    assert not learner.network.training
