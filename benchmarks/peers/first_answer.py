"""textgate from the start of a process to its first answer. `first_answer.py BUNDLE ROWS`."""

# ruff: noqa: INP001 - the counterpart of one_text.py

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

from textgate.models.classifier import open_bundle
from textgate.prediction import prediction

with Path(sys.argv[2]).open(encoding="utf-8") as rows:
    text = json.loads(rows.readline())["text"]
bundle = open_bundle(Path(sys.argv[1]))
(row,) = bundle.classifier.predict_proba([text])
print(prediction(row, bundle.manifest.labels, bundle.digest).label)
