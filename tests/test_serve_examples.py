"""The curl lines of README and docs get the answers that stand there."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from tests.serve_process import ServeProcess, small_bundle

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "docs/serving.md", "docs/explain.md", "docs/deploying.md")
CALL = re.compile(r"^curl .*$", re.MULTILINE)
CALLS = [(page, call) for page in PAGES for call in CALL.findall((ROOT / page).read_text())]
ANSWER = re.compile(r'^\{"request_id".*\}$', re.MULTILINE)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    with ServeProcess(folder / "run", small_bundle(folder / "bundle")) as process:
        yield process


def asked(service, call):
    """Run a line as a reader would, but for the address."""
    command = shlex.split(re.sub(r"(?:http://)?(?:127\.0\.0\.1|localhost):8000", service.url, call))
    done = subprocess.run([*command, "--fail-with-body"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    return json.loads(done.stdout)


def sent(call):
    return json.loads(shlex.split(call)[-1])


def shape(answer):
    """Return an answer with kinds in the place of texts and figures; labels are the model's own."""
    if isinstance(answer, dict):
        return {key: "by label" if key == "probabilities" else shape(value) for key, value in answer.items()}
    return [shape(one) for one in answer] if isinstance(answer, list) else type(answer).__name__


@pytest.mark.parametrize(("page", "call"), CALLS, ids=[f"{page}: {call[:60]}" for page, call in CALLS])
def test_examples__are_answered(service, page, call):
    answer = asked(service, call)
    if "/predict" in call:
        assert len(answer["predictions"]) == len(sent(call).get("texts", ["one"]))
    if "/explain" in call:
        assert [part["text"] for part in answer["parts"]] == sent(call)["text"].split()


def test_examples__every_page_has_one():
    assert {page for page, _ in CALLS} == set(PAGES)


def test_examples__the_answer_that_readme_shows_is_of_that_shape(service):
    (shown,) = ANSWER.findall((ROOT / "README.md").read_text())
    (call,) = [call for page, call in CALLS if page == "README.md"]
    whole = json.loads(re.sub(r"(\d\.\d+)…", r"\1", shown))
    assert shape(asked(service, call)) == shape(whole)
