"""Pull requests: the emulator keeps them, git knows their commits, and here the two are put together."""

from tests.github.emulator import OWNER
from tests.github.exchange import Refusal, Reply, Request, listing


def overlay(hub, value):
    """Put what the emulator does not know into an answer of its: commits, pages, and that the bot is a bot."""
    if isinstance(value, list):
        return [overlay(hub, item) for item in value]
    if not isinstance(value, dict):
        return value
    value = {name: overlay(hub, item) for name, item in value.items()}
    if isinstance(value.get("html_url"), str):
        value["html_url"] = value["html_url"].replace("/api/v3/", "/")
    if str(value.get("login", "")).endswith("[bot]"):
        value["type"] = "Bot"
    if "head" in value and value.get("number") in hub.pulls:
        known = hub.pulls[value["number"]]
        value["head"] |= {"sha": known["head"]}
        value["base"] |= {"sha": known["base"]}
        value |= {"merge_commit_sha": known["merge"], "mergeable": known["merge"] is not None}
        value |= {name: known[name] for name in ("merged", "merged_at") if name in known}
    return value


def _known(hub, number: str) -> dict:
    if int(number) not in hub.pulls:
        raise Refusal(404, "Not Found")
    return hub.pulls[int(number)]


def files(hub, request: Request, number: str) -> Reply:
    known = _known(hub, number)
    return listing(request, hub.at(f"pulls/{number}/files"), hub.git.changed(known["base"], known["head"]))


def commits(hub, request: Request, number: str) -> Reply:
    known = _known(hub, number)
    found = [hub.git.commit(sha) for sha in hub.git.commits(known["base"], known["head"])]
    return listing(request, hub.at(f"pulls/{number}/commits"), found)


def of_commit(hub, request: Request, sha: str) -> Reply:
    numbers = [number for number, known in hub.pulls.items() if sha in (known["head"], known.get("merged_as"))]
    return listing(request, hub.at(f"commits/{sha}/pulls"), [hub.pull(number) for number in numbers])


def merge(hub, request: Request, number: str) -> Reply:
    """Squash onto the base branch; 409 if the commits conflict."""
    known = _known(hub, number)
    title = hub.pull(int(number))["title"]
    tip = hub.git.sha("refs/heads/main")
    sha = hub.git.merge(tip, known["head"], f"{title} (#{number})", (tip,))
    if sha is None:
        raise Refusal(405, "Pull Request is not mergeable")
    hub.emulated("PATCH", f"/repos/{OWNER}/langid/pulls/{number}", {"state": "closed"}, OWNER)
    hub.git.set_ref("refs/heads/main", sha)
    known |= {"merged": True, "merged_as": sha, "merged_at": hub.pull(int(number))["closed_at"], "merge": sha}
    return Reply({"sha": sha, "merged": True, "message": "Pull Request successfully merged"})


ROUTES = (
    ("GET", r"/pulls/(\d+)/files", files),
    ("GET", r"/pulls/(\d+)/commits", commits),
    ("PUT", r"/pulls/(\d+)/merge", merge),
    ("GET", r"/commits/([0-9a-f]+)/pulls", of_commit),
)
