"""The benchmarks' own arithmetic, and the page that is made of their results. No speed is asserted."""

import json
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import ValidationError
from tests.kept_port import kept_port

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import growth_inputs  # noqa: E402 - the scripts import each other by these names
import harness  # noqa: E402
import results  # noqa: E402
import results_plot  # noqa: E402
import serve_load  # noqa: E402

from textgate.errors import CannotTell  # noqa: E402
from textgate.scan.tensor_policy import check_safetensors  # noqa: E402


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
        "code": "now",
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
    text = results.page([made(), made(name="c", met=False, limits="the disk")], tmp_path, "now")
    assert "| a second: ours / b | 2.50 (2.25 … 3.00) | ≥ 2 | met |" in text
    assert "| ≥ 2 | **missed** |" in text
    assert "What limits it: the disk." in text
    assert "`make bench-a`, 2026-01-02, " in text
    assert "load at the start of each round: 0.5, 0.25." in text


def test_page__a_goal_without_a_ratio_shows_its_first_figures(tmp_path):
    figures = {"ours (1/s)": 5.0, "b (1/s)": 2000.5, "third": 1.0}
    assert "| ours (1/s) 5; b (1/s) 2,000.5 |" in results.page([made(ratio=None, figures=figures)], tmp_path, "now")


def test_page__a_ratio_has_the_figures_beside_it_that_its_goal_names(tmp_path):
    text = results.page([made(beside=("b (1/s)",))], tmp_path, "now")
    assert "| a second: ours / b | 2.50 (2.25 … 3.00); b (1/s) 2 | ≥ 2 | met |" in text


def test_result__shows_no_figure_that_it_does_not_have():
    with pytest.raises(ValidationError, match="beside: c: no such figure"):
        made(beside=("c",))


def test_page__machines_do_not_share_a_table():
    other = harness.machine().model_copy(update={"processor": "Another", "cores": 64})
    text = results.page([made(), made(name="c", machine=other), made(name="d")], BENCHMARKS, "now")
    assert text.count("| what | measured | goal | |") == 2
    assert "On Another, 64 cores, " in text.partition("## a-b")[0]
    assert results.page([made(), made(name="d")], BENCHMARKS, "now").count("| what | measured | goal | |") == 1


def test_page__a_result_of_other_code_is_marked_as_such():
    text = results.page([made(name="c"), made(name="d", code="before")], BENCHMARKS, "now")
    assert [line.endswith(f"| met, {results.OLD} |") for line in text.splitlines() if "| ≥ 2 |" in line] == [
        False,
        True,
    ]
    assert f"Goal: ≥ 2; met, {results.OLD}." in text


def test_save__says_which_code_was_measured(tmp_path):
    (tmp_path / "src/textgate").mkdir(parents=True)
    script = "import harness, sys; sys.path.pop(0); print(harness.code())"
    left_out = shutil.ignore_patterns("__pycache__")  # others may be writing there
    shutil.copytree(BENCHMARKS.parent / "src", tmp_path / "src", dirs_exist_ok=True, ignore=left_out)
    (tmp_path / "benchmarks").mkdir()
    shutil.copy(BENCHMARKS / "harness.py", tmp_path / "benchmarks")

    def hashed():
        command = [sys.executable, "-c", script]
        return subprocess.run(command, cwd=tmp_path / "benchmarks", capture_output=True, text=True, check=True).stdout

    first = hashed()
    assert first == hashed() != ""
    (tmp_path / "src/textgate/gate/gate.py").write_text("other = 1\n")
    assert hashed() != first


def test_readme__figures_stand_between_the_markers_and_nothing_else_changes():
    before = f"# a\n\n{results.BEGIN}\nold\n{results.END}\n\nafter\n"
    text = results.with_figures(before, [made(), made(name="c", met=False)], "now")
    assert text.startswith(f"# a\n\n{results.BEGIN}\nOn ")
    assert text.endswith(f" **missed** |\n{results.END}\n\nafter\n")
    assert "| a second: ours / b | 2.50 (2.25 … 3.00) | ≥ 2 | met |" in text
    assert "old" not in text
    assert results.with_figures(text, [made(), made(name="c", met=False)], "now") == text
    assert results.with_figures("# none\n", [made()], "now") == "# none\n"


@pytest.mark.parametrize("text", [results.BEGIN, results.END, results.END + results.BEGIN, results.BEGIN * 2])
def test_readme__markers_that_do_not_fit_are_refused(text):
    with pytest.raises(CannotTell, match="must stand there once: write them where figures go"):
        results.with_figures(text, [made()], "now")


def test_summary__shows_each_figure_beside_its_goal():
    lines = results.summary([made(), made(name="c", met=False, ratio=None)]).splitlines()
    assert lines[0] == "met    a-b: 2.50 (2.25 … 3.00); goal ≥ 2"
    assert lines[1] == "MISSED c: ours (1/s) 5; b (1/s) 2; goal ≥ 2"
    assert lines[2] == "1 of 2 goals met"


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_exponent__is_the_power_that_the_values_were_made_with(power):
    sizes = (10.0, 200.0, 5000.0)
    assert harness.exponent(sizes, [3 * size**power for size in sizes]) == pytest.approx(power)


