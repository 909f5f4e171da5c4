"""Artifacts that somebody else wrote: the comment stays a safe note, and nothing is read or written outside of it."""

import io
import json
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.github import events
from tests.github.finished import Finished, zipped
from tests.github.hub import LocalGitHub
from tests.github.markup import markup
from tests.github.project import Project

from textgate.report.found import FILES, STAGE_FILES, flat

KINDS = {flat(file): kind for file, kind, _ in (*FILES.values(), *STAGE_FILES.values())}
WATERMARK = "https://cml.dev/watermark.png#"
UNREAD = "### No verdict: what this run left could not be read\n"
PASSED = "### textgate passed this model: it meets every limit, and there is no production model yet to compare it with"
SECRET = "a-secret-of-the-machine"
HOSTILE = (
    " @everyone <img src=x onerror=alert(1)> [a](https://evil.example) ![b](https://evil.example/b.png) | x |\n"
    "# no\n```\n</details> https://evil.example #1 `"
)


@pytest.fixture(scope="module")
def number(project: Project) -> int:
    """Return a pull request that has nothing but documentation in it, so that nothing in it is worth a word."""
    project.branch("hostile")
    project.write("docs/words.md", "# Words\n")
    return project.pull_request("hostile")


def commented(hub: LocalGitHub, number: int, ci: Any) -> str:
    """Run comment.yml, check that its comment does nothing and that nothing was left outside, and return it."""
    strays: list[Path] = []

    def look() -> None:
        strays.extend(hub.folder.rglob("*escaped*"))

    said = events.workflow_run(hub, ci, at_step=("comment", "5"), then=look)
    assert said.conclusion == "success", said.text
    assert SECRET not in said.text
    assert strays == []
    assert [left for folder in hub.folder.glob("run-*/tmp") for left in folder.iterdir()] == []
    (comment,) = hub.comments(number)
    does = markup(comment["body"])
    assert does.links == [f"{hub.url}/{hub.repo}/actions/runs/{ci.id}"]
    assert [image.partition("#")[0] + "#" for image in does.images] == [WATERMARK]
    assert (does.html, "@" in does.text, "evil.example" in does.text) == ("", False, False)
    assert SECRET not in comment["body"]
    return comment["body"]


