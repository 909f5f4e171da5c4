"""A confusion matrix as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textgate.evidence import Scores

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(scores: Scores) -> Figure:
    """Draw rows of true labels against columns of predicted ones."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    axes.imshow(scores.confusion, cmap="Blues")
    axes.set_xticks(range(len(scores.columns)), scores.columns)
    axes.set_yticks(range(len(scores.labels)), [label.label for label in scores.labels])
    axes.set(xlabel="predicted", ylabel="true")
    for row, counts in enumerate(scores.confusion):
        for column, count in enumerate(counts):
            axes.annotate(str(count), (column, row), ha="center", va="center")
    return figure
