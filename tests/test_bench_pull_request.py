"""What the benchmark of a pull request makes of a run's times, and what a stage that always runs must not import."""

import os
import subprocess
import sys
from dataclasses import dataclass

import pytest
from tests.project import ROOT
from tests.tested_project import make_project

from textgate.errors import CannotTell

sys.path.insert(0, str(ROOT / "benchmarks"))

import import_times
import pipeline_path
import pull_request

SPANS = {"plan": (0.0, 4.0), "check": (0.0, 18.0), "train": (18.0, 58.0), "scan": (58.0, 63.0)}
SPANS |= {"model_tests": (58.0, 65.0), "gate": (65.0, 79.0)}
NEEDS = {"plan": [], "check": [], "train": ["check", "plan", "launch"], "scan": ["train"], "model_tests": ["train"]}
NEEDS |= {"gate": ["check", "plan", "train", "model_tests", "scan"]}


@dataclass
class Job:
    """As much of a job as is asked."""

    started: str
    ended: str


def test_times__count_from_the_start_of_the_first_job():
    jobs = {
        "b": Job("2026-01-01T00:00:05Z", "2026-01-01T00:01:00Z"),
        "a": Job("2026-01-01T00:00:02Z", "2026-01-01T00:00:02Z"),
    }
    assert pipeline_path.times(jobs) == {"b": (3.0, 58.0), "a": (0.0, 0.0)}


def test_longest__is_what_the_last_job_waited_for_back_to_the_start():
    assert pipeline_path.longest(SPANS, NEEDS) == ["check", "train", "model_tests", "gate"]
    slow = SPANS | {"scan": (58.0, 70.0), "gate": (70.0, 80.0)}
    assert pipeline_path.longest(slow, NEEDS) == ["check", "train", "scan", "gate"]


def test_waited__a_job_that_begins_late_is_seen_and_a_skipped_one_is_not_waited_for():
    assert set(pipeline_path.waited(SPANS, NEEDS).values()) == {0.0}
    late = pipeline_path.waited(SPANS | {"scan": (65.0, 70.0)}, NEEDS)
    assert {name: seconds for name, seconds in late.items() if seconds} == {"scan": 7.0, "gate": -5.0}


def test_as_needed__a_job_begins_when_the_last_one_that_it_needs_has_ended():
    needs = {"check": [], "test": [], "train": ["check", "launch"], "gate": ["train", "test"]}
    by_levels = {"check": (0.0, 2.0), "test": (0.0, 9.0), "train": (9.0, 14.0), "gate": (14.0, 15.0)}
    assert pipeline_path.waited(by_levels, needs) == {"check": 0.0, "test": 0.0, "train": 0.0, "gate": 0.0}
    found = pipeline_path.as_needed(by_levels, needs)
    assert found == {"check": (0.0, 2.0), "test": (0.0, 9.0), "train": (2.0, 7.0), "gate": (9.0, 10.0)}
    assert pipeline_path.longest(found, needs) == ["test", "gate"]


def test_side_by_side__are_jobs_with_a_moment_in_common():
    assert pipeline_path.side_by_side(SPANS) == [("plan", "check"), ("scan", "model_tests")]


def test_draw__the_same_times_give_the_same_bytes_with_every_job(tmp_path):
    for folder in (tmp_path / "a", tmp_path / "b"):
        pipeline_path.draw(SPANS, ["check", "train"], folder)
    first, second = ((tmp_path / name / "pr-ci.svg").read_bytes() for name in "ab")
    assert first == second
    assert all(f">{name}</text>".encode() in first for name in SPANS)


def test_read_times__modules_count_for_their_package_and_submodules_once():
    said = "import time: self [us] | cumulative | imported package\n"
    said += "import time:      1000 |       1000 |   numpy.core\nimport time:      2000 |       3000 | numpy\n"
    said += "import time:       500 |        500 | yaml\nanything else\n"
    found = import_times.read_times(said)
    assert found.packages == {"numpy": pytest.approx(0.003), "yaml": pytest.approx(0.0005)}
    assert found.seconds == pytest.approx(0.0035)
    assert str(found) == "0.00 s (numpy 0.00, yaml 0.00)"


def test_import_times__a_stage_that_fails_is_one_line_with_its_last_words(tmp_path):
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    with pytest.raises(CannotTell, match=r"(?s)^model_tests ended with 4: .*not found: model_tests") as caught:
        import_times.import_times(tmp_path, "model_tests", os.environ)
    assert "import time" not in str(caught.value)


def test_import_times__of_the_model_tests_are_those_of_a_run_that_passes(tmp_path):
    make_project(tmp_path)
    for name in (".venv", "model_tests", "src"):
        (tmp_path / name).symlink_to(ROOT / name)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}  # of who runs this
    found = import_times.import_times(tmp_path, "model_tests", environment)
    assert {"numpy", "pytest_benchmark", "textgate"} <= set(found.packages)


def test_stages_that_always_run__import_nothing_that_takes_seconds():
    scripts = [f"scripts/{name}.py" for name in pull_request.ALWAYS]
    program = "import runpy, sys\nfor script in sys.argv[1:]: runpy.run_path(script)\nprint(*sys.modules)"
    command = [sys.executable, "-c", program, *scripts]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert {"textgate", "pydantic"} <= loaded
    assert not loaded & (import_times.HEAVY | {"numpy", "onnxruntime", "tokenizers"})
