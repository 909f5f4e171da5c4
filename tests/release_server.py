"""GitHub's releases, tags and runs behind HTTPS on 127.0.0.1, as far as a registry needs them; the real gh asks it."""

from __future__ import annotations

import hashlib
import json
import re
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.github.certificate import make

REPO = "team/model"
TOKEN = "a-token-of-this-test"


class ReleaseServer:
    """What GitHub holds, and ways to disturb it."""

    def __init__(self, folder):
        """Start to serve; `folder` takes the certificate."""
        self.releases: list[dict[str, Any]] = []
        self.latest: int | None = None
        self.newest_is_latest = False  # as long as nobody said which one is
        self.contents: dict[int, bytes] = {}
        self.tags: dict[str, tuple[str, str]] = {}  # name -> (kind, sha)
        self.tag_objects: dict[str, tuple[str, str]] = {}
        self.runs: list[dict[str, Any]] = []
        self.artifacts: dict[int, list[dict[str, Any]]] = {}
        self.log: list[tuple[str, str]] = []
        self.compared: dict[tuple[str, str], str] = {}  # (base, head) -> how head lies to base
        self.status: dict[str, int] = {}  # path below the repository -> status to answer with
        self.gives_hashes = True
        self.finds_drafts_by_tag = False  # GitHub does not; others do, for those who may write
        self.on_request: Callable[[str, str], object] | None = None  # is told method and path first
        self.stop_at: int | None = None  # the change to hold back the answer of
        self.half: bool = False  # ... and whether it is an upload that never arrived whole
        self.changes = 0
        self.reached, self.go_on = threading.Event(), threading.Event()
        self._lock, self._ids = threading.Lock(), iter(range(1, 100_000))
        certificate = make(folder)
        self.authority = certificate.authority
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.server)
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self.host = f"localhost:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def environment(self, home) -> dict[str, str]:
        """Return what makes gh talk to this server."""
        return {
            "GH_HOST": self.host,
            "GH_ENTERPRISE_TOKEN": TOKEN,
            "GH_CONFIG_DIR": str(home),
            "SSL_CERT_FILE": str(self.authority),
            "GITHUB_REPOSITORY": REPO,
            "TEXTGATE_REGISTRY": "github",
        }

    def close(self) -> None:
        """Stop serving."""
        self.go_on.set()
        self._http.shutdown()
        self._http.server_close()

    def add(self, tag: str, *, draft: bool = False, prerelease: bool = False, latest: bool = False) -> dict[str, Any]:
        """Put a release there as if somebody had made it by hand."""
        number = next(self._ids)
        address = f"https://{self.host}/api/uploads/repos/{REPO}/releases/{number}/assets{{?name,label}}"
        made = {"id": number, "tag_name": tag, "draft": draft, "prerelease": prerelease, "upload_url": address}
        self.releases.append(made | {"assets": [], "body": "", "target_commitish": ""})
        self.latest = number if latest else self.latest
        return self.releases[-1]

    def put(self, release: dict[str, Any], name: str, content: bytes) -> dict[str, Any]:
        """Put an asset into a release, in the place of one of its name."""
        release["assets"] = [asset for asset in release["assets"] if asset["name"] != name]
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}" if self.gives_hashes else None
        asset = {"id": next(self._ids), "name": name, "size": len(content), "state": "uploaded", "digest": digest}
        release["assets"].append(asset)
        self.contents[asset["id"]] = content
        return asset

    def asset(self, tag: str, name: str) -> dict[str, Any]:
        """Return an asset as it is kept here."""
        return next(asset for asset in self.release(tag)["assets"] if asset["name"] == name)

    def release(self, tag: str) -> dict[str, Any]:
        """Return the one release of a tag, draft or not, as it is kept here."""
        (found,) = [release for release in self.releases if release["tag_name"] == tag]
        return found

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes) -> tuple[int, Any]:
        """Do what was asked and return status and JSON."""
        self.log.append((method, path))
        if self.on_request:
            self.on_request(method, path)
        if path in self.status:
            return self.status[path], {"message": "as the test wants"}
        with self._lock:
            for wanted, pattern, act in ROUTES:
                if wanted == method and (match := re.fullmatch(pattern, path)):
                    return act(self, query, body, *match.groups())
        return 404, {"message": "Not Found"}

    def hold(self, method: str) -> None:
        """Hold back the answer to one change, until the test lets it go."""
        if method == "GET":
            return
        self.changes += 1
        if self.changes == self.stop_at:
            if self.half:
                self.releases[-1]["assets"][-1].update(state="starter", size=0, digest=None)
            self.reached.set()
            self.go_on.wait(600)

    def _handler(self):
        server = self

        class Handler(BaseHTTPRequestHandler):
            def _serve(self):
                parts = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path = re.sub(rf"^/(api/v3|api/uploads)/repos/{REPO}/?", "", parts.path)
                query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
                if blob := re.fullmatch(r"/blob/(\d+)", parts.path):
                    return self._send(200, server.contents[int(blob[1])])
                if self.headers.get("Authorization") != f"token {TOKEN}":
                    return self._send(401, b'{"message": "Bad credentials"}')
                accept = self.headers.get("Accept", "")
                if (found := re.fullmatch(r"releases/assets/(\d+)", path)) and "octet-stream" in accept:
                    server.answer(self.command, path, query, body)
                    return self._send(302, b"", f"https://{server.host}/blob/{found[1]}")
                status, answer = server.answer(self.command, path, query, body)
                server.hold(self.command)
                return self._send(status, b"" if answer is None else json.dumps(answer).encode())

            def _send(self, status, content, location=None):
                self.send_response(status)
                if location:
                    self.send_header("Location", location)
                self.send_header("Content-Length", str(len(content)))
                self.send_header("Content-Type", "application/json; charset=utf-8")
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815

            def log_message(self, *args):
                pass

        return Handler


