"""scripts/comment.py and one_comment.py against a small GitHub: from the event to one comment in the thread."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.comment_example import PASSED, first, jobs, mark
from tests.evidence_examples import example, handed_on
from tests.github_api import REPO, Reply, environment, json_reply
from tests.test_artifact import artifact, zipped
from tests.test_pull_request_of_run import event, pull, run_answer

from textgate.errors import CannotTell
from textgate.github.api import GitHub
from textgate.github.facts import changed_files
from textgate.github.thread import Comment, User, surplus, title

pytest_plugins = ("tests.github_fixtures",)


SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"


def comment(number, body, login="github-actions[bot]", kind="Bot"):
    return Comment(id=number, body=body, user=User(login=login, type=kind))


def test_title__is_one_that_nobody_else_has_written_under():
    assert title([]) == "textgate"
    ours = [comment(1, mark("textgate")), comment(2, mark("textgate-2"))]
    assert title(ours) == "textgate"
    theirs = comment(3, mark("textgate"), "mallory", "User")
    assert title([*ours, theirs]) == "textgate-2"
    assert (
        title([*ours, theirs, comment(4, "quoted " + mark("textgate-2") + mark("textgate-3"), "eve", "User")])
        == "textgate-4"
    )
    assert title([comment(5, mark("textgate"), "github-actions[bot]", "User")]) == "textgate-2"
    assert title([comment(6, mark("textgate"), "dependabot[bot]")]) == "textgate-2"
    assert title([Comment(id=7, body=mark("textgate"), user=None), Comment(id=8, body=None, user=None)]) == "textgate-2"
    assert (
        title([comment(9, mark("nightly"), "eve", "User"), comment(9, mark("textgate2"), "eve", "User")]) == "textgate"
    )


def test_surplus__is_every_comment_of_ours_but_the_newest_that_says_it():
    new, old = mark("textgate-2").replace("text", "new\r\nlines", 1), mark("textgate")
    thread = [
        comment(1, old), comment(2, "by hand"), comment(3, mark("nightly")), comment(4, new, "eve", "User"),
        comment(5, new), comment(6, new), comment(7, old),
    ]  # fmt: skip
    assert [extra.id for extra in surplus(thread, "new\nlines\n")] == [1, 5, 7]
    with pytest.raises(
        CannotTell, match=r"^no comment of ours says what comment\.md says: posting has failed, so none was"
    ):
        surplus(thread, "newer")


def ran(script, api, tls, folder, *arguments, payload=None):
    (folder / "event.json").write_text(json.dumps(payload or event()))
    (folder / "out").write_text("")
    more = {"GITHUB_EVENT_PATH": str(folder / "event.json"), "GITHUB_OUTPUT": str(folder / "out")}
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / script), *arguments],
        cwd=folder,
        env=environment(api, tls) | more,
        capture_output=True,
        text=True,
        check=False,
    )
    outputs = dict(line.split("=", 1) for line in (folder / "out").read_text().splitlines())
    return done, outputs


def github_holds(api, evidence, conclusion="success", **ended):
    """Let the small GitHub hold one finished run of a pull request, and 140 comments."""
    api.reply("actions/runs/5", json_reply(run_answer(conclusion=conclusion)))
    api.lists("pulls", [pull(4)])
    described = [job.model_dump(mode="json") for job in jobs(**ended)]
    api.lists("actions/runs/5/jobs", [job | {"started_at": "2026-01-02T03:04:00Z"} for job in described], key="jobs")
    moved = {"filename": "docs/old.py", "previous_filename": "scripts/old.py"}
    api.lists("pulls/4/files", [*({"filename": f"docs/{number}.md"} for number in range(150)), moved])
    api.lists("actions/runs/5/artifacts", [artifact()] if evidence is not None else [], key="artifacts")
    api.reply("actions/artifacts/1/zip", Reply(200, evidence or b""))
    theirs = {"id": 141, "body": mark("textgate"), "user": {"login": "eve", "type": "User"}}
    others = [{"id": number, "body": "me too", "user": {"login": "eve", "type": "User"}} for number in range(1, 141)]
    api.lists("issues/4/comments", [*others, theirs])


def test_comment__from_the_event_to_the_file_that_cml_posts(api, tls, tmp_path):
    github_holds(api, zipped(handed_on(example())))
    done, outputs = ran("comment.py", api, tls, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert outputs == {"pr": "4", "title": "textgate-2"}
    text = (tmp_path / "comment.md").read_text()
    assert first(text) == PASSED
    assert "- `scripts/old.py`" in text
    assert f"](https://{api.host}/octo/gate/actions/runs/5)" in text
    assert {asked.method for asked in api.asked} == {"GET"}


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        (
            zipped({"../../evil": b"x", "gate.json": b"{}"}),
            "the artifact holds a file that is no evidence: ../../evil",
        ),
        (b"no zip", "the artifact is no readable zip file (BadZipFile)"),
        (None, "It left no evidence."),
        (zipped({"plan.json": b"{]"}), "It left no evidence."),
        (zipped({"gate.json": b'{"schema_version": 1}'}), "`gate.json`: outcome: Field required"),
    ],
)
def test_comment__hostile_or_missing_evidence_is_a_safe_note(api, tls, tmp_path, evidence, words):
    github_holds(api, evidence, "failure", scan="failure")
    done, outputs = ran("comment.py", api, tls, tmp_path)
    assert (done.returncode, outputs["pr"]) == (0, "4")
    text = (tmp_path / "comment.md").read_text()
    assert text.startswith("### No verdict: ")
    assert words in text
    assert "- job `scan` **failed** ·" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["comment.md", "event.json", "out"]


def test_comment__evidence_of_an_attempt_before_this_one_does_not_speak_for_it(api, tls, tmp_path):
    github_holds(api, zipped(handed_on(example())), "failure", check="failure")
    api.lists("actions/runs/5/artifacts", [artifact(created_at="2026-01-02T03:03:59Z")], key="artifacts")
    ran("comment.py", api, tls, tmp_path)
    text = (tmp_path / "comment.md").read_text()
    assert first(text) == "### No verdict: check failed"
    assert "passed this model" not in text


@pytest.mark.parametrize(("count", "more"), [(2999, False), (3000, True)])
def test_changed_files__as_many_as_github_lists_may_not_be_all(api, count, more):
    api.lists("pulls/4/files", [{"filename": f"{number}.md"} for number in range(count)])
    names, is_more = changed_files(GitHub(REPO), 4)
    assert (len(names), is_more) == (count, more)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda api: api.lists("pulls", []),
            "nothing to comment on: its pull request was closed, or has newer commits",
        ),
        (
            lambda api: api.reply("actions/runs/5", json_reply(run_answer(event="push"))),
            "nothing to comment on: run 5 was caused by push",
        ),
    ],
)
def test_comment__nothing_to_comment_on_is_said_and_is_no_error(api, tls, tmp_path, change, words):
    github_holds(api, None)
    change(api)
    done, outputs = ran("comment.py", api, tls, tmp_path)
    assert (done.returncode, done.stdout.strip(), outputs) == (0, words, {"pr": ""})
    assert not (tmp_path / "comment.md").exists()


def test_comment__github_in_trouble_is_one_line(api, tls, tmp_path):
    github_holds(api, None)
    api.reply("actions/runs/5/jobs", json_reply({"message": "Resource not accessible by integration"}, 403))
    done, outputs = ran("comment.py", api, tls, tmp_path)
    assert done.returncode == 2
    assert re.fullmatch(
        r"cannot tell: GET repos/octo/gate/actions/runs/5/jobs: the token has no right .*\n", done.stderr
    )
    assert outputs == {}


def test_one_comment__leaves_the_newest_one_that_says_it_also_beyond_the_first_hundred(api, tls, tmp_path):
    github_holds(api, None)
    listed = api.replies[("GET", "issues/4/comments")][0]
    bot = {"login": "github-actions[bot]", "type": "Bot"}
    for number, name in ((200, "textgate"), (201, "textgate-3"), (202, "nightly")):
        listed.append({"id": number, "body": mark(name), "user": bot})
    listed.append({"id": 203, "body": mark("textgate-2").replace("text", "### new", 1), "user": bot})
    for number in range(1, 204):
        api.reply(f"issues/comments/{number}", Reply(204), method="DELETE")
    (tmp_path / "comment.md").write_text("### new\n")
    done, _ = ran("one_comment.py", api, tls, tmp_path, "--pr", "4")
    assert (done.returncode, done.stdout) == (0, "one comment is left, 2 deleted\n")
    deleted = [asked.path.rpartition("/")[2] for asked in api.asked if asked.method == "DELETE"]
    assert deleted == ["200", "201"]


def test_one_comment__deletes_nothing_if_posting_failed(api, tls, tmp_path):
    github_holds(api, None)
    (tmp_path / "comment.md").write_text("### new\n")
    done, _ = ran("one_comment.py", api, tls, tmp_path, "--pr", "4")
    assert done.returncode == 2
    assert done.stderr.startswith("cannot tell: no comment of ours says what comment.md says")
    assert {asked.method for asked in api.asked} == {"GET"}


def test_comment__needs_the_light_libraries_alone():
    program = "import sys, textgate.github.facts; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(SCRIPTS.parent / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {"numpy", "sklearn", "torch", "dvc", "mlflow", "rich", "psutil"} & set(done.stdout.split())
