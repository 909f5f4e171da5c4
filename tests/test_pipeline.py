"""The stages exist under one word everywhere, and DVC knows everything that a cached stage's result depends on."""

import ast
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from textgate.pipeline import STAGES, table

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "textgate"
CACHED = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
# Imported, but without a say in the result: they refuse, print or keep records.
NO_SAY = {"errors", "files", "records", "config_problem", "yaml_file", "tracking", "wording", "verdicts"}


def module_file(name: str) -> Path | None:
    """Return the file of textgate.<name>, or None if that is not a module but something inside one."""
    path = SOURCE.joinpath(*name.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def imports(file: Path) -> set[str]:
    """Return the textgate modules that a file imports anywhere, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "textgate":
            base = node.module.removeprefix("textgate").lstrip(".")
            found |= {base} | {f"{base}.{alias.name}".lstrip(".") for alias in node.names}
    return {name for name in found if name and module_file(name)}


def closure(script: str) -> set[str]:
    seen: set[str] = set()
    waiting = imports(ROOT / "scripts" / script)
    while waiting:
        name = waiting.pop()
        if name in seen or name in NO_SAY or (script == "train.py" and name.split(".")[0] == "scan"):
            continue  # base weights that were vouched for, and are not read again, need no training
        seen.add(name)
        waiting |= imports(module_file(name))
    return {name for name in seen if module_file(name).name != "__init__.py"}


@pytest.mark.parametrize("stage", CACHED)
def test_dvc__knows_every_module_that_a_stage_runs(stage):
    paths = [path for path in CACHED[stage]["deps"] if path.startswith("src/")]
    listed = {path.removeprefix("src/textgate/").removesuffix(".py").replace("/", ".") for path in paths}
    needed = closure(f"{stage}.py")
    missing = {name for name in needed if not {name, name.split(".")[0]} & listed}
    unused = {name for name in listed if not any(n == name or n.startswith(f"{name}.") for n in needed)}
    assert (missing, unused) == (set(), set())


@pytest.mark.parametrize("stage", CACHED)
def test_dvc__reruns_a_stage_when_its_script_or_the_lock_file_changes(stage):
    assert {f"scripts/{stage}.py", "requirements.txt"} <= set(CACHED[stage]["deps"])


def test_stages__have_a_script_and_a_make_target_of_the_same_name():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for stage in STAGES:
        assert (ROOT / "scripts" / f"{stage.name}.py").is_file()
        assert re.search(rf"^[a-z_ ]*\b{stage.name}\b[a-z_ ]*:", makefile, re.MULTILINE), stage.name
    assert {stage.name for stage in STAGES if stage.cached} == set(CACHED)


@pytest.mark.parametrize(
    ("given", "passed_on"), [([], ""), (["CHAMPION="], '--champion ""'), (["CHAMPION=old"], '--champion "old"')]
)
def test_make__passes_on_an_empty_champion_instead_of_dropping_it(given, passed_on):
    done = subprocess.run(["make", "-n", "pr", *given], cwd=ROOT, capture_output=True, text=True, check=True)
    line = next(line for line in done.stdout.splitlines() if "scripts/pr.py" in line)
    assert line.split("scripts/pr.py", 1)[1].strip() == passed_on


def test_readme__names_only_targets_experiments_and_pages_that_exist():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    commands = [line for block in re.findall(r"```sh\n(.*?)```", readme, re.DOTALL) for line in block.splitlines()]
    for command in (line.split("#")[0].split() for line in commands):
        if command[0] == "make":
            assert re.search(rf"^[a-z_ ]*\b{command[1]}\b[a-z_ ]*:", makefile, re.MULTILINE), command
    for experiment in re.findall(r"EXPERIMENT=(\w+)", readme):
        assert (ROOT / "configs/experiments" / f"{experiment}.yaml").is_file()
    for page in re.findall(r"\]\(([^)#:]+)\)", readme):
        assert (ROOT / page).is_file(), page


def test_stages__stand_in_the_readme_as_they_are_in_the_code():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert table() in readme
