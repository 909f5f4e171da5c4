"""What changed is told with the tests that statisticians use; what these rows cannot show is said."""

import gc
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import f1_score
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests

from textgate.evaluate.compare import (
    MAX_FLIPS,
    accuracy_delta,
    compare,
    detectable_accuracy,
    f1_deltas,
    flips,
    holm,
    mcnemar,
)
from textgate.evaluate.metrics import Marked, Predictions
from textgate.evidence import Estimate
from textgate.rows import Rows

LABELS = ("da", "nb", "sv")
SAME_SPEED = Estimate(value=1.0, low=0.9, high=1.1)


def marked(truth, labels=LABELS, columns=None):
    ids = tuple(f"r{number}" for number in range(len(truth)))
    rows = Rows(ids, tuple(f"text {row}" for row in ids), tuple(labels[index] for index in truth), ids)
    return Marked(rows, tuple(labels), tuple(columns or labels), np.array(truth))


def said(predicted, truth, confidence=0.9):
    predicted, truth = np.array(predicted), np.array(truth)
    top = np.broadcast_to(np.asarray(confidence, float), truth.shape)
    return Predictions(predicted, top, np.where(predicted == truth, top, (1 - top) / 2), top**2)


def models(rows, first, second, seed=0):
    random = np.random.default_rng(seed)
    truth = random.choice(3, rows, p=(0.1, 0.3, 0.6))
    both = (np.where(random.random(rows) < share, truth, random.integers(0, 3, rows)) for share in (first, second))
    return truth, *both


def compared(truth, first, second):
    return compare(
        marked(truth),
        said(first, truth),
        said(second, truth),
        reference="champion",
        reference_digest="c" * 64,
        external_accuracy=None,
        latency_ratio=SAME_SPEED,
    )


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 80), st.integers(0, 80))
def test_mcnemar__is_the_exact_test_of_statsmodels(won, lost):
    theirs = statsmodels_mcnemar([[500, won], [lost, 30]], exact=True).pvalue if won + lost else 1.0
    assert mcnemar(won, lost) == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize(("won", "lost"), [(0, 1), (3, 700), (520, 480), (49_700, 50_300), (0, 2_000)])
def test_mcnemar__is_the_binomial_test_of_scipy_for_any_number_of_flips(won, lost):
    assert mcnemar(won, lost) == pytest.approx(stats.binomtest(won, won + lost).pvalue, rel=1e-9)


def test_compare__imports_nothing_that_takes_seconds():
    code = "import sys; sys.path.insert(0, 'src'); import numpy as np; from textgate.evaluate.compare import *;"
    code += "accuracy_delta('x', *np.array([[True, False], [False, True]])); f1_deltas(*np.array([[0, 1]] * 3), 'ab');"
    code += "print([name for name in ('sklearn', 'scipy.stats', 'scipy.optimize', 'pandas') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_mcnemar__five_lost_and_none_won_is_not_yet_significant():
    assert mcnemar(0, 5) == pytest.approx(2 * 0.5**5)