GROWTH = harness.Growth(of="rows", sizes=(10, 100, 1000), seconds=(1.0, 10.0, 100.0), megabytes=(5.0, 5.0, 5.0))


@pytest.mark.parametrize("growth", [None, GROWTH], ids=["bars", "growth"])
def test_plot__the_same_figures_give_the_same_small_file(tmp_path, growth):
    results_plot.plot(made(growth=growth), tmp_path)
    first = (tmp_path / "a-b.svg").read_bytes()
    results_plot.plot(made(growth=growth), tmp_path)
    assert (tmp_path / "a-b.svg").read_bytes() == first
    assert len(first) < 30_000
    assert "plots/a-b.svg" in results.page([made()], tmp_path, "now")
    assert (b"seconds: exponent 1.00" in first) == (b"MB at most: exponent 0.00" in first) == (growth is not None)


def test_growth_inputs__texts_differ_and_some_are_nearly_others():
    made_texts = list(growth_inputs.texts(30_000))
    assert len(set(made_texts)) == 30_000
    assert all(made_texts[number].startswith(made_texts[number - 50]) for number in range(199, 30_000, 100))
    assert made_texts[:500] == list(growth_inputs.texts(500))
    own = {" ".join(text.split()[-2:]) for text in made_texts}
    assert len(own) == 30_000


def test_growth_inputs__weights_are_a_file_that_the_scan_takes(tmp_path):
    growth_inputs.write_weights(tmp_path / "a/model.safetensors", 10_000_001)
    assert 10_000_000 < (tmp_path / "a/model.safetensors").stat().st_size < 10_000_200
    check_safetensors(tmp_path / "a/model.safetensors")


def test_growth_point__leaves_evidence_that_the_report_shows(tmp_path):
    (tmp_path / "configs").symlink_to(BENCHMARKS.parent / "configs")

    def ran(*command):
        return subprocess.run([sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, check=False)

    point = ran(BENCHMARKS / "growth_point.py", "100", "14", tmp_path / "build")
    assert json.loads(point.stdout)["seconds"] > 0, point.stderr
    assert ran(BENCHMARKS.parent / "scripts/gate.py").returncode in (1, 2)  # there are no model tests
    assert ran(BENCHMARKS.parent / "scripts/report.py").returncode == 0
    shown = (tmp_path / "build/report.md").read_text()
    assert "F1 label 013 " in shown
    assert "Most frequent mistakes" not in shown
    assert "kinds of mistake" in shown


def test_read_results__what_is_no_result_is_named(tmp_path):
    with pytest.raises(CannotTell, match='holds no result: run "make bench" first'):
        results.read_results(tmp_path)
    (tmp_path / "a.json").write_text(made().model_dump_json())
    assert results.read_results(tmp_path) == [made()]
    (tmp_path / "b.json").write_text('{"name": "b"}')
    with pytest.raises(CannotTell, match=r"b\.json is no result of this version: remove it and measure again"):
        results.read_results(tmp_path)


class Turns(BaseHTTPRequestHandler):
    """Answers 200, 200, then 503 with Retry-After (an hour) and without, and over again."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar = []
    answers = ((200, None), (200, None), (503, "3600"), (503, None))
    turn: ClassVar = threading.Lock()  # each connection has a thread of its own

    def do_POST(self):
        """Answer in turn."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.turn:
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
    seen = serve_load.closed(port, serve_load.as_requests(port, ["å", "b"]), 1, 5.0)
    assert [len(seen.answers[status]) for status in (200, 503)] == [2, 1]  # then it was told to stay away
    assert Turns.asked == [{"text": "å"}, {"text": "b"}, {"text": "å"}]
    assert (seen.without_retry_after, dict(seen.lost)) == (0, {})


def test_opened__every_request_that_was_due_is_answered_or_counted_as_lost(port):
    seen = serve_load.opened(port, serve_load.as_requests(port, ["a"], lists=True), 200.0, 0.5)
    counts = {status: len(seconds) for status, seconds in seen.answers.items()}
    assert sum(counts.values()) + sum(seen.lost.values()) == len(Turns.asked) > 50
    assert counts[503] == 2 * seen.without_retry_after or abs(counts[503] - 2 * seen.without_retry_after) <= 1
    assert Turns.asked[0] == {"texts": ["a"]}


def test_opened__nobody_there_is_a_lost_request():
    with kept_port() as free:
        seen = serve_load.opened(free, serve_load.as_requests(free, ["a"]), 100.0, 0.2)
    assert not seen.answers
    assert set(seen.lost) == {"ConnectionRefusedError", "unanswered"}
    assert seen.lost["unanswered"] == 0


def test_script__results_without_any_measurement_end_with_2(tmp_path):
    for name in ("harness.py", "results.py", "results_plot.py"):
        (tmp_path / "benchmarks").mkdir(exist_ok=True)
        (tmp_path / "benchmarks" / name).write_bytes((BENCHMARKS / name).read_bytes())
    (tmp_path / "src").symlink_to(BENCHMARKS.parent / "src")
    done = subprocess.run(
        [sys.executable, tmp_path / "benchmarks" / "results.py"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert 'holds no result: run "make bench" first' in done.stderr
