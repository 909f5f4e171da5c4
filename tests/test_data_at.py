"""The rows of a revision, where there is neither a network nor a registry."""

import shutil

from tests.project import commit, dvc, make_project, must, script


def test_data_diff__asks_no_registry(tmp_path, monkeypatch):
    project = make_project(tmp_path / "project")
    commit(project, "rows")
    monkeypatch.setenv("TEXTGATE_REGISTRY", "github")
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    assert "unchanged 300, added 0" in must(script(project, "data_diff", "HEAD", "HEAD")).stdout


def test_data_diff__a_name_that_was_left_out_is_said(tmp_path):
    project = make_project(tmp_path / "project")
    done = script(project, "data_diff", "--", "", "build/data")
    assert done.returncode == 2
    assert done.stderr == "cannot tell: a name is empty: data_diff.py takes two, make data-diff takes A= and B=\n"


def test_data_diff__the_path_of_the_project_may_have_any_letters(tmp_path):
    folder = tmp_path / "rækker på nytt"
    folder.mkdir()
    project = make_project(folder / "project")
    must(dvc(project, "remote", "add", "-d", "store", "../store"))
    must(dvc(project, "add", "data/rows.csv"))
    must(dvc(project, "push", "data/rows.csv.dvc"))
    (project / ".gitignore").write_text((project / ".gitignore").read_text() + "/data/rows.csv\n")
    commit(project, "rows")
    shutil.rmtree(project / ".dvc/cache")  # so that the remote is asked
    assert "unchanged 300, added 0" in must(script(project, "data_diff", "HEAD", "HEAD")).stdout


def test_data_diff__a_remote_that_dvc_cannot_write_down_is_said(tmp_path):
    project = make_project(tmp_path / "project")
    with (project / ".dvc/config").open("a", encoding="utf-8") as config:
        config.write(f"['remote \"store\"']\n    url = {tmp_path}/lagret på nytt\n")
    commit(project, "rows")
    done = script(project, "data_diff", "HEAD", "HEAD")
    assert done.returncode == 2
    assert "cannot tell: a setting in .dvc/config or .dvc/config.local is not ASCII ('\\xe5'), and" in done.stderr
    assert "Traceback" not in done.stderr
