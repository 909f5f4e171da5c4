"""The workflows obey the linters and our own rules, and each rule finds the mistake that it is there for."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests import workflow_order as order
from tests import workflow_rules as rules
from tests.workflow_file import ROOT, File, actions, parse, workflows
from tests.workflow_mistakes import MISTAKES

from textgate.yaml_file import read_yaml

WORKFLOWS, ACTIONS = workflows(), actions()
CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1"


def applied():
    """Yield (rule, file) as they belong together."""
    for file in WORKFLOWS.values():
        for rule in (*rules.ANYWHERE, *rules.IN_WORKFLOWS, *order.BY_FILE.get(file.name, ())):
            yield pytest.param(rule, file, id=f"{file.name}-{rule.__name__}")
    for file in ACTIONS.values():
        for rule in (*rules.ANYWHERE, *rules.IN_ACTIONS):
            yield pytest.param(rule, file, id=f"{file.name}-{rule.__name__}")


def broken(file: File, pattern: str, text: str) -> File:
    """Return the file with the first match of a pattern replaced."""
    changed, times = re.subn(pattern, text, file.text, count=1, flags=re.MULTILINE)
    assert times == 1, f"{file.name} holds nothing like {pattern}"
    return parse(file.name, changed)


@pytest.mark.parametrize(("rule", "file"), list(applied()))
def test_workflows__obey(rule, file):
    assert rule(file) == []


def mistakes():
    """Return (rule, file name, pattern, replacement, finding) of each."""
    return [(rule, *mistake) for rule, each in MISTAKES.items() for mistake in each]


@pytest.mark.parametrize(("rule", "name", "pattern", "text", "finding"), mistakes())
def test_rule__finds(rule, name, pattern, text, finding):
    file = {**WORKFLOWS, **ACTIONS}[name]
    found = rule(broken(file, pattern, text))
    assert any(finding in each for each in set(found) - set(rule(file))), found


def test_rules__each_is_proven_by_a_mistake():
    used = {
        *rules.ANYWHERE,
        *rules.IN_WORKFLOWS,
        *rules.IN_ACTIONS,
        *(rule for each in order.BY_FILE.values() for rule in each),
    }
    assert used == set(MISTAKES)


def test_rules__know_every_workflow():
    assert set(WORKFLOWS) == set(rules.EVENTS)
    assert "setup" in ACTIONS


def test_pins__one_action_has_one_version_everywhere():
    pins = {pin for file in (*WORKFLOWS.values(), *ACTIONS.values()) for pin in rules.pins(file)}
    assert len(pins) == len({name.partition("@")[0] for name, _ in pins}) > 3


def test_labels__are_made_by_the_settings():
    forms = (ROOT / ".github/ISSUE_TEMPLATE").glob("[!c]*.yml")
    used = [label for path in forms for label in read_yaml(path, "").get("labels", [])]
    used += [label for each in read_yaml(ROOT / ".github/dependabot.yml", "")["updates"] for label in each["labels"]]
    assert set(used) <= {label["name"] for label in read_yaml(ROOT / "configs/repository.yaml", "")["labels"]}


MISSED = [
    ("actionlint", ".github/workflows/ci.yml", "needs.plan.outputs.changed", "needs.plan.outputs.chnged", "chnged"),
    ("zizmor", ".github/workflows/ci.yml", "permissions: {}", "permissions: write-all", "excessive-permissions"),
    ("zizmor", ".github/workflows/ci.yml", CHECKOUT, "actions/checkout@v7", "unpinned-uses"),
    ("zizmor", ".github/workflows/ci.yml", "  pull_request:", "  pull_request_target:", "dangerous-triggers"),
    ("zizmor", ".github/dependabot.yml", "cooldown: {default-days: 7}", "", "dependabot-cooldown"),
    ("github-workflows", ".github/workflows/ci.yml", "timeout-minutes: 40", "timeout: 40", "Additional properties"),
    ("github-actions", ".github/actions/setup/action.yml", "using: composite", "using: bash", "runs"),
    ("dependabot", ".github/dependabot.yml", "interval: weekly", "interval: sometimes", "sometimes"),
    ("github-issue-forms", ".github/ISSUE_TEMPLATE/bug.yml", "type: textarea", "type: text", "body"),
]


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """Return a repository of its own with what the linters read."""
    folder = tmp_path_factory.mktemp("clone")
    shutil.copytree(ROOT / ".github", folder / ".github")
    shutil.copy(ROOT / "Makefile", folder)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    (folder / "requirements.txt").touch()
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    return folder


def lint(folder: Path, tool: str) -> tuple[int, str]:
    """Run the lines of `make check` that name a tool."""
    dry = subprocess.run(
        ["make", "-n", "-o", ".venv/dev-ready", "check"], cwd=folder, capture_output=True, text=True, check=True
    )
    (line,) = [line for line in dry.stdout.splitlines() if tool in line]
    done = subprocess.run(["bash", "-c", line], cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("tool", sorted({missed[0] for missed in MISSED}))
def test_linters__have_no_finding(clone, tool):
    code, said = lint(clone, tool)
    assert code == 0, said


@pytest.mark.parametrize(("tool", "path", "old", "new", "finding"), MISSED)
def test_linters__have_a_finding_for(clone, tool, path, old, new, finding):
    file = clone / path
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    try:
        code, said = lint(clone, tool)
    finally:
        file.write_text(text, encoding="utf-8")
    assert code != 0
    assert finding in said
