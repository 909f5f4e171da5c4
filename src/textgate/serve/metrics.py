"""The Prometheus metrics of the service. deploy/prometheus and the dashboard read these names."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10)
SHARES = tuple(step / 20 for step in range(1, 21))
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
CHARACTERS = (10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10240)

REQUESTS = Counter("textgate_requests", "Requests answered", ("endpoint", "status"))
REQUEST_SECONDS = Histogram("textgate_request_seconds", "Time to answer", ("endpoint",), buckets=SECONDS)
REJECTED = Counter("textgate_rejected", "Requests turned away", ("reason",))  # busy, rate, access, size, slow, bad
QUEUE = Gauge("textgate_queue_texts", "Texts waiting", multiprocess_mode="livesum")
BATCH = Histogram("textgate_batch_texts", "Texts scored at once", buckets=SIZES)
PREDICTIONS = Counter("textgate_predictions", "Texts answered", ("variant", "label"))
CONFIDENCE = Histogram("textgate_confidence", "Probability of the label that was given", ("variant",), buckets=SHARES)
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
