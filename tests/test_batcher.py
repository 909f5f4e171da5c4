"""Texts of many requests share the runs of a model; who waits, who is let in, and who is never scored."""

import asyncio
import threading
import time
from contextlib import asynccontextmanager

import pytest
from tests.served_example import counted

from textgate.serve.batcher import Batcher, busy
from textgate.serve.problems import Problem
from textgate.serve.settings import Lanes, Limits

SECONDS = 60  # far more than any of this takes: then something hangs


class Model:
    """A model that answers in capitals, in runs that wait until it is released; "bad" texts break it."""

    def __init__(self, *, held=False):
        """Let runs wait from the start, or not."""
        self.runs, self.threads = [], []
        self.started, self.released = threading.Semaphore(0), threading.Event()
        if not held:
            self.released.set()

    def __call__(self, texts):
        """Answer in capitals."""
        self.runs.append(list(texts))
        self.threads.append(threading.get_ident())
        self.started.release()
        assert self.released.wait(SECONDS)
        if any("bad" in text for text in texts):
            raise RuntimeError("the weights say /secret/path")
        return [text.upper() for text in texts]

    async def is_running(self):
        """Wait until the next run has started."""
        assert await asyncio.to_thread(self.started.acquire, timeout=SECONDS)


@asynccontextmanager
async def batcher(model, batch=1, lanes=1, inline=0, queue=100, wait_ms=60_000):
    limits = Limits(texts=32, characters=100, body_bytes=1000, queue_texts=queue, wait_ms=wait_ms)
    made = Batcher(model, Lanes(batch=batch, lanes=lanes, inline_characters=inline), limits)
    try:
        yield made
    finally:
        model.released.set()
        await made.stop()


def run(test):
    return asyncio.run(asyncio.wait_for(test(), SECONDS))


async def ask(made, *requests):
    """Send requests and return their tasks, once each of them stands in the queue."""
    tasks = [asyncio.create_task(made.answer(texts)) for texts in requests]
    await asyncio.sleep(0)
    return tasks


# --- runs


@pytest.mark.parametrize("inline", [0, 1000])
@pytest.mark.parametrize(("batch", "lanes"), [(1, 1), (1, 4), (3, 2), (256, 1)])
def test_answer__every_request_gets_its_answers_in_its_order(batch, lanes, inline):
    async def test():
        async with batcher(Model(), batch, lanes, inline) as made:
            requests = [
                [f"{name}{number}" for number in range(size)]
                for name, size in zip("abcdef", (1, 32, 1, 7, 2, 1), strict=True)
            ]
            assert await asyncio.gather(*map(made.answer, requests)) == [
                [text.upper() for text in texts] for texts in requests
            ]
            assert await made.answer([]) == []

    run(test)


def test_answer__what_waits_is_taken_at_once_up_to_a_batch():
    async def test():
        model = Model(held=True)
        async with batcher(model, batch=4) as made:
            first = await ask(made, ["a"])
            await model.is_running()
            rest = await ask(made, *(["b"],) * 6)
            model.released.set()
            await asyncio.gather(*first, *rest)
        assert list(map(len, model.runs)) == [1, 4, 2]

    run(test)


@pytest.mark.parametrize(("inline", "runs"), [(0, [["a", "b", "c"]]), (1000, [["a"], ["b", "c"]])])
def test_answer__what_arrives_in_one_turn_of_the_loop_goes_together_but_for_a_first_short_one(inline, runs):
    async def test():
        model = Model()
        async with batcher(model, batch=256, inline=inline) as made:
            await asyncio.gather(*(made.answer([text]) for text in "abc"))
        assert model.runs == runs

    run(test)


def test_answer__what_waits_is_shared_out_to_the_lanes_that_are_free():
    async def test():
        model = Model(held=True)
        async with batcher(model, batch=16, lanes=3) as made:
            tasks = await ask(made, *(["a"],) * 7)
            for _ in range(3):
                await model.is_running()
            model.released.set()
            await asyncio.gather(*tasks)
        assert sorted(map(len, model.runs)) == [2, 2, 3]

    run(test)


def test_answer__the_texts_of_one_request_are_spread_over_the_lanes():
    together = threading.Barrier(3)

    def score(texts):
        together.wait(SECONDS)  # passes only if three runs wait here at the same time
        return texts

    async def test():
        made = Batcher(
            score,
            Lanes(batch=1, lanes=3, inline_characters=0),
            Limits(texts=32, characters=9, body_bytes=9, queue_texts=9, wait_ms=9),
        )
        assert await made.answer(list("abc")) == list("abc")
        await made.stop()

    run(test)


