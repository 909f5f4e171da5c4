"""The local GitHub behaves as GitHub does where the workflows depend on it. Real sockets, real git, the real gh."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.github.git_side import git
from tests.github.hub import LocalGitHub

READ = {"contents": "read", "pull-requests": "read", "actions": "read"}


@pytest.fixture(scope="module")
def work(hub: LocalGitHub, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a working tree whose first commit is main and whose second is the branch `feature` of acme and mallory."""
    folder = tmp_path_factory.mktemp("work")
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder, "rows.csv", "text,label\n")
    hub.push(folder, "main")
    commit(folder, "docs/guide.md", "words\n")
    for owner in ("acme", "mallory"):
        hub.push(folder, "feature", owner)
    return folder


def commit(folder: Path, name: str, text: str) -> str:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", f"change {name}")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture(scope="module")
def pull(hub: LocalGitHub, work: Path) -> dict:
    return hub.open_pull("feature")


def gh(hub: LocalGitHub, *arguments: str, token: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run the real gh against the hub."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(hub.folder),
        "GH_HOST": hub.host,
        "GH_ENTERPRISE_TOKEN": token or hub.owner,
        "SSL_CERT_FILE": str(hub.authority),
        "NO_COLOR": "1",
    }
    return subprocess.run(["gh", *arguments], env=environment, capture_output=True, text=True, check=False)


def test_hub__the_real_gh_talks_to_it(hub: LocalGitHub, pull: dict) -> None:
    done = gh(hub, "api", f"repos/{hub.repo}/pulls/{pull['number']}")
    assert json.loads(done.stdout)["head"]["sha"] == pull["head"]["sha"], done.stderr


def test_hub__an_unknown_token_is_refused(hub: LocalGitHub) -> None:
    assert hub.call("GET", "", token="ghs_unknown") == (401, {"message": "Bad credentials", "status": "401"})


def test_hub__a_token_can_do_what_its_permissions_say_and_no_more(hub: LocalGitHub, pull: dict) -> None:
    path, token = f"issues/{pull['number']}/comments", hub.token(scopes=READ)
    assert hub.call("GET", path, token=token)[0] == 200
    status, answer = hub.call("POST", path, {"body": "hello"}, token=token)
    assert (status, answer["message"]) == (403, "Resource not accessible by integration")
    assert hub.call("POST", "releases", {"tag_name": "v9.9.9"}, token=token)[0] == 403
    assert hub.call("GET", "actions/runs", token=hub.token(scopes={}))[0] == 403
    assert hub.call("GET", "", token=hub.token(scopes={}))[0] == 200


def test_hub__a_workflow_comments_as_a_bot_and_a_person_as_a_person(hub: LocalGitHub, pull: dict) -> None:
    path = f"issues/{pull['number']}/comments"
    _, made = hub.call("POST", path, {"body": "by a workflow"}, token=hub.token(scopes={"pull-requests": "write"}))
    assert (made["user"]["login"], made["user"]["type"]) == ("github-actions[bot]", "Bot")
    assert hub.comment(pull["number"], "by a person", "rosa")["user"]["login"] == "rosa"
    assert hub.pull(pull["number"])["user"]["type"] == "User"


def test_hub__a_comment_over_the_limit_is_refused(hub: LocalGitHub, pull: dict) -> None:
    path = f"issues/{pull['number']}/comments"
    assert hub.call("POST", path, {"body": "é" * 65_536})[0] == 201
    status, answer = hub.call("POST", path, {"body": "é" * 65_537})
    assert (status, answer["message"]) == (422, "Validation Failed")


def test_hub__thirty_comments_are_one_page(hub: LocalGitHub, work: Path) -> None:
    hub.push(work, "long")
    number = hub.open_pull("long")["number"]
    for count in range(35):
        hub.comment(number, f"comment {count}", "rosa")
    assert len(hub.api("GET", f"issues/{number}/comments")) == 30
    assert len(hub.comments(number)) == 35
    listed = gh(hub, "api", "--paginate", f"repos/{hub.repo}/issues/{number}/comments", "--jq", ".[].body")
    assert len(listed.stdout.split("\n")) == 36, listed.stderr


def test_hub__pull_requests_are_found_by_owner_and_branch(hub: LocalGitHub, pull: dict) -> None:
    fork = hub.open_pull("feature", "mallory")
    for owner, wanted in (("acme", pull), ("mallory", fork)):
        found = hub.api("GET", f"pulls?state=open&head={owner}:feature")
        assert [one["number"] for one in found] == [wanted["number"]]
    assert fork["head"]["repo"]["full_name"] == "mallory/langid"
    assert fork["base"]["repo"]["id"] == hub.api("GET", "")["id"] != fork["head"]["repo"]["id"]


