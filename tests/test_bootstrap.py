"""Drawing counts is drawing rows, only faster; and the intervals hold the truth as often as they say."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import f1_score

from textgate.evaluate.bootstrap import CHUNK, UNSEEN, interval, observed, p_values, ratio, resampled


def random(seed=0):
    return np.random.default_rng(seed)


def pair(rows, generator, right=(0.8, 0.9, 0.97), flips=0.1):
    """Draw a rare, a middling and a frequent label; the second model differs from the first on some rows."""
    truth = generator.choice(3, rows, p=(0.1, 0.3, 0.6))

    def model(shares):
        return np.where(generator.random(rows) < shares[truth], truth, (truth + generator.integers(1, 3, rows)) % 3)

    first = model(np.array(right))
    return truth, first, np.where(generator.random(rows) < flips, model(np.array(right) - 0.05), first)


def changes(truth, models, labels, generator, resamples):
    parts = list(resampled(truth, models, labels, generator, resamples))
    label_f1 = np.concatenate([part.f1(0) - part.f1(1) for part in parts])
    return label_f1, np.concatenate([part.macro_f1(0) - part.macro_f1(1) for part in parts])


def test_resampled__gives_the_distribution_of_drawing_rows_one_by_one():
    truth, first, second = pair(300, random())
    label_f1, macro_f1 = changes(truth, [first, second], 3, random(1), 4000)
    generator, by_rows = random(2), []
    for _ in range(4000):
        drawn = generator.integers(0, 300, 300)
        scores = [f1(truth[drawn], model[drawn]) for model in (first, second)]
        by_rows.append(np.append(scores[0] - scores[1], (scores[0] - scores[1]).mean()))
    for mine, theirs in zip(np.column_stack([label_f1, macro_f1]).T, np.array(by_rows).T, strict=True):
        assert stats.ks_2samp(mine.round(9), theirs.round(9)).pvalue > 0.001
        assert mine.std() == pytest.approx(theirs.std(), rel=0.05)


def f1(truth, predicted):
    confusion = np.bincount(truth * 3 + predicted, minlength=9).reshape(3, 3)
    return 2 * np.diag(confusion) / (confusion.sum(axis=0) + confusion.sum(axis=1))


def macro_f1(truth, predicted):
    """Return what scikit-learn does in a hundredth of its time: a label that neither side has does not count."""
    confusion = np.bincount(truth * 3 + predicted, minlength=9).reshape(3, 3)
    total = confusion.sum(axis=0) + confusion.sum(axis=1)
    return (2 * np.diag(confusion)[total > 0] / total[total > 0]).mean()


def test_interval__agrees_with_scipy():
    truth, first, second = pair(80, random(3), flips=0.5)

    def change(*rows):
        return macro_f1(rows[0], rows[1]) - macro_f1(rows[0], rows[2])

    assert macro_f1(truth, second) == pytest.approx(f1_score(truth, second, average="macro"))
    data = (truth, first, second)
    options = {"paired": True, "vectorized": False, "n_resamples": 1500, "method": "percentile", "rng": random(4)}
    theirs = stats.bootstrap(data, change, **options).confidence_interval
    mine = interval(changes(truth, [first, second], 3, random(5), 10_000)[1][:, None], change(*data), -1, 1)[0]
    assert (mine.low, mine.high) == pytest.approx((theirs.low, theirs.high), abs=0.012)


def test_resampled__every_draw_has_as_many_rows_as_the_test_set_and_the_right_spread():
    truth, first, second = pair(500, random(6))
    drawn = np.concatenate([part.rows for part in resampled(truth, [first, second], 3, random(7), 20_000)])
    share = np.bincount(truth) / 500
    assert (drawn.sum(axis=1) == 500).all()
    assert drawn.mean(axis=0) == pytest.approx(500 * share, rel=0.005)
    assert drawn.var(axis=0) == pytest.approx(500 * share * (1 - share), rel=0.05)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=1, max_size=60))
def test_observed__f1_is_that_of_scikit_learn_also_for_labels_that_no_row_has(rows):
    truth, predicted = np.array(rows).T
    present = np.unique(truth)
    found = observed(truth, [predicted], 4)
    assert found.f1(0)[0, present] == pytest.approx(f1_score(truth, predicted, labels=present, average=None))
    macro = f1_score(truth, predicted, labels=present, average="macro", zero_division=0)
    assert found.macro_f1(0)[0] == pytest.approx(macro)


def test_resampled__the_same_seed_gives_the_same_draws():
    truth, first, second = pair(200, random(8))
    one, two = (changes(truth, [first, second], 3, random(9), 100)[1] for _ in range(2))
    assert (one == two).all()
    assert (one != changes(truth, [first, second], 3, random(10), 100)[1]).any()


def test_resampled__a_thousand_labels_come_in_chunks_that_fit_into_memory():
    truth = random(11).integers(0, 1000, 20_000)
    predicted = random(12).integers(0, 1000, 20_000)
    sizes = []
    for part in resampled(truth, [predicted], 1000, random(13), 500):
        sizes.append(part.rows.size)
        assert part.hits[0].shape == part.predicted[0].shape == part.rows.shape
    assert sum(sizes) == 500 * 1000
    assert len(sizes) > 1
    assert max(sizes) <= CHUNK


def test_resampled__memory_does_not_grow_with_the_rows():
    truth, first, second = pair(300_000, random(14))
    tracemalloc.start()
    try:
        for _ in resampled(truth, [first, second], 3, random(15)):
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 60e6  # 10,000 x 300,000 row numbers would be 24 GB


def test_resampled__without_rows_is_an_error_in_the_program():
    with pytest.raises(ValueError, match="no rows to resample"):
        list(resampled(np.array([], int), [np.array([], int)], 2, random()))


def test_with_unseen__ten_rows_without_a_flip_do_not_prove_that_two_models_are_equal():
    truth = np.zeros(10, int)
    plain, smooth = [], []
    for part in resampled(truth, [truth, truth], 1, random(16), 5000):
        plain.append(part.f1(0) - part.f1(1))
        alone = part.with_unseen(UNSEEN, random(17))
        smooth.append(alone.f1(0) - alone.f1(1))
    assert np.ptp(np.concatenate(plain)) == 0
    found = interval(np.concatenate(smooth), np.zeros(1), -1, 1)[0]
    assert found.low < -0.05
    assert found.high > 0.05


def test_with_unseen__ten_right_answers_do_not_prove_precision_or_recall_of_1():
    truth = np.zeros(10, int)
    parts = [part.with_unseen(UNSEEN, random(18)) for part in resampled(truth, [truth], 1, random(19), 5000)]
    for whole in ("rows", "predicted"):
        samples = np.concatenate(
            [ratio(part.hits[0], part.rows if whole == "rows" else part.predicted[0]) for part in parts]
        )
        found = interval(samples, np.ones(1), 0, 1)[0]
        assert 0.6 < found.low < 0.9
        assert found.high == 1


def test_with_unseen__intervals_of_rare_changes_hold_the_truth_where_plain_ones_do_not():
    population = pair(1_000_000, random(20), flips=0.15)
    true = (f1(population[0], population[1]) - f1(population[0], population[2])).tolist()
    inside, generator = {"plain": [], "smooth": []}, random(21)
    for _ in range(150):
        truth, first, second = pair(150, generator, flips=0.15)
        samples = {"plain": [], "smooth": []}
        for part in resampled(truth, [first, second], 3, generator, 500):
            alone = part.with_unseen(UNSEEN, generator)
            samples["plain"].append(part.f1(0) - part.f1(1))
            samples["smooth"].append(alone.f1(0) - alone.f1(1))
        for name, drawn in samples.items():
            low, high = np.percentile(np.concatenate(drawn), (2.5, 97.5), axis=0)
            inside[name].append((low <= true) & (true <= high))
    assert np.mean(inside["smooth"], axis=0).min() > 0.93
    assert np.mean(inside["plain"], axis=0).min() < 0.85


def test_interval__holds_the_value_and_stays_on_the_scale():
    found = interval(np.linspace(0.2, 0.4, 101)[:, None] + np.array([0, 0.8]), np.array([0.5, 1.0]), 0, 1)
    assert (found[0].low, found[0].high) == pytest.approx((0.205, 0.5))
    assert (found[1].value, found[1].high) == (1.0, 1.0)


def test_p_values__count_the_smaller_tail_twice_with_one_added():
    samples = np.array([[-1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [1.0, 2.0, 0.0], [1.0, 3.0, 0.0]])
    assert p_values(samples) == pytest.approx([2 * (1 + 1) / 5, 2 * (0 + 1) / 5, 1.0])


def test_ratio__is_0_where_the_whole_is_0():
    assert ratio(np.array([0, 1]), np.array([0, 4])).tolist() == [0.0, 0.25]