def test_answer__short_runs_stay_on_the_loops_thread_and_long_ones_do_not():
    async def test():
        model = Model()
        async with batcher(model, batch=8, inline=10) as made:
            await made.answer(["x" * 10])
            await made.answer(["x" * 11])
            await made.answer(["x" * 6, "x" * 5])
        assert [thread == threading.get_ident() for thread in model.threads] == [True, False, False]

    run(test)


def test_answer__between_two_runs_on_its_thread_the_loop_hears_others():
    async def test():
        heard = []
        async with batcher(Model(), batch=1, inline=10) as made:
            asked = asyncio.create_task(made.answer(list("abcd")))
            while not asked.done():
                heard.append(len(made._lines))
                await asyncio.sleep(0)
        assert {3, 2, 1} <= set(heard)

    run(test)


def test_metrics__say_how_much_waits_and_how_large_the_runs_are():
    async def test():
        model, runs, texts = Model(held=True), counted("batch_texts_count"), counted("batch_texts_sum")
        async with batcher(model, batch=8) as made:
            tasks = await ask(made, ["a"])
            await model.is_running()
            tasks += await ask(made, ["b"], ["c", "d"])
            assert counted("queue_texts") == 3
            model.released.set()
            await asyncio.gather(*tasks)
        assert counted("queue_texts") == 0
        assert (counted("batch_texts_count") - runs, counted("batch_texts_sum") - texts) == (2, 4)

    run(test)


def test_metrics__say_how_large_a_run_was_that_nobody_waited_for():
    async def test():
        runs, texts = counted("batch_texts_count"), counted("batch_texts_sum")
        async with batcher(Model(), batch=4, inline=1000) as made:
            assert await made.answer(["a", "b"]) == ["A", "B"]
            await asyncio.sleep(0)  # figures are taken in the next turn of the loop
        assert (counted("batch_texts_count") - runs, counted("batch_texts_sum") - texts) == (1, 2)

    run(test)


# --- who is let in


async def refusal(made, texts):
    with pytest.raises(Problem) as caught:
        await made.answer(texts)
    return caught.value.status, caught.value.detail, dict(caught.value.headers)


def test_answer__a_full_queue_says_when_to_come_back_and_takes_others_when_it_is_empty():
    async def test():
        model = Model(held=True)
        async with batcher(model, queue=4) as made:
            tasks = await ask(made, ["a"])
            await model.is_running()
            tasks += await ask(made, *(["b"],) * 4)
            full = (503, "too many texts wait already: try again later", {"Retry-After": "1"})
            assert await refusal(made, ["c"]) == full
            assert counted("queue_texts") == 4
            model.released.set()
            await asyncio.gather(*tasks)
            assert await made.answer(["c"]) == ["C"]

    run(test)


def test_answer__nobody_is_let_in_who_would_wait_too_long():
    async def test():
        model = Model(held=True)
        async with batcher(model, wait_ms=20) as made:
            (slow,) = await ask(made, ["a"])
            await model.is_running()
            await asyncio.to_thread(time.sleep, 0.05)  # the time that a text takes from here on
            model.released.set()
            await slow
            model.released.clear()
            tasks = await ask(made, ["b"])
            await model.is_running()
            tasks += await ask(made, ["c"])  # nobody is before it
            assert (await refusal(made, ["d"]))[0] == 503
            assert not made.has_room(1)
            model.released.set()
            await asyncio.gather(*tasks)
            assert made.has_room(1)

    run(test)


def test_too_long_s__counts_who_was_read_and_does_not_stand_in_the_queue_yet():
    async def test():
        model = Model(held=True)
        async with batcher(model, wait_ms=50) as made:
            asked = await ask(made, ["a"])
            await model.is_running()
            await asyncio.to_thread(time.sleep, 0.02)  # the time that a text takes from here on
            model.released.set()
            await asyncio.gather(*asked)
            assert [made.too_long_s(1, coming) is None for coming in (0, 5)] == [True, False]
            assert made.too_long_s(1, 100) > 1

    run(test)