def test_hub__a_push_moves_the_pull_request_and_its_files_come_from_git(hub: LocalGitHub, work: Path) -> None:
    hub.push(work, "moving", "mallory")
    number = hub.open_pull("moving", "mallory")["number"]
    assert [one["filename"] for one in hub.api("GET", f"pulls/{number}/files")] == ["docs/guide.md"]
    git(work, "checkout", "--quiet", "-b", "moving")
    git(work, "mv", "rows.csv", "lines.csv")
    sha = commit(work, "docs/guide.md", "more words\n")
    hub.push(work, "moving", "mallory")
    git(work, "checkout", "--quiet", "main")
    files = {one["filename"]: one for one in hub.api("GET", f"pulls/{number}/files")}
    assert files["lines.csv"]["previous_filename"] == "rows.csv"
    assert hub.pull(number)["head"]["sha"] == sha
    assert [one["number"] for one in hub.api("GET", f"commits/{sha}/pulls")] == [number]
    assert hub.git.commit(f"refs/pull/{number}/merge")["parents"][1]["sha"] == sha


def test_hub__a_published_release_makes_its_tag_and_becomes_latest(hub: LocalGitHub, work: Path) -> None:
    sha = hub.git.sha("refs/heads/main")
    draft = hub.api("POST", "releases", {"tag_name": "v0.1.0", "target_commitish": sha, "draft": True})
    assert hub.call("GET", "releases/latest")[0] == hub.call("GET", "releases/tags/v0.1.0")[0] == 404
    assert hub.call("GET", "git/ref/tags/v0.1.0")[0] == 404
    hub.api("PATCH", f"releases/{draft['id']}", {"draft": False, "make_latest": "true"})
    assert hub.api("GET", "releases/latest")["tag_name"] == "v0.1.0"
    assert hub.api("GET", "git/ref/tags/v0.1.0")["object"]["sha"] == sha
    hub.api("POST", "releases", {"tag_name": "v0.1.1", "target_commitish": sha, "make_latest": "false"})
    assert hub.api("GET", "releases/latest")["tag_name"] == "v0.1.0"
    status, answer = hub.call("POST", "releases", {"tag_name": "v0.1.1"})
    assert (status, answer["errors"][0]["code"]) == (422, "already_exists")


def test_hub__an_asset_comes_back_byte_by_byte_until_it_is_corrupted(hub: LocalGitHub, tmp_path: Path) -> None:
    content = bytes(range(256)) * 400
    (tmp_path / "model.tar").write_bytes(content)
    made = hub.api("POST", "releases", {"tag_name": "v1.0.0", "draft": True})
    address = made["upload_url"].partition("{")[0] + "?name=model.tar"
    kind = "Content-Type: application/octet-stream"
    sent = gh(hub, "api", "-X", "POST", "-H", kind, "--input", str(tmp_path / "model.tar"), address)
    asset = json.loads(sent.stdout)
    assert asset["digest"] == "sha256:" + __import__("hashlib").sha256(content).hexdigest()
    fetch = ["curl", "-sSL", "--cacert", str(hub.authority), "-H", f"Authorization: token {hub.owner}"]
    fetch += ["-H", "Accept: application/octet-stream", asset["url"]]
    assert subprocess.run(fetch, capture_output=True, check=True).stdout == content
    hub.corrupt("model.tar")
    assert subprocess.run(fetch, capture_output=True, check=True).stdout != content


def test_hub__a_fault_is_answered_as_often_as_was_asked(hub: LocalGitHub) -> None:
    hub.fail("GET", r"/actions/runs$", 503, times=2, headers={"Retry-After": "0"})
    assert [hub.call("GET", "actions/runs")[0] for _ in range(3)] == [503, 503, 200]
    hub.fail("GET", r"/actions/runs$", 0)
    with pytest.raises(ConnectionError, match="closed connection"):
        hub.call("GET", "actions/runs")
    assert hub.call("GET", "actions/runs")[0] == 200


def test_hub__settings_are_kept(hub: LocalGitHub) -> None:
    made = hub.api("POST", "rulesets", {"name": "main", "target": "branch", "rules": []})
    assert hub.api("GET", f"rulesets/{made['id']}")["name"] == "main"
    hub.api("PUT", "environments/production", {"wait_timer": 0})
    assert hub.api("GET", "environments")["environments"][0]["name"] == "production"
    hub.api("POST", "actions/variables", {"name": "TEXTGATE_CLOUD", "value": "aws"})
    assert hub.api("GET", "actions/variables/TEXTGATE_CLOUD")["value"] == "aws"
    assert hub.api("GET", "private-vulnerability-reporting") == {"enabled": False}
    hub.api("PUT", "private-vulnerability-reporting")
    assert hub.api("GET", "private-vulnerability-reporting") == {"enabled": True}


def test_hub__a_merge_squashes_onto_main(hub: LocalGitHub, pull: dict) -> None:
    sha = hub.merge_pull(pull["number"])
    assert hub.git.sha("refs/heads/main") == sha
    merged = hub.pull(pull["number"])
    assert (merged["state"], merged["merged"]) == ("closed", True)
    assert hub.api("GET", "contents/docs/guide.md")["size"] == 6