@pytest.fixture(scope="module")
def nothing_to_collect():
    """Keep what was imported out of the garbage collection that statsmodels runs at each call: half a second of it."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("nothing_to_collect")
@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm__is_that_of_statsmodels(p):
    assert holm(np.array(p)) == pytest.approx(multipletests(p, method="holm")[1])


def right(won, lost, both, neither):
    first = np.repeat([True, False, True, False], [won, lost, both, neither])
    return first, np.repeat([False, True, True, False], [won, lost, both, neither])


def test_accuracy_delta__is_the_formula_of_bonett_and_price():
    found = accuracy_delta("accuracy", *right(6, 2, 80, 12))
    gain, loss = 7 / 102, 3 / 102
    half = stats.norm.ppf(0.975) * math.sqrt((gain + loss - (gain - loss) ** 2) / 102)
    assert (found.candidate, found.reference) == (0.86, 0.82)
    assert found.delta.value == pytest.approx(0.04)
    assert (found.delta.low, found.delta.high) == pytest.approx((gain - loss - half, gain - loss + half))
    assert found.p_value == found.p_adjusted == mcnemar(6, 2)


@pytest.mark.parametrize(
    ("rows", "gain", "loss"), [(45, 0.1, 0.1), (45, 0.02, 0.08), (150, 0.01, 0.03), (30, 0.2, 0.05)]
)
def test_accuracy_delta__the_interval_holds_the_truth_in_95_of_100_cases(rows, gain, loss):
    held = 0.0
    for won in range(rows + 1):
        for lost in range(rows + 1 - won):
            chance = stats.multinomial.pmf([won, lost, rows - won - lost], rows, [gain, loss, 1 - gain - loss])
            if chance > 1e-9:
                found = accuracy_delta("accuracy", *right(won, lost, rows - won - lost, 0)).delta
                held += chance * (found.low <= gain - loss <= found.high)
    assert held > 0.94


def test_accuracy_delta__no_flip_in_ten_rows_proves_nothing():
    found = accuracy_delta("accuracy", *right(0, 0, 10, 0))
    assert found.delta.value == 0
    assert found.delta.low < -0.15
    assert found.p_value == 1


def test_accuracy_delta__everything_lost_stays_on_the_scale():
    found = accuracy_delta("accuracy", *right(0, 30, 0, 0)).delta
    assert found.value == found.low == -1
    assert found.high < -0.8


def test_f1_deltas__values_are_differences_of_scikit_learn():
    truth, first, second = models(400, 0.9, 0.8)
    macro, labels = f1_deltas(truth, first, second, LABELS)
    mine, theirs = (f1_score(truth, model, average=None) for model in (first, second))
    assert [delta.name for delta in labels] == ["F1 da", "F1 nb", "F1 sv"]
    assert [delta.delta.value for delta in labels] == pytest.approx(mine - theirs)
    assert (macro.name, macro.candidate, macro.reference) == (
        "macro-F1",
        pytest.approx(mine.mean()),
        pytest.approx(theirs.mean()),
    )
    assert macro.delta.value == pytest.approx((mine - theirs).mean())


def test_f1_deltas__a_clear_change_is_seen_and_labels_are_adjusted_by_holm():
    macro, labels = f1_deltas(*models(2000, 0.97, 0.85), LABELS)
    assert macro.delta.low > 0
    assert macro.p_value < 0.001
    p = [delta.p_value for delta in labels]
    assert [delta.p_adjusted for delta in labels] == pytest.approx(multipletests(p, method="holm")[1])
    assert macro.p_adjusted == macro.p_value


def test_f1_deltas__two_equally_good_models_are_rarely_told_apart():
    seen = [f1_deltas(*models(300, 0.9, 0.9, seed), LABELS)[0].p_value < 0.05 for seed in range(60)]
    assert sum(seen) <= 8


def test_f1_deltas__better_and_worse_are_mirror_images():
    truth, first, second = models(500, 0.9, 0.85)
    forth, back = f1_deltas(truth, first, second, LABELS)[0], f1_deltas(truth, second, first, LABELS)[0]
    assert forth.delta.value == pytest.approx(-back.delta.value)
    assert forth.delta.low == pytest.approx(-back.delta.high, abs=0.003)


def test_f1_deltas__a_label_that_the_champion_does_not_know_has_f1_0_there():
    truth = np.array([0, 1, 2] * 20)
    champion = np.where(truth == 2, 1, truth)
    _, labels = f1_deltas(truth, truth, champion, LABELS)
    assert (labels[2].candidate, labels[2].reference, labels[2].delta.value) == (1, 0, 1)
    assert labels[2].delta.low > 0.7


def test_compare__the_same_model_twice_is_no_change_but_no_certainty_either():
    truth = np.arange(45) % 3
    found = compared(truth, truth, truth)
    for delta in (found.accuracy, found.macro_f1, *found.labels):
        assert delta.delta.value == 0
        assert delta.delta.low < -0.01
        assert delta.delta.high > 0.01
        assert delta.p_value == 1
    assert (found.won, found.lost, found.flips) == (0, 0, ())


def test_compare__counts_rows_won_and_lost():
    found = compared(np.array([0, 0, 1, 1, 2]), np.array([0, 0, 1, 2, 0]), np.array([1, 1, 1, 1, 1]))
    assert (found.rows, found.won, found.lost) == (5, 2, 1)
    assert found.accuracy.delta.value == pytest.approx(0.2)


def test_compare__what_macro_f1_could_have_shown_follows_from_its_standard_error():
    found = compared(*models(400, 0.9, 0.88))
    factor = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert found.detectable_macro_f1 == pytest.approx(factor * found.macro_f1.standard_error)


@pytest.mark.parametrize(("rows", "share"), [(1300, 0.05), (400, 0.1), (5000, 0.02)])
def test_detectable_accuracy__is_found_in_about_8_of_10_studies(rows, share):
    change = detectable_accuracy(round(share * rows) - 2, rows)
    random = np.random.default_rng(1)
    flipped = random.multinomial(rows, [(share + change) / 2, (share - change) / 2, 1 - share], 4000)
    found = [(won - lost) ** 2 / (won + lost) > stats.chi2.ppf(0.95, 1) for won, lost, _ in flipped]
    assert 0.77 < np.mean(found) < 0.86


def test_detectable_accuracy__few_rows_show_only_what_is_huge():
    assert detectable_accuracy(0, 1) == 1
    assert detectable_accuracy(5, 45) > 0.1


def test_flips__a_confident_mistake_against_a_confident_right_answer_comes_first():
    truth = np.array([0, 0, 1, 1])
    candidate = said([1, 0, 1, 1], truth, [0.55, 0.99, 0.8, 0.9])
    other = said([0, 1, 1, 2], truth, [0.6, 0.98, 0.7, 0.7])
    found = flips(marked(truth), candidate, other)
    assert [(flip.row, flip.won) for flip in found] == [("r1", True), ("r3", True), ("r0", False)]
    assert (found[0].text, found[0].label, found[0].candidate, found[0].reference) == ("text r1", "da", "da", "nb")
    assert (found[0].candidate_probability, found[0].reference_probability) == (0.99, 0.98)


def test_flips__both_sides_are_shown_even_if_one_has_thousands():
    truth = np.zeros(3000, int)
    candidate = np.where(np.arange(3000) < 2, 1, 0)
    found = flips(marked(truth), said(candidate, truth, 0.6), said(1 - candidate, truth, 0.99))
    assert sum(flip.won for flip in found) == MAX_FLIPS
    assert sum(not flip.won for flip in found) == 2


def test_flips__a_predicted_label_that_no_row_has_is_named():
    truth = np.array([0, 0])
    found = flips(marked(truth, ("da",), ("da", "fi")), said([1, 0], truth), said([0, 0], truth))
    assert [(flip.candidate, flip.reference) for flip in found] == [("fi", "da")]
