"""GitHub's API through the real gh, against a real server on a socket: what is asked, and what every answer becomes."""

import time
from pathlib import Path

import pytest
from tests.github_api import REPO, Reply, json_reply

from textgate.errors import CannotTell, Refused
from textgate.github.api import GitHub, output, repository

pytest_plugins = ("tests.github_fixtures",)
GITHUB = GitHub(REPO)
AT_ONCE = {"Retry-After": "0"}


def message(error):
    """Return the error's text, which is one line."""
    text = str(error.value)
    assert "\n" not in text
    return text


def test_get__asks_for_json_with_the_token_and_returns_it(api):
    api.reply("releases/latest", json_reply({"tag_name": "v1.2.3"}))
    assert GITHUB.get("releases/latest") == {"tag_name": "v1.2.3"}
    assert [(asked.method, asked.path) for asked in api.asked] == [("GET", f"/api/v3/repos/{REPO}/releases/latest")]
    headers = api.asked[0].headers
    assert headers["Authorization"] == "token secret-of-the-test"
    assert headers["Accept"] == "application/vnd.github+json"
    assert headers["X-Github-Api-Version"] == "2022-11-28"


def test_get__an_empty_path_is_the_repository(api):
    api.reply("", json_reply({"id": 7}))
    assert GITHUB.get("") == {"id": 7}
    assert api.asked[0].path == f"/api/v3/repos/{REPO}"


def test_find__returns_none_for_404_and_for_nothing_else(api):
    api.reply("releases/latest", json_reply({"tag_name": "v1"}), json_reply({"message": "Not Found"}, 404))
    assert GITHUB.find("releases/latest") == {"tag_name": "v1"}
    assert GITHUB.find("releases/latest") is None
    api.reply("releases/latest", json_reply({"message": "Must have admin rights"}, 403))
    with pytest.raises(CannotTell, match="no right"):
        GITHUB.find("releases/latest")


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (
            json_reply({"message": "Bad credentials"}, 401),
            "GitHub does not take the token (401) (Bad credentials): give this step a valid GH_TOKEN",
        ),
        (
            json_reply({"message": "Resource not accessible by integration"}, 403),
            "the token has no right to do this (403) (Resource not accessible by integration): see the permissions",
        ),
        (
            json_reply({"message": "API rate limit exceeded"}, 403, X_RateLimit_Remaining="0", Retry_After="3600"),
            "GitHub's rate limit is reached (API rate limit exceeded): run this again later",
        ),
        (
            json_reply({"message": "Too fast"}, 429, **AT_ONCE),
            "GitHub's rate limit is reached (Too fast): run this again later",
        ),
        (
            json_reply({"message": "Not Found"}, 404),
            "not found (404) (Not Found): it does not exist, or the token may not see it",
        ),
        (
            json_reply(
                {"message": "Validation Failed", "errors": [{"code": "already_exists"}, {"message": "no\ntag"}]}, 422
            ),
            "GitHub did not accept what was sent (422) (Validation Failed; already_exists; no tag): mend it, then",
        ),
        (json_reply({"message": "Conflict"}, 409), "GitHub did not do it (409) (Conflict): see what it says, or run"),
        (
            Reply(502, b"<html>Unicorn!</html>", AT_ONCE | {"Content-Type": "text/html"}),
            "GitHub is in trouble (502): run this again later",
        ),
        (Reply(200, b"<html>Log in</html>", {"Content-Type": "text/html"}), "GitHub's answer is not JSON: is this the"),
        (json_reply({"message": "\x1b[31mred\u202e" + "x" * 900}, 400), "(400) (^[[31mred⟨U+202E⟩xxx"),
    ],
)
def test_get__every_bad_answer_is_one_line(api, reply, said):
    api.reply("thing", reply)
    with pytest.raises(CannotTell) as error:
        GITHUB.get("thing?secret=1")
    assert message(error).startswith(f"GET repos/{REPO}/thing: ")
    assert said in message(error)
    assert len(message(error)) < 600
    assert "secret" not in message(error)


