"""Shapley values of a game whose players stay or leave: what each of them adds to a row of figures.

Few players are counted out exactly (Shapley 1953, "A value for n-person games"). More are sampled: random orders in
which the players arrive (Castro et al. 2009, "Polynomial calculation of the Shapley value based on sampling"), each
walked forwards and backwards (Mitchell et al. 2022, "Sampling permutations for Shapley value estimation").
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

PAIRS = 8  # orders, each with its reverse, that any sample has room for: fewer give no usable standard error

Row = NDArray[np.float64]
Coalition = int  # bit i says that player i stays
Walk = tuple[int, ...]  # the players in the order in which they arrive


@dataclass(frozen=True)
class Shapley:
    """What each player adds; the sum over the players is the value of all of them less that of none."""

    values: Row  # of shape (players, figures)
    empty: Row  # the value of no player, of shape (figures,)
    full: Row  # and of all of them
    standard_error: float | None  # the largest of them all; 0 if exact, None if one pair of orders is all there is
    method: Literal["exact", "sampled"]
    evaluations: int


def exact_players(evaluations: int) -> int:
    """Return how many players can be counted out exactly."""
    return max(1, evaluations.bit_length() - 1)


def most_players(evaluations: int) -> int:
    """Return how many players leave room for PAIRS pairs of orders; each pair asks for 2 (players - 1) new values."""
    return max(exact_players(evaluations), (evaluations - 2) // (2 * PAIRS) + 1)


def shapley(
    players: int,
    value: Callable[[Coalition], Row],
    evaluations: int,
    seed: int,
    go_on: Callable[[], bool] = lambda: True,
) -> Shapley | None:
    """Return the Shapley values of a game, of which `value` gives the figures of any coalition.

    It is asked at most max(2, `evaluations`) times, each coalition once. When `go_on` says no, the result is what the
    values known by then allow, and None if they allow nothing. The same seed and time enough give the same result.
    """
    known: dict[Coalition, Row] = {}

    def ask(coalitions: Iterable[Coalition]) -> bool:
        for coalition in coalitions:
            if coalition in known:
                continue
            if not go_on():
                return False
            known[coalition] = value(coalition)
        return True

    exact = 1 << players <= max(2, evaluations)
    walks: list[Walk] = []
    in_time = ask((0, (1 << players) - 1))
    pick, order = random.Random(seed), list(range(players))  # noqa: S311 - a sample, not a secret
    while in_time and len(walks) < (PAIRS if exact else evaluations):  # if exact: for when time is up before the end
        pick.shuffle(order)
        coalitions = {*_coalitions(order)} - known.keys()
        if not exact and len(known) + len(coalitions) > evaluations:
            break
        in_time = go_on() and ask(coalitions)  # many orders may need no question at all
        walks += [tuple(order)] if in_time else []
    if exact and ask(range(1 << players)):
        return Shapley(_exact(players, known), known[0], known[(1 << players) - 1], 0.0, "exact", len(known))
    return _sampled(walks, known) if walks else None


def _coalitions(walk: Sequence[int]) -> list[Coalition]:
    """Return those that form while the players arrive, then those that form when they arrive the other way round."""
    return [sum(1 << player for player in way[:count]) for way in (walk, walk[::-1]) for count in range(1, len(way))]


def _exact(players: int, known: dict[Coalition, Row]) -> Row:
    table = np.array([known[coalition] for coalition in range(1 << players)])
    coalitions = np.arange(1 << players)
    weights = np.array([1 / (players * math.comb(players - 1, size)) for size in range(players)])
    found = np.zeros((players, table.shape[1]))
    for player in range(players):
        without = coalitions[coalitions >> player & 1 == 0]
        added = table[without | 1 << player] - table[without]
        found[player] = weights[np.bitwise_count(without)] @ added
    return found


def _sampled(walks: Sequence[Walk], known: dict[Coalition, Row]) -> Shapley:
    pairs = [(_added(walk, known) + _added(walk[::-1], known)) / 2 for walk in walks]
    error = float(np.std(pairs, axis=0, ddof=1).max() / math.sqrt(len(pairs))) if len(pairs) > 1 else None
    full = known[(1 << len(walks[0])) - 1]
    return Shapley(np.mean(pairs, axis=0), known[0], full, error, "sampled", len(known))


def _added(walk: Walk, known: dict[Coalition, Row]) -> Row:
    """Return what each player adds on arriving, of shape (players, figures)."""
    coalition, found = 0, np.empty((len(walk), len(known[0])))
    for player in walk:
        found[player] = known[coalition | 1 << player] - known[coalition]
        coalition |= 1 << player
    return found
