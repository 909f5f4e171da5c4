"""Whose turn it is: requests of one text and of several, text by text."""

import asyncio
from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from textgate.serve.lines import Lines, Request


def lines(*requests, places=100):
    async def make():
        made = Lines(places)
        for texts in requests:
            made.add(Request(list(texts), asyncio.get_running_loop().create_future()))
        return made

    return asyncio.run(make())


def order(made, most=100):
    return "".join(request.texts[number] for request, number in made.take(most))


def test_take__one_text_and_several_take_turns():
    assert order(lines("ABCDEF", "x", "y", "GH", "z")) == "xAyBzCDEFGH"


def test_take__nobody_waits_for_an_empty_line():
    assert order(lines("AB", "CD")) == "ABCD"
    assert order(lines("x", "y")) == "xy"


def test_take__the_turn_goes_on_over_runs_of_one():
    made = lines("ABC", "x", "y")
    assert [order(made, 1) for _ in range(6)] == ["x", "A", "y", "B", "C", ""]


def test_ahead__counts_who_comes_first_by_turns():
    made = lines("ABCDEF", "x", "y")
    assert (made.ahead(1), made.ahead(2)) == (4, 8)
    assert (lines("ABC").ahead(1), lines("ABC").ahead(5)) == (0, 3)


def test_has_room__several_get_half_of_the_places_and_one_gets_all():
    made = lines("ABCD", places=10)
    assert (made.has_room(1), made.has_room(2)) == (True, False)
    assert not lines("ABCD", *"xyzuvw", places=10).has_room(1)
    assert lines("ABC", places=10).has_room(2)


@given(st.lists(st.integers(1, 5) | st.sampled_from(["take", "drop"]), max_size=40), st.integers(1, 6))
def test_lines__every_text_is_taken_once_or_dropped_and_the_count_is_right(steps, most):
    async def test():
        made, standing, waiting, taken = Lines(1000), deque(), 0, []
        for step in steps:
            if step == "take":
                found = made.take(most)
                assert len(found) == min(most, waiting)
                taken += found
                waiting -= len(found)
            elif step == "drop" and standing:
                waiting -= made.drop(standing.popleft())
            elif step != "drop":
                standing.append(Request(["x"] * step, asyncio.get_running_loop().create_future()))
                made.add(standing[-1])
                waiting += step
            assert len(made) == waiting
        taken += made.take(waiting)
        assert len(made) == 0
        assert len({(id(request), number) for request, number in taken}) == len(taken)
        assert all(request.waiting == 0 for request in standing)

    asyncio.run(test())
