"""A real model explained: against the shap library, within its limits, and in a thread that steps back."""

import asyncio
import os
import random
import threading
import time
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from tests.small import SHARED, WORDS

from textgate.serve.explain import NICENESS, Explainer, explanation
from textgate.serve.problems import Problem
from textgate.serve.served import open_served
from textgate.serve.settings import ExplainConfig

TEXT = "the old pine near a house with many camel"
CONFIG = ExplainConfig(evaluations=512, characters=1000, seconds=600, at_once=1)  # no test is about these seconds


@pytest.fixture
def served(bundle):
    return open_served(bundle)


class Held:
    """A real model that answers only when it is let to, and knows which texts it got and how nice its thread was."""

    def __init__(self, classifier):  # noqa: D107
        self._classifier, self.go = classifier, threading.Event()
        self.asked, self.niceness, self.labels = [], set(), classifier.labels

    def predict_proba(self, texts):  # noqa: D102
        self.asked += texts
        self.niceness.add(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        assert self.go.wait(600)
        return self._classifier.predict_proba(texts)


@pytest.fixture
def held(served):
    """Return a served model that waits; let go in the end."""
    classifier = Held(served.bundle.classifier)
    yield replace(served, bundle=replace(served.bundle, classifier=classifier)), classifier
    classifier.go.set()


def some_words(count, seed=3):
    pick = random.Random(seed)
    return " ".join(pick.choice((*SHARED, *WORDS["north"], *WORDS["south"])) for _ in range(count))


def contributions(found):
    return np.array([list(part.contribution.values()) for part in found.parts])


def by_shap(served, text):
    """Return what the shap library finds when the words of a text are taken out, shape (words, labels)."""
    import shap

    words = text.split()

    def answers(rows):
        texts = [" ".join(word for word, stays in zip(words, row, strict=True) if stays) for row in rows]
        return served.bundle.classifier.predict_proba(texts)

    nothing = shap.maskers.Independent(np.zeros((1, len(words))))
    return shap.explainers.Exact(answers, nothing)(np.ones((1, len(words)))).values[0]


@pytest.mark.long
def test_explanation__of_few_words_is_that_of_shap(served):
    found = explanation(served.bundle, TEXT, 512, lambda: True)
    assert (found.method, found.evaluations, found.standard_error) == ("exact", 512, 0)
    np.testing.assert_allclose(contributions(found), by_shap(served, TEXT), atol=1e-9)


@pytest.mark.long
def test_explanation__of_more_words_is_that_of_shap_within_its_standard_error(served):
    text = some_words(11)
    found = explanation(served.bundle, text, 512, lambda: True)
    assert found.method == "sampled"
    assert found.evaluations <= 512
    off = abs(contributions(found) - by_shap(served, text)).max()
    assert 1e-6 < off < 4 * found.standard_error < 0.4


def test_explanation__of_few_words_is_the_mean_over_all_orders_of_putting_them_in(served):
    words = ["near", "a", "pine", "the", "camel", "snow"]
    found = explanation(served.bundle, " ".join(words), 512, lambda: True)
    added = np.zeros((6, 2))
    for order in permutations(range(6)):
        texts = [" ".join(words[place] for place in sorted(order[:count])) for count in range(7)]
        added[list(order)] += np.diff(served.bundle.classifier.predict_proba(texts), axis=0)
    assert (found.method, found.evaluations, found.standard_error) == ("exact", 64, 0)
    np.testing.assert_allclose(contributions(found), added / 720, atol=1e-9)


def test_explanation__of_more_words_is_nearly_the_exact_one(served):
    text = some_words(11)
    exact, found = (explanation(served.bundle, text, evaluations, lambda: True) for evaluations in (2048, 512))
    assert (exact.method, found.method) == ("exact", "sampled")
    assert found.evaluations <= 512
    off = abs(contributions(found) - contributions(exact)).max()
    assert 1e-6 < off < 4 * found.standard_error < 0.4


@pytest.mark.parametrize(
    "text",
    [TEXT, "  pine\n\ncamel ", "", " ", "pinecamel", "日本語の文章はとても長いので分割されるはずです", some_words(150)],
)
def test_explanation__adds_up_from_an_empty_text_to_the_answer_of_predict(served, text):
    found = explanation(served.bundle, text, 512, lambda: True)
    row, empty = served.bundle.classifier.predict_proba([text])[0], served.bundle.classifier.predict_proba([""])[0]
    assert list(found.probabilities.values()) == row.tolist()
    assert found.label == served.bundle.manifest.labels[row.argmax()]
    if text.strip():
        assert list(found.base.values()) == empty.tolist()
        np.testing.assert_allclose(contributions(found).sum(axis=0), row - empty, atol=1e-12)
    else:
        assert found.parts == ()
    assert [part.text for part in found.parts] == [text[part.start : part.end] for part in found.parts]
    assert len(found.parts) <= 32


def test_explanation__of_the_same_text_is_the_same(served):
    text = some_words(20)
    one, again = (explanation(served.bundle, text, 300, lambda: True) for _ in range(2))
    assert one == again


def test_explanation__words_that_give_the_label_away_matter_most(served):
    found = explanation(served.bundle, TEXT, 512, lambda: True)
    added = {part.text: part.contribution for part in found.parts}
    assert max(added, key=lambda word: added[word]["north"]) == "pine"
    assert max(added, key=lambda word: added[word]["south"]) == "camel"


async def _until(condition):
    async with asyncio.timeout(600):
        while not condition():  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0.005)


