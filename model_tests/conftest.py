"""What the model tests work on: the bundle, the test rows, the limits. Opened once; run `pytest model_tests` by hand.

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

from textgate.config import CONFIGS, DataConfig, Gates, load
from textgate.errors import CannotTell, TextgateError
from textgate.evidence import DataReport
from textgate.model_tests import GATES
from textgate.models.classifier import Bundle, Probabilities, open_bundle
from textgate.records import BUILD, read
from textgate.rows import Rows, check_rows, read_split
from textgate.sentences import load_sentences

SEED = 13


@dataclass(frozen=True)
class Given:
    """Everything that the tests are given."""

    bundle: Bundle
    rows: Rows
    gates: Gates
    sentences: dict[str, tuple[str, ...]] | None
    scored: Future[Probabilities]  # of all rows, while pytest imports the tests and their libraries


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
    bundle = open_bundle(path)
    if bundle.manifest.data_fingerprint != data.fingerprint:
        raise CannotTell(f'{path} was trained on other rows than those in {BUILD / "data"}: run "make train" again')
    rows.targets(bundle.manifest.labels)
    sentences = load_sentences(Path(settings.sentences), bundle.manifest.labels) if settings.sentences else None
    scored = ThreadPoolExecutor(1).submit(bundle.classifier.predict_proba, rows.texts)
    return Given(bundle, rows, gates, sentences, scored)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of each label where a test asks for `label`."""
    if "label" in metafunc.fixturenames:
        metafunc.parametrize("label", metafunc.config.stash[GIVEN].bundle.manifest.labels)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests on plain sentences where there are none: a skipped test would make the verdict unknown."""
    if config.stash[GIVEN].sentences is None:
        items[:] = [item for item in items if "sentences" not in getattr(item, "fixturenames", ())]


@pytest.fixture(scope="session", autouse=True)
def _not_checked(pytestconfig: pytest.Config, record_testsuite_property: Callable[[str, object], None]) -> None:
    """Write into the evidence that there were no plain sentences to test with."""
    if pytestconfig.stash[GIVEN].sentences is None:
        record_testsuite_property("not_checked", "minimum functionality: configs/data.yaml names no sentences")


@pytest.fixture(scope="session")
def bundle(pytestconfig: pytest.Config) -> Bundle:
    """Return the bundle, when nobody asks it anything any more: a test has the machine to itself."""
    wait([pytestconfig.stash[GIVEN].scored])
    return pytestconfig.stash[GIVEN].bundle


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
def probabilities(pytestconfig: pytest.Config) -> Probabilities:
    return pytestconfig.stash[GIVEN].scored.result()


@pytest.fixture(scope="session")
def predicted(bundle: Bundle, probabilities: Probabilities) -> list[str]:
    """Return the predicted label of each test row."""
    return [bundle.manifest.labels[index] for index in np.argmax(probabilities, axis=1)]


@pytest.fixture(scope="session")
def order(rows: Rows) -> list[int]:
    """Return the numbers of the test rows in an order that is random and always the same."""
    return random.Random(SEED).sample(range(len(rows)), len(rows))  # noqa: S311  # a sample, not a secret


@pytest.fixture(scope="session")
def shuffled(rows: Rows, order: list[int]) -> list[str]:
    """Return the test texts in that order."""
    return [rows.texts[number] for number in order]
