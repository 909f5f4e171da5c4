"""A folder in which a small real bundle and its rows lie, ready for the model tests."""

import json
import os
import random
import shutil
import subprocess
import sys

import numpy as np
import yaml
from tests.project import EXAMPLE, ROOT

from textgate import bundle, files, records
from textgate.config import Experiment, load
from textgate.evidence import DataReport, Reference
from textgate.models.tfidf import TfidfClassifier
from textgate.rows import fingerprint, split_hashes

DIGEST = "1" * 64
WORDS = {
    "red": "Rubin karmin 12 ziegel kupfer 7 mohn rost feuer",
    "blue": "Himmel indigo 30 kobalt azur 9 meer tinte lapis",
}
REFERENCE = Reference(label_share={}, characters_quantiles=(), words_quantiles=(), character_share={})


def sentence(label, chooser):
    return " ".join(chooser.choices(WORDS[label].split(), k=6))


def make_project(folder, test_rows=60, wrong=0):
    """Fill a folder with configs, rows of two made-up labels and a tfidf bundle trained on them.

    With `wrong`, one test row in so many has the other label.
    """
    shutil.copytree(EXAMPLE, folder / "configs")
    chooser, labels, columns = random.Random(5), tuple(WORDS), {}
    for split, count in (("train", 200), ("valid", 60), ("test", test_rows)):
        told = [labels[number % 2] for number in range(count)]
        texts = [sentence(label, chooser) for label in told]
        if split == "test" and wrong:
            told = [labels[(n + (n // 2 % wrong == 0)) % 2] for n in range(count)]
        columns[split] = (texts, np.array([labels.index(label) for label in told]))
        rows = (
            {"id": f"{n}", "text": t, "label": x, "group": "g"}
            for n, (t, x) in enumerate(zip(texts, told, strict=True))
        )
        files.write_jsonl(folder / "build" / "data" / f"{split}.jsonl", rows)
    found = fingerprint(split_hashes(folder / "build" / "data"))
    report = {
        "source": "made up",
        "licence": "none",
        "fingerprint": found,
        "test_sha256": DIGEST,
        "test_locked": False,
    }
    report |= {"labels": labels, "rows": {}, "dropped": {}, "near_duplicates": {}, "near_duplicate_examples": ()}
    data = DataReport(**report, expectations=1, notes=(), reference=REFERENCE)
    records.write(folder / "build" / "data" / "data.json", data)
    plain = {label: [sentence(label, chooser) for _ in range(4)] for label in labels}
    (folder / "configs" / "sentences.yaml").write_text(yaml.safe_dump(plain))
    experiment = load(folder / "configs" / "experiments" / "001_baseline.yaml", Experiment)
    model = TfidfClassifier.fit(*columns["train"], columns["valid"], labels, experiment.model, 13)
    (folder / "build" / "model").mkdir()
    model.save(folder / "build" / "model")
    made = {"kind": "tfidf", "labels": labels, "experiment": "001_baseline", "config": experiment, "parts": ()}
    made |= {"seed": 13, "data_fingerprint": found, "commit": "c", "lock_sha256": DIGEST, "versions": {}}
    bundle.seal(folder / "build" / "model", **made, reference=REFERENCE)


def describe_rows(folder):
    """Let data.json and the bundle name the rows that lie there now."""
    found = fingerprint(split_hashes(folder / "build" / "data"))
    for name, key in (("data/data.json", "fingerprint"), ("model/manifest.json", "data_fingerprint")):
        path = folder / "build" / name
        files.write_text(path, json.dumps(json.loads(path.read_text()) | {key: found}))


def run_script(folder, **environment):
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / "model_tests.py"],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "2"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
