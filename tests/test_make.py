"""`make data` shows what the stages say, without DVC's own words between; later stages are made after earlier ones."""

import os
import re
import shutil
import subprocess

from tests.project import QUIET, ROOT, make_project

AGAIN = ["make", "-o", ".venv/ready", "CHAMPION=none"]  # environments are there already
# As from a shell, whatever make runs these tests.
SHELL = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}


def test_make_data__says_what_the_stages_say_and_nothing_of_dvc(tmp_path):
    project = make_project(tmp_path / "project", rows=60)
    shutil.copy(ROOT / "Makefile", project)
    for last in ("data: 60 rows from data/rows.csv", "Stage 'data' didn't change, skipping"):
        done = subprocess.run(
            [*AGAIN, "data"], cwd=project, env=SHELL | QUIET, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert lines[0] == "experiment 001_baseline, production model: none yet"
        assert lines[-1].startswith(last)
        assert not re.search(r"(?m)^(>|Running stage|Generating|Updating|Use `dvc|Data and pipelines)", done.stdout)


def test_make_evaluate__makes_rows_and_model_first():
    done = subprocess.run([*AGAIN, "-n", "evaluate"], cwd=ROOT, env=SHELL, capture_output=True, text=True, check=True)
    stages = re.findall(r"scripts/(choose\.py --again|pr\.py --stage \w+)", done.stdout)
    assert stages == ["choose.py --again", *(f"pr.py --stage {name}" for name in ("data", "train", "evaluate"))]
