"""The door of the local GitHub: TLS, tokens, permissions, faults on demand; then a route of ours or the emulator."""

import json
import re
import ssl
import threading
import traceback
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from tests.github import actions_api, git_api, pulls_api, releases_api, settings_api
from tests.github.emulator import OWNER, REPOSITORY, token_of
from tests.github.exchange import WRITES, Refusal, Reply, Request, Token

HOME = f"/repos/{OWNER}/{REPOSITORY}"
PREFIXES = ("/api/v3", "/api/uploads")
MOST_CHARACTERS = 65_536
ROUTES = (*actions_api.ROUTES, *pulls_api.ROUTES, *releases_api.ROUTES, *settings_api.ROUTES, *git_api.ROUTES)
COMMENT = r"/issues/(\d+/comments|comments/\d+)"


@dataclass
class Fault:
    """An answer to give instead of the true one, a number of times after `left` true ones; status 0: no answer."""

    method: str
    path: str
    status: int
    times: int
    headers: dict[str, str] = field(default_factory=dict)
    message: str = "Server Error"
    left: int = 0


@dataclass
class Hold:
    """Does not answer the call before which `left` others of its kind were answered; the hub's end lets it go.

    As a `then` of the runner it waits until that call has come, and has the run cancelled.
    """

    method: str
    path: str
    left: int
    reached: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def __call__(self) -> None:
        """Wait for the call; AssertionError if it does not come."""
        assert self.reached.wait(200), f"{self.method} {self.path} was not called often enough"

    def meet(self, method: str, path: str) -> None:
        """Wait here if this is the call; raise Refusal when that is over."""
        if method != self.method or not re.search(self.path, path):
            return
        self.left -= 1
        if self.left == -1:
            self.reached.set()
            self.ended.wait()
            raise Refusal(503, "held back")


class Door(ThreadingHTTPServer):
    """Listens on a free port of 127.0.0.1 with a certificate for localhost."""

    daemon_threads = True

    def __init__(self, hub, certificate: Path) -> None:
        """Take a port; `start` answers on it."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub, self.faults, self.holds, self.seen, self.lock = hub, [], [], [], threading.RLock()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def start(self) -> None:
        """Answer from now on, in a thread."""
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def handle_error(self, request, client_address) -> None:
        """Clients that hang up are no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_words) -> None:
        """Be quiet: `Door.seen` keeps what was asked."""

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        parts = urlsplit(self.path)
        path = next((parts.path.removeprefix(start) for start in PREFIXES if parts.path.startswith(start)), parts.path)
        self.server.seen.append((self.command, path))
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        try:
            reply = self._reply(path, query, headers, body)
        except Refusal as refusal:
            reply = Reply(refusal.body, refusal.status)
        except Exception as error:  # noqa: BLE001  a mistake of ours is said, not taken for a broken network
            reply = Reply(
                {"message": f"{type(error).__name__} in the local GitHub", "trace": traceback.format_exc()}, 500
            )
        if not reply.status:
            self.close_connection = True
            return
        content = reply.content()
        self.send_response(reply.status)
        kind = {"Content-Type": "application/json; charset=utf-8"} | reply.headers
        for name, value in (kind | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815

    def _reply(self, path: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> Reply:
        hub, door = self.server.hub, self.server
        for fault in door.faults:
            if fault.times and fault.method in ("*", self.command) and re.search(fault.path, path):
                if fault.left:
                    fault.left -= 1
                    continue
                fault.times -= 1
                return Reply({"message": fault.message, "status": str(fault.status)}, fault.status, fault.headers)
        for hold in door.holds:
            hold.meet(self.command, path)
        if path.startswith("/_bytes/"):
            return Reply(hub.stored(path), headers={"Content-Type": "application/octet-stream"})
        token = hub.tokens.get(re.sub(r"^(Bearer|token)\s+", "", headers.get("authorization", ""), flags=re.IGNORECASE))
        if token is None:
            raise Refusal(401, "Bad credentials")
        request = Request(self.command, path, query, headers, body, token)
        if path.startswith(f"{HOME}/") or path == HOME:
            token.check(self.command, path.removeprefix(HOME))
            for method, pattern, route in ROUTES:
                found = re.fullmatch(pattern, path.removeprefix(HOME))
                if found and re.fullmatch(method, self.command):
                    with door.lock:
                        return route(hub, request, *found.groups())
        return _forward(hub, request, urlsplit(self.path).query)


def _forward(hub, request: Request, query: str) -> Reply:
    """Ask the emulator as the user whom the token belongs to."""
    if request.method in WRITES and re.fullmatch(COMMENT, request.path.removeprefix(HOME)) and request.body:
        text = request.json().get("body")
        if not isinstance(text, str) or not text.strip() or len(text) > MOST_CHARACTERS:
            why = f"body is too long (maximum is {MOST_CHARACTERS} characters)" if text else "body can't be blank"
            errors = [{"resource": "IssueComment", "code": "custom", "field": "body", "message": why}]
            raise Refusal(422, "Validation Failed", errors=errors)
    status, headers, body = ask_emulator(hub, request.method, f"{request.path}?{query}", request.body, request.token)
    links = {"Link": headers["Link"].replace(hub.emulator.url, f"{hub.url}/api/v3")} if headers.get("Link") else {}
    if not body:
        return Reply(None, status, links)
    value = json.loads(body)
    if status >= 400:
        raise Refusal(status, value.get("message", "Not Found"))
    return Reply(pulls_api.overlay(hub, value), status, links)


def ask_emulator(hub, method: str, path: str, body: bytes, token: Token) -> tuple[int, dict, bytes]:
    """Return status, headers and body of the emulator's answer."""
    headers = {"Authorization": f"token {token_of(token.login)}", "Content-Type": "application/json"}
    asked = urllib.request.Request(f"{hub.emulator.url}{path}", body or None, headers, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=300) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()
