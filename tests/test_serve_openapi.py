"""The service keeps what its OpenAPI document promises; schemathesis makes up the requests."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.serve_process import START_SECONDS, ServeProcess, small_bundle

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
WORKERS = 2
UNHURRIED = ("--suppress-health-check", "too_slow", "--request-timeout", str(START_SECONDS))  # on a busy machine


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    bundle = small_bundle(tmp_path_factory.mktemp("model") / "bundle")
    (bundle / "README.md").write_text("# A model\n")
    sections = {"limits": {"characters": 500, "texts": 4}, "explain": {"at_once": WORKERS}}
    with ServeProcess(tmp_path_factory.mktemp("serve"), bundle, **sections) as process:
        yield process


def test_openapi__describes_every_endpoint_and_its_problems(service):
    document = json.loads(service.get("/openapi.json")[2])
    asked = {"/predict", "/explain", "/health", "/ready", "/version", "/metrics", "/model-card"}
    assert set(document["paths"]) == asked
    for methods in document["paths"].values():
        for operation in methods.values():
            assert operation["summary"]
            problems = {status: one for status, one in operation["responses"].items() if status[0] in "45"}
            assert {"400", "408", "413", "431", "500", "503"} <= set(problems)
            assert "application/problem+json" in problems["503"]["content"]
    texts = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    assert next(one["properties"] for one in texts["schema"]["oneOf"])["text"]["maxLength"] == 500
    for example in texts["examples"].values():
        assert service.post("/predict", example["value"])[0] == 200


def run_schemathesis(service, folder, *options):
    """Let schemathesis ask; return its exit code and what it says."""
    command = [SCHEMATHESIS, "run", f"{service.url}/openapi.json", "--no-color", "--workers", str(WORKERS)]
    command += [*UNHURRIED, *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=1800, check=False)
    return done.returncode, done.stdout + done.stderr


def test_openapi__is_kept(service, tmp_path):
    """Two workers of schemathesis ask a bounded number of questions, the same ones each time."""
    code, said = run_schemathesis(service, tmp_path, "--max-examples", "15", "--seed", "1")
    assert code == 0, said
    assert sum(service.metric("textgate_requests_total", status=str(status)) for status in range(500, 512)) == 0
    assert service.metric("textgate_requests_total", endpoint="/predict") > 50


@pytest.mark.long
def test_openapi__is_kept_whatever_is_asked(service, tmp_path):
    examples = os.environ.get("TEXTGATE_EXAMPLES", "2000")
    code, said = run_schemathesis(service, tmp_path, "--max-examples", examples)
    assert code == 0, said
    assert sum(service.metric("textgate_requests_total", status=str(status)) for status in range(500, 512)) == 0
