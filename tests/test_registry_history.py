"""How the champion changed, from what was written down and from who is the champion now."""

import pytest

from textgate.errors import Refused
from textgate.registry.history import Event, in_effect, next_event, replaced, way_back
from textgate.registry.tables import history_table

A, B, C = "v0.1.0", "v0.2.0", "v0.3.0"


def event(number, before, version, *, rollback=False, at="2026-01-01T00:00:00Z"):
    return Event(number=number, before=before, version=version, rollback=rollback, at=at, by="ann")


def steps(happened):
    return [(event.before, event.version) for event in happened]


def test_in_effect__is_in_the_order_of_numbers_and_not_of_clocks():
    events = (
        event(3, B, C, at="2024-01-01T00:00:00Z"),
        event(1, None, A, at="2026-01-01T00:00:00Z"),
        event(2, A, B, at="2025-01-01T00:00:00Z"),
    )
    assert steps(in_effect(events, C)) == [(None, A), (A, B), (B, C)]


def test_in_effect__an_event_whose_change_was_killed_never_happened():
    assert steps(in_effect((event(1, None, A), event(2, A, B)), A)) == [(None, A)]
    assert steps(in_effect((event(1, None, A), event(2, A, B), event(3, A, C)), C)) == [(None, A), (A, C)]
    assert in_effect((event(1, None, A),), None) == ()


def test_in_effect__what_was_moved_by_hand_is_shown_without_a_name_or_a_time():
    happened = in_effect((event(1, None, A), event(2, B, C)), C)
    assert steps(happened) == [(None, A), (A, B), (B, C)]
    assert (happened[1].number, happened[1].at, happened[1].by) == (0, None, None)
    assert steps(in_effect((event(1, None, A),), B)) == [(None, A), (A, B)]
    assert steps(in_effect((), B)) == [(None, B)]
    assert steps(in_effect((event(1, None, A), event(2, A, B)), None)) == [(None, A), (A, B), (B, None)]


def test_way_back__is_the_version_that_served_before():
    assert way_back(in_effect((event(1, None, A), event(2, A, B)), B)) == A
    assert way_back(in_effect((event(1, None, A), event(2, A, B), event(3, B, A)), A)) == B


def test_way_back__what_was_left_by_a_rollback_is_not_gone_back_to():
    events = (event(1, None, A), event(2, A, B), event(3, B, A, rollback=True), event(4, A, C))
    assert way_back(in_effect(events, C)) == A
    with pytest.raises(Refused, match=r"no version served before v0\.1\.0: promote the one that you want"):
        way_back(in_effect(events[:3], A))


def test_way_back__there_is_none_without_a_champion_or_a_version_before():
    with pytest.raises(Refused, match="there is no champion to go back from: promote a version"):
        way_back(())
    with pytest.raises(Refused, match="there is no champion to go back from"):
        way_back(in_effect((event(1, None, A),), None) or (event(2, A, None),))
    with pytest.raises(Refused, match=r"no version served before v0\.1\.0"):
        way_back(in_effect((event(1, None, A),), A))


def test_replaced__is_the_champion_or_what_the_champion_replaced():
    assert replaced((), A) is None
    assert replaced((event(1, None, A),), A) is None
    assert replaced((event(1, None, A),), B) == A
    assert replaced((event(1, None, A), event(2, A, B)), B) == A
    assert replaced((event(1, None, A), event(2, A, B)), C) == B
    assert replaced((event(1, None, A), event(2, A, B), event(3, B, None, rollback=True)), C) is None


def test_replaced__what_a_rollback_left_is_not_gone_back_to():
    assert replaced((event(1, None, A), event(2, A, B), event(3, B, A, rollback=True)), A) is None


def test_next_event__comes_after_all_others_and_says_who(monkeypatch):
    monkeypatch.setenv("GITHUB_ACTOR", "renovate[bot]")
    found = next_event((event(7, None, A), event(2, A, B)), C, B, rollback=True)
    assert (found.number, found.version, found.before, found.rollback, found.by) == (8, C, B, True, "renovate[bot]")
    monkeypatch.setenv("GITHUB_ACTOR", "a --> <b>\n" + "x" * 100)
    assert next_event((), A, None, rollback=False).by == "a_--___b__" + "x" * 50


def test_history_table__is_one_line_a_change():
    assert history_table(()) == "no version was ever promoted"
    lines = history_table((event(1, None, A), Event(version=B, before=A), event(2, B, A, rollback=True))).splitlines()
    assert [line.split() for line in lines] == [
        ["when", "(UTC)", "who", "what", "from", "to"],
        ["2026-01-01T00:00:00Z", "ann", "promotion", "none", A],
        ["unknown", "unknown", "moved", "by", "hand", A, B],
        ["2026-01-01T00:00:00Z", "ann", "rollback", B, A],
    ]
