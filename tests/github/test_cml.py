"""The stand-in for cml does what CML 0.20.6 was measured to do."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.github.git_side import git
from tests.github.hub import LocalGitHub

CML = Path(__file__).resolve().parent / "bin" / "cml"


@pytest.fixture(scope="module")
def work(hub: LocalGitHub, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", "first")
    git(folder, "remote", "add", "origin", f"{hub.url}/{hub.repo}")
    hub.push(folder, "main")
    return folder


@pytest.fixture
def number(hub: LocalGitHub, work: Path) -> int:
    branch = f"branch-{hub.next_id()}"
    hub.push(work, branch)
    return hub.open_pull(branch)["number"]


def cml(hub: LocalGitHub, work: Path, *arguments: str, token: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(work),
        "GIT_CONFIG_GLOBAL": str(work / "gitconfig"),
        "NODE_EXTRA_CA_CERTS": str(hub.authority),
        "REPO_TOKEN": token or hub.token(scopes={"pull-requests": "write"}),
    }
    return subprocess.run(
        [str(CML), *arguments], env=environment, cwd=work, capture_output=True, text=True, check=False
    )


def say(hub: LocalGitHub, work: Path, number: int, text: str, *more: str, title="textgate", **options: str):
    """Update the comment of a pull request with a report."""
    (work / "report.md").write_text(text, encoding="utf-8")
    flags = [f"--target=pr/{number}", "--publish=false", f"--watermark-title={title}"]
    return cml(hub, work, "comment", "update", *flags, *more, "report.md", **options)


def bodies(hub: LocalGitHub, number: int) -> list[str]:
    return [comment["body"] for comment in hub.comments(number)]


def test_cml__the_first_update_posts_and_the_second_one_edits(hub: LocalGitHub, work: Path, number: int) -> None:
    sha = git(work, "rev-parse", "HEAD")
    assert say(hub, work, number, "one").returncode == 0
    assert bodies(hub, number) == [f'one\n\n![](https://cml.dev/watermark.png#{sha} "CML watermark textgate")']
    git(work, "commit", "--quiet", "--allow-empty", "-m", "second")
    assert say(hub, work, number, "two").returncode == 0
    assert [body.split("\n")[0] for body in bodies(hub, number)] == ["two"]


def test_cml__each_title_has_a_comment_and_the_title_is_escaped(hub: LocalGitHub, work: Path, number: int) -> None:
    for _ in range(2):
        for title in ("textgate", "a_b*c[d<e "):
            assert say(hub, work, number, "text", title=title).returncode == 0
    assert len(bodies(hub, number)) == 2
    assert bodies(hub, number)[1].endswith('"CML watermark a\\_b\\*c\\[d\\<e")')


def test_cml__only_the_first_thirty_comments_are_looked_at(hub: LocalGitHub, work: Path, number: int) -> None:
    for count in range(30):
        hub.comment(number, f"comment {count}", "rosa")
    say(hub, work, number, "one")
    say(hub, work, number, "two")
    assert [body.split("\n")[0] for body in bodies(hub, number)[30:]] == ["one", "two"]


def test_cml__a_watermark_by_somebody_else_is_taken_for_ours(hub: LocalGitHub, work: Path, number: int) -> None:
    hub.comment(number, 'mine\n\n![](https://cml.dev/watermark.png#0 "CML watermark textgate")', "mallory")
    assert say(hub, work, number, "verdict").returncode == 0
    (only,) = hub.comments(number)
    assert (only["user"]["login"], only["body"].split("\n")[0]) == ("mallory", "verdict")


def test_cml__publish_is_on_unless_switched_off(hub: LocalGitHub, work: Path, number: int) -> None:
    done = cml(hub, work, "comment", "update", f"--target=pr/{number}", "report.md")
    assert done.returncode == 1
    assert "--publish=false" in json.loads(done.stderr)["message"]
    assert bodies(hub, number) == []


def test_cml__errors_are_one_line_of_json(hub: LocalGitHub, work: Path, number: int) -> None:
    long = say(hub, work, number, "x" * 65_600)
    assert (long.returncode, json.loads(long.stderr)["status"]) == (1, 422)
    assert json.loads(long.stderr)["message"].startswith("Validation Failed")
    unknown = say(hub, work, number, "text", token="ghs_unknown")
    assert (unknown.returncode, json.loads(unknown.stderr)["message"]) == (1, "Bad credentials")
    reader = say(hub, work, number, "text", token=hub.token(scopes={"pull-requests": "read"}))
    assert json.loads(reader.stderr)["status"] == 403
    hub.fail("GET", "comments", 502, times=1)
    assert json.loads(say(hub, work, number, "text").stderr)["status"] == 502


def test_cml__an_unknown_flag_is_refused(hub: LocalGitHub, work: Path, number: int) -> None:
    done = say(hub, work, number, "text", "--once")
    assert done.returncode != 0
    assert "unrecognized arguments: --once" in done.stderr


def test_cml__runner_launch_adds_a_runner(hub: LocalGitHub, work: Path) -> None:
    done = cml(hub, work, "runner", "launch", "--labels=cml,gpu", "--cloud=aws", "--idle-timeout=600", token=hub.owner)
    assert done.returncode == 0, done.stderr
    (runner,) = hub.api("GET", "actions/runners")["runners"]
    assert [label["name"] for label in runner["labels"]] == ["self-hosted", "cml", "gpu"]
    assert "--cloud=aws" in runner["launched_with"]
    hub.api("DELETE", f"actions/runners/{runner['id']}")
    assert hub.api("GET", "actions/runners")["total_count"] == 0
