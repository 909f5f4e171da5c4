"""Where training computes, and in which precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from textgate.errors import CannotTell


def choose_device(wanted: str) -> str:
    """Turn auto into cuda where there is a GPU, else cpu. Raises CannotTell for cuda without a GPU."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise CannotTell("configs/train.yaml: device: cuda: torch finds no GPU here: set auto, or mend the driver")
    return ("cuda" if torch.cuda.is_available() else "cpu") if wanted == "auto" else wanted


def precision(device: str) -> torch.dtype:
    """Return bfloat16 where the hardware computes it, else float32."""
    fast = torch.cuda.is_bf16_supported() if device == "cuda" else torch.ops.mkldnn._is_mkldnn_bf16_supported()  # noqa: SLF001 - torch has no public name for it
    return torch.bfloat16 if fast else torch.float32


@contextmanager
def memory_errors() -> Iterator[None]:
    """Raise MemoryError, which is said in one line, where torch has its own words for it."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
            raise MemoryError(str(error).splitlines()[0]) from error
        raise


def to_device(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return the values on the device; a GPU fetches them while it still computes."""
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values
