"""textgate's fine-tuning in a process of its own, or in several under torchrun.

`train_ours.py BASE ROWS` prints one JSON object as train_hf.py does.
"""

# ruff: noqa: INP001 - a script, not a package

import json
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import numpy as np
import torch

from textgate.config import CONFIGS, Experiment, load
from textgate.models.transformer import Encoder
from textgate.train.finetune import Task, finetune
from textgate.train.network import Texts
from textgate.train.processes import joined


def main() -> None:
    """Train and predict."""
    base, rows = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    config = load(CONFIGS / "experiments" / "002_transformer.yaml", Experiment).model
    config = config.model_copy(update={"patience": config.epochs})  # all of them, as the peer trains
    train, valid = ((rows[split]["texts"], np.array(rows[split]["labels"])) for split in ("train", "valid"))
    task = Task(train, valid, tuple(rows["labels"]), config, rows["settings"]["seed"], "cpu")  # type: ignore[arg-type]
    started, processor = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder, joined("cpu") as processes:
        torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // processes.count))
        model, epochs, _ = finetune(task, base, Path(folder) / "checkpoint.safetensors", processes)
    seconds, processor = time.perf_counter() - started, time.process_time() - processor
    if processes.rank:
        return
    texts = Texts.of(Encoder(base, task.config.max_tokens)(valid[0]), "cpu")
    predicted = np.zeros(len(valid[0]), np.int64)
    with torch.inference_mode():
        for batch in texts.by_length():
            predicted[batch] = model(**texts.batch(batch)).logits.argmax(dim=1).numpy()
    found = {"seconds": seconds, "processor_seconds": processor, "epochs": len(epochs)}
    print(json.dumps(found | {"predicted": predicted.tolist()}))


if __name__ == "__main__":
    main()