def serve(tmp_path_factory, monkeypatch):
    """Start a server, and make it what gh talks to."""
    server = ReleaseServer(tmp_path_factory.mktemp("tls"))
    for name, value in server.environment(tmp_path_factory.mktemp("gh")).items():
        monkeypatch.setenv(name, value)
    for name in ("GH_TOKEN", "GITHUB_TOKEN", "GITHUB_OUTPUT"):
        monkeypatch.delenv(name, raising=False)
    return server


def _page(query, items):
    size, number = int(query.get("per_page", 30)), int(query.get("page", 1))
    return items[(number - 1) * size : number * size]


def _by_id(server, number):
    return next(release for release in server.releases if release["id"] == int(number))


def _latest(server, query, body):
    found = [release for release in server.releases if release["id"] == server.latest]
    if server.newest_is_latest and not found:
        found = [release for release in server.releases[::-1] if not (release["draft"] or release["prerelease"])]
    return (200, found[0]) if found else (404, {"message": "Not Found"})


def _by_tag(server, query, body, tag):
    found = [release for release in server.releases if release["tag_name"] == tag]
    found = [release for release in found if server.finds_drafts_by_tag or not release["draft"]]
    return (200, found[0]) if found else (404, {"message": "Not Found"})


def _create(server, query, body):
    wanted = json.loads(body)
    release = server.add(wanted["tag_name"])
    return 201, _changed(server, release, wanted)


def _change(server, query, body, number):
    return 200, _changed(server, _by_id(server, number), json.loads(body))


def _changed(server, release, wanted):
    release.update({key: value for key, value in wanted.items() if key != "make_latest"})
    if not release["draft"]:
        server.tags.setdefault(release["tag_name"], ("commit", release["target_commitish"]))
        if wanted.get("make_latest", "true") == "true":
            server.latest = release["id"]
        elif server.latest == release["id"] and release["prerelease"]:
            server.latest = None
    return release


def _delete(server, query, body, number):
    server.releases.remove(_by_id(server, number))
    return 204, None


def _upload(server, query, body, number):
    release = _by_id(server, number)
    if query["name"] in {asset["name"] for asset in release["assets"]}:
        return 422, {"message": "Validation Failed", "errors": [{"code": "already_exists"}]}
    return 201, server.put(release, query["name"], body)


def _delete_asset(server, query, body, number):
    for release in server.releases:
        release["assets"] = [asset for asset in release["assets"] if asset["id"] != int(number)]
    return 204, None


def _ref(server, query, body, tag):
    return _target(server.tags.get(tag))


def _tag_object(server, query, body, sha):
    return _target(server.tag_objects.get(sha))


def _target(found):
    if found is None:
        return 404, {"message": "Not Found"}
    return 200, {"object": {"type": found[0], "sha": found[1]}}


def _compare(server, query, body, base, head):
    return 200, {"status": server.compared.get((base, head), "diverged")}


def _runs(server, query, body):
    """Filter as GitHub does, by all but the branch."""
    wanted = {"head_sha": query["head_sha"], "event": query["event"], "conclusion": query["status"]}
    found = [run for run in server.runs if all(run[key] == value for key, value in wanted.items())]
    return 200, {"total_count": len(found), "workflow_runs": _page(query, found)}


def _repository(server, query, body):
    return 200, {"id": 1, "default_branch": "main"}


def _all(server, query, body):
    return 200, _page(query, server.releases)


def _assets(server, query, body, number):
    return 200, _page(query, _by_id(server, number)["assets"])


def _asset(server, query, body, number):
    return 200, {"id": int(number)}


def _tags(server, query, body):
    return 200, _page(query, [{"name": name} for name in server.tags])


def _artifacts(server, query, body, number):
    return 200, {"artifacts": _page(query, server.artifacts.get(int(number), []))}


ROUTES = (
    ("GET", r"", _repository),
    ("GET", r"releases", _all),
    ("POST", r"releases", _create),
    ("GET", r"releases/latest", _latest),
    ("GET", r"releases/tags/(.+)", _by_tag),
    ("GET", r"releases/(\d+)/assets", _assets),
    ("POST", r"releases/(\d+)/assets", _upload),
    ("PATCH", r"releases/(\d+)", _change),
    ("DELETE", r"releases/(\d+)", _delete),
    ("GET", r"releases/assets/(\d+)", _asset),
    ("DELETE", r"releases/assets/(\d+)", _delete_asset),
    ("GET", r"tags", _tags),
    ("GET", r"git/ref/tags/(.+)", _ref),
    ("GET", r"git/tags/(.+)", _tag_object),
    ("GET", r"compare/(\w+)\.\.\.(\w+)", _compare),
    ("GET", r"actions/workflows/ci\.yml/runs", _runs),
    ("GET", r"actions/runs/(\d+)/artifacts", _artifacts),
)
