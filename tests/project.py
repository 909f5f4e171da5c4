"""A small project that uses textgate: a git repository with rows of its own, and commands as a person runs them."""

import csv
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
# What tests run with. configs/ holds whatever the team that uses the template decided, and no test may depend on that.
EXAMPLE = ROOT / "tests/configs/example"
WORDS = {
    "weather": ("rain", "sun", "cloud", "wind", "storm", "snow", "frost", "fog", "thunder", "breeze", "sky", "drizzle"),
    "kitchen": ("pan", "oven", "spoon", "flour", "butter", "salt", "onion", "stew", "bake", "fry", "knife", "plate"),
}
FOLDERS = ("src", "scripts", "model_tests")
FILES = ("requirements.txt", "pyproject.toml", "dvc.yaml", ".dvcignore", ".dvc/.gitignore", "MODEL_CARD.md")
QUIET = {"DVC_NO_ANALYTICS": "1", "OMP_NUM_THREADS": "2", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}


def make_project(folder: Path, rows: int = 300) -> Path:
    """Copy the product, give it rows of two labels in data/rows.csv and the linear model, and make it a repository.

    Nothing is committed; the rows are not ignored by git.
    """
    folder.mkdir()
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / ".dvc").mkdir()
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    write_settings(folder)
    (folder / ".venv").symlink_to(Path(sys.executable).parent.parent)
    (folder / "data").mkdir()
    write_rows(folder / "data/rows.csv", small_rows(rows))
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / ".git/info/exclude").write_text(".venv\n", encoding="utf-8")
    return folder


def write_settings(folder: Path) -> None:
    """Write what a team changes: configs/ for data/rows.csv and the linear model; no DVC remote; git takes the rows."""
    shutil.copytree(EXAMPLE, folder / "configs")
    edit(folder, "data", source={"kind": "file", "path": "data/rows.csv"}, labels=["kitchen", "weather"])
    edit(folder, "data", external=None, sentences=None, test_sha256=None)
    edit(folder, "train", experiment="001_baseline", tracking="none")
    config = (ROOT / ".dvc/config").read_text(encoding="utf-8").partition("['remote")[0]
    (folder / ".dvc/config").write_text(re.sub(r"(?m)^ *remote = .*\n", "", config), encoding="utf-8")
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").rstrip("\n")
    (folder / ".gitignore").write_text(f"{ignored}\n!/data/\n!/data/rows.csv*\n", encoding="utf-8")


def small_rows(count: int) -> list[tuple[str, str]]:
    """Return texts and labels that a linear model can mostly tell apart; more of them begin with the same ones."""
    chance = random.Random(7)
    rows = []
    for number in range(count):
        label, other = ("weather", "kitchen") if number % 2 else ("kitchen", "weather")
        words = [*chance.sample(WORDS[label], 4), *chance.sample(WORDS[other], 2), f"case {number}"]
        chance.shuffle(words)
        rows.append((" ".join(words), label))
    return rows


def write_rows(path: Path, rows: list[tuple[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])


def edit(folder: Path, config: str, **changes: object) -> None:
    path = folder / "configs" / f"{config}.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def git(folder: Path, *arguments: str) -> str:
    return must(
        run(folder, "git", "-c", "user.name=Kim", "-c", "user.email=kim@example.org", *arguments)
    ).stdout.strip()


def commit(folder: Path, message: str) -> str:
    """Commit everything that git does not ignore and return the commit."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)
    return git(folder, "rev-parse", "HEAD")


def script(folder: Path, name: str, *options: object) -> subprocess.CompletedProcess[str]:
    return run(folder, sys.executable, f"scripts/{name}.py", *options)


def dvc(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return run(folder, sys.executable, "-m", "dvc", *arguments)


def run(folder: Path, *command: object) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    words = [str(word) for word in command]
    env = os.environ | QUIET | {"PATH": path, "DVC_SITE_CACHE_DIR": str(folder / ".dvc/tmp/site")}
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, env=env)


def must(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    assert done.returncode == 0, f"{done.args}: {done.stdout}{done.stderr}"
    return done