@pytest.mark.parametrize(
    "first",
    [
        Reply(503, b"", AT_ONCE),
        Reply(500, b"{}", AT_ONCE),
        json_reply({"message": "slow down"}, 429, **AT_ONCE),
        json_reply({"message": "You have exceeded a secondary rate limit"}, 403, **AT_ONCE),
    ],
)
def test_get__what_may_pass_is_tried_three_times(api, first):
    api.reply("thing", first, first, json_reply([1]))
    assert GITHUB.get("thing") == [1]
    assert len(api.asked) == 3
    api.asked.clear()
    api.reply("thing", first)
    with pytest.raises(CannotTell):
        GITHUB.get("thing")
    assert len(api.asked) == 3


def test_get__waits_a_second_if_github_does_not_say_how_long(api):
    api.reply("thing", Reply(500), json_reply([1]))
    started = time.monotonic()
    assert GITHUB.get("thing") == [1]
    assert time.monotonic() - started >= 1
    assert len(api.asked) == 2


def test_get__waits_as_long_as_github_says(api):
    api.reply("thing", Reply(503, b"", {"Retry-After": "2"}), json_reply([1]))
    started = time.monotonic()
    assert GITHUB.get("thing") == [1]
    assert time.monotonic() - started >= 2


def test_get__does_not_wait_for_more_than_a_minute(api):
    for reply in (
        Reply(503, b"", {"Retry-After": "61"}),
        json_reply({"message": "x"}, 403, X_RateLimit_Remaining="0", X_RateLimit_Reset=str(int(time.time()) + 900)),
    ):
        api.reply("thing", reply)
        with pytest.raises(CannotTell):
            GITHUB.get("thing")
    assert len(api.asked) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
def test_get__what_cannot_pass_is_asked_once(api, status):
    api.reply("thing", json_reply({"message": "no"}, status))
    with pytest.raises(CannotTell):
        GITHUB.get("thing")
    assert len(api.asked) == 1


def test_get__an_answer_that_breaks_off_is_asked_for_again(api):
    api.reply("thing", Reply(200, b"[1", {}, promised=100), json_reply([1, 2]))
    assert GITHUB.get("thing") == [1, 2]


def test_get__without_a_network_is_one_line(api, monkeypatch):
    monkeypatch.setenv("GH_HOST", "localhost:1")
    with pytest.raises(CannotTell) as error:
        GITHUB.send("POST", "issues")
    assert "GitHub cannot be reached (" in message(error)
    assert "connection refused" in message(error)


