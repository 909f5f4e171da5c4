"""Rows outside git come by the hashes that a branch names, from the place that main names, by real git and DVC."""

from pathlib import Path

import pytest
from tests.project import commit, dvc, git, must

from textgate.errors import CannotTell, Refused
from textgate.versions.tracked_rows import MOST_FILES, bring_back_rows

ROWS, TRACKED = "data/rows.csv", "data/rows.csv.dvc"
EVIL = "['remote \"evil\"']\n    url = /nowhere\n"


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """Return a folder with store/, and work/: main, and the branch `more` with other rows and another remote."""
    folder = tmp_path_factory.mktemp("once")
    work = folder / "work"
    for name, text in (
        (".dvc/config", "[core]\n    no_scm = true\n"),
        (".gitignore", f"/{ROWS}\n/.dvc/cache\n/.dvc/tmp\n"),
        (ROWS, "text,label\na,b\n"),
    ):
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(text)
    git(work, "init", "--quiet", "--initial-branch=main")
    must(dvc(work, "remote", "add", "-d", "store", folder / "store"))
    kept(work)
    git(work, "checkout", "--quiet", "-b", "more")
    (work / ROWS).write_text("text,label\na,b\nc,d\n")
    kept(work)
    (work / ".dvc/config").write_text(EVIL)
    commit(work, "another remote")
    return folder


def kept(work):
    for command in ("add", ROWS), ("push", TRACKED):
        must(dvc(work, *command))
    commit(work, "rows")


@pytest.fixture
def clone(once, tmp_path, monkeypatch):
    """Return a new clone of main, without rows, that the test stands in."""
    git(tmp_path, "clone", "--quiet", "--branch", "main", once / "work", "clone")
    monkeypatch.chdir(tmp_path / "clone")
    return tmp_path / "clone"


def branch_with(text, name=TRACKED):
    """Put a .dvc file into the branch `other` of what this folder was cloned from, as far as this folder knows."""
    git(Path(), "checkout", "--quiet", "-B", "other")
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text)
    commit(Path(), "other")
    git(Path(), "update-ref", "refs/remotes/origin/other", "HEAD")
    git(Path(), "checkout", "--quiet", "main")


def test_bring_back_rows__of_this_folder(clone):
    assert bring_back_rows(None) == (TRACKED,)
    assert Path(ROWS).read_text() == "text,label\na,b\n"


def test_bring_back_rows__of_a_branch_by_its_hashes_from_the_place_that_main_names(clone):
    assert bring_back_rows("more") == (TRACKED,)
    assert Path(ROWS).read_text() == "text,label\na,b\nc,d\n"
    assert git(clone, "diff", "--name-only").split() == [TRACKED]
    assert git(clone, "show", "origin/more:.dvc/config") == EVIL.strip()


def test_bring_back_rows__a_branch_that_keeps_none_outside_git_takes_nothing(clone):
    git(clone, "checkout", "--quiet", "-B", "other")
    git(clone, "rm", "--quiet", TRACKED)
    commit(clone, "in git again")
    git(clone, "update-ref", "refs/remotes/origin/other", "HEAD")
    git(clone, "checkout", "--quiet", "main")
    assert bring_back_rows("other") == ()
    assert not Path(TRACKED).exists()


OUT = "outs:\n- md5: {md5}\n  size: 8\n  hash: md5\n  path: {path}\n"
GOOD = OUT.format(md5="a" * 32, path="rows.csv")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{GOOD}deps:\n- path: /etc/passwd\n", "deps: unknown key (known: outs)"),
        (f"{GOOD}wdir: /\n", "wdir: unknown key"),
        (f"{GOOD}  remote: evil\n", "remote: unknown key"),
        (GOOD + GOOD.removeprefix("outs:\n"), "outs"),
        (OUT.format(md5="a" * 32, path="../../rows.csv"), "path: String should match pattern"),
        (OUT.format(md5="a" * 32, path="/etc/passwd"), "path: String should match pattern"),
        (OUT.format(md5="../" * 10, path="rows.csv"), "md5: String should match pattern"),
        ("outs: !!python/object/apply:os.system [id]\n", "not valid YAML"),
        ("../rows.csv", "expected keys and values"),
    ],
)
def test_bring_back_rows__a_dvc_file_that_says_more_than_a_hash_is_refused(clone, text, said):
    branch_with(text)
    with pytest.raises(Refused) as caught:
        bring_back_rows("other")
    assert str(caught.value).startswith(f"{TRACKED}: ")
    assert said in str(caught.value)
    assert str(caught.value).endswith(": write it anew with `dvc add`")
    assert git(clone, "status", "--porcelain") == ""


def test_bring_back_rows__one_too_large_and_odd_names_and_too_many_are_refused_unread(clone):
    branch_with(GOOD + "#" * 10_000)
    with pytest.raises(Refused, match=r"data/rows\.csv\.dvc has more than 10,000 bytes: write it anew"):
        bring_back_rows("other")
    branch_with(GOOD, "data/-x y.dvc")
    with pytest.raises(Refused, match=r"^'data/-x y\.dvc': rows are not kept under such a name: rename it$"):
        bring_back_rows("other")
    git(clone, "update-ref", "-d", "refs/remotes/origin/other")
    for number in range(MOST_FILES + 1):
        Path(f"{number}.dvc").write_text(GOOD)
    with pytest.raises(Refused, match=r"^there are 52 \.dvc files, 50 are the most: add a folder of rows instead$"):
        bring_back_rows(None)


def test_bring_back_rows__a_branch_that_is_not_there_is_unknown(clone):
    for name in ("none", "--help", ""):
        with pytest.raises(CannotTell, match=rf"^'refs/remotes/origin/{name}' is no revision of this repository"):
            bring_back_rows(name)


def test_bring_back_rows__rows_that_nobody_pushed_are_unknown(clone):
    branch_with(GOOD)
    with pytest.raises(
        CannotTell, match=r"^the rows of data/rows\.csv\.dvc are neither in DVC's cache nor in a remote"
    ):
        bring_back_rows("other")
