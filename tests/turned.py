"""A bundle of the linear model whose weights are turned by a little, or by more."""

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file


def turn(folder: Path, by: float, only: str = "") -> None:
    """Change weights of a linear bundle by about a share of themselves, each in a direction of its own."""
    path, chance = folder / "tfidf.safetensors", np.random.default_rng(1)
    tensors = load_file(path)
    for name, values in tensors.items():
        if only in name:
            tensors[name] = (values * (1 + by * chance.standard_normal(values.shape))).astype(values.dtype)
    save_file(tensors, path)
