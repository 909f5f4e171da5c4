"""requirements-serve.txt is enough for service and batch scoring (-ray.txt on a cluster), and nothing there trains."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from tests.serve_process import ServeProcess, small_bundle

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / ".venv-serve/bin/python"  # made by the Makefile
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s\\]+)", re.MULTILINE)
# What makes an environment slow to start, large or able to train.
TOO_MUCH = {
    "torch",
    "transformers",
    "scikit-learn",
    "scipy",
    "mlflow",
    "mlflow-skinny",
    "pandas",
    "matplotlib",
    "shap",
    "dvc",
}
SAY = """
import json, sys
sys.path.insert(0, "src")
import textgate.batch.batch, textgate.serve.app, textgate.serve.server
from importlib.metadata import distributions
print(json.dumps({d.metadata["Name"].lower().replace("_", "-"): d.version for d in distributions()}))
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def pins(name):
    return {name.lower().replace("_", "-"): version for name, version in PIN.findall((ROOT / name).read_text())}


@pytest.fixture(params=["requirements-serve.txt", "requirements-ray.txt"])
def locked(request):
    return request.param


def test_packages__are_the_versions_that_the_model_was_tested_with(locked):
    serving, tested = pins(locked), pins("requirements.txt")
    shared = serving.keys() & tested.keys()
    assert {"numpy", "onnxruntime", "tokenizers", "pydantic"} <= shared
    assert {name: serving[name] for name in shared} == {name: tested[name] for name in shared}


def test_packages__on_a_cluster_are_those_of_the_service_and_more():
    assert pins("requirements-serve.txt").items() <= pins("requirements-ray.txt").items()
    assert not TOO_MUCH & pins("requirements-ray.txt").keys()


def test_packages__each_is_pinned_by_hash(locked):
    text = (ROOT / locked).read_text()
    blocks = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(pins(locked))
    assert all("--hash=sha256:" in block for block in blocks)


def test_packages__service_and_batch_need_no_other():
    done = subprocess.run([PYTHON, "-c", SAY], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    installed, imported = map(json.loads, done.stdout.splitlines())
    installed = {name: version for name, version in installed.items() if name not in {"pip", "setuptools"}}
    assert installed == pins("requirements-serve.txt")
    assert not TOO_MUCH & installed.keys()
    assert "huggingface_hub" not in imported  # tokenizers brings it; it could reach the network
    assert "pyarrow" not in imported  # it takes a second, and only Parquet files need it


def test_packages__the_service_answers_with_these_alone(tmp_path):
    small_bundle(tmp_path / "model")
    (tmp_path / "model/README.md").write_text("# A card\n")
    with ServeProcess(tmp_path / "serve", tmp_path / "model", python=PYTHON) as service:
        assert service.predict("snow on the road")[0] == 200
        assert service.get("/model-card")[0] == 200
        assert service.stop() == 0
