"""Does a released bundle answer? It is verified, vouched for, opened and asked; what it answers is not judged again."""

from __future__ import annotations

import contextlib
import tempfile
import time
from pathlib import Path

import jsonschema

from textgate.bundle import verify
from textgate.choose import FETCHED, bundle_in
from textgate.config import CONFIGS, DataConfig, load
from textgate.errors import CannotTell, Refused
from textgate.evidence import Release
from textgate.models.classifier import Bundle, open_bundle
from textgate.prediction import Prediction, prediction, schema
from textgate.release.archive import unpack
from textgate.release.assets import SUMS, archive_name, check
from textgate.release.versions import version_of
from textgate.scan.policy import one_line, vouch_folder
from textgate.sentences import load_sentences

ODD = {
    "nothing": "",
    "white space": " \t\n",
    "a long text": "many words " * 10_000,
    "a long word": "x" * 100_000,
    "NUL and emoji": "a\x00b 👩‍👩‍👧‍👦🔥",
    "right to left": "\u05e9\u05dc\u05d5\u05dd \u202e\u0645\u0631\u062d\u0628\u0627",
    "a lone surrogate": "a \ud800 b",
    "combining marks": "a" + "\u0301" * 500,
}


def smoke(folder: Path, configs: Path = CONFIGS, version: str | None = None) -> str:
    """Ask the bundle in a folder and return one line that says what it answers.

    The folder is a release as it was built (it is checked whole), one that a registry fetched, or a plain bundle.
    Raises Refused for another version than is asked for, an altered bundle, one that nobody vouches for, or an answer
    of another form than promised; CannotTell if there is no bundle.
    """
    if (folder / SUMS).exists() and not (folder / FETCHED).exists():
        release = check(folder)
        _same_version(folder, release, version)
        with tempfile.TemporaryDirectory() as temporary:
            unpack(folder / archive_name(release.bundle_digest), Path(temporary, "bundle"))
            return _answers(Path(temporary, "bundle"), release, configs)
    path, fetched = bundle_in(folder)
    _same_version(folder, fetched, version)
    return _answers(path, fetched, configs)


def _same_version(folder: Path, release: Release | None, version: str | None) -> None:
    found = release.version if release else "no release"
    if version is not None and found != version_of(version):
        raise Refused(f"{folder} holds {found}, not {version_of(version)}: see which version is in production")


def _answers(path: Path, release: Release | None, configs: Path) -> str:
    expected = release.bundle_digest if release else None
    verify(path, expected)
    vouch_folder(path)
    bundle = open_bundle(path, expected)
    sentences = _sentences(configs, bundle.manifest.labels)
    texts = {**ODD, **{f"{text[:60]!a}": text for text in sentences}}
    started = time.perf_counter()
    name = release.version if release else f"bundle {bundle.digest[:12]}"
    answers = {what: _ask(bundle, name, what, text) for what, text in texts.items()}
    ms = (time.perf_counter() - started) * 1000 / len(texts)
    last = next(reversed(answers))
    sure = answers[last].probabilities[answers[last].label]
    said = f"{one_line(answers[last].label)} ({sure:.2f}) to {last}"
    return f"{name} answers: {said}; {len(texts)} texts, {ms:.1f} ms each"


def _sentences(configs: Path, labels: tuple[str, ...]) -> list[str]:
    """Return the plain sentences of today's configuration; none if they are for other labels than the bundle's."""
    with contextlib.suppress(CannotTell):
        named = load(configs / "data.yaml", DataConfig).sentences
        found = load_sentences(Path(named), labels) if named else {}
        return [text for texts in found.values() for text in texts]
    return []


def _ask(bundle: Bundle, name: str, what: str, text: str) -> Prediction:
    try:
        return _answer(bundle, text)
    except MemoryError:  # says nothing about the bundle
        raise
    except Exception as error:  # readers in C++ and Rust raise bare exceptions
        reason = one_line(getattr(error, "message", None) or str(error))
        raise Refused(f"{name}: asked {what}, it fails: {reason}: do not serve it") from error


def _answer(bundle: Bundle, text: str) -> Prediction:
    rows = bundle.classifier.predict_proba([text])
    if len(rows) != 1:
        raise Refused(f"one text was asked, {len(rows)} answers came")
    answer = prediction(rows[0], bundle.manifest.labels, bundle.digest)
    jsonschema.validate(answer.model_dump(), schema())
    return answer
