"""`make bench`: all benchmarks in their order whatever becomes of one, what they took, and nothing left by a kill."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
from tests.project import ROOT

BENCHMARKS = ROOT / "benchmarks"
sys.path.append(str(BENCHMARKS))

import results  # noqa: E402 - the scripts import each other by these names
import run  # noqa: E402

RESULT = """import harness, sys
harness.Result(
    name={name!r}, what={name!r}, command="", goal="", met=not {code}, ratio=None, figures={{"a": 1.0}},
    limits="", load=(), versions={{}},
).save()
sys.exit({code})
"""
ENDS = """import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
try:
    print("began", child.pid, flush=True)
    time.sleep(60)
finally:
    print("ended", child.wait(), flush=True)
"""
BEGIN = "import pathlib, sys; sys.path.insert(0, sys.argv[1]); import run; run.end_as_by_ctrl_c()"


@pytest.fixture
def project(tmp_path):
    """Return a project whose benchmarks do nothing: pull_request misses its goal, and train fails."""
    (tmp_path / "benchmarks").mkdir()
    for name in ("harness", "judged", "results", "results_plot", "run"):
        shutil.copy(BENCHMARKS / f"{name}.py", tmp_path / "benchmarks")
    for name in run.ORDER:
        code = {"pull_request": 1, "train": 2}.get(name, 0)
        (tmp_path / "benchmarks" / f"{name}.py").write_text(RESULT.format(name=name, code=code))
    (tmp_path / "src").symlink_to(ROOT / "src")
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/pr.py").write_text(
        "import pathlib\nmodel = pathlib.Path('build/model')\nmodel.mkdir(parents=True, exist_ok=True)\n"
        "(model / 'manifest.json').touch()\nprint('trained')\n"
    )
    (tmp_path / "README.md").write_text("<!-- figures: begin -->\n<!-- figures: end -->\n")
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    experiments = tmp_path / "configs/experiments"
    shutil.copy(experiments / "001_baseline.yaml", experiments / "002_transformer.yaml")  # which needs no weights
    data = (tmp_path / "configs/data.yaml").read_text()
    data = re.sub(r"^source:\n(  .*\n)+", "source: {kind: file, path: rows.jsonl}\n", data, flags=re.MULTILINE)
    data = re.sub(r"^external:\n(  .*\n)+", "external: null\n", data, flags=re.MULTILINE)
    (tmp_path / "configs/data.yaml").write_text(data)
    (tmp_path / "rows.jsonl").write_text('{"text": "a text", "label": "da"}\n')
    return tmp_path


def ran(project, *options):
    return subprocess.run(
        [sys.executable, "benchmarks/run.py", *options], cwd=project, capture_output=True, text=True, check=False
    )


def test_bench__runs_all_in_their_order_whatever_becomes_of_one_and_ends_with_the_page(project):
    done = ran(project, "--since", str(time.time() - 3600))
    said = [line for line in done.stdout.splitlines() if " of 9: " in line]
    assert [line.split()[3].rstrip(",") for line in said] == list(run.ORDER)
    assert done.stdout.count("trained") == 1
    assert done.stdout.index("trained") > done.stdout.index("of 9: train,")  # what needs no model does not wait for one
    assert re.search(r"^ +\d+\.\d min  train: could not be measured$", done.stdout, re.MULTILINE)
    whole = re.search(r"^ (\d+\.\d) min  in all$", done.stdout, re.MULTILINE)
    assert float(whole[1]) >= 60
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("cannot tell: not measured: train: the lines above say why")
    page = (project / "benchmarks/RESULTS.md").read_text()
    assert re.search(r"\| minutes of `make bench`.* \| ≤ 40 min \| \*\*missed\*\*", page)
    assert "not measured: train" in page
    assert "| pull_request |" in (project / "README.md").read_text()


def test_bench__of_one_target_runs_it_alone_and_a_missed_goal_is_no_failure(project):
    done = ran(project, "pull_request")
    assert done.returncode == 0, done.stderr
    assert " of 1: pull_request" in done.stdout
    assert "MISSED pull_request" in done.stdout
    assert "trained" not in done.stdout
    assert "of `make bench`" not in (project / "benchmarks/RESULTS.md").read_text()


def test_bench__the_model_of_a_pull_request_that_ran_elsewhere_is_taken_over_if_there_is_none(project):
    def take_over(text):
        for name in ("data", "model"):
            (project / "elsewhere" / name).mkdir(parents=True, exist_ok=True)
            (project / "elsewhere" / name / "manifest.json").write_text(text)
        program = "import judged, pathlib; judged.take_over(pathlib.Path('../elsewhere'))"
        subprocess.run([sys.executable, "-c", program], cwd=project / "benchmarks", check=True)
        return [(project / "build" / name / "manifest.json").read_text() for name in ("data", "model")]

    assert take_over("first") == ["first", "first"]
    assert take_over("second") == ["first", "first"]
    shutil.rmtree(project / "build/model")  # as a kill between the two leaves it
    assert take_over("third") == ["third", "third"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_bench__that_is_killed_ends_what_it_started(tmp_path, number):
    (tmp_path / "ends.py").write_text(ENDS)
    program = f"{BEGIN}; run.measure(pathlib.Path(sys.argv[2]))"
    command = [sys.executable, "-c", program, BENCHMARKS, tmp_path / "ends.py"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        began, child = process.stdout.readline().split()
        process.send_signal(number)
        rest = process.stdout.read()
    assert began == "began"
    assert rest.startswith("ended ")  # the benchmark had time to end its servers
    with pytest.raises(ProcessLookupError):
        os.kill(int(child), 0)


def test_measure__says_how_it_ended(tmp_path):
    for code, failed in ((0, False), (1, False), (2, True), (-9, True)):
        (tmp_path / "a.py").write_text(
            f"import os, sys; {'os.kill(os.getpid(), 9)' if code < 0 else f'sys.exit({code})'}"
        )
        found = run.measure(tmp_path / "a.py")
        assert (found.name, found.code, found.failed) == ("a", code, failed)


def test_whole__is_missed_if_it_takes_longer_or_if_something_was_not_measured():
    fine = [run.Ran("a", 1200.0, 0), run.Ran("b", 600.0, 1)]
    found = run.whole(fine, 2400.0)
    assert found.met
    assert found.figures == {
        "all (min)": 40.0,
        "environments and downloads (min)": 10.0,
        "a (min)": 20.0,
        "b (min)": 10.0,
    }
    assert not run.whole(fine, 2401.0).met
    missing = run.whole([*fine, run.Ran("c", 1.0, 2)], 2000.0)
    assert (missing.met, missing.limits) == (False, "not measured: c")


def test_makefile__every_benchmark_has_a_target():
    def make(*arguments, text=""):
        command = ["make", "-s", "-f", "Makefile", "-f", "-", *arguments]
        return subprocess.run(command, cwd=ROOT, input=text, capture_output=True, text=True, check=True).stdout

    targets = make("listed", text="listed: ; @echo $(BENCHMARKS)").split()
    assert re.findall(r"benchmarks/run\.py (\w+)$", make("-n", *targets), re.MULTILINE) == list(run.ORDER)
    assert all((BENCHMARKS / f"{name}.py").is_file() for name in run.ORDER)


def test_readme__quotes_what_was_measured():
    readme, page = ((ROOT / name).read_text() for name in ("README.md", "benchmarks/RESULTS.md"))
    table = readme.partition(results.BEGIN)[2].partition(results.END)[0]
    assert len(table.splitlines()) > 10
    assert table in page
