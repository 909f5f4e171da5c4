"""A file of texts as a tutorial scores it: transformers.pipeline, batches of 32, file order. `file_rows.py IN OUT`."""

# ruff: noqa: INP001 - a peer

import json
import sys
from pathlib import Path
from time import perf_counter

from classify import Pipeline

BATCH = 32

source, target = map(Path, sys.argv[1:])
model = Pipeline()
model(["warm up"] * BATCH, BATCH)
for _line in sys.stdin:  # a line asks for one more measurement
    started = perf_counter()
    texts = [json.loads(line)["text"] for line in source.read_text(encoding="utf-8").splitlines()]
    with target.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(answer) + "\n" for answer in model(texts, BATCH))
    print(perf_counter() - started, flush=True)
