"""A trained PyTorch encoder into the ONNX file that is evaluated, scanned and served."""

from __future__ import annotations

import logging
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from textgate.errors import CannotTell
from textgate.models.calibration import fit_temperature, softmax
from textgate.models.classifier import Probabilities
from textgate.models.transformer import Encoder, Settings, TransformerClassifier
from textgate.train.network import first_token_alone
from textgate.train.quantise import Texts, quantise, quiet
from textgate.train.vocabulary import cut_vocabulary

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from textgate.train.finetune import Task

LOG = logging.getLogger(__name__)
OPSET = 17  # the newest that the tracing exporter writes without conversion
MAX_DIFFERENCE = 1e-2  # between torch's and ONNX Runtime's scores in 32 bits; rounding gives about 1e-5
TYPICAL = 256  # training texts, at most, on which the ranges of 8 bits are found; each costs a run
NEXT = "this architecture needs another export"


def to_onnx(model: torch.nn.Module, example: torch.Tensor, path: Path, typical: Texts | None) -> None:
    """Write an ONNX file with dynamic batch and length, quantised to 8 bits on `typical` texts if there are any.

    `example` holds token ids of shape (texts, tokens), at least 2 each. Raises CannotTell if ONNX Runtime does not
    give torch's scores.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as temporary:
        exact = Path(temporary) / "exact.onnx"
        _trace(model, example, exact)
        _fuse(model, exact)
        _check_parity(model, example, exact)
        if typical is None:
            exact.rename(path)
        else:
            quantise(exact, path, typical)


def _trace(model: torch.nn.Module, example: torch.Tensor, path: Path) -> None:
    import torch

    model.eval()
    axes = {0: "texts", 1: "tokens"}
    with torch.no_grad(), first_token_alone(model), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (example, torch.ones_like(example)),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_axes={"input_ids": axes, "attention_mask": axes, "logits": {0: "texts"}},
        )


def _fuse(model: torch.nn.Module, path: Path) -> None:
    """Make one operator of what attention, GELU and a sum with its normalisation consist of, in a BERT-like encoder.

    Of 987 operators of multilingual-e5-small 171 are left, and of its time in 8 bits five sixths on two threads. What
    is not recognised stays as it is, and so does a file whose weights lie beside it, as above 2 GiB: several copies
    would be in memory at once.
    """
    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.optimizer import optimize_model

    if any(other != path for other in path.parent.iterdir()):
        return
    options = FusionOptions("bert")
    options.use_raw_attention_mask(True)  # the other format takes all padding to be at the end
    options.enable_embed_layer_norm = False  # embeddings in 8 bits are looked up by themselves
    options.enable_bias_gelu = options.enable_bias_skip_layer_norm = False  # products in 8 bits add their bias
    config = getattr(model, "config", None)
    heads, width = (getattr(config, name, 0) for name in ("num_attention_heads", "hidden_size"))
    try:
        with quiet():
            fused = optimize_model(str(path), "bert", heads, width, options, opt_level=0)
    except Exception as error:  # noqa: BLE001 - it asserts what it takes for granted; without it all is well, but slower
        LOG.warning("the ONNX file keeps its many small operators: %s", str(error)[:200] or type(error).__name__)
    else:
        fused.save_model_to_file(str(path))


def _check_parity(model: torch.nn.Module, example: torch.Tensor, path: Path) -> None:
    """Compare on the traced shape and on another, padded behind and before: a trace can hold a length as a constant."""
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    mask = torch.ones_like(example)
    padded = mask.repeat(2, 1)[:3, 1:].clone()
    padded[0, 1:] = padded[1, :-1] = 0
    differences = []
    for tokens, seen in ((example, mask), (example.repeat(2, 1)[:3, 1:], padded)):
        with torch.no_grad():
            expected = model(tokens, seen)[0].numpy()
        try:
            found = session.run(["logits"], {"input_ids": tokens.numpy(), "attention_mask": seen.numpy()})[0]
        except Exception as error:  # its exceptions have no base of their own
            raise CannotTell(
                f"the ONNX export does not take all that torch takes: {NEXT} ({str(error)[:200]})"
            ) from error
        differences.append(np.abs(expected - found).max())
    if not (difference := np.max(differences)) <= MAX_DIFFERENCE:  # NaN is not
        raise CannotTell(f"the ONNX export differs from torch by {difference:.3g}: {NEXT}")


def save_transformer(
    model: PreTrainedModel, base: Path, task: Task, folder: Path
) -> tuple[TransformerClassifier, Probabilities]:
    """Write a trained model as the kind `transformer` into a folder, open it, and fit its temperature.

    With `cut_vocabulary`, the embeddings of the given model are cut too.
    The temperature is fitted on the validation rows with the exported file, which is what will be served. Returns the
    model and its probabilities for these rows, of shape (rows, labels).
    """
    import torch

    shutil.copyfile(base / "tokenizer_config.json", folder / "tokenizer_config.json")
    if task.config.cut_vocabulary:
        cut_vocabulary(model, base, folder, task.train[0], task.config.max_tokens)
    else:
        shutil.copyfile(base / "tokenizer.json", folder / "tokenizer.json")
    model.config.save_pretrained(folder)
    if task.config.keep_torch_weights:
        model.save_pretrained(folder)
    encode = Encoder(folder, task.config.max_tokens)
    example = torch.tensor([encode([task.valid[0][0]])[0]] * 2)
    rows = task.train[0]
    typical = encode(rows[:: -(-len(rows) // TYPICAL)]) if task.config.int8 else None
    to_onnx(model, example, folder / "onnx" / "model.onnx", typical)
    settings = Settings(temperature=1.0, max_tokens=task.config.max_tokens)
    raw = TransformerClassifier(task.labels, folder, settings)
    logits = raw.logits(task.valid[0])
    temperature = fit_temperature(logits, task.valid[1])
    return raw.with_temperature(temperature), softmax(logits / temperature)
