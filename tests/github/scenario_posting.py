"""How comment.yml posts: one comment in any thread, on the right pull request, and one clear line if GitHub refuses."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.github import events
from tests.github.finished import Finished
from tests.github.hub import LocalGitHub
from tests.github.project import Project
from tests.github.runner import Run

BOT = "github-actions[bot]"
PASSED = "### textgate passed this model"
MARK = '![](https://cml.dev/watermark.png#{} "CML watermark {}")'
POST = ("comment", "4")  # the step with cml


def opened(project: Project, branch: str, owner: str = "acme") -> int:
    """Open a pull request that changes a file of its own."""
    project.branch(branch)
    project.write(f"docs/{len(project.hub.pulls)}.md", "# Words\n")
    return project.pull_request(branch, owner=owner)


def ours(hub: LocalGitHub, number: int) -> list[dict]:
    """Return the comments that the workflow's own user wrote."""
    return [comment for comment in hub.comments(number) if comment["user"]["login"] == BOT]


def commented(hub: LocalGitHub, number: int, finished: Finished) -> dict:
    """Let ci have passed, run comment.yml and return the one comment."""
    ci = finished.again(hub, number, finished.evidence)
    said = events.workflow_run(hub, ci)
    assert said.conclusion == "success", said.text
    assert said.step(*POST) == "success"
    (comment,) = ours(hub, number)
    assert comment["body"].startswith(PASSED)
    assert f"/actions/runs/{ci.id})" in comment["body"]
    return comment


def test_posting__in_a_long_thread_there_is_one_comment_wherever_it_stands(
    hub: LocalGitHub, project: Project, finished: Finished
) -> None:
    number = opened(project, "long")
    others = [hub.comment(number, f"me too, {place}", "rosa")["id"] for place in range(45)]
    first = commented(hub, number, finished)
    second = commented(hub, number, finished)  # cml looks at the first thirty alone, and so posts again
    assert first["id"] != second["id"]
    assert [comment["id"] for comment in hub.comments(number)] == [*others, second["id"]]


def test_posting__within_the_first_thirty_the_comment_is_updated(
    hub: LocalGitHub, project: Project, finished: Finished
) -> None:
    number = opened(project, "early")
    first = commented(hub, number, finished)
    for place in range(45):
        hub.comment(number, f"me too, {place}", "rosa")
    assert commented(hub, number, finished)["id"] == first["id"]
    assert len(hub.comments(number)) == 46


def test_posting__a_forged_comment_is_neither_taken_for_ours_nor_touched(
    hub: LocalGitHub, project: Project, finished: Finished
) -> None:
    number = opened(project, "forged")
    forged = hub.comment(number, f"{PASSED}\n\n{MARK.format('0' * 40, 'textgate')}", "mallory")
    first, second = commented(hub, number, finished), commented(hub, number, finished)
    assert first["id"] == second["id"] != forged["id"]
    first_of_all = hub.comments(number)[0]
    assert (first_of_all["id"], first_of_all["body"]) == (forged["id"], forged["body"])


def nothing_said(hub: LocalGitHub, ci: Run, why: str) -> None:
    """Check that comment.yml ends well and posts nothing anywhere."""
    before = len(hub.seen)
    said = events.workflow_run(hub, ci)
    assert said.conclusion == "success", said.text
    assert why in said.said("comment")
    assert said.step(*POST) == "skipped"
    assert {method for method, _ in hub.seen[before:]} == {"GET"}


def test_posting__a_pull_request_that_was_closed_or_pushed_to_has_no_comment(
    hub: LocalGitHub, project: Project, finished: Finished
) -> None:
    number = opened(project, "moving")
    ci = finished.again(hub, number, finished.evidence)
    project.write("docs/more.md", "# More\n")
    project.push("moving")
    why = "nothing to comment on: its pull request was closed, or has newer commits"
    nothing_said(hub, ci, why)
    ci = finished.again(hub, number, finished.evidence)
    hub.api("PATCH", f"pulls/{number}", {"state": "closed"})
    nothing_said(hub, ci, why)
    assert hub.comments(number) == []


def test_posting__of_two_pull_requests_with_one_commit_the_one_that_ran_is_meant(
    hub: LocalGitHub, project: Project, finished: Finished
) -> None:
    first = opened(project, "twin-a")
    hub.push(project.folder, "twin-b")
    second = hub.open_pull("twin-b")["number"]
    assert hub.pull(first)["head"]["sha"] == hub.pull(second)["head"]["sha"]
    commented(hub, second, finished)
    assert hub.comments(first) == []
    commented(hub, first, finished)
    assert len(hub.comments(second)) == 1


def test_posting__a_fork_may_name_its_branch_as_it_likes(
    hub: LocalGitHub, project: Project, finished: Finished
) -> None:
    branch = "-rf/grün/it's;$(touch${IFS}oops)&x=1#2+3%41|<b>@everyone"
    project.branch("odd")
    project.write("docs/odd.md", branch)
    project.push(branch, owner="mallory")
    number = hub.open_pull(branch, "mallory")["number"]
    commented(hub, number, finished)
    assert list(hub.folder.rglob("oops*")) == []


