"""The part of GitHub's API that keeps a repository's settings, over HTTPS on this machine, with GitHub's own shapes."""

import base64
import json
import re
import ssl
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from tests.github.certificate import make

SELECTED, APPROVAL = "actions/permissions/selected-actions", "actions/permissions/fork-pr-contributor-approval"
REPOSITORY = {
    "private": False, "default_branch": "trunk", "permissions": {"admin": True},
    "allow_squash_merge": True, "allow_merge_commit": True, "allow_rebase_merge": True,
    "allow_update_branch": False, "delete_branch_on_merge": False,
}  # fmt: skip
PEOPLE = {"ada": (7, "write"), "grace": (8, "admin"), "eve": (9, "none")}
TEAMS = [{"slug": "Reviewers", "id": 70}]


@dataclass
class Settings:
    """What is kept (path -> JSON), what was asked, and what is to be answered instead (method path -> status)."""

    kept: dict = field(default_factory=dict)
    asked: list = field(default_factory=list)
    refused: dict = field(default_factory=dict)
    deaf: set = field(default_factory=set)  # writes to these are answered well and forgotten
    owners: str = "* @ada\n"
    owner_errors: list = field(default_factory=list)
    number: int = 100

    def __post_init__(self):
        """Start as a new public repository does."""
        self.kept |= {
            "": dict(REPOSITORY),
            "actions/permissions": {"enabled": True, "allowed_actions": "all", "sha_pinning_required": False},
            "actions/permissions/workflow": {
                "default_workflow_permissions": "write", "can_approve_pull_request_reviews": True,
            },
            APPROVAL: {"approval_policy": "first_time_contributors"},
            "actions/permissions/fork-pr-workflows-private-repos": {
                "run_workflows_from_fork_pull_requests": True, "send_write_tokens_to_workflows": True,
                "send_secrets_and_variables": False, "require_approval_for_fork_pr_workflows": False,
            },
            "private-vulnerability-reporting": {"enabled": False},
            "labels/bug": {"name": "bug", "color": "ffffff", "description": "old"},
        }  # fmt: skip

    def next(self):
        """Return a number that nothing else has."""
        self.number += 1
        return self.number

    def answer(self, method, path, body):
        """Return (status, JSON)."""
        if found := self.refused.get(f"{method} {path}"):
            return found
        if method == "GET":
            return self.get(path)
        if path in self.deaf:
            return 200, {}
        return self.write(method, path, body)

    def get(self, path):
        """Return (status, JSON) of a GET."""
        if path == SELECTED and self.kept["actions/permissions"]["allowed_actions"] != "selected":
            return 409, {"message": "Conflict"}
        if found := re.fullmatch("collaborators/(.+)/permission", path):
            number, permission = PEOPLE.get(found[1], (0, "none"))
            found = {"permission": permission, "user": {"id": number}} if number else None
        elif path == "rulesets":
            rulesets = [value for key, value in self.kept.items() if key.startswith("rulesets/")]
            found = [{key: value for key, value in each.items() if key != "rules"} for each in rulesets]
        elif path.endswith("/deployment-branch-policies"):
            found = {"branch_policies": list(self.policies(path).values())}
        else:
            content = base64.encodebytes(self.owners.encode()).decode()
            fixed = {"contents/.github/CODEOWNERS": {"content": content}, "teams": TEAMS}
            found = (fixed | {"codeowners/errors": {"errors": self.owner_errors}} | self.kept).get(path)
        return (404, {"message": "Not Found"}) if found is None else (200, found)

    def policies(self, path):
        """Return what is kept below a path."""
        return {key: value for key, value in self.kept.items() if key.startswith(f"{path}/")}

    def write(self, method, path, body):
        """Keep or delete something; return (status, JSON)."""
        if method == "DELETE":
            del self.kept[path]
            return 204, None
        if re.fullmatch(r"environments/[^/]+", path):
            self.kept[path] = environment(body)
            return 200, self.kept[path]
        if path == "private-vulnerability-reporting":
            self.kept[path] = {"enabled": True}
            return 204, None
        if method == "POST":
            return self.add(path, body | {"id": self.next()})
        if path not in self.kept and path != SELECTED:
            return 404, {"message": "Not Found"}
        body = ruleset(body) if path.startswith("rulesets/") else body
        self.kept[path] = body if method == "PUT" and path != "" else self.kept[path] | body
        if path.startswith("rulesets/"):
            self.kept[path]["id"] = int(path.rpartition("/")[2])
        return 200, {}

    def add(self, path, body):
        """Keep something new under its number or name; return (status, JSON)."""
        numbered = path == "rulesets" or path.endswith("policies")
        new = f"{path}/{body['id'] if numbered else body['name']}"
        if new in self.kept:
            return 422, {"message": "Validation Failed: already_exists"}
        self.kept[new] = ruleset(body) if path == "rulesets" else body
        return 201, body


def environment(body):
    """Return what GitHub answers about an environment that was PUT."""
    names = {number: name for name, (number, _) in PEOPLE.items()} | {team["id"]: team["slug"] for team in TEAMS}
    key = {"User": "login", "Team": "slug"}
    asked = [{"type": one["type"], "reviewer": {key[one["type"]]: names[one["id"]]}} for one in body["reviewers"]]
    rules = [{"type": "wait_timer", "wait_timer": body["wait_timer"]}] if body.get("wait_timer") else []
    review = {
        "type": "required_reviewers",
        "prevent_self_review": body.get("prevent_self_review", False),
        "reviewers": asked,
    }
    policy = body["deployment_branch_policy"]
    rules += ([review] if asked else []) + ([{"type": "branch_policy"}] if policy else [])
    return {"protection_rules": rules, "deployment_branch_policy": policy}


def ruleset(body):
    """Return what GitHub keeps of a ruleset: rules without parameters have none, others get more than was sent."""
    rules = [
        rule | {"parameters": rule["parameters"] | {"of_github": []}} if "parameters" in rule else rule
        for rule in body["rules"]
    ]
    return body | {"rules": rules, "source": "acme/texts"}


@contextmanager
def serving(folder, settings):
    """Serve the settings of acme/texts; yield the environment in which `gh` finds them."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def reply(self):
            path = unquote(self.path.partition("?")[0]).removeprefix("/api/v3/repos/acme/texts").strip("/")
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            settings.asked.append((self.command, path))
            status, said = settings.answer(self.command, path, json.loads(sent) if sent else None)
            content = b"" if said is None else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = reply  # noqa: N815 - names of the base class

        def log_message(self, *_):
            """Say nothing."""

    certificate = make(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.server)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host = f"localhost:{server.server_port}"
    try:
        yield {
            "GH_HOST": host,
            "GH_ENTERPRISE_TOKEN": "t",
            "SSL_CERT_FILE": str(certificate.authority),
            "GH_CONFIG_DIR": str(folder),
        }
    finally:
        server.shutdown()
        server.server_close()