def linked(name: str, to: Path) -> bytes:
    """Return an archive whose only member is a link."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        member = zipfile.ZipInfo(name)
        member.create_system, member.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(member, str(to))
    return content.getvalue()


def twice(files: dict[str, bytes]) -> bytes:
    """Return an archive with two verdicts."""
    content = io.BytesIO(zipped(files))
    with zipfile.ZipFile(content, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("gate.json", files["gate.json"])
    return content.getvalue()


ARCHIVES: dict[str, tuple[Callable[[dict[str, bytes], Path], bytes], str]] = {
    "a pull request's number": (lambda files, _: zipped(files | {"pr.json": b'{"number": 1}'}), "no evidence: pr.json"),
    "a way up": (
        lambda files, _: zipped({f"{'../' * up}escaped.json": b"{}" for up in range(1, 7)} | files),
        "no evidence: ../escaped.json",
    ),
    "another place": (lambda files, place: zipped({f"{place}/escaped.json": b"{}"} | files), "no evidence: /"),
    "a link": (lambda _, place: linked("gate.json", place / "secret"), "holds a link or a special file: gate.json"),
    "two verdicts": (lambda files, _: twice(files), "holds two files of one name"),
    "200 MB inside": (
        lambda files, _: zipped(files | {"gate.json": b" " * 200_000_000}),
        "holds a file of more than 8,000,000 bytes: gate.json",
    ),
    "no zip": (lambda _, __: b"#!/bin/sh\ntouch escaped\n", "no readable zip file (BadZipFile)"),
    "a zip cut short": (lambda files, _: zipped(files)[:-100], "no readable zip file (BadZipFile)"),
}


@pytest.mark.parametrize("what", ARCHIVES)
def test_hostile__an_archive_of_anything_but_evidence_is_a_safe_note(
    hub: LocalGitHub, number: int, finished: Finished, tmp_path: Path, what: str
) -> None:
    make, why = ARCHIVES[what]
    (tmp_path / "secret").write_text(SECRET, encoding="utf-8")
    body = commented(hub, number, finished.again(hub, number, make(finished.files, tmp_path)))
    assert body.startswith(UNREAD)
    assert why in body.replace("`", "")
    assert "passed" not in body
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_hostile__200_mb_are_not_downloaded(hub: LocalGitHub, number: int, finished: Finished) -> None:
    ci = finished.again(hub, number, b"")
    with hub.artifact_file(ci.id, "evidence").open("wb") as file:
        file.truncate(200_000_000)
    before = len(hub.seen)
    body = commented(hub, number, ci)
    assert body.startswith(UNREAD)
    assert "the artifact has 200,000,000 bytes, more than the 20,000,000 it may have" in body
    assert [path for _, path in hub.seen[before:] if path.endswith("/zip") or path.startswith("/_bytes/")] == []


def poisoned(kind: type[Any], content: bytes) -> bytes:
    """Return evidence with Markdown in every string that its type lets be anything."""
    value = json.loads(content)

    def poison(holder: Any, key: Any) -> None:
        if not isinstance(holder[key], str):
            return visit(holder[key])
        kept, holder[key] = holder[key], holder[key] + HOSTILE
        try:
            kind.model_validate_json(json.dumps(value))
        except ValidationError:
            holder[key] = kept

    def visit(holder: Any) -> None:
        for key in list(holder) if isinstance(holder, dict) else range(len(holder) if isinstance(holder, list) else 0):
            if key != "stage":  # another name would have the record set aside
                poison(holder, key)

    visit(value)
    return json.dumps(value).encode()


def test_hostile__markdown_in_every_string_does_nothing(hub: LocalGitHub, number: int, finished: Finished) -> None:
    files = {name: poisoned(KINDS[name], data) if name in KINDS else data for name, data in finished.files.items()}
    assert sum(data.count(b"@everyone") for data in files.values()) > 100
    body = commented(hub, number, finished.again(hub, number, zipped(files)))
    assert body.startswith(PASSED)
    assert "`@everyone`" in body


def test_hostile__five_megabytes_in_one_string_stay_a_comment(
    hub: LocalGitHub, number: int, finished: Finished
) -> None:
    gate = json.loads(finished.files["gate.json"])
    gate["sentence"] += " and" * 1_300_000
    gate["checks"][0]["found"] = "x" * 1_000_000
    files = finished.files | {"gate.json": json.dumps(gate).encode()}
    body = commented(hub, number, finished.again(hub, number, zipped(files)))
    assert body.startswith(f"{PASSED} and and")
    assert len(body) < 65_536


def test_hostile__broken_json_is_a_verdict_without_ground(hub: LocalGitHub, number: int, finished: Finished) -> None:
    broken = {
        "gate.json": finished.files["gate.json"].replace(b"{", b'{"pr": 1, ', 1),
        "metrics.json": b"[" * 1_000_000,
        "comparison.json": finished.files["comparison.json"].replace(b'"won":', b'"won": NaN, "lost_too":', 1),
        "scan.json": b'{"seconds": 1e999999}',
        "plan.json": b"\xff\xfe{",
    }
    body = commented(hub, number, finished.again(hub, number, zipped(finished.files | broken)))
    assert body.startswith("### No verdict: this run ended well, but its files do not show that a model passed\n")
    assert "`gate.json`: pr: Extra inputs are not permitted" in body
    for name in ("metrics.json", "comparison.json", "scan.json"):
        assert f"- `{name}`:" in body


@pytest.mark.parametrize("names", [(), ("plan.json",), ("train.json", "metrics.json")])
def test_hostile__missing_files_are_no_pass(
    hub: LocalGitHub, number: int, finished: Finished, names: tuple[str, ...]
) -> None:
    files = {name: finished.files[name] for name in names}
    body = commented(hub, number, finished.again(hub, number, zipped(files)))
    assert body.startswith("### No verdict: this run ended well, but its files do not show that a model passed\n")
    assert ("It left no evidence." in body) == ("metrics.json" not in names)


def test_hostile__files_that_say_passed_do_not_pass_a_run_that_failed(
    hub: LocalGitHub, number: int, finished: Finished
) -> None:
    ended: dict[str, str | None] = {"scan": "failure", "gate": "failure"}
    body = commented(hub, number, finished.again(hub, number, finished.evidence, "failure", ended))
    assert body.startswith("### This run did not succeed: scan failed\n")
    assert "**What its files say,** which does not count" in body


def test_hostile__a_plan_that_says_documentation_does_not_hide_that_a_job_failed(
    hub: LocalGitHub, number: int, finished: Finished
) -> None:
    plan = json.loads(finished.files["plan.json"]) | {"changed": False}
    ended: dict[str, str | None] = dict.fromkeys(("train", "model_tests", "scan"), "skipped")
    files = zipped({"plan.json": json.dumps(plan).encode()})
    body = commented(hub, number, finished.again(hub, number, files, "failure", ended | {"gate": "failure"}))
    assert body.startswith("### No verdict: gate failed\n")
