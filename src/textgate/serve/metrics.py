"""The Prometheus metrics of the service. deploy/prometheus and the dashboard read these names."""

from __future__ import annotations

import os
from collections.abc import Iterable
from multiprocessing import parent_process
from pathlib import Path

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

disable_created_metrics()  # a second series beside each, whose time nobody asks for

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10)
SHARES = tuple(step / 20 for step in range(1, 21))
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
CHARACTERS = (10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10240)

READY = Gauge("textgate_ready", "1 if it can answer, 0 if one of its processes cannot", multiprocess_mode="livemin")
REQUESTS = Counter("textgate_requests", "Requests answered", ("endpoint", "status"))
REQUEST_SECONDS = Histogram("textgate_request_seconds", "Time to answer", ("endpoint",), buckets=SECONDS)
REJECTED = Counter("textgate_rejected", "Requests turned away", ("reason",))  # busy, rate, access, size, slow, bad
QUEUE = Gauge("textgate_queue_texts", "Texts waiting", multiprocess_mode="livesum")
BATCH = Histogram("textgate_batch_texts", "Texts scored at once", buckets=SIZES)
PREDICTIONS = Counter("textgate_predictions", "Texts answered", ("variant", "label"))
CONFIDENCE = Histogram("textgate_confidence", "Probability of the label that was given", ("variant",), buckets=SHARES)
MODEL_SECONDS = Histogram(  # a challenger that is asked unseen shows in no time to answer
    "textgate_model_seconds",
    "Time until a model had answered a request, waiting included",
    ("variant",),
    buckets=SECONDS,
)
MODEL_FAILURES = Counter("textgate_model_failures", "Requests that a model failed on", ("variant",))
TEXT_CHARACTERS = Histogram("textgate_text_characters", "Characters a text", buckets=CHARACTERS)
UNKNOWN_SHARE = Histogram("textgate_unknown_share", "Share of unknown tokens or n-grams a text", buckets=SHARES)
SHADOW = Counter("textgate_shadow", "Texts that the challenger answered unseen", ("agrees",))  # yes, no, dropped
MODEL = Gauge(
    "textgate_model_info",
    "1 for each loaded model",
    ("variant", "version", "digest", "kind"),
    multiprocess_mode="livemax",
)
RELOADS = Counter("textgate_reloads", "Attempts to load another model", ("variant", "outcome"))  # passed, refused
AUDIT_FAILURES = Counter("textgate_audit_failures", "Answers that could not be recorded and were not given")


def registry() -> CollectorRegistry:
    """Return this process's figures; with several workers those of all, which leave theirs in files of one folder."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    together = CollectorRegistry()
    MultiProcessCollector(together)
    together.register(Processes(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])))
    return together


class Processes(Collector):
    """Memory, CPU and files of each worker and of their supervisor, by `pid`, as a process alone tells its own."""

    def __init__(self, folder: Path) -> None:
        """Take the folder; a worker's gauges lie in it for as long as it lives."""
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """Return each figure once, with a sample a process."""
        supervisor = parent_process()
        pids = [path.stem.rpartition("_")[2] for path in sorted(self._folder.glob("gauge_livemin_*.db"))]
        pids += [str(supervisor.pid)] if supervisor else []
        found: dict[str, Metric] = {}
        for pid in pids:
            for one in ProcessCollector(pid=lambda: pid, registry=None).collect():  # noqa: B023 - read in this turn
                every = found.setdefault(one.name, Metric(one.name, one.documentation, one.type))
                for sample in one.samples:
                    every.add_sample(sample.name, {"pid": pid}, sample.value)
        return found.values()
