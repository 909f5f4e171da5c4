"""Rows that DVC keeps outside git: pulled by main's own code with its secrets, and then judged without any."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.github import events
from tests.github.git_side import git
from tests.github.hub import LocalGitHub
from tests.github.project import Project, made_up_rows
from tests.project import dvc, must

ROWS = "data/rows.csv"


@pytest.fixture(scope="module")
def store(project: Project, tmp_path_factory) -> Path:
    """Move the rows of main into a DVC remote, a folder on this machine, and return it."""
    folder = tmp_path_factory.mktemp("store")
    must(dvc(project.folder, "remote", "add", "-d", "store", folder))
    keep(project)
    project.write(".gitignore", f"{(project.folder / '.gitignore').read_text(encoding='utf-8')}/{ROWS}\n")
    git(project.folder, "rm", "--quiet", "--cached", ROWS)
    project.push("main", "Rows outside git")
    return folder


@contextmanager
def away(store: Path) -> Iterator[None]:
    """Take the remote away from what judges, which on GitHub has no key for it."""
    store.rename(store.with_name("away"))
    yield
    store.with_name("away").rename(store)


def keep(project: Project) -> None:
    must(dvc(project.folder, "add", ROWS))
    must(dvc(project.folder, "push", f"{ROWS}.dvc"))


def test_rows__of_a_branch_are_pulled_by_hand_and_then_its_pull_request_is_judged(
    hub: LocalGitHub, project: Project, store: Path
) -> None:
    project.branch("more")
    project.rows(made_up_rows(20, seed=8))
    keep(project)
    number = project.pull_request("more")
    with away(store):
        without = events.pull_request(hub, number)
    assert without.conclusion == "failure"
    assert "the rows of data/rows.csv.dvc are neither in DVC's cache nor in a remote" in without.said("train")
    pulled = events.dispatch(hub, "rows.yml", {"branch": "more"})
    assert pulled.conclusion == "success", pulled.text
    assert "rows are here: data/rows.csv.dvc" in pulled.said("pull")
    with away(store):
        judged = events.pull_request(hub, number)
    assert judged.conclusion == "success", judged.text
    assert "rows are here: data/rows.csv.dvc" in judged.said("train")


def test_rows__a_branch_whose_dvc_file_names_another_place_is_refused(
    hub: LocalGitHub, project: Project, store: Path
) -> None:
    project.branch("hostile")
    text = (project.folder / f"{ROWS}.dvc").read_text(encoding="utf-8")
    project.write(f"{ROWS}.dvc", f"{text}deps:\n- path: https://example.org/rows.csv\n")
    project.push("hostile")
    run = events.dispatch(hub, "rows.yml", {"branch": "hostile"})
    assert run.conclusion == "failure"
    assert "refused: data/rows.csv.dvc: deps: unknown key (known: outs)" in run.said("pull")
