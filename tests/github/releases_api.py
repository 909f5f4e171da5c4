"""Releases with the bytes of their assets, drafts and "latest"; the emulator keeps neither bytes nor "latest"."""

import hashlib
import re

from tests.github.exchange import Refusal, Reply, Request, listing, now

TEXTS = ("tag_name", "target_commitish", "name", "body", "draft", "prerelease")


def _find(hub, number: str) -> dict:
    found = next((release for release in hub.releases if release["id"] == int(number)), None)
    if found is None:
        raise Refusal(404, "Not Found")
    return found


def _shown(hub, release: dict) -> dict:
    return {name: value for name, value in release.items() if name != "latest"}


def _published(hub) -> list[dict]:
    return [release for release in hub.releases if not release["draft"]]


def _latest(hub) -> dict | None:
    """Return the one that was made latest last; without one, the newest that is neither draft nor pre-release."""
    full = [release for release in _published(hub) if not release["prerelease"]]
    chosen = [release for release in full if release["latest"]]
    return (chosen or sorted(full, key=lambda release: (release["published_at"], release["id"])) or [None])[-1]


def _publish(hub, release: dict, make_latest: str) -> None:
    """Make the tag where there is none, as GitHub does when a release is published, and move "latest"."""
    if release["draft"]:
        return
    tag = f"refs/tags/{release['tag_name']}"
    if hub.git.sha(tag) is None:
        target = hub.git.sha(release["target_commitish"])
        if target is None:
            raise Refusal(422, "Validation Failed", errors=[{"resource": "Release", "field": "target_commitish"}])
        hub.git.set_ref(tag, target)
    release["published_at"] = release["published_at"] or now()
    page = "untagged" if release["draft"] else release["tag_name"]
    release["html_url"] = f"{hub.url}/{hub.repo}/releases/tag/{page}"
    if make_latest == "true":
        for other in hub.releases:
            other["latest"] = other is release
    elif make_latest == "false":
        release["latest"] = False


def _change(hub, release: dict, wanted: dict) -> None:
    unpublished = wanted.get("draft", release["draft"]) or wanted.get("prerelease", release["prerelease"])
    if unpublished and wanted.get("make_latest") == "true":
        raise Refusal(422, "Validation Failed", errors=[{"resource": "Release", "field": "make_latest"}])
    taken = [other for other in _published(hub) if other is not release]
    if any(other["tag_name"] == wanted.get("tag_name", release["tag_name"]) for other in taken):
        errors = [{"resource": "Release", "code": "already_exists", "field": "tag_name"}]
        if not wanted.get("draft", release["draft"]):
            raise Refusal(422, "Validation Failed", errors=errors)
    release.update({name: wanted[name] for name in TEXTS if name in wanted})


def create(hub, request: Request) -> Reply:
    wanted = request.json()
    if not re.fullmatch(r"[\w.+/-]+", str(wanted.get("tag_name", ""))):
        raise Refusal(422, "Validation Failed", errors=[{"resource": "Release", "field": "tag_name"}])
    number = hub.next_id()
    empty = {
        "tag_name": None,
        "target_commitish": "main",
        "name": None,
        "body": None,
        "draft": False,
        "prerelease": False,
    }
    upload = f"{hub.url}/api/uploads/repos/{hub.repo}/releases/{number}/assets{{?name,label}}"
    links = {"url": hub.at(f"releases/{number}"), "html_url": None, "upload_url": upload}
    author = {"login": request.token.login}
    release = {"id": number, "author": author, "assets": [], "published_at": None, "latest": False} | links | empty
    release["created_at"] = now()
    _change(hub, release, wanted)
    _publish(hub, release, wanted.get("make_latest", "true"))
    hub.releases.append(release)
    if release["draft"]:
        release["html_url"] = f"{hub.url}/{hub.repo}/releases/tag/untagged-{number}"
    return Reply(_shown(hub, release), 201)


def change(hub, request: Request, number: str) -> Reply:
    release, wanted = _find(hub, number), request.json()
    was_draft = release["draft"]
    _change(hub, release, wanted)
    _publish(hub, release, wanted.get("make_latest", "true" if was_draft else "as before"))
    return Reply(_shown(hub, release))


def delete(hub, request: Request, number: str) -> Reply:
    hub.releases.remove(_find(hub, number))
    return Reply(status=204)


def show(hub, request: Request, number: str) -> Reply:
    return Reply(_shown(hub, _find(hub, number)))


def latest(hub, request: Request) -> Reply:
    found = _latest(hub)
    if found is None:
        raise Refusal(404, "Not Found")
    return Reply(_shown(hub, found))


def by_tag(hub, request: Request, tag: str) -> Reply:
    found = next((release for release in _published(hub) if release["tag_name"] == tag), None)
    if found is None:
        raise Refusal(404, "Not Found")
    return Reply(_shown(hub, found))


def all_releases(hub, request: Request) -> Reply:
    """List releases; drafts are seen by those alone who may write."""
    writer = request.token.scopes is None or request.token.scopes.get("contents") == "write"
    seen = hub.releases if writer else _published(hub)
    return listing(request, hub.at("releases"), [_shown(hub, release) for release in reversed(seen)])


def upload(hub, request: Request, number: str) -> Reply:
    release, name = _find(hub, number), request.query.get("name", "")
    if any(asset["name"] == name for asset in release["assets"]):
        raise Refusal(422, "Validation Failed", errors=[{"resource": "ReleaseAsset", "code": "already_exists"}])
    if not name or not request.body:
        raise Refusal(422, "Validation Failed", errors=[{"resource": "ReleaseAsset", "field": "size"}])
    asset_id = hub.next_id()
    hub.asset_file(asset_id).write_bytes(request.body)
    digest = f"sha256:{hashlib.sha256(request.body).hexdigest()}"
    page = f"{hub.url}/{hub.repo}/releases/download/{release['tag_name']}/{name}"
    facts = {"id": asset_id, "name": name, "state": "uploaded", "size": len(request.body), "digest": digest}
    links = {"url": hub.at(f"releases/assets/{asset_id}"), "browser_download_url": page}
    release["assets"].append(facts | links | {"content_type": request.headers.get("content-type")})
    return Reply(release["assets"][-1], 201)


def assets(hub, request: Request, number: str) -> Reply:
    return listing(request, hub.at(f"releases/{number}/assets"), _find(hub, number)["assets"])


def asset(hub, request: Request, number: str) -> Reply:
    """Return an asset's facts, or (Accept: application/octet-stream) the way to its bytes."""
    found = next((one for release in hub.releases for one in release["assets"] if one["id"] == int(number)), None)
    if found is None:
        raise Refusal(404, "Not Found")
    if "octet-stream" in request.headers.get("accept", ""):
        return hub.redirect(hub.asset_file(found["id"]))
    return Reply(found)


def delete_asset(hub, request: Request, number: str) -> Reply:
    for release in hub.releases:
        release["assets"] = [one for one in release["assets"] if one["id"] != int(number)]
    return Reply(status=204)


ROUTES = (
    ("POST", r"/releases", create),
    ("GET", r"/releases", all_releases),
    ("GET", r"/releases/latest", latest),
    ("GET", r"/releases/tags/(.+)", by_tag),
    ("GET", r"/releases/(\d+)", show),
    ("PATCH", r"/releases/(\d+)", change),
    ("DELETE", r"/releases/(\d+)", delete),
    ("GET", r"/releases/(\d+)/assets", assets),
    ("POST", r"/releases/(\d+)/assets", upload),
    ("GET", r"/releases/assets/(\d+)", asset),
    ("DELETE", r"/releases/assets/(\d+)", delete_asset),
)
