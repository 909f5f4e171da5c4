"""Who is answered by the challenger, who is only asked unseen, and that neither harms the champion's answers."""

import asyncio
import threading

import numpy as np
import pytest
from tests.served_example import config, counted, make_version, started
from tests.small import fit_tfidf, small_rows

from textgate.models.processors import processors
from textgate.serve.problems import Problem
from textgate.serve.served import WARM_UP
from textgate.serve.split import goes_to_challenger

ONE, OTHER = "1" * 64, "2" * 64
UNITS = [f"client-{number}" for number in range(4000)]


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_goes_to_challenger__takes_its_share(share):
    taken = sum(goes_to_challenger(unit, ONE, share) for unit in UNITS) / len(UNITS)
    assert taken == pytest.approx(share, abs=0.025)  # three standard errors at one half


def test_goes_to_challenger__all_and_nobody():
    assert all(goes_to_challenger(unit, ONE, 1.0) for unit in UNITS)
    assert not any(goes_to_challenger(unit, ONE, 0.0) for unit in UNITS)


def test_goes_to_challenger__a_larger_share_keeps_who_was_in():
    assert all(goes_to_challenger(unit, ONE, 0.4) for unit in UNITS if goes_to_challenger(unit, ONE, 0.2))


def test_goes_to_challenger__the_next_experiment_divides_anew():
    both = sum(goes_to_challenger(unit, ONE, 0.5) and goes_to_challenger(unit, OTHER, 0.5) for unit in UNITS)
    assert both / len(UNITS) == pytest.approx(0.25, abs=0.025)


def test_goes_to_challenger__takes_any_name():
    assert goes_to_challenger("\ud800", ONE, 1.0)


# --- in the service


@pytest.fixture
def pair(tmp_path):
    return make_version(tmp_path, "v0.1.0"), make_version(tmp_path, "v0.2.0")


def run(test):
    return asyncio.run(asyncio.wait_for(test(), 300))


def test_predict__a_unit_always_gets_the_same_model(pair):
    async def test():
        async with started(config(*pair, ("split", 0.5))) as models:
            first, second = [[(await models.predict(["snow"], unit)).variant for unit in UNITS[:200]] for _ in range(2)]
            assert first == second
            digest = models.loaded()["challenger"].bundle.digest
        assert first == [("champion", "challenger")[goes_to_challenger(unit, digest, 0.5)] for unit in UNITS[:200]]

    run(test)


def test_predict__what_the_challenger_answers_says_so(pair):
    async def test():
        async with started(config(*pair, ("split", 1.0))) as models:
            answered = await models.predict(["snow"], "somebody")
            assert (answered.variant, answered.version, answered.shadow) == ("challenger", "v0.2.0", None)
            assert (
                answered.predictions[0].model_digest == answered.digest == models.loaded()["challenger"].bundle.digest
            )

    run(test)


def test_predict__without_a_split_the_challenger_is_loaded_and_not_asked(pair):
    async def test():
        async with started(config(*pair, ("none", 1.0))) as models:
            assert "challenger" in models.loaded()
            answered = await models.predict(["snow"], "somebody")
            assert (answered.variant, answered.shadow) == ("champion", None)

    run(test)


def shadows():
    return {agrees: counted("shadow_total", agrees=agrees) for agrees in ("yes", "no", "dropped")}


def since(before):
    return {agrees: now - before[agrees] for agrees, now in shadows().items()}


def test_shadow__the_champion_answers_and_the_challenger_is_asked_the_same(pair):
    async def test():
        before, texts = shadows(), small_rows(10, seed=4)[0]
        async with started(config(*pair, ("shadow", 1.0))) as models:
            answered = await models.predict(texts, "somebody")
            assert answered.variant == "champion"
            unseen = await answered.shadow
            assert (unseen.variant, unseen.version, len(unseen.predictions)) == ("challenger", "v0.2.0", 10)
            assert min(answered.seconds, unseen.seconds) > 0
        assert since(before) == {"yes": 10, "no": 0, "dropped": 0}

    run(test)


