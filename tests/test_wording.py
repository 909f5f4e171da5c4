"""Numbers as people read them: three decimals, a sign on changes, a real minus."""

import pytest

from textgate.evidence import Estimate
from textgate.wording import change, duration, figure, listing, milliseconds, ratio, signed, whole, with_interval

DROP = Estimate(value=-0.041, low=-0.0702, high=-0.0129)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.9496, "0.950"), (-0.041, "−0.041"), (0.0, "0.000"), (-0.0001, "0.000"), (1e308, "1e+308"), (2.5e6, "2.5e+06")],
)
def test_figure__has_three_decimals_and_a_real_minus(value, shown):
    assert figure(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(0.012, "+0.012"), (-0.012, "−0.012"), (0.0004, "0.000"), (-0.0004, "0.000")]
)
def test_signed__shows_the_sign_of_what_is_not_zero(value, shown):
    assert signed(value) == shown


def test_change__shows_its_interval():
    assert change(DROP) == "−0.041 (−0.070, −0.013)"
    assert with_interval(DROP) == "−0.041 (−0.070 to −0.013)"
    assert ratio(Estimate(value=1.042, low=0.98, high=1.114)) == "×1.04 (0.98, 1.11)"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.04, "0.0 s"), (4.2, "4.2 s"), (131, "2 min 11 s"), (3720, "1 h 02 min"), (1e300, "277777 h 46 min")],
)
def test_duration__uses_the_units_that_people_use(seconds, shown):
    assert duration(seconds) == shown


def test_milliseconds__keep_a_decimal_where_it_matters():
    assert [milliseconds(value) for value in (0.83, 9.96, 21.4)] == ["0.8 ms", "10.0 ms", "21 ms"]


def test_listing__counts_what_it_leaves_out():
    assert listing(["da", "nb"], 2) == "da, nb"
    assert listing([str(number) for number in range(1314)], 2) == "0, 1 and 1,312 more"
    assert listing([], 2) == ""


def test_whole__sets_thousands_off_and_survives_any_count():
    assert whole(1624) == "1,624"
    assert whole(10**400) == "1,000,000,000,000,000"
