"""One ONNX file, opened for many texts and, if texts come one after the other, once more for those.

ONNX Runtime fixes the threads of a session when it opens it. With two threads a lone text takes two thirds of the time,
but more work: as soon as two come at once, both are answered faster by a thread each.
"""

from __future__ import annotations

import logging
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgate.models.processors import processors

LOG = logging.getLogger(__name__)
LONE_THREADS = 2  # each further one has less to do, and more to wait for
LONE_RUNS = (
    16  # in a row, before it is believed that texts come one by one: two clients seldom miss each other so often
)

Feed = dict[str, NDArray[np.int64]]


class Sessions:
    """Takes input_ids and attention_mask, gives logits; the answers of both sessions are the same to the last bit."""

    def __init__(self, path: Path) -> None:
        """Open the file; the second session, which takes as much memory again, waits until there is use for it."""
        self._path, self._narrow, self._wide = path, _open(path, 1), None
        self._lock, self._running, self._lone = Lock(), 0, 0
        self._opening = processors() < LONE_THREADS  # or opened, or not to be

    @property
    def outputs(self) -> int:
        """Return how many scores it gives."""
        return int(self._narrow.get_outputs()[0].shape[-1])

    def run(self, feed: Feed, *, alone: bool) -> NDArray[np.float64]:
        """Return the logits, shape (texts, labels); `alone` if the caller runs nothing beside it. From any thread."""
        session = self._begin(alone=alone)
        try:
            return np.asarray(session.run(["logits"], feed)[0], np.float64)
        finally:
            with self._lock:
                self._running -= 1

    def _begin(self, *, alone: bool) -> Any:
        with self._lock:
            self._lone = 0 if self._running or not alone else self._lone + 1
            self._running += 1
            if self._lone < LONE_RUNS:
                return self._narrow
            if not self._opening:
                self._opening = True
                Thread(target=self._open_wide).start()  # it takes a third of a second, which nobody has to wait for
            return self._wide or self._narrow

    def _open_wide(self) -> None:
        try:
            self._wide = _open(self._path, LONE_THREADS)
        except Exception as error:  # noqa: BLE001 - ONNX Runtime raises bare ones; without it all is well, but slower
            LOG.warning("no second session: %s", error)


def _open(path: Path, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
