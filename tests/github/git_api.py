"""Refs, tags, branches, commits and contents of the API, answered from the bare repository."""

import base64
from urllib.parse import unquote

from tests.github.exchange import Refusal, Reply, Request, listing

SHA = r"[0-9a-f]{40}"


def _object(hub, ref: str, sha: str) -> dict:
    kind = hub.git.git("cat-file", "-t", sha)
    return {
        "ref": ref,
        "url": hub.at(f"git/{ref}"),
        "object": {"sha": sha, "type": kind, "url": hub.at(f"git/{kind}s/{sha}")},
    }


def one_ref(hub, request: Request, name: str) -> Reply:
    found = hub.git.refs(f"refs/{unquote(name)}").get(f"refs/{unquote(name)}")
    if found is None:
        raise Refusal(404, "Not Found")
    return Reply(_object(hub, f"refs/{unquote(name)}", found))


def matching_refs(hub, request: Request, name: str) -> Reply:
    found = hub.git.refs(f"refs/{unquote(name)}")
    return listing(request, hub.at(f"git/matching-refs/{name}"), [_object(hub, ref, sha) for ref, sha in found.items()])


def create_ref(hub, request: Request) -> Reply:
    ref, sha = str(request.json().get("ref")), str(request.json().get("sha"))
    if not ref.startswith("refs/") or ref.count("/") < 2:
        raise Refusal(422, "Reference name must start with 'refs/' and have at least two slashes")
    if hub.git.refs(ref).get(ref):
        raise Refusal(422, "Reference already exists")
    if hub.git.sha(sha) is None:
        raise Refusal(422, "Object does not exist")
    hub.git.set_ref(ref, sha)
    return Reply(_object(hub, ref, sha), 201)


def change_ref(hub, request: Request, name: str) -> Reply:
    ref, sha, force = f"refs/{name}", str(request.json().get("sha")), request.json().get("force")
    if hub.git.sha(ref) is None or hub.git.sha(sha) is None:
        raise Refusal(422, "Reference does not exist")
    if not force and hub.git.git("merge-base", ref, sha) != hub.git.sha(ref):
        raise Refusal(422, "Update is not a fast forward")
    hub.git.set_ref(ref, sha)
    return Reply(_object(hub, ref, sha))


def delete_ref(hub, request: Request, name: str) -> Reply:
    if hub.git.sha(f"refs/{name}") is None:
        raise Refusal(422, "Reference does not exist")
    hub.git.git("update-ref", "-d", f"refs/{name}")
    return Reply(status=204)


def annotated_tag(hub, request: Request, sha: str) -> Reply:
    if hub.git.git("cat-file", "-t", sha, check=False) != "tag":
        raise Refusal(404, "Not Found")
    lines = dict(line.split(" ", 1) for line in hub.git.git("cat-file", "tag", sha).splitlines()[:3])
    return Reply({"sha": sha, "tag": lines["tag"], "object": {"sha": lines["object"], "type": lines["type"]}})


def tags(hub, request: Request) -> Reply:
    names = [ref.removeprefix("refs/tags/") for ref in reversed(hub.git.refs("refs/tags/"))]
    found = [{"name": name, "commit": {"sha": hub.git.sha(f"refs/tags/{name}")}} for name in names]
    return listing(request, hub.at("tags"), found)


def branch(hub, request: Request, name: str) -> Reply:
    sha = hub.git.sha(f"refs/heads/{unquote(name)}")
    if sha is None:
        raise Refusal(404, "Branch not found")
    return Reply({"name": unquote(name), "commit": hub.git.commit(sha), "protected": name == "main"})


def commit(hub, request: Request, ref: str) -> Reply:
    sha = hub.git.sha(unquote(ref)) or hub.git.sha(f"refs/heads/{unquote(ref)}")
    if sha is None:
        raise Refusal(422, f"No commit found for SHA: {ref}")
    return Reply(hub.git.commit(sha))


def commits(hub, request: Request) -> Reply:
    start = hub.git.sha(request.query.get("sha", "main"))
    found = hub.git.git("rev-list", "--max-count=1000", start).split() if start else []
    return listing(request, hub.at("commits"), [hub.git.commit(sha) for sha in found])


def compare(hub, request: Request, base: str, head: str) -> Reply:
    first, last = hub.git.sha(unquote(base)), hub.git.sha(unquote(head))
    if first is None or last is None:
        raise Refusal(404, "Not Found")
    ahead, behind = hub.git.commits(first, last), hub.git.commits(last, first)
    words = {(False, False): "identical", (True, False): "ahead", (False, True): "behind", (True, True): "diverged"}
    counts = {"ahead_by": len(ahead), "behind_by": len(behind), "status": words[bool(ahead), bool(behind)]}
    return Reply(counts | {"commits": [hub.git.commit(sha) for sha in ahead], "files": hub.git.changed(first, last)})


def contents(hub, request: Request, path: str) -> Reply:
    ref = request.query.get("ref", "main")
    size = hub.git.git("cat-file", "-s", f"{ref}:{unquote(path)}", check=False)
    if not size:
        raise Refusal(404, "Not Found")
    text = hub.git.git("show", f"{ref}:{unquote(path)}") + "\n"
    if "raw" in request.headers.get("accept", ""):
        return Reply(text.encode(), headers={"Content-Type": "application/vnd.github.raw"})
    coded = base64.encodebytes(text.encode()).decode()
    return Reply({"path": unquote(path), "type": "file", "encoding": "base64", "size": int(size), "content": coded})


ROUTES = (
    ("GET", r"/git/ref/(.+)", one_ref),
    ("GET", r"/git/matching-refs/(.+)", matching_refs),
    ("POST", r"/git/refs", create_ref),
    ("PATCH", r"/git/refs/(.+)", change_ref),
    ("DELETE", r"/git/refs/(.+)", delete_ref),
    ("GET", rf"/git/tags/({SHA})", annotated_tag),
    ("GET", r"/tags", tags),
    ("GET", r"/branches/(.+)", branch),
    ("GET", r"/commits", commits),
    ("GET", r"/commits/([^/]+)", commit),
    ("GET", r"/compare/(.+)\.\.\.(.+)", compare),
    ("GET", r"/contents/(.+)", contents),
)