@dataclass(frozen=True)
class Trouble:
    """What GitHub answers, how often, and the line in the log. {N} is the pull request, {RUN} the run of ci."""

    method: str
    path: str
    status: int
    line: str
    message: str = "Server Error"
    times: int = 3
    wait: str | None = None  # Retry-After, in seconds


COMMENTS, RUN = "/issues/{N}/comments$", "/actions/runs/{RUN}$"
CML, ASKED = "cannot tell: cml ended with exit code 1: ", r"cannot tell: GET repos/acme/langid/actions/runs/\d+: "
NO_RIGHT = "Resource not accessible by integration"
STAYS = {
    "the token is wrong": Trouble(
        "POST", COMMENTS, 401, CML + r"GitHub does not take the token \(401\): Bad cred.*valid token", "Bad credentials"
    ),
    "the token may not": Trouble(
        "POST",
        COMMENTS,
        403,
        CML + rf"the token has no right to do this \(403\): {NO_RIGHT}: .*permissions.*",
        NO_RIGHT,
    ),
    "GitHub does not want it": Trouble(
        "POST",
        COMMENTS,
        422,
        CML + r"GitHub did not accept it \(422\): Val.*: it has to be mended",
        "Validation Failed",
    ),
    "the run may not be read": Trouble(
        "GET", RUN, 403, ASKED + rf"the token has no right to do this \(403\) \({NO_RIGHT}\): .*permissions.*", NO_RIGHT
    ),
    "down for long": Trouble(
        "POST", COMMENTS, 500, CML + r"GitHub is in trouble \(5xx\): Server E.*: run this again later"
    ),
    "out of reach": Trouble(
        "GET", RUN, 0, ASKED + r"GitHub cannot be reached \(.*EOF\): look at the network, then run.*"
    ),
}
PASSES = {
    "down twice": Trouble("POST", COMMENTS, 502, "GitHub is in trouble (5xx): next try in 2 s", times=2),
    "limited": Trouble(
        "POST", COMMENTS, 403, "rate limit is reached: next try in 1 s", "secondary rate limit, wait 1 seconds", times=1
    ),
    "limited when asked": Trouble("GET", RUN, 429, "", times=1, wait="1"),
}


def troubled(
    hub: LocalGitHub, project: Project, finished: Finished, troubles: dict[str, Trouble]
) -> Iterator[tuple[Trouble, int, Run, Run]]:
    """Run comment.yml for a pull request each, all at once; yield the trouble, the number, and the two runs."""
    started = []
    for what, trouble in troubles.items():
        number = opened(project, what.replace(" ", "-"))
        ci = finished.again(hub, number, finished.evidence)
        headers = {} if trouble.wait is None else {"Retry-After": trouble.wait}
        path = trouble.path.format(N=number, RUN=ci.id)
        hub.fail(trouble.method, path, trouble.status, trouble.times, headers, trouble.message)
        started.append((trouble, number, ci))
    with ThreadPoolExecutor(max_workers=3) as pool:  # most of them wait for their next try
        ends = list(pool.map(lambda one: events.workflow_run(hub, one[2]), started))
    yield from ((*one, said) for one, said in zip(started, ends, strict=True))


def test_posting__trouble_that_stays_is_one_line_and_leaves_the_verdict_of_the_run(
    hub: LocalGitHub, project: Project, finished: Finished
) -> None:
    for trouble, number, ci, said in troubled(hub, project, finished, STAYS):
        assert said.conclusion == "failure", said.text
        lines = [line for line in said.said("comment").splitlines() if line.startswith(("cannot tell: ", "refused: "))]
        assert len(lines) == 1, said.text
        assert re.fullmatch(trouble.line, lines[0]), lines[0]
        assert "Traceback" not in said.text
        assert hub.comments(number) == []
        assert hub.runs[ci.id]["conclusion"] == "success"


def test_posting__trouble_that_passes_is_tried_again(hub: LocalGitHub, project: Project, finished: Finished) -> None:
    for trouble, number, ci, said in troubled(hub, project, finished, PASSES):
        assert said.conclusion == "success", said.text
        assert trouble.line in said.said("comment")
        (comment,) = hub.comments(number)
        assert f"/actions/runs/{ci.id})" in comment["body"]


def test_posting__without_cml_says_so(hub: LocalGitHub, project: Project, finished: Finished) -> None:
    project.branch("main")
    kept = (project.folder / ".github/workflows/comment.yml").read_text(encoding="utf-8")
    setup = re.search(r"      - uses: iterative/setup-cml@.*\n.*\n", kept)
    assert setup is not None
    project.replace(".github/workflows/comment.yml", setup[0], "")
    project.push("main", "No more cml")
    number = opened(project, "without")
    ci = finished.again(hub, number, finished.evidence)
    said = events.workflow_run(hub, ci)
    assert said.conclusion == "failure"
    assert "cannot tell: cml is not installed: install it in an earlier step, then run this again\n" in said.text
    assert hub.comments(number) == []
    project.branch("main")
    project.write(".github/workflows/comment.yml", kept)
    project.push("main", "cml again")
    assert commented(hub, number, finished)
