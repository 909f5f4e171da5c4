"""Texts that come one after the other get a second session, with the same answers; texts that come at once do not."""

import shutil
import threading
import time

import numpy as np
import pytest

from textgate.models.processors import processors
from textgate.models.sessions import LONE_RUNS, LONE_THREADS, Sessions


@pytest.fixture
def path(trained, tmp_path):
    trained[1].save(tmp_path)
    return tmp_path / "onnx" / "model.onnx"


def feeds(count):
    random = np.random.default_rng(3)
    for number in range(count):
        tokens = random.integers(5, 20, (1, 1 + number % 30))
        yield {"input_ids": tokens, "attention_mask": np.ones_like(tokens)}


def one_by_one(sessions, count):
    return [sessions.run(feed, alone=True) for feed in feeds(count)]


def wait_until(true):
    end = time.monotonic() + 300
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def single(path):
    """Return sessions that may open a second one, also where there is one processor."""
    sessions = Sessions(path)
    sessions._opening = False
    return sessions


def opened(path):
    """Return sessions that have opened the second one."""
    sessions = single(path)
    one_by_one(sessions, LONE_RUNS)
    wait_until(lambda: sessions._wide is not None)
    return sessions


def test_open__a_second_session_is_for_two_processors(path):
    assert Sessions(path)._opening == (processors() < LONE_THREADS)


def test_run__both_sessions_give_the_same_to_the_last_bit(path):
    sessions = opened(path)
    wide = one_by_one(sessions, 100)
    sessions._wide = None
    np.testing.assert_array_equal(np.concatenate(wide), np.concatenate(one_by_one(sessions, 100)))


def test_run__one_after_the_other_is_run_by_the_second_session(path):
    sessions = opened(path)
    feed = next(feeds(1))
    assert sessions._begin(alone=True) is sessions._wide
    sessions._running -= 1
    assert sessions.run(feed, alone=True).shape == (1, 2)
    assert sessions._begin(alone=True) is sessions._wide


def test_run__who_comes_while_another_runs_makes_all_that_follow_go_by_one_thread_each(path):
    sessions = opened(path)
    assert sessions._begin(alone=True) is sessions._wide  # and it runs
    assert sessions._begin(alone=True) is sessions._narrow
    sessions._running = 0
    found = [sessions._begin(alone=True) is sessions._narrow]
    for _ in range(LONE_RUNS):
        sessions._running = 0
        found.append(sessions._begin(alone=True) is sessions._narrow)
    assert found == [True] * (LONE_RUNS - 1) + [False] * 2


def test_run__a_part_of_many_texts_is_not_taken_for_a_lone_one(path):
    sessions = single(path)
    for feed in feeds(2 * LONE_RUNS):
        sessions.run(feed, alone=False)
    assert not sessions._opening


def test_run__goes_on_with_one_thread_if_the_second_session_cannot_be_opened(path, caplog):
    sessions = single(path)
    shutil.rmtree(path.parent)
    found = one_by_one(sessions, 2 * LONE_RUNS)
    wait_until(lambda: "no second session" in caplog.text)
    assert np.isfinite(np.concatenate(found)).all()


def test_run__from_many_threads_all_are_answered(path):
    sessions, found = opened(path), []
    threads = [threading.Thread(target=lambda: found.extend(one_by_one(sessions, 50))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 300
    assert sessions._running == 0
