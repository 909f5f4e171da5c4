"""Counts of texts that came in groups (a request's texts, a client's requests) into a few sums, a share each.

Texts of one request or client are alike, so they tell less than as many independent ones. What a share is worth depends
on the sums over groups of rows, hits and their products alone: so any number of texts fits into flat memory.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Share:
    """Sums over groups i of rows r_i and hits h_i (which may be negative: a change is +1, -1 or 0 a row)."""

    groups: int
    rows: int
    hits: int
    rows_squared: int
    hits_rows: int
    hits_squared: int

    @property
    def value(self) -> float:
        """Return hits a row; 0 without rows."""
        return self.hits / self.rows if self.rows else 0.0


@dataclass
class Sums:
    """Collects groups, for any number of named hits."""

    groups: int = 0
    rows: int = 0
    rows_squared: int = 0
    hits: dict[Hashable, list[int]] = field(default_factory=dict)  # name -> sums of h, h * r and h * h

    def add(self, rows: int, hits: Mapping[Hashable, int]) -> None:
        """Add one group: its rows, and its hits by name (those not named are 0)."""
        self.groups += 1
        self.rows += rows
        self.rows_squared += rows * rows
        for name, hit in hits.items():
            sums = self.hits.setdefault(name, [0, 0, 0])
            sums[0] += hit
            sums[1] += hit * rows
            sums[2] += hit * hit

    def share(self, name: Hashable) -> Share:
        """Return the sums of one name."""
        hits, hits_rows, hits_squared = self.hits.get(name, (0, 0, 0))
        return Share(self.groups, self.rows, hits, self.rows_squared, hits_rows, hits_squared)
