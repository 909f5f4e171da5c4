"""A confusion matrix as a picture and in the report: all of it where that can be read, else the worst of it."""

import numpy as np
from tests.evidence_examples import model, scores, sha

from textgate.evidence import Metrics
from textgate.report.details import SHOWN_LABELS, SHOWN_MISTAKES, sections
from textgate.report.document import to_markdown
from textgate.report.found import Found
from textgate.tracking.confusion import NUMBERED, draw


def test_draw__few_labels_have_names_and_numbers():
    found = scores(("da", "nb", "sv"), 300, 0.9, seed=1)
    (axes,) = draw(found).axes
    assert [text.get_text() for text in axes.get_xticklabels()] == ["da", "nb", "sv"]
    numbers = [int(text.get_text()) for text in axes.texts]
    assert len(numbers) == 9
    assert sum(numbers) == found.rows
    assert numbers[0] == found.confusion["da"]["da"]


def test_draw__many_labels_are_shades_alone():
    labels = [f"l{number}" for number in range(NUMBERED + 1)]
    found = scores(labels, 500, 0.9, seed=1)
    (axes,) = draw(found).axes
    assert not axes.texts
    table = np.asarray(axes.images[0].get_array())
    assert table.shape == (len(labels), len(labels))
    assert table.sum() == found.rows


def test_report__of_many_labels_shows_the_most_frequent_mistakes_alone():
    labels = [f"l{number}" for number in range(SHOWN_LABELS + 10)]
    candidate = model("candidate", labels)
    metrics = Metrics(bundle_digest=sha("a"), data_fingerprint=sha("b"), models=(candidate,), seconds=1.0)
    text = to_markdown(sections(Found(metrics=metrics)))
    mistakes = [
        (rows, label, column)
        for label, row in candidate.test.confusion.items()
        for column, rows in row.items()
        if label != column
    ]
    most, label, column = max(mistakes)
    assert f"| `{label}` | `{column}` | {most} |" in text
    assert f"{len(labels)} labels: the most frequent of {len(mistakes)} kinds of mistake." in text
    shown = text.partition("| true label | predicted | rows |")[2].partition("</details>")[0]
    assert shown.count("\n| `") == SHOWN_MISTAKES < len(mistakes)
