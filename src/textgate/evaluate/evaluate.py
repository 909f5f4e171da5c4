"""Bundles and locked rows into metrics and comparisons: every model on the same rows, by the same code, in one run."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from tqdm import tqdm

from textgate import records
from textgate.bundle import megabytes, verify
from textgate.errors import CannotTell, Refused
from textgate.evaluate.bootstrap import Counts, Floats
from textgate.evaluate.compare import accuracy_delta, compare
from textgate.evaluate.latency import latency_ratio, summary, time_texts
from textgate.evaluate.metrics import Marked, Predictions, score
from textgate.evidence import Champion, Comparison, Comparisons, DataReport, Metrics, ModelScores
from textgate.models.classifier import Bundle, Probabilities, open_bundle, open_verified
from textgate.prediction import ROUNDING
from textgate.rows import Rows, check_rows, read_split
from textgate.scan.policy import vouch_folder

WINDOW = 1024  # rows scored at once: probabilities of a million rows and a thousand labels would not fit
Role = Literal["candidate", "champion", "baseline"]


@dataclass(frozen=True)
class Scored:
    """A split and what each model said about it."""

    split: str
    marked: Marked
    said: dict[Role, Predictions]


@dataclass(frozen=True)
class Evaluation:
    """What the stage writes."""

    metrics: Metrics
    comparisons: Comparisons
    predictions: Iterator[dict[str, Any]]  # one object a row of test and external


def evaluate(build: Path) -> Evaluation:
    """Score the bundles under `build` on its test and external rows.

    Raises CannotTell for missing or foreign input (no test rows, rows that data.json does not describe, a model trained
    on other rows), Refused for an altered bundle, for a champion that holds what nobody vouches for, and for a
    model whose answers are not probabilities.
    """
    start = time.perf_counter()
    data = records.read(build / "data" / "data.json", DataReport, "data")
    check_rows(build / "data", data.fingerprint)
    champion = records.read(build / "champion.json", Champion, "choose")
    bundles = open_bundles(build, champion, data.fingerprint)
    test, external = (read_split(split, build / "data") for split in ("test", "external"))
    if not len(test):
        raise CannotTell(f'{build / "data" / "test.jsonl"} has no rows: mend the split and run "make data" again')
    home = score_split("test", test, bundles, data.labels)
    away = score_split("external", external, bundles, data.labels) if len(external) else None
    ms = time_texts({role: bundle.classifier for role, bundle in bundles.items()}, test.texts)
    digest = bundles["candidate"].digest
    comparisons = Comparisons(
        bundle_digest=digest,
        data_fingerprint=data.fingerprint,
        champion_state=champion.state,
        champion=_comparison("champion", bundles, home, away, ms) if "champion" in bundles else None,
        baseline=_comparison("baseline", bundles, home, away, ms),
    )
    models = tuple(_model_scores(role, bundle, champion, home, away, ms[role]) for role, bundle in bundles.items())
    seconds = time.perf_counter() - start
    metrics = Metrics(bundle_digest=digest, data_fingerprint=data.fingerprint, models=models, seconds=seconds)
    return Evaluation(metrics, comparisons, (line for part in (home, away) if part for line in lines(part)))


def open_bundles(build: Path, champion: Champion, fingerprint: str) -> dict[Role, Bundle]:
    """Open candidate, champion (if there is one) and baseline, in this order.

    A champion may come from other rows than today's; candidate and baseline may not.
    """
    bundles: dict[Role, Bundle] = {"candidate": open_bundle(build / "model")}
    if champion.state == "given":
        if champion.path is None or champion.digest is None:
            raise CannotTell(f'{build / "champion.json"} names no path or no digest: run "make choose" again')
        bundles["champion"] = _open_champion(Path(champion.path), champion.digest)
    bundles["baseline"] = open_bundle(build / "baseline")
    for bundle in (bundles["candidate"], bundles["baseline"]):
        if bundle.manifest.data_fingerprint != fingerprint:
            raise CannotTell(
                f"{bundle.path} was trained on the data {bundle.manifest.data_fingerprint[:12]}…, but"
                f' {build / "data"} holds {fingerprint[:12]}…: run "make train" again'
            )
    return bundles


def _open_champion(path: Path, expected: str) -> Bundle:
    """Vouch for what comes from outside, and no stage of this run scans, before it is opened."""
    manifest = verify(path, expected)
    vouch_folder(path)
    return open_verified(path, manifest, expected)


def score_split(split: str, rows: Rows, bundles: Mapping[Role, Bundle], known: Sequence[str]) -> Scored:
    """Let every model score the rows (at least one) of a split; `known` are the labels of the data, in their order."""
    rows.targets(known)  # an unknown label is said here
    present = set(rows.labels)
    labels = tuple(label for label in known if label in present)
    models = (label for bundle in bundles.values() for label in bundle.classifier.labels)
    columns = tuple(dict.fromkeys((*labels, *known, *models)))
    marked = Marked(rows, labels, columns, rows.targets(labels))
    return Scored(split, marked, {role: _predict(role, bundle, split, marked) for role, bundle in bundles.items()})


def _predict(role: Role, bundle: Bundle, split: str, marked: Marked) -> Predictions:
    """Return a model's predictions as indices into the columns; a column that it does not know has probability 0."""
    place = np.array([marked.columns.index(label) for label in bundle.classifier.labels], dtype=np.int64)
    parts: list[tuple[Counts, Floats, Floats, Floats]] = []
    bar = tqdm(total=len(marked.rows), desc=f"{role}, {split} rows", unit="row", disable=None, leave=False)
    for start in range(0, len(marked.rows), WINDOW):
        here = slice(start, start + WINDOW)
        texts, truth = marked.rows.texts[here], marked.truth[here]
        given = np.asarray(bundle.classifier.predict_proba(texts), np.float64)
        ids = [f"{split} row {row}" for row in marked.rows.ids[here]]
        check_probabilities(given, len(place), f"{role} {bundle.path}", ids)
        found = np.zeros((len(texts), len(marked.columns)))
        found[:, place] = given.clip(0, 1)
        every, best = np.arange(len(texts)), found.argmax(axis=1)
        parts.append((best, found[every, best], found[every, truth], (found**2).sum(axis=1)))
        bar.update(len(texts))
    bar.close()
    return Predictions(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def check_probabilities(given: Probabilities, labels: int, model: str, rows: Sequence[str]) -> None:
    """Raise Refused, naming model and row, unless each row holds probabilities that add up to 1."""
    if given.shape != (len(rows), labels):
        raise Refused(f"{model} gave answers of shape {given.shape} for {len(rows)} rows and {labels} labels")
    with np.errstate(invalid="ignore"):  # NaN and infinity are told in our words
        wrong = ~((given.min(axis=1) >= -ROUNDING) & (np.abs(given.sum(axis=1) - 1) <= ROUNDING))
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        values = ", ".join(f"{value:.4g}" for value in given[first, :5]) + (", …" if labels > 5 else "")
        raise Refused(
            f"{model}, {rows[first]}: {values} are not probabilities that add up to 1 ({wrong.sum()} of {len(rows)}"
            f' rows are like this): look for a diverged training or a broken export, then run "make train" again'
        )


def lines(part: Scored) -> Iterator[dict[str, Any]]:
    """Yield one line of predictions.jsonl a row; the texts stay in build/data."""
    rows, columns = part.marked.rows, part.marked.columns
    for number, (row, label) in enumerate(zip(rows.ids, rows.labels, strict=True)):
        line: dict[str, Any] = {"split": part.split, "row": row, "label": label}
        for role, said in part.said.items():
            line[role] = columns[said.predicted[number]]
            line[f"{role}_probability"] = round(float(said.confidence[number]), 6)
        yield line


def table(metrics: Metrics) -> Iterator[str]:
    """Yield the lines of a short table: what a person wants to see when the stage ends."""
    yield f"{'':<10} {'accuracy':>24} {'macro-F1':>24} {'external':>9} {'p95 ms':>8}"
    for model in metrics.models:
        home = (f"{e.value:.3f} ({e.low:.3f} to {e.high:.3f})" for e in (model.test.accuracy, model.test.macro_f1))
        away = f"{model.external.accuracy.value:.3f}" if model.external else "-"
        yield f"{model.role:<10} {next(home):>24} {next(home):>24} {away:>9} {model.latency.p95_ms:>8.1f}"


def _model_scores(
    role: Role, bundle: Bundle, champion: Champion, home: Scored, away: Scored | None, ms: Floats
) -> ModelScores:
    return ModelScores(
        role=role,
        name=(champion.name if role == "champion" else None) or bundle.manifest.experiment,
        kind=bundle.manifest.kind,
        digest=bundle.digest,
        megabytes=megabytes(bundle.path),
        test=score(home.marked, home.said[role]),
        external=score(away.marked, away.said[role]) if away else None,
        latency=summary(ms),
    )


def _comparison(
    role: Literal["champion", "baseline"],
    bundles: Mapping[Role, Bundle],
    home: Scored,
    away: Scored | None,
    ms: Mapping[Role, Floats],
) -> Comparison:
    external = None
    if away:
        right, other_right = (away.said[who].predicted == away.marked.truth for who in ("candidate", role))
        external = accuracy_delta("external accuracy", right, other_right)
    return compare(
        home.marked,
        home.said["candidate"],
        home.said[role],
        reference=role,
        reference_digest=bundles[role].digest,
        external_accuracy=external,
        latency_ratio=latency_ratio(ms["candidate"], ms[role]),
    )
