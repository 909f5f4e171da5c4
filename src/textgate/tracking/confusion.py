"""A confusion matrix as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textgate.evidence import Scores

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUMBERED = 30  # labels up to which names and numbers can be read: a million of them would take minutes


def draw(scores: Scores) -> Figure:
    """Draw rows of true labels against columns of predicted ones; of many labels the shades alone."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    labels = [label.label for label in scores.labels]
    table = [[scores.confusion.get(label, {}).get(column, 0) for column in scores.columns] for label in labels]
    axes.imshow(table, cmap="Blues")
    axes.set(xlabel="predicted", ylabel="true")
    if len(scores.columns) > NUMBERED:
        return figure
    axes.set_xticks(range(len(scores.columns)), scores.columns)
    axes.set_yticks(range(len(labels)), labels)
    for row, counts in enumerate(table):
        for column, count in enumerate(counts):
            axes.annotate(str(count), (column, row), ha="center", va="center")
    return figure
