"""The repository of somebody who uses the template: this project as it lies here, with made-up rows of two labels."""

import csv
import random
import re
import shutil
import subprocess
from pathlib import Path

from tests.github.git_side import git
from tests.github.hub import LocalGitHub
from tests.github.runner import PROJECT
from tests.project import edit, write_settings

# What the job `test` runs: a user's own tests, small and quick, with what they import.
TESTS = ("tests/test_errors.py", "tests/test_files.py", "tests/run_script.py")
WORDS = {
    "weather": "rain sun cloud wind storm snow frost fog thunder breeze sky warm cold forecast drizzle",
    "kitchen": "pan oven spoon flour butter salt onion stew bake fry knife plate soup dough pepper",
}
CHECK = re.compile(r"^(check:.*\n)(?:\t.*\n)+", re.MULTILINE)  # our own code is linted elsewhere, once
ROWS = "data/rows.csv"
THEIRS = ("tests/", ".ci/", "configs/", "data/", ".dvc/config", ".gitignore")  # of the template itself, or a team's


def made_up_rows(count: int, seed: int = 7) -> list[tuple[str, str]]:
    """Return (text, label): mostly words of the label, so that a linear model can tell most of them apart."""
    chance = random.Random(seed)
    known = {label: text.split() for label, text in WORDS.items()}
    rows = []
    for number in range(count):
        label, other = ("weather", "kitchen") if number % 2 else ("kitchen", "weather")
        words = [*chance.sample(known[label], 4), *chance.sample(known[other], 2), f"case {seed} {number}"]
        chance.shuffle(words)
        rows.append((" ".join(words), label))
    return rows


def _files() -> list[str]:
    """Return what every project has: tracked files and new ones, without tests, and without what a team changes."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return [name for name in listed if not name.startswith(THEIRS) or name in TESTS]


class Project:
    """A working tree with its first commit pushed to main. Methods change files; `push` commits and pushes them."""

    def __init__(self, hub: LocalGitHub, folder: Path) -> None:
        """Copy the project, point it to 300 rows, choose the quickest experiment, and push."""
        self.hub, self.folder = hub, folder
        for name in _files():
            if (PROJECT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(PROJECT / name, folder / name)
        makefile = (folder / "Makefile").read_text(encoding="utf-8")
        self.write("Makefile", CHECK.sub(r"\1\t$(PY) -m ruff check tests\n", makefile))
        git(folder, "init", "--quiet", "--initial-branch=main")
        write_settings(folder)
        self.rows(made_up_rows(300))
        self.push("main", "First commit")

    def config(self, name: str, **changes: object) -> None:
        """Change keys of configs/NAME.yaml."""
        edit(self.folder, name, **changes)

    def rows(self, rows: list[tuple[str, str]]) -> None:
        """Add rows to data/rows.csv."""
        path = self.folder / ROWS
        path.parent.mkdir(exist_ok=True)
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("text", "label"), *rows] if new else rows)

    def write(self, name: str, text: str) -> None:
        """Write a file."""
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text, encoding="utf-8")

    def replace(self, name: str, old: str, new: str) -> None:
        """Change the one place of a file that says `old`."""
        text = (self.folder / name).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{name} says {old!r} {text.count(old)} times"
        self.write(name, text.replace(old, new))

    def branch(self, name: str) -> None:
        """Start a branch where main is on GitHub now."""
        git(self.folder, "fetch", "--quiet", str(self.hub.git.folder), "refs/heads/main")
        git(self.folder, "checkout", "--quiet", "-B", name, "FETCH_HEAD")

    def push(self, branch: str, message: str = "A change", owner: str = "acme") -> str:
        """Commit all changes, push them to somebody's branch, and return the commit."""
        git(self.folder, "add", "--all")
        git(self.folder, "commit", "--quiet", "-m", message)
        return self.hub.push(self.folder, branch, owner)

    def pull_request(self, branch: str, title: str = "A change", owner: str = "acme") -> int:
        """Push all changes and open a pull request; return its number."""
        self.push(branch, title, owner)
        return self.hub.open_pull(branch, owner, title)["number"]
