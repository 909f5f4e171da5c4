"""One text, again and again, or once: what the latency of transformers.pipeline is. `one_text.py ROWS RUNS`.

Reads texts from ROWS (a line each, JSON) and prints the median seconds of a text, RUNS over all of them; RUNS 0 answers
the first text and ends, for the cold start.
"""

# ruff: noqa: INP001 - a peer

import json
import statistics
import sys
from pathlib import Path
from time import perf_counter

from classify import Pipeline

texts = [json.loads(line)["text"] for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()]
model = Pipeline()
if sys.argv[2] == "0":
    print(model(texts[:1])[0]["label"], flush=True)
    sys.exit()
for text in texts[:10]:
    model([text])
for _line in sys.stdin:  # a line asks for one more measurement
    seconds = []
    for _ in range(int(sys.argv[2])):
        for text in texts:
            started = perf_counter()
            model([text])
            seconds.append(perf_counter() - started)
    print(statistics.median(seconds), flush=True)
