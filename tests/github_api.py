"""A small GitHub on 127.0.0.1, over TLS, that answers what a test told it to and keeps what it was asked."""

import contextlib
import http.server
import json
import os
import ssl
import subprocess
import threading
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

REPO = "octo/gate"
SHA = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    query: dict
    headers: dict
    body: bytes


@dataclass
class Reply:
    """One answer; `send` bytes are what really goes out, if the body is to be cut short."""

    status: int = 200
    body: bytes = b""
    headers: dict = field(default_factory=dict)
    promised: int | None = None


def json_reply(value, status=200, **headers):
    kind = {"Content-Type": "application/json; charset=utf-8"}
    return Reply(
        status, json.dumps(value).encode(), kind | {name.replace("_", "-"): text for name, text in headers.items()}
    )


class Api:
    """Answers by method and path below repos/octo/gate."""

    def __init__(self):
        """Start without any answers: everything is 404."""
        self.asked = []
        self.replies = {}
        self.host = ""

    def reply(self, path, *replies, method="GET"):
        """Answer with one reply after the other, and then with the last again and again."""
        self.replies[(method, path)] = list(replies)

    def lists(self, path, items, key=None):
        """Answer with pages of a list, as GitHub does."""
        self.replies[("GET", path)] = (items, key)

    def answer(self, asked):
        """Return the reply to a request."""
        path = asked.path.removeprefix("/api/v3/").removeprefix(f"repos/{REPO}").removeprefix("/")
        there = self.replies.get((asked.method, path))
        if there is None:
            return json_reply({"message": "Not Found"}, 404)
        if isinstance(there, list):
            return there.pop(0) if len(there) > 1 else there[0]
        items, key = there
        size, number = int(asked.query.get("per_page", 30)), int(asked.query.get("page", 1))
        page = items[(number - 1) * size : number * size]
        link = {"Link": f'<https://{self.host}/next>; rel="next"'} if number * size < len(items) else {}
        return json_reply({"total_count": len(items), key: page} if key else page, 200, **link)


def certificate(folder):
    """Make a key and a certificate for localhost and 127.0.0.1."""
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    command += ["-subj", "/CN=localhost", "-addext", names, "-keyout", "key.pem", "-out", "ca.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def handler(api):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            url, length = urlsplit(self.path), int(self.headers.get("Content-Length") or 0)
            asked = Asked(
                self.command, url.path, dict(parse_qsl(url.query)), dict(self.headers), self.rfile.read(length)
            )
            api.asked.append(asked)
            reply = api.answer(asked)
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.status != 204:
                self.send_header("Content-Length", str(reply.promised or len(reply.body)))
            self.end_headers()
            with contextlib.suppress(OSError):  # whoever asked has seen enough
                self.wfile.write(reply.body)
            self.close_connection = reply.promised is not None

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 - their names are given

        def log_message(self, *arguments):
            """Stay quiet."""

    return Handler


@contextlib.contextmanager
def served(folder):
    """Serve a small GitHub, with the certificate in a folder, for as long as the block runs."""
    api = Api()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(api))
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    api.host = f"localhost:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()


def environment(api, folder):
    """Return what makes gh talk to it."""
    return {
        "GH_HOST": api.host,
        "GH_ENTERPRISE_TOKEN": "secret-of-the-test",
        "GH_CONFIG_DIR": str(folder / "gh"),
        "SSL_CERT_FILE": str(folder / "ca.pem"),
        "GITHUB_REPOSITORY": REPO,
        "GITHUB_SERVER_URL": f"https://{api.host}",
        "PATH": os.environ["PATH"],
    }
