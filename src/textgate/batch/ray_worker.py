"""What runs on the machines of a Ray cluster: a model that came as bytes, and the windows that it answers."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from textgate.batch.answer import Answer, Model, answer_with
from textgate.batch.formats import Format
from textgate.batch.rows import Window
from textgate.errors import CannotTell, TextgateError
from textgate.models.classifier import open_bundle

DECIDE = ("numpy", "onnxruntime", "pyarrow", "tokenizers")  # another version of them may give other bytes


def versions() -> dict[str, str]:
    """Return the versions of what decides the output's bytes. Raises PackageNotFoundError if one is not installed."""
    return {name: version(name) for name in DECIDE}


class Worker:
    """The body of a Ray actor. It returns errors and does not raise them: Ray would wrap them in a traceback."""

    def __init__(self, model: Model, form: Format, wanted: dict[str, str]) -> None:
        """Take what the one who asks has: the model's digest and version, and the versions of its packages."""
        self._model, self._form, self._wanted = model, form, wanted

    def open(self, names: Sequence[str], *contents: bytes) -> TextgateError | None:
        """Write the bundle's files, check that together they have its digest, and open it."""
        try:
            for name, found in versions().items():
                if found != self._wanted[name]:
                    what = f"{name} {found} there, {self._wanted[name]} here"
                    return self._error(f"{what}: install requirements-ray.txt on every machine")
            with tempfile.TemporaryDirectory(prefix="textgate-") as folder:
                for name, content in zip(names, contents, strict=True):
                    path = Path(folder, name)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
                self._bundle = open_bundle(Path(folder), self._model.digest)
        except Exception as error:  # noqa: BLE001 - told where it is read
            return self._error(f"{error}")
        return None

    def answer(self, window: Window) -> Answer | TextgateError:
        """Score a window."""
        try:
            return answer_with(self._bundle, window, self._model.version, self._form)
        except TextgateError as error:
            return error
        except Exception as error:  # noqa: BLE001 - told where it is read
            return self._error(f"{type(error).__name__}: {error}")

    @staticmethod
    def _error(what: str) -> TextgateError:
        return CannotTell(f"the Ray worker on {socket.gethostname()}: {what}")