def test_shadow__a_share_of_the_units_is_shadowed(pair):
    async def test():
        async with started(config(*pair, ("shadow", 0.5))) as models:
            digest = models.loaded()["challenger"].bundle.digest
            for unit in UNITS[:30]:
                answered = await models.predict(["snow"], unit)
                assert (answered.shadow is not None) == goes_to_challenger(unit, digest, 0.5)

    run(test)


def test_shadow__counts_where_the_two_disagree(tmp_path):
    turned = make_version(tmp_path, "v0.2.0", labels=("south", "north"))  # the same scores under each other's names

    async def test():
        before = shadows()
        async with started(config(make_version(tmp_path, "v0.1.0"), turned, ("shadow", 1.0))) as models:
            await (await models.predict(["snow", "sand", "ice"], "somebody")).shadow
        assert since(before) == {"yes": 0, "no": 3, "dropped": 0}

    run(test)


def test_shadow__a_challenger_that_fails_shows_in_a_figure_of_its_own(tmp_path):
    broken = fit_tfidf()
    unasked = set(broken._columns("snow")).difference(*map(broken._columns, WARM_UP))
    broken._tensors["idf"][list(unasked)] = np.nan  # so its warm-up shows nothing
    versions = make_version(tmp_path, "v0.1.0"), make_version(tmp_path, "v0.2.0", model=broken)

    def failures():
        return [counted("model_failures_total", variant=variant) for variant in ("champion", "challenger")]

    async def test():
        champion, challenger = failures()
        async with started(config(*versions, ("shadow", 1.0))) as models:
            answered = await models.predict(["snow"], "somebody")
            with pytest.raises(Problem, match="the model failed on this text"):
                await answered.shadow
        assert failures() == [champion, challenger + 1]

    run(test)


async def some_turns():
    for _ in range(5):
        await asyncio.sleep(0)


class Held(str):
    """A text that the champion reads as any other, and the challenger only when it is let go."""

    __slots__ = ("let_go", "read")

    def lower(self):
        """Wait, unless this is the first time."""
        self.read, before = True, getattr(self, "read", False)
        assert not before or self.let_go.wait(300)
        return super().lower()


def test_shadow__a_busy_challenger_is_not_asked_and_nobody_waits_for_it(pair):
    long = Held("x" * 3000)  # not read on the loop's own thread
    long.let_go = threading.Event()

    async def test():
        before = shadows()
        async with started(config(*pair, ("shadow", 1.0), queue_texts=1)) as models:
            first = await models.predict([long], "somebody")
            try:
                await some_turns()  # the challenger begins with it
                second = await models.predict(["snow"], "somebody")
                await some_turns()  # it stands in the challenger's queue, which has no other place
                third = await models.predict(["snow"], "somebody")
                assert not first.shadow.done()
                assert (second.variant, third.variant, third.shadow) == ("champion", "champion", None)
                assert since(before)["dropped"] == 1
            finally:
                long.let_go.set()
            await asyncio.gather(first.shadow, second.shadow)
        assert since(before) == {"yes": 2, "no": 0, "dropped": 1}

    run(test)


def lanes(models):
    return [place.loaded.batcher._lanes.lanes for place in models._places()]


@pytest.mark.parametrize(("kind", "expected"), [("split", [3, 3]), ("shadow", [3, 1])])
def test_shadow__the_challenger_gets_one_lane_so_that_the_champion_keeps_its_cores(pair, kind, expected):
    async def test():
        async with started(config(*pair, (kind, 1.0), lanes=3)) as models:
            assert lanes(models) == expected

    run(test)


def test_start__no_number_of_lanes_means_one_for_each_processor(pair):
    async def test():
        async with started(config(*pair, lanes=0)) as models:
            assert lanes(models) == [processors()] * 2

    run(test)


def test_stop__what_was_asked_unseen_is_answered_too(pair):
    async def test():
        async with started(config(*pair, ("shadow", 1.0))) as models:
            answered = await models.predict(["x" * 200_000], "somebody")
            recorded = []
            answered.shadow.add_done_callback(recorded.append)
            await asyncio.sleep(0)
            await models.stop()
            assert [shadow.result().variant for shadow in recorded] == ["challenger"]

    run(test)
