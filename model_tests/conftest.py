"""What the model tests work on: the bundle, the test rows, the limits. Opened once; run `pytest model_tests` by hand.

What the bundle says about all test rows is read where `evaluate` has just written it down, and some of them are asked
again: ASKED of them, one by one and at once. A bundle that was not evaluated is asked about all rows. What is asked one
by one is asked once, with a clock beside it: test_latency runs first, and the other tests judge what it was answered.

A limit is read from configs/gates.yaml and nowhere else. A test that fails says in one line what it found, the limit,
and an example; a test that raises CannotTell counts as unknown, not as a failure of the model.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from textgate.bundle import verify_digest
from textgate.config import CONFIGS, DataConfig, Gates, load
from textgate.errors import CannotTell, TextgateError
from textgate.evidence import DataReport
from textgate.kept_predictions import Predictions, read_predictions
from textgate.model_tests import ASKED_ROWS, GATES
from textgate.models.classifier import Bundle, Probabilities, open_verified
from textgate.records import BUILD, read
from textgate.rows import Rows, check_rows, read_split
from textgate.sentences import load_sentences

SEED = 13
ASKED = 200  # texts: a fault that shows in three of two hundred is then found 19 times in 20
WARM_UP = 20  # texts, one by one: a model may open more for whoever asks so, and has done it when the clock starts


@dataclass(frozen=True)
class Given:
    """Everything that the tests are given."""

    bundle: Bundle
    rows: Rows
    gates: Gates
    sentences: dict[str, tuple[str, ...]] | None
    together: Future[Probabilities]  # asked for while pytest imports the tests
    predictions: Future[Predictions]  # of all rows, kept or asked for
    asked: int  # rows


GIVEN = pytest.StashKey[Given]()


def pytest_addoption(parser: pytest.Parser) -> None:
    default = os.environ.get("TEXTGATE_BUNDLE") or str(BUILD / "model")
    parser.addoption("--bundle", default=default, help=f"the bundle to test (default: {default})")


def pytest_configure(config: pytest.Config) -> None:
    try:
        config.stash[GIVEN] = _open(Path(config.getoption("--bundle")))
    except TextgateError as error:
        raise pytest.UsageError(str(error)) from error


def _open(path: Path) -> Given:
    gates, settings = load(GATES, Gates), load(CONFIGS / "data.yaml", DataConfig)
    data = read(BUILD / "data" / "data.json", DataReport, "data")
    check_rows(BUILD / "data", data.fingerprint)
    rows = read_split("test")
    if not len(rows):
        raise CannotTell(f'{BUILD / "data" / "test.jsonl"} has no rows: run "make data" again')
    bundle = open_verified(path, *verify_digest(path))
    if bundle.manifest.data_fingerprint != data.fingerprint:
        raise CannotTell(f'{path} was trained on other rows than those in {BUILD / "data"}: run "make train" again')
    rows.targets(bundle.manifest.labels)
    sentences = load_sentences(Path(settings.sentences), bundle.manifest.labels) if settings.sentences else None
    kept = read_predictions(BUILD, rows, bundle.digest, data.fingerprint)
    thread = ThreadPoolExecutor(1)
    texts = [rows.texts[number] for number in _draw(rows)]
    thread.submit(lambda: [bundle.classifier.predict_proba([text]) for text in texts[-WARM_UP:]])
    together = thread.submit(bundle.classifier.predict_proba, texts[:ASKED])
    predictions = thread.submit(lambda: kept or _ask(bundle, rows))
    asked = min(ASKED, len(rows)) if kept else len(rows)
    return Given(bundle, rows, gates, sentences, together, predictions, asked)


def _ask(bundle: Bundle, rows: Rows) -> Predictions:
    found = bundle.classifier.predict_proba(rows.texts)
    labels = tuple(bundle.manifest.labels[index] for index in found.argmax(axis=1))
    return Predictions(labels, found.max(axis=1))


def _draw(rows: Rows) -> list[int]:
    """Return the numbers of the rows in an order that is random and always the same."""
    return random.Random(SEED).sample(range(len(rows)), len(rows))  # noqa: S311  # a sample, not a secret


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of each label where a test asks for `label`."""
    if "label" in metafunc.fixturenames:
        metafunc.parametrize("label", metafunc.config.stash[GIVEN].bundle.manifest.labels)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put test_latency first, and leave out the tests on plain sentences where there are none.

    A skipped test would make the verdict unknown.
    """
    items.sort(key=lambda item: item.name != "test_latency")
    if config.stash[GIVEN].sentences is None:
        items[:] = [item for item in items if "sentences" not in getattr(item, "fixturenames", ())]


@pytest.fixture(scope="session", autouse=True)
def _noted(pytestconfig: pytest.Config, record_testsuite_property: Callable[[str, object], None]) -> None:
    """Write into the evidence how many rows the bundle was asked about, and whether there were no plain sentences."""
    given = pytestconfig.stash[GIVEN]
    record_testsuite_property(ASKED_ROWS, given.asked)
    if given.sentences is None:
        record_testsuite_property("not_checked", "minimum functionality: configs/data.yaml names no sentences")


@pytest.fixture(scope="session")
def bundle(pytestconfig: pytest.Config) -> Bundle:
    """Return the bundle, when nobody asks it anything any more: a test has the machine to itself."""
    given = pytestconfig.stash[GIVEN]
    wait([given.together, given.predictions])
    return given.bundle


@pytest.fixture(scope="session")
def rows(pytestconfig: pytest.Config) -> Rows:
    return pytestconfig.stash[GIVEN].rows


@pytest.fixture(scope="session")
def gates(pytestconfig: pytest.Config) -> Gates:
    return pytestconfig.stash[GIVEN].gates


@pytest.fixture(scope="session")
def sentences(pytestconfig: pytest.Config) -> dict[str, tuple[str, ...]]:
    return pytestconfig.stash[GIVEN].sentences or {}


@pytest.fixture(scope="session")
def order(rows: Rows) -> list[int]:
    """Return the numbers of the test rows in an order that is random and always the same."""
    return _draw(rows)


@pytest.fixture(scope="session")
def shuffled(rows: Rows, order: list[int]) -> list[str]:
    """Return the test texts in that order."""
    return [rows.texts[number] for number in order]


@pytest.fixture(scope="session")
def together(shuffled: list[str]) -> list[str]:
    """Return the texts that are asked at once."""
    return shuffled[:ASKED]


@pytest.fixture(scope="session")
def probabilities(pytestconfig: pytest.Config) -> Probabilities:
    """Return what the bundle says about the texts in `together`, asked at once."""
    return pytestconfig.stash[GIVEN].together.result()


@pytest.fixture(scope="session")
def answers() -> dict[str, Probabilities]:
    """Return what the bundle said about each text that it was asked alone: shape (1, labels), noted by test_latency."""
    return {}


@pytest.fixture(scope="session")
def alone(bundle: Bundle, together: list[str], answers: dict[str, Probabilities]) -> Probabilities:
    """Return what the bundle says about the same texts, asked one by one: shape (texts, labels)."""
    missing = [text for text in together if text not in answers]  # all of them if test_latency was left out
    answers |= {text: bundle.classifier.predict_proba([text]) for text in missing}
    return np.concatenate([answers[text] for text in together])


@pytest.fixture(scope="session")
def predictions(pytestconfig: pytest.Config) -> Predictions:
    """Return the predicted label of each test row, and its probability."""
    return pytestconfig.stash[GIVEN].predictions.result()


@pytest.fixture(scope="session")
def predicted(predictions: Predictions) -> tuple[str, ...]:
    """Return the predicted label of each test row."""
    return predictions.labels
