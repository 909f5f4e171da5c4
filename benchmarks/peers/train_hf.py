"""transformers.Trainer on a classifier. `train_hf.py tutorial|tuned|whole BASE ROWS`: prints one JSON object.

ROWS is a JSON file: train and valid (each texts and labels), labels, and settings, of which all but the learning rate
are textgate's.
tutorial: as the usual tutorials set it, padded to 512 tokens, 32 bits, all weights. tuned: padded to the batch, grouped
by length, bfloat16 where the processor has it, and the same parts frozen as in textgate. whole: tuned, all weights.
The tutorial's way takes 45 s a step, and ends early. This runs in .venv-bench, without textgate.
"""

# ruff: noqa: INP001, ANN001, ANN003, ANN201, ANN204, ARG002, D102, D103, D107 - as a user of it would write it

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

WAY, BASE, ROWS = sys.argv[1], sys.argv[2], json.loads(Path(sys.argv[3]).read_text())
EARLY = WAY == "tutorial"
SETTINGS = ROWS["settings"]
PARTS = 4 if EARLY else 1  # of a batch: 32 texts of 512 tokens at once take 20 GB


class Clock(TrainerCallback):
    """Takes the time of the second part of the first step, and ends it: the first part warms up."""

    def __init__(self):
        self.ends = []

    def on_substep_end(self, args, state, control, **kwargs):
        self.ends.append(time.perf_counter())
        control.should_training_stop = EARLY and len(self.ends) == 2


def model():
    dropout = {} if WAY == "tutorial" else dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), 0.0)
    found = AutoModelForSequenceClassification.from_pretrained(BASE, num_labels=len(ROWS["labels"]), **dropout)
    if WAY == "tuned":
        for part in (found.bert.embeddings, *found.bert.encoder.layer[: SETTINGS["freeze_layers"]]):
            part.requires_grad_(False)
    return found


def encoded(tokenizer, split):
    longest = (
        {"max_length": 512, "padding": "max_length"} if WAY == "tutorial" else {"max_length": SETTINGS["max_tokens"]}
    )
    rows = tokenizer(split["texts"], truncation=True, **longest)
    return [
        {"input_ids": ids, "attention_mask": mask, "labels": label}
        for ids, mask, label in zip(rows["input_ids"], rows["attention_mask"], split["labels"], strict=True)
    ]


def arguments(folder):
    bf16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()  # noqa: SLF001
    tuned = {"bf16": bf16, "train_sampling_strategy": "group_by_length", "warmup_steps": SETTINGS["warmup_share"]}
    tuned |= {"learning_rate": SETTINGS["learning_rate"]} if WAY == "tuned" else {}
    return TrainingArguments(
        output_dir=folder,
        per_device_train_batch_size=SETTINGS["batch_size"] // PARTS,
        gradient_accumulation_steps=PARTS,
        per_device_eval_batch_size=64,
        num_train_epochs=SETTINGS["epochs"],
        eval_strategy="no" if EARLY else "epoch",
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        seed=SETTINGS["seed"],
        **({} if WAY == "tutorial" else tuned),
    )


def main():
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    started, processor = time.perf_counter(), time.process_time()
    tokenizer = AutoTokenizer.from_pretrained(BASE)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=model(),
            args=arguments(folder),
            train_dataset=encoded(tokenizer, ROWS["train"]),
            eval_dataset=encoded(tokenizer, ROWS["valid"]),
            data_collator=DataCollatorWithPadding(tokenizer),
            callbacks=[clock],
        )
        trainer.train()
        seconds, processor = time.perf_counter() - started, time.process_time() - processor
        step = PARTS * (clock.ends[1] - clock.ends[0]) if EARLY else 0.0
        trainer.args.train_sampling_strategy = "random"  # else rows to be predicted are put in another order, too
        found = [] if EARLY else trainer.predict(trainer.eval_dataset).predictions.argmax(axis=1).tolist()
    used = {"seconds": seconds, "processor_seconds": processor, "step_seconds": step, "epochs": trainer.state.epoch}
    print(json.dumps(used | {"predicted": found}))


if __name__ == "__main__":
    main()
