"""Changes of an embedded MLflow store, killed with signal 9 at fifty moments."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
from tests.mlflow_example import embedded, make_releases, migrated
from tests.project import EXAMPLE
from tests.run_script import ROOT, UNCOMPILED, finished, run_script

pytestmark = pytest.mark.long

A, B, C = "v0.1.0", "v0.2.0", "v0.3.0"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder with three releases. Read only."""
    return make_releases(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """Return a database without anything in it. Read only."""
    return migrated(tmp_path_factory.mktemp("empty"))


def killed(folder, made, empty, operation, moments):
    """Kill a change at so many moments; return what was found after each kill, and after the change was said again."""
    (folder / "store").mkdir()
    shutil.copy(empty, folder / "store" / "mlflow.db")
    command = [sys.executable, str(ROOT / "tests" / "killed.py"), folder / "store", made, operation, moments]
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, timeout=1800, env=environment()
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == moments
    assert sum(each["killed"] for each in found) >= moments // 2
    return found


def test_register__killed_at_twenty_moments_leaves_no_half_version_and_is_finished_by_the_same_command(
    tmp_path, made, empty
):
    found = killed(tmp_path, made, empty, "register", 20)
    for each in found:
        assert each["after"]["versions"] in ([B, A], [C, B, A])
        assert each["after"]["aliases"]["champion"] == B
        assert each["end"]["versions"] == [C, B, A]
        assert each["end"]["aliases"] == {"champion": B, "challenger": C}
        assert each["end"]["runs"] == 3
    assert [B, A] in [each["after"]["versions"] for each in found]


@pytest.mark.parametrize(("operation", "wanted"), [("promote", C), ("rollback", A)])
def test_champion__killed_at_fifteen_moments_there_is_one_and_the_same_command_finishes(
    tmp_path, made, empty, operation, wanted
):
    found = killed(tmp_path, made, empty, operation, 15)
    for each in found:
        champion = each["after"]["champion"]
        assert champion in (B, wanted)
        assert each["after"]["events"] == [[None, A], [A, B]] + ([[B, wanted]] if champion == wanted else [])
        assert each["end"]["champion"] == wanted
        assert each["end"]["events"] == [[None, A], [A, B], [B, wanted]]
        assert each["end"]["aliases"] == (
            {"champion": C} if operation == "promote" else {"champion": A, "challenger": C}
        )
    assert B in [each["after"]["champion"] for each in found]


# The kernel kills what writes beyond the limit of a file: at the same place each time, however slow the machine.
DIES = """
import resource, signal, sys
import mlflow, matplotlib.pyplot  # which may write files of their own
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
"""
REGISTER = "import runpy; sys.argv = sys.argv[2:]; runpy.run_path(sys.argv[0], run_name='__main__')"
TRACK = "from textgate.tracking.mlflow_runs import MlflowRuns; MlflowRuns()"


def environment():
    kept = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    return kept | {"PYTHONPATH": str(ROOT / "src")}


def killed_making_tables(folder, size, program, *arguments):
    """Run a program, and kill it when the database that it makes is to have more bytes."""
    command = [sys.executable, "-c", DIES + program, str(size), *map(str, arguments)]
    done = subprocess.run(
        command, cwd=folder, env=environment() | UNCOMPILED, capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGXFSZ, done.stderr
    assert [path.name for path in folder.glob("mlruns/.new-*/mlflow.db")] == ["mlflow.db"]
    assert not (folder / "mlflow.db").exists()


@pytest.mark.parametrize("size", [1, 400_000, 800_000])
def test_register__killed_while_mlflow_makes_its_tables_the_same_command_finishes(tmp_path, monkeypatch, made, size):
    """MLflow itself can never again open a database whose making was killed."""
    registry = embedded(tmp_path, monkeypatch)
    shutil.copytree(EXAMPLE, tmp_path / "configs")
    killed_making_tables(tmp_path, size, REGISTER, ROOT / "scripts" / "registry.py", "register", made / A)
    assert registry.current() is None
    code, _, err = finished(run_script("registry", "register", made / A))
    assert (code, err) == (0, "")
    assert registry.versions() == (A,)
    assert [path.name for path in (tmp_path / "mlruns").glob(".*")] == []


def track(folder):
    """Start what a training does first of all with an MLflow store."""
    return subprocess.Popen(
        [sys.executable, "-c", TRACK], cwd=folder, env=environment(), stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("size", [1, 400_000])
def test_tracking__killed_while_mlflow_makes_its_tables_the_next_run_is_recorded(tmp_path, size):
    killed_making_tables(tmp_path, size, TRACK)
    again = track(tmp_path)
    assert (again.communicate()[1], again.returncode) == ("", 0)
    assert (tmp_path / "mlflow.db").exists()
    assert [path.name for path in (tmp_path / "mlruns").glob(".*")] == []


def test_tracking__two_at_once_in_an_empty_folder_share_one_store(tmp_path):
    both = [track(tmp_path), track(tmp_path)]
    assert [(process.communicate()[1], process.returncode) for process in both] == [("", 0), ("", 0)]
    assert [path.name for path in (tmp_path / "mlruns").glob(".*")] == []
