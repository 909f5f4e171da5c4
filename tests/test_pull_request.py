"""The whole pipeline as a person runs it, on rows of their own: real stages, real DVC, real scanner."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from tests.project import ROOT, edit, make_project

from textgate.run_stages import asking_dvc

ROWS = "data/rows.csv"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with a CSV file of 300 rows."""
    folder = make_project(tmp_path_factory.mktemp("template") / "project")
    (folder / ".venv-scan").symlink_to(ROOT / ".venv-scan")
    return folder


def pull_request(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "scripts/pr.py", *options]
    return subprocess.run(
        [*command, "--experiment=001_baseline"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "2"},
    )


def read(folder: Path, name: str) -> dict:
    return json.loads((folder / "build" / name).read_text(encoding="utf-8"))


def outcomes(folder: Path) -> dict[str, str]:
    stages = (json.loads(path.read_text(encoding="utf-8")) for path in (folder / "build/stages").glob("*.json"))
    return {stage["stage"]: stage["outcome"] for stage in stages}


def test_pull_request__goes_from_a_csv_file_to_a_verdict(project: Path) -> None:
    done = pull_request(project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert read(project, "gate.json")["outcome"] == "passed"
    assert "kitchen" in (project / "build/report.md").read_text(encoding="utf-8")
    assert (project / "build/report.html").is_file()
    assert set(outcomes(project).values()) == {"passed"}


def test_pull_request__does_not_compute_again_what_is_unchanged(project: Path) -> None:
    digest = read(project, "train.json")["bundle_digest"]
    assert pull_request(project).returncode == 0
    assert {stage: outcomes(project)[stage] for stage in ("data", "train", "evaluate")} == dict.fromkeys(
        ("data", "train", "evaluate"), "unchanged"
    )
    assert read(project, "gate.json")["bundle_digest"] == digest


def test_asking_dvc__what_it_says_is_worth_nothing_if_choose_wrote_something_else_behind_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pull_request(project).returncode == 0
    monkeypatch.chdir(project)
    with asking_dvc() as nothing_changed:
        assert nothing_changed()
    earlier = psutil.Process().children()
    with asking_dvc() as nothing_changed:
        (asked,) = set(psutil.Process().children()) - set(earlier)
        deadline = time.monotonic() + 600
        while asked.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline, "DVC did not answer"
            time.sleep(0.01)
        chosen = project / "build/choice.json"
        content = chosen.read_bytes()
        chosen.write_bytes(content + b"\n")
        assert not nothing_changed()
        chosen.write_bytes(content)


def test_asking_dvc__leaves_no_process_behind(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    earlier = psutil.Process().children()
    with asking_dvc():
        (asked,) = set(psutil.Process().children()) - set(earlier)
    assert not asked.is_running()


def test_pull_request__an_impossible_limit_is_refused_without_training(project: Path) -> None:
    edit(project, "gates", max_p95_ms=0.001)
    done = pull_request(project)
    assert done.returncode == 1, done.stdout + done.stderr
    assert outcomes(project)["train"] == "unchanged"
    assert "latency" in read(project, "gate.json")["sentence"]
    assert "refused" in (project / "build/report.md").read_text(encoding="utf-8").splitlines()[0]
    edit(project, "gates", max_p95_ms=500.0)


def test_pull_request__a_champion_is_compared_on_the_same_rows(project: Path) -> None:
    champion = project / "champion"
    shutil.copytree(project / "build/model", champion)
    edit(project, "train", seed=14)
    done = pull_request(project, f"--champion={champion}")
    assert outcomes(project)["train"] == "passed", done.stdout + done.stderr
    comparison = read(project, "comparison.json")
    assert comparison["champion_state"] == "given"
    assert comparison["champion"]["reference_digest"] == read(project, "champion.json")["digest"]


def test_pull_request__two_trainings_give_the_same_digest(project: Path) -> None:
    first = read(project, "train.json")["bundle_digest"]
    forget(project)
    for stage in ("choose", "data", "train"):
        done = one_stage(project, f"--stage={stage}")
        assert done.returncode == 0, done.stdout + done.stderr
    assert outcomes(project)["train"] == "passed"
    assert read(project, "train.json")["bundle_digest"] == first


def test_pull_request__bad_rows_stop_the_run_and_the_comment_says_so(project: Path) -> None:
    rows = (project / ROWS).read_text(encoding="utf-8")
    (project / ROWS).write_text(rows + "one more row of text,garden\n", encoding="utf-8")
    done = pull_request(project)
    (project / ROWS).write_text(rows, encoding="utf-8")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "garden" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert outcomes(project)["train"] == "not run"
    assert "garden" in (project / "build/report.md").read_text(encoding="utf-8")


def test_pull_request__an_empty_champion_is_not_taken_for_none_yet(project: Path) -> None:
    done = pull_request(project, "--champion=")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "the champion's name is empty" in done.stderr
    assert read(project, "gate.json")["outcome"] == "unknown"


def test_pull_request__a_card_that_cannot_be_written_is_not_a_pass(project: Path) -> None:
    card = (project / "MODEL_CARD.md").read_text(encoding="utf-8")
    (project / "MODEL_CARD.md").write_text("no markers\n", encoding="utf-8")
    done = pull_request(project)
    (project / "MODEL_CARD.md").write_text(card, encoding="utf-8")
    assert done.returncode == 1, done.stdout + done.stderr
    assert outcomes(project)["gate"] == "passed"
    assert outcomes(project)["card"] == "refused"


def test_pull_request__rm_scan_makes_the_gate_unknown(project: Path) -> None:
    (project / "build/scan.json").unlink()
    done = subprocess.run([sys.executable, "scripts/gate.py"], cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert 'build/scan.json is missing: run "make scan" first' in done.stdout


def test_pull_request__a_changed_byte_or_an_extra_file_is_refused_everywhere(project: Path) -> None:
    altered = {"load": "scripts/model_tests.py", "scan": "scripts/scan.py", "gate": "scripts/gate.py"}
    for name in ("extra.json", "tfidf.json"):
        path = project / "build/model" / name
        before = path.read_bytes() if path.exists() else None
        path.write_bytes((before or b"{}") + b" ")
        for stage, script in altered.items():
            done = subprocess.run([sys.executable, script], cwd=project, capture_output=True, text=True, check=False)
            assert done.returncode == 1, f"{stage}, {name}: {done.stdout}{done.stderr}"
        path.unlink() if before is None else path.write_bytes(before)


def test_pull_request__a_run_killed_in_any_stage_is_made_up_for_by_the_next(project: Path) -> None:
    digest = read(project, "train.json")["bundle_digest"]
    forget(project)
    for stage in ("data", "train"):  # the second run makes up for the first and is killed in its turn
        with begun(project, stage, "--experiment=001_baseline") as run:
            next(line for line in run.stdout if f"=== {stage}" in line)
            wait_for_dvc(project)
    assert outcomes(project) == {"choose": "passed", "data": "passed"}
    done = pull_request(project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert outcomes(project)["data"] == "unchanged"
    assert read(project, "train.json")["bundle_digest"] == digest


def forget(project: Path) -> None:
    """Remove everything that was computed."""
    for name in ("build", ".dvc/cache", ".dvc/tmp"):
        shutil.rmtree(project / name, ignore_errors=True)
    (project / "dvc.lock").unlink(missing_ok=True)


@contextmanager
def begun(project: Path, stage: str, option: str) -> Iterator[subprocess.Popen[str]]:
    """Start a run in which a stage waits for a signal for ever; what is not over at the end is killed."""
    script = project / f"scripts/{stage}.py"
    content = script.read_bytes()
    script.write_text("import signal\nsignal.pause()\n", encoding="utf-8")
    command = [sys.executable, "scripts/pr.py", option]
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=project, start_new_session=True, **both) as run:
        try:
            yield run
        finally:
            with suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
            script.write_bytes(content)


def wait_for_dvc(project: Path) -> None:
    """Return when DVC has noted that it runs a stage, which is what a kill leaves behind."""
    deadline = time.monotonic() + 600
    while '"write": {"' not in (note.read_text() if (note := project / ".dvc/tmp/rwlock").is_file() else ""):
        assert time.monotonic() < deadline, "DVC did not start"
        time.sleep(0.01)


def one_stage(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "scripts/pr.py", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_one_stage__ends_as_the_stage_does_and_leaves_its_reason(project: Path) -> None:
    scan = (project / "build/scan.json").read_bytes()
    (project / "build/scan.json").unlink()
    done = one_stage(project, "--stage=gate")
    assert done.returncode == 2, done.stdout + done.stderr
    (project / "build/scan.json").write_bytes(scan)
    assert one_stage(project, "--stage=gate").returncode == 0
    assert read(project, "stages/gate.json")["outcome"] == "passed"
    done = one_stage(project, "--stage=choose", "--champion=")
    assert done.returncode == 2
    assert "the champion's name is empty" in read(project, "stages/choose.json")["reason"]


def test_one_stage__a_killed_one_leaves_no_word_of_an_earlier_run(project: Path) -> None:
    record = project / "build/stages/scan.json"
    assert record.is_file()
    with begun(project, "scan", "--stage=scan") as run:
        while record.exists():
            assert run.poll() is None
            time.sleep(0.02)
    assert not record.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--stage=nonsense",), "there is no stage 'nonsense' (known: choose, data, train"),
        (("--stage=gate", "--champion=none"), "only the stage choose takes an experiment or a champion"),
    ],
)
def test_one_stage__says_what_it_cannot_run(project: Path, options: tuple[str, ...], message: str) -> None:
    done = one_stage(project, *options)
    assert done.returncode == 2
    assert message in done.stderr


BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def test_one_stage__that_cannot_print_is_not_refused(project: Path) -> None:
    command = [sys.executable, "scripts/pr.py", "--stage=gate"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, cwd=project, env=BUFFERED, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 2
    assert b"No space left on device" in done.stderr


def test_one_stage__what_it_said_before_it_was_killed_is_not_lost(project: Path) -> None:
    script = project / "scripts/scan.py"
    content = script.read_bytes()
    script.write_text("import os\nprint('said before')\nos.kill(os.getpid(), 9)\n", encoding="utf-8")
    command = [sys.executable, "scripts/pr.py", "--stage=scan"]
    done = subprocess.run(command, cwd=project, env=BUFFERED, capture_output=True, check=False)
    script.write_bytes(content)
    assert (done.returncode, done.stdout) == (2, b"said before\n")
    assert read(project, "stages/scan.json")["reason"].startswith("it was killed by signal 9 (out of memory?)")


def test_one_stage__interrupted_before_it_has_begun_is_stopped_and_not_refused(project: Path) -> None:
    script = project / "scripts/scan.py"
    content = script.read_bytes()
    script.write_text("import os\nos.kill(os.getpid(), 2)\nimport time\ntime.sleep(9)\n", encoding="utf-8")
    done = one_stage(project, "--stage=scan")
    script.write_bytes(content)
    assert (done.returncode, done.stderr) == (2, "cannot tell: scan was stopped: run the same command again\n")


@pytest.mark.parametrize("stage", ["choose", "train", "model_tests"])
def test_pull_request__an_interrupted_run_says_so_once(project: Path, stage: str) -> None:
    forget(project)
    with begun(project, "card", "--experiment=001_baseline") as run:  # the last one: it is there when the signal comes
        assert any(line == f"=== {stage}\n" for line in run.stdout)
        os.killpg(run.pid, signal.SIGINT)
        said = run.stdout.read()
        assert run.wait(600) == 130
    assert said.count("run the same command again") == 1, said