def test_answer__on_the_loops_thread_the_time_of_a_text_is_that_from_run_to_run():
    """Others of the loop's work count too: here 20 ms between two runs of a model that takes none."""

    async def test():
        async with batcher(Model(), batch=1, inline=1000, wait_ms=150) as made:
            tasks = await ask(made, *(["a"],) * 12)
            while not all(task.done() for task in tasks):
                time.sleep(0.02)  # noqa: ASYNC251 - the loop is busy
                await asyncio.sleep(0)
            tasks = await ask(made, *(["b"],) * 40)
            found = await asyncio.gather(*tasks, return_exceptions=True)
        assert found[:2] == [["B"], ["B"]]
        assert found[-1].status == 503

    run(test)


@pytest.mark.parametrize(("wait_s", "said"), [(0, "1"), (0.3, "1"), (1.0, "1"), (1.01, "2"), (7.5, "8")])
def test_busy__says_whole_seconds(wait_s, said):
    assert busy(wait_s, "x").headers == {"Retry-After": said}


def test_answer__a_large_request_finds_room_when_no_other_waits():
    async def test():
        async with batcher(Model(), queue=4) as made:
            assert len(await made.answer(["a"] * 32)) == 32

    run(test)


# --- who leaves


def test_answer__a_cancelled_request_frees_its_places_and_is_never_scored():
    async def test():
        model = Model(held=True)
        async with batcher(model, queue=4) as made:
            tasks = await ask(made, ["a"])
            await model.is_running()
            leaving, staying = await ask(made, ["gone", "gone"], ["b"])
            leaving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leaving
            assert counted("queue_texts") == 1
            tasks += [staying, *await ask(made, ["c", "d"])]
            model.released.set()
            await asyncio.gather(*tasks)
        assert model.runs == [["a"], ["c"], ["b"], ["d"]]

    run(test)


def test_answer__cancelled_while_it_is_scored_harms_nobody():
    async def test():
        model = Model(held=True)
        async with batcher(model, batch=2) as made:
            leaving, staying = await ask(made, ["bad"], ["b"])
            await model.is_running()
            leaving.cancel()
            await asyncio.wait([leaving])
            model.released.set()
            assert await staying == ["B"]

    run(test)


def test_answer__a_text_that_breaks_the_model_fails_its_own_request_alone(caplog):
    async def test():
        async with batcher(Model(), batch=256, inline=1000) as made:
            found = await asyncio.gather(
                *map(made.answer, (["a"], ["b", "bad", "c"], ["d", "e"])), return_exceptions=True
            )
        assert (found[0], found[2]) == (["A"], ["D", "E"])
        assert isinstance(found[1], Problem)
        assert (found[1].status, found[1].detail) == (500, "the model failed on this text")
        assert counted("queue_texts") == 0

    run(test)
    assert [record.getMessage() for record in caplog.records] == ["the model failed on a text"]
    assert "/secret/path" in caplog.text
    assert "bad" not in caplog.text.split("RuntimeError")[-1]


def test_answer__after_a_text_broke_the_model_the_rest_of_its_request_is_not_scored():
    async def test():
        model = Model()
        async with batcher(model) as made:
            (found,) = await asyncio.gather(made.answer(["bad", *"abcdefgh"]), return_exceptions=True)
            assert found.status == 500
        assert len(model.runs) < 4

    run(test)


@pytest.mark.parametrize("texts", [["bad"], ["good", "bad"], ["bad", "good"]])
def test_answer__a_short_request_that_nobody_is_before_fails_whole(texts):
    async def test():
        async with batcher(Model(), batch=4, inline=1000) as made:
            with pytest.raises(Problem, match="the model failed on this text") as found:
                await made.answer(texts)
            assert found.value.status == 500
            assert await made.answer(["good"]) == ["GOOD"]

    run(test)


def test_stop__answers_who_was_let_in_and_lets_nobody_in_any_more():
    async def test():
        model = Model(held=True)
        async with batcher(model) as made:
            tasks = await ask(made, ["a"], ["b", "c"])
            stopping = asyncio.create_task(made.stop())
            await asyncio.sleep(0)
            assert await refusal(made, ["d"]) == (
                503,
                "the service is shutting down: try again later",
                {"Retry-After": "1"},
            )
            assert not stopping.done()
            model.released.set()
            await stopping
            assert await asyncio.gather(*tasks) == [["A"], ["B", "C"]]

    run(test)