@pytest.mark.parametrize("words", ["To get started, please run: gh auth login", "gh: set the GH_TOKEN variable"])
def test_get__a_gh_that_wants_a_token_first_says_which_variable_to_set(api, monkeypatch, tmp_path, words):
    (tmp_path / "gh").write_text(f"#!/bin/sh\necho '{words}' >&2\nexit 4\n")
    (tmp_path / "gh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(CannotTell) as error:
        GITHUB.send("POST", "issues")
    assert message(error).endswith("gh has no token for this host: give this step one in GH_TOKEN")


def test_get__without_gh_says_what_to_install(api, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotTell, match=r"^gh is not installed: install GitHub's command line program"):
        GITHUB.get("thing")


def test_get__colours_and_debugging_of_the_terminal_do_not_reach_the_answer(api, monkeypatch):
    for name in ("CLICOLOR_FORCE", "GH_FORCE_TTY", "GH_DEBUG"):
        monkeypatch.setenv(name, "1")
    api.reply("thing", json_reply({"a": [1]}))
    assert GITHUB.get("thing") == {"a": [1]}


@pytest.mark.parametrize("path", ["../other", "a/../../b", "a/..", "./a", "a b", "a\nb", "{owner}", "a#b", "a\\b", "é"])
def test_get__takes_no_path_that_leads_elsewhere(api, path):
    with pytest.raises(CannotTell, match="is no path of GitHub's API: nothing was asked"):
        GITHUB.get(path)
    assert api.asked == []


@pytest.mark.parametrize("repo", ["", "gate", "a/b/c", "a/..", "../b", "a/b?x", "a/b\n", "-a/b"])
def test_repository__takes_owner_and_name_alone(api, monkeypatch, repo):
    with pytest.raises(CannotTell, match="write it as owner/name"):
        GitHub(repo).get("")
    monkeypatch.setenv("GITHUB_REPOSITORY", repo)
    with pytest.raises(CannotTell, match="set it to owner/name"):
        repository()


def test_repository__is_the_one_that_the_runner_names(api):
    assert repository() == GITHUB


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
def test_pages__returns_every_item(api, count):
    items = [{"id": number} for number in range(count)]
    api.lists("issues/3/comments", items)
    api.lists("actions/runs/5/artifacts", items, key="artifacts")
    assert GITHUB.pages("issues/3/comments") == items
    assert GITHUB.pages("actions/runs/5/artifacts?name=x", key="artifacts") == items
    assert api.asked[-1].query["name"] == "x"
    assert api.asked[-1].query["per_page"] == "100"


def test_pages__more_than_the_most_is_not_cut_but_said(api):
    api.lists("pulls", list(range(1001)))
    with pytest.raises(CannotTell, match="pulls: GitHub lists more than 1,000: too many to look through"):
        GITHUB.pages("pulls?state=open")
    assert len(GITHUB.pages("pulls", most=1001)) == 1001


@pytest.mark.parametrize("answer", [{"message": "odd"}, {"artifacts": 3}, "text", None])
def test_pages__something_else_than_a_list_is_refused(api, answer):
    api.reply("x", json_reply(answer))
    with pytest.raises(CannotTell, match="GitHub's answer is not a list"):
        GITHUB.pages("x", key="artifacts")


def test_pages__a_short_page_with_a_next_one_is_not_the_last(api):
    first = json_reply([1], Link='<https://x/2>; rel="next", <https://x/9>; rel="last"')
    api.reply("x", first, json_reply([2]))
    assert GITHUB.pages("x") == [1, 2]


def test_send__sends_json_with_its_length_and_returns_what_came(api):
    api.reply("releases", json_reply({"id": 9}, 201), method="POST")
    assert GITHUB.send("POST", "releases", {"name": "é\n"}) == {"id": 9}
    assert api.asked[0].body == b'{"name": "\\u00e9\\n"}'
    assert api.asked[0].headers["Content-Type"] == "application/json"
    api.reply("git/refs/tags/v1", Reply(204), method="DELETE")
    assert GITHUB.send("DELETE", "git/refs/tags/v1") is None


def test_send__a_post_that_may_have_been_carried_out_is_not_sent_again(api):
    api.reply("releases", Reply(502, b"", AT_ONCE), method="POST")
    with pytest.raises(CannotTell, match="502"):
        GITHUB.send("POST", "releases", {})
    assert len(api.asked) == 1
    limited = json_reply({"message": "x"}, 429, **AT_ONCE)
    api.reply("releases", limited, Reply(503, b"", AT_ONCE), json_reply({"id": 1}, 201), method="POST")
    assert GITHUB.send("POST", "releases", {}) == {"id": 1}


def test_download__follows_github_to_where_the_bytes_are(api, tmp_path):
    content = bytes(range(256)) * 1000
    api.reply("actions/artifacts/1/zip", Reply(302, b"", {"Location": f"https://{api.host}/api/v3/repos/{REPO}/blob"}))
    api.reply("blob", Reply(200, content))
    GITHUB.download("actions/artifacts/1/zip", tmp_path / "new" / "a.zip", len(content))
    assert (tmp_path / "new" / "a.zip").read_bytes() == content
    assert api.asked[0].headers["Accept"] == "application/octet-stream"


def test_download__above_the_limit_is_refused_and_leaves_nothing(api, tmp_path):
    api.reply("big", Reply(200, b"x" * 3_000_000))
    with pytest.raises(Refused, match=f"^GET repos/{REPO}/big: more than 2,999,999 bytes: not taken$"):
        GITHUB.download("big", tmp_path / "new" / "big", 2_999_999)
    assert list((tmp_path / "new").iterdir()) == []
    assert len(api.asked) == 1


def test_download__that_fails_leaves_nothing_and_keeps_what_was_there(api, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "file").write_text("before")
    with pytest.raises(CannotTell, match="not found"):
        GITHUB.download("none", tmp_path / "new" / "file", 100)
    assert [path.read_text() for path in (tmp_path / "new").iterdir()] == ["before"]


def test_download__one_that_breaks_off_starts_anew(api, tmp_path):
    api.reply("file", Reply(200, b"abc", promised=10), Reply(200, b"0123456789"))
    GITHUB.download("file", tmp_path / "file", 10)
    assert (tmp_path / "file").read_bytes() == b"0123456789"


def test_upload__sends_the_bytes_under_the_file_name(api, tmp_path):
    (tmp_path / "a b&c.tar").write_bytes(b"\x00\xff" * 500)
    path = "/api/uploads/repos/octo/gate/releases/12/assets"
    api.replies[("POST", path.removeprefix("/"))] = [json_reply({"id": 3}, 201)]
    url = f"https://{api.host}{path}{{?name,label}}"
    assert GITHUB.upload(url, tmp_path / "a b&c.tar") == {"id": 3}
    asked = api.asked[0]
    assert (asked.query, asked.body) == ({"name": "a b&c.tar"}, b"\x00\xff" * 500)
    assert asked.headers["Content-Type"] == "application/octet-stream"


@pytest.mark.parametrize(
    "url",
    [
        "http://{host}/api/uploads/repos/octo/gate/releases/1/assets",
        "https://evil.example/api/uploads/repos/octo/gate/releases/1/assets",
        "https://{host}@evil.example/api/uploads/repos/octo/gate/releases/1/assets",
        "https://{host}/api/uploads/repos/octo/other/releases/1/assets",
        "https://{host}/api/uploads/repos/octo/gate/releases/1/assets?x=y",
        "https://{host}/user",
        "repos/octo/gate/releases/1/assets",
    ],
)
def test_upload__the_token_goes_to_this_repository_alone(api, tmp_path, url):
    (tmp_path / "file").write_text("x")
    with pytest.raises(CannotTell, match="is no upload address of octo/gate"):
        GITHUB.upload(url.replace("{host}", api.host), tmp_path / "file")
    assert api.asked == []


def test_upload__to_github_itself_goes_to_its_upload_host(api, tmp_path, monkeypatch):
    monkeypatch.setenv("GH_HOST", "github.com")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")  # no test leaves this machine
    monkeypatch.setenv("GH_TOKEN", "x")
    (tmp_path / "file").write_text("x")
    with pytest.raises(CannotTell, match=r"GitHub cannot be reached \(.*127\.0\.0\.1:1"):
        GITHUB.upload("https://uploads.github.com/repos/octo/gate/releases/1/assets{?name,label}", tmp_path / "file")


def test_output__appends_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "out"))
    output("pr", "12")
    output("title", "")
    assert (tmp_path / "out").read_text() == "pr=12\ntitle=\n"
    monkeypatch.delenv("GITHUB_OUTPUT")
    output("pr", "13")
    assert capsys.readouterr().out == "pr=13\n"


@pytest.mark.parametrize(
    ("name", "value"), [("a", "b\nc=d"), ("a", "b\r"), ("a", "\u2028x"), ("a b", "c"), ("", "c"), ("a=b", "c")]
)
def test_output__refuses_what_would_be_another_output(tmp_path, monkeypatch, name, value):
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "out"))
    with pytest.raises(CannotTell, match="is not one line"):
        output(name, value)
    assert not Path(tmp_path / "out").exists()
