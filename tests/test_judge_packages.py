"""requirements-judge.txt is enough for the jobs behind training, holds the versions of a laptop, and trains nothing."""

import os
import re
import subprocess
import sys

import pytest
from tests.project import ROOT
from tests.tested_project import make_project

from textgate.yaml_file import read_yaml

PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s\\]+)", re.MULTILINE)
TOO_MUCH = {"torch", "transformers", "scikit-learn", "scipy", "mlflow", "pandas", "matplotlib", "dvc", "onnx"}
# Runs a program that can import what is pinned and nothing else that is installed here.
ONLY = """
import runpy, sys
from importlib.metadata import packages_distributions
pinned, owners = set(sys.argv[1].split(",")), packages_distributions()
class Only:
    def find_spec(self, name, path=None, target=None):
        found = {owner.lower().replace("_", "-") for owner in owners.get(name.partition(".")[0], ())}
        if found and not found & pinned:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Only())
sys.path.insert(0, sys.argv[2])
sys.argv[:4] = sys.argv[3:4]
"""
SCRIPTS = "for script in sys.argv: runpy.run_path(script)"
TESTS = "import pytest; sys.exit(pytest.main(sys.argv[1:]))"


def pins(name):
    return {name.lower().replace("_", "-"): version for name, version in PIN.findall((ROOT / name).read_text())}


def run(program, names, folder, *arguments):
    command = [sys.executable, "-c", ONLY + program, ",".join(names), str(ROOT / "src"), *map(str, arguments)]
    ours = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}  # of who runs this
    environment = ours | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def judging_scripts():
    """Return what the jobs of ci.yml run that install the small environment."""
    jobs = read_yaml(ROOT / ".github/workflows/ci.yml", "")["jobs"]
    lines = [step.get("run", "") for job in jobs.values() for step in job.get("steps", [])]
    told = [line.split()[1:] for line in lines if line.startswith(".venv-judge/bin/python ")]
    return {ROOT / words[0] for words in told} | {ROOT / f"scripts/{words[2]}.py" for words in told if len(words) > 2}


def test_judge__has_the_versions_of_a_laptop_and_nothing_that_trains():
    assert pins("requirements-judge.txt").items() <= pins("requirements.txt").items()
    assert not TOO_MUCH & set(pins("requirements-judge.txt"))


def test_judge__every_script_of_its_jobs_imports_no_more():
    scripts = judging_scripts()
    assert {path.stem for path in scripts} >= {"pr", "model_tests", "scan", "gate", "report", "card", "required"}
    done = run(SCRIPTS, pins("requirements-judge.txt"), ROOT, *scripts)
    assert done.returncode == 0, done.stderr


def test_judge__the_model_tests_run_with_it_for_every_kind_of_model(tmp_path):
    make_project(tmp_path)
    program = f"import onnxruntime, tokenizers  # what a transformer takes\n{TESTS}"
    options = ("-p", "no:cacheprovider", "-p", "pytest_benchmark.plugin", "--bundle=build/model")
    done = run(program, pins("requirements-judge.txt"), tmp_path, "pytest", ROOT / "model_tests", *options)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("missing", ["tqdm", "psutil", "pydantic"])
def test_judge__a_package_that_is_left_out_is_noticed(missing):
    done = run(SCRIPTS, set(pins("requirements-judge.txt")) - {missing}, ROOT, *judging_scripts())
    assert f"No module named '{missing}" in done.stderr