def test_explainer__turns_away_who_comes_while_it_is_busy(held):
    served, model = held

    async def run():
        explainer = Explainer(CONFIG)
        first = asyncio.create_task(explainer.explain(served.bundle, TEXT))
        await _until(lambda: model.asked)
        with pytest.raises(Problem) as refused:
            await explainer.explain(served.bundle, TEXT)
        model.go.set()
        found, again = await first, await explainer.explain(served.bundle, TEXT)
        explainer.close()
        return refused.value, found, again

    problem, found, again = asyncio.run(run())
    assert (problem.status, problem.headers) == (503, {"Retry-After": "600"})
    assert problem.detail == "Other texts are being explained. Ask again in a moment."
    assert found == again  # the place was free again


def test_explainer__a_caller_who_leaves_stops_the_work_and_frees_the_place_only_then(held):
    served, model = held

    async def run():
        explainer = Explainer(CONFIG)
        first = asyncio.create_task(explainer.explain(served.bundle, TEXT))
        await _until(lambda: model.asked)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        with pytest.raises(Problem):  # its thread still waits for an answer
            await explainer.explain(served.bundle, TEXT)
        model.go.set()
        explainer.close()
        return len(model.asked)

    assert asyncio.run(run()) == 1


def test_explanation__ended_early_is_made_of_what_is_known(served):
    left = iter(range(100))
    found = explanation(served.bundle, some_words(20), 1_000_000, lambda: next(left, None) is not None)
    assert found.method == "sampled"
    assert 40 <= found.evaluations < 100


def test_explainer__ends_in_time(served):
    config = CONFIG.model_copy(update={"evaluations": 1_000_000, "seconds": 1})

    async def run():
        explainer = Explainer(config)
        (found,) = await asyncio.gather(explainer.explain(served.bundle, some_words(20)), return_exceptions=True)
        explainer.close()
        return found

    found = asyncio.run(run())
    if isinstance(found, Problem):  # on a busy machine its thread may wait for all of that time
        assert found.detail.startswith("The text could not be explained in 1 seconds")
    else:
        assert found.evaluations < 1_000_000


def test_explainer__says_when_the_time_was_too_short_for_anything(held):
    served, model = held

    async def run():
        explainer = Explainer(CONFIG.model_copy(update={"seconds": 0.01}))
        task = asyncio.create_task(explainer.explain(served.bundle, TEXT))
        await _until(lambda: model.asked or task.done())  # done: the time was over before the first question
        late = time.monotonic() + 0.01
        await _until(lambda: time.monotonic() > late)
        model.go.set()
        with pytest.raises(Problem) as refused:
            await task
        explainer.close()
        return refused.value

    problem = asyncio.run(run())
    assert (problem.status, problem.headers) == (503, {"Retry-After": "1"})
    assert problem.detail == "The text could not be explained in 0.01 seconds. Send a shorter one, or wait."


def test_explainer__its_threads_let_predictions_go_first(held):
    served, model = held
    model.go.set()

    async def run():
        explainer = Explainer(CONFIG)
        await explainer.explain(served.bundle, "pine")
        explainer.close()

    before = os.getpriority(os.PRIO_PROCESS, 0)
    asyncio.run(run())
    assert model.niceness == {NICENESS}
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


def test_explainer__a_model_that_gives_no_probabilities_is_no_answer(served):
    class Wrong:
        def predict_proba(self, texts):
            return np.full((len(texts), 2), 0.9)

    async def run():
        explainer = Explainer(CONFIG)
        try:
            await explainer.explain(replace(served.bundle, classifier=Wrong()), "pine")
        finally:
            explainer.close()

    with pytest.raises(Exception, match=r"gave \[0.9, 0.9\], which are not probabilities"):
        asyncio.run(run())
