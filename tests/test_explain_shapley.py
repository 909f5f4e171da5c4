"""Shapley values of made-up games: exact, sampled, and cut short."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgate.serve.shapley import PAIRS, exact_players, most_players, shapley


class Game:
    """Any figures for any coalition; it remembers which were asked for."""

    def __init__(self, players):  # noqa: D107
        self.players, self.asked = players, []

    def __call__(self, coalition):  # noqa: D102
        self.asked.append(coalition)
        return self.of(coalition)

    def of(self, coalition):  # noqa: D102
        return np.random.default_rng(coalition).normal(size=2)


def by_all_orders(game):
    """Return the mean of what each player adds over every order of arrival, which is the definition."""
    orders = list(itertools.permutations(range(game.players)))
    found = np.zeros((game.players, len(game.of(0))))
    for order in orders:
        coalition = 0
        for player in order:
            found[player] += game.of(coalition | 1 << player) - game.of(coalition)
            coalition |= 1 << player
    return found / len(orders)


@pytest.mark.parametrize("players", [1, 2, 3, 6])
def test_shapley__of_few_players_is_the_mean_over_all_orders(players):
    game = Game(players)
    found = shapley(players, game, 64, seed=1)
    assert found.method == "exact"
    assert found.standard_error == 0
    assert found.evaluations == len(game.asked) == 2**players
    np.testing.assert_allclose(found.values, by_all_orders(game), atol=1e-12)


@given(st.integers(0, 40), st.integers(1, 700), st.integers(0, 2**64 - 1))
def test_shapley__the_values_add_up_and_no_coalition_is_asked_twice(players, evaluations, seed):
    players = min(players, most_players(evaluations))
    game = Game(players)
    found = shapley(players, game, evaluations, seed)
    np.testing.assert_allclose(found.values.sum(axis=0), game.of((1 << players) - 1) - game.of(0), atol=1e-9)
    assert len(game.asked) == len(set(game.asked)) == found.evaluations <= max(2, evaluations)
    np.testing.assert_array_equal(found.empty, game.of(0))
    np.testing.assert_array_equal(found.full, game.of((1 << players) - 1))


@given(st.integers(2, 5000))
def test_most_players__leaves_room_for_enough_pairs_of_orders(evaluations):
    most = most_players(evaluations)
    assert 2**most <= evaluations or 2 + PAIRS * 2 * (most - 1) <= evaluations
    assert 2 ** exact_players(evaluations) <= evaluations < 2 ** (exact_players(evaluations) + 1)


def test_shapley__a_sample_lies_within_its_standard_error():
    game = Game(12)
    exact = shapley(12, game, 4096, seed=0).values
    runs = [shapley(12, game, 400, seed) for seed in range(40)]
    assert {run.method for run in runs} == {"sampled"}
    errors = np.array([run.values - exact for run in runs])
    largest = np.array([run.standard_error for run in runs])
    scale = np.sqrt((errors**2).mean(axis=0)).max()  # of the figure that is hardest to sample
    assert 0.6 < largest.mean() / scale < 1.6
    assert abs(errors.mean(axis=0)).max() < 4 * scale / np.sqrt(len(runs))  # no figure is off on average


def test_shapley__a_pair_of_opposite_orders_is_exact_where_no_more_than_two_players_act_together():
    single, double = np.random.default_rng(5).normal(size=20), np.random.default_rng(6).normal(size=(20, 20))

    def value(coalition):
        stays = np.array([coalition >> player & 1 for player in range(20)])
        return np.array([single @ stays + stays @ np.triu(double, 1) @ stays])

    found = shapley(20, value, 400, seed=3)
    both = np.triu(double, 1) + np.triu(double, 1).T
    assert found.method == "sampled"
    np.testing.assert_allclose(found.values[:, 0], single + both.sum(axis=1) / 2, atol=1e-10)
    assert found.standard_error < 1e-10


def test_shapley__the_same_seed_gives_the_same_values_and_another_seed_others():
    one, again, other = (shapley(20, Game(20), 400, seed).values for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert abs(one - other).max() > 0.01


@pytest.mark.parametrize("players", [6, 20])
def test_shapley__when_time_is_up_what_is_known_is_used(players):
    for answers in range(2**6 + 1):
        game = Game(players)
        found = shapley(players, game, 400, 1, lambda game=game, answers=answers: len(game.asked) < answers)
        assert len(game.asked) <= answers
        if answers < 2 * players:
            assert found is None
            continue
        assert found.method == ("exact" if players == 6 and answers == 64 else "sampled")
        assert found.evaluations == min(answers, len(game.asked))
        total = game.of((1 << players) - 1) - game.of(0)
        np.testing.assert_allclose(found.values.sum(axis=0), total, atol=1e-9)


def test_shapley__one_pair_of_orders_has_no_standard_error():
    game = Game(20)
    assert shapley(20, game, 400, 1, lambda: len(game.asked) < 41).standard_error is None
