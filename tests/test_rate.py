"""Token buckets: how often a client may ask."""

import pytest

from textgate.serve.access.rate import Buckets
from textgate.serve.access.settings import Rate
from textgate.serve.problems import Problem


def buckets(per_second=2.0, burst=3, clients=10):
    return Buckets(Rate(per_second=per_second, burst=burst, clients=clients))


def test_take__a_burst_passes_and_the_next_one_waits():
    made = buckets()
    assert [made.take("ada", 100.0) for _ in range(4)] == [0, 0, 0, 0.5]


def test_take__tokens_come_back_with_time_but_never_above_the_burst():
    made = buckets()
    for _ in range(3):
        made.take("ada", 0.0)
    assert made.take("ada", 0.5) == 0
    assert made.take("ada", 0.5) == 0.5
    assert [made.take("ada", 1000.0) for _ in range(4)] == [0, 0, 0, 0.5]


def test_take__asking_while_empty_costs_nothing():
    made = buckets(burst=1)
    made.take("ada", 0.0)
    assert all(made.take("ada", 0.25) == 0.25 for _ in range(100))
    assert made.take("ada", 0.5) == 0


def test_take__over_a_long_time_a_client_gets_the_average_and_one_burst():
    made = buckets(per_second=2.0, burst=3)
    passed = sum(made.take("ada", second / 50) == 0 for second in range(50 * 100))
    assert 200 <= passed <= 203


def test_take__clients_do_not_share():
    made = buckets(burst=1)
    assert (made.take("ada", 0.0), made.take("eve", 0.0), made.take("ada", 0.0)) == (0, 0, 0.5)


def test_take__memory_is_bounded_and_the_one_unused_longest_goes():
    made = buckets(burst=1, clients=2)
    for name in ("ada", "eve", "ada", "kim"):  # ada was used after eve: eve goes
        made.take(name, 0.0)
    assert made.remembered() == 2
    assert [made.take(name, 0.0) for name in ("ada", "kim")] == [0.5, 0.5]
    for number in range(1000):
        made.take(str(number), 0.0)
    assert made.remembered() == 2


def test_check__says_when_to_ask_again():
    made = buckets(per_second=0.1, burst=1)
    made.check("ada", 0.0)
    with pytest.raises(Problem) as caught:
        made.check("ada", 2.5)
    assert (caught.value.status, caught.value.detail) == (429, "Too many requests: ask again in 8 s.")
    assert caught.value.headers == {
        "Retry-After": "8",
        "RateLimit-Policy": '"client";q=1;w=10',
        "RateLimit": '"client";r=0;t=8',
    }
    made.check("ada", 2.5 + int(caught.value.headers["Retry-After"]))
