"""The benchmarks' own arithmetic, and the page that is made of their results. No speed is asserted."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import harness  # noqa: E402 - the scripts import each other by these names
import results  # noqa: E402
import serve_load  # noqa: E402

from textgate.errors import CannotTell  # noqa: E402


def made(**changes):
    usual = {
        "name": "a-b",
        "what": "a second: ours / b",
        "command": "make bench-a",
        "goal": "≥ 2",
        "met": True,
        "ratio": harness.Ratio(median=2.5, low=2.25, high=3.0),
        "figures": {"ours (1/s)": 5.0, "b (1/s)": 2.0},
        "limits": "",
        "load": (0.5, 0.25),
        "machine": harness.machine(),
        "versions": {"python": "3.11.7"},
        "date": "2026-01-02",
    }
    return harness.Result(**usual | changes)


def test_ratio__is_taken_within_each_round():
    found = harness.ratio((10.0, 40.0, 90.0), (10.0, 20.0, 30.0))
    assert (found.median, found.low, found.high) == (2.0, 1.0, 3.0)


def test_ratio__sides_of_different_rounds_cannot_be_compared():
    with pytest.raises(ValueError, match="shorter"):
        harness.ratio((1.0, 2.0), (1.0,))


def test_interleave__every_case_runs_once_a_round_in_an_order_of_its_own():
    ran = []

    def case(name):
        return lambda: ran.append(name) or float(len(ran))

    found = harness.interleave({name: case(name) for name in "abcd"}, 6)
    orders = [tuple(ran[start : start + 4]) for start in range(0, 24, 4)]
    assert all(sorted(order) == list("abcd") for order in orders)
    assert len(set(orders)) > 1
    assert len(found.load) == 6
    assert found.figures["a"] == tuple(order.index("a") + 1.0 + 4 * number for number, order in enumerate(orders))


def test_page__a_missed_goal_is_written_as_missed_with_what_limits_it(tmp_path):
    text = results.page([made(), made(name="c", met=False, limits="the disk")], tmp_path)
    assert "| a second: ours / b | 2.50 (2.25 … 3.00) | ≥ 2 | met |" in text
    assert "| ≥ 2 | **missed** |" in text
    assert "What limits it: the disk." in text
    assert "`make bench-a`, 2026-01-02, " in text
    assert "load at the start of each round: 0.5, 0.25." in text


def test_page__a_goal_without_a_ratio_shows_its_first_figures(tmp_path):
    assert "| ours (1/s) 5.0; b (1/s) 2.0 |" in results.page([made(ratio=None)], tmp_path)


def test_plot__the_same_figures_give_the_same_bytes(tmp_path):
    results.plot(made(), tmp_path)
    first = (tmp_path / "a-b.svg").read_bytes()
    results.plot(made(), tmp_path)
    assert (tmp_path / "a-b.svg").read_bytes() == first
    assert "plots/a-b.svg" in results.page([made()], tmp_path)


def test_read_results__what_is_no_result_is_named(tmp_path):
    with pytest.raises(CannotTell, match='holds no result: run "make bench" first'):
        results.read_results(tmp_path)
    (tmp_path / "a.json").write_text(made().model_dump_json())
    assert results.read_results(tmp_path) == [made()]
    (tmp_path / "b.json").write_text('{"name": "b"}')
    with pytest.raises(CannotTell, match=r"b\.json is no result of this version: remove it and measure again"):
        results.read_results(tmp_path)


class Turns(BaseHTTPRequestHandler):
    """Answers 200, 200, then 503 with and without Retry-After, and over again."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar = []
    answers = ((200, None), (200, None), (503, "1"), (503, None))

    def do_POST(self):
        """Answer in turn."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, later = self.answers[len(self.asked) % 4]
        self.asked.append(json.loads(body))
        self.send_response(status)
        self.send_header("Content-Length", "2")
        if later:
            self.send_header("Retry-After", later)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def port():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Turns)
    Turns.asked = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def test_closed__counts_answers_by_status_and_stays_away_when_told_to(port):
    seen = serve_load.closed(port, serve_load.as_requests(port, ["å", "b"]), 1, 0.3)
    assert [len(seen.answers[status]) for status in (200, 503)] == [2, 1]  # then it was told to stay away for a second
    assert Turns.asked == [{"text": "å"}, {"text": "b"}, {"text": "å"}]
    assert (seen.without_retry_after, dict(seen.lost)) == (0, {})


def test_opened__every_request_that_was_due_is_answered_or_counted_as_lost(port):
    seen = serve_load.opened(port, serve_load.as_requests(port, ["a"], lists=True), 200.0, 0.5)
    counts = {status: len(seconds) for status, seconds in seen.answers.items()}
    assert sum(counts.values()) + sum(seen.lost.values()) == len(Turns.asked) > 50
    assert counts[503] == 2 * seen.without_retry_after or abs(counts[503] - 2 * seen.without_retry_after) <= 1
    assert Turns.asked[0] == {"texts": ["a"]}


def test_opened__nobody_there_is_a_lost_request():
    with ThreadingHTTPServer(("127.0.0.1", 0), Turns) as closed:
        free = closed.server_address[1]
    seen = serve_load.opened(free, serve_load.as_requests(free, ["a"]), 100.0, 0.2)
    assert not seen.answers
    assert set(seen.lost) == {"ConnectionRefusedError", "unanswered"}
    assert seen.lost["unanswered"] == 0


def test_script__results_without_any_measurement_end_with_2(tmp_path):
    for name in ("harness.py", "results.py"):
        (tmp_path / "benchmarks").mkdir(exist_ok=True)
        (tmp_path / "benchmarks" / name).write_bytes((BENCHMARKS / name).read_bytes())
    (tmp_path / "src").symlink_to(BENCHMARKS.parent / "src")
    done = subprocess.run(
        [sys.executable, tmp_path / "benchmarks" / "results.py"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert 'holds no result: run "make bench" first' in done.stderr
