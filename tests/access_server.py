"""A small app behind Access on a real socket, tokens signed by real keys, and an issuer that publishes its keys."""

import contextlib
import http.client
import json
import ssl
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Annotated

import jwt
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from fastapi import Depends, FastAPI
from starlette.responses import Response
from tests.github.certificate import make as certificate

from textgate.serve.access.access import Access
from textgate.serve.access.client import Client
from textgate.serve.access.settings import AccessConfig, Jwt
from textgate.serve.problems import MEDIA_TYPE, Problem

RSA = rsa.generate_private_key(65537, 2048)
OTHER = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
ISSUER, AUDIENCE = "https://issuer.example/", "textgate"
LEEWAY, LIFE = 300, 3600  # seconds that even a machine that stands still for a while does not need
OFF = {"clients": {"kind": "off"}, "metrics": "open", "explain": "open", "rate": None}


def config(**changes):
    return AccessConfig.model_validate(OFF | changes)


def jwt_config(jwks, **changes):
    ways = ("RS256", "PS256", "ES256", "EdDSA")
    base = {"kind": "jwt", "issuer": ISSUER, "audience": AUDIENCE, "jwks": str(jwks), "algorithms": ways}
    return Jwt.model_validate(base | {"leeway_seconds": LEEWAY, "refresh_seconds": 600, "keep_seconds": 3600} | changes)


def published(*keys, **changes):
    """Return a key set of (kid, private key)."""
    kinds = {rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm, ec.EllipticCurvePrivateKey: jwt.algorithms.ECAlgorithm}
    entries = []
    for kid, key in keys:
        kind = next((kind for base, kind in kinds.items() if isinstance(key, base)), jwt.algorithms.OKPAlgorithm)
        entries.append(kind.to_jwk(key.public_key(), as_dict=True) | {"kid": kid} | changes)
        entries[-1].pop("key_ops", None)
    return json.dumps({"keys": entries})


ALL = published(("rsa", RSA), ("ec", EC), ("ed", ED))


def claims(**changes):
    now = int(time.time())
    said = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "iat": now, "nbf": now, "exp": now + LIFE, "scope": "predict"}
    return {name: value for name, value in (said | changes).items() if value is not None}


def token(key=RSA, algorithm="RS256", kid="rsa", headers=None, **changes):
    return jwt.encode(claims(**changes), key, algorithm, {"kid": kid} | (headers or {}))


def app(access):
    """Return endpoints as the service has them, that answer with the client's name."""
    made = FastAPI()

    @made.exception_handler(Problem)
    async def problem(request, error):
        return Response(error.body("0"), error.status, error.headers, MEDIA_TYPE)

    for path, scope in (("/predict", "predict"), ("/explain", "explain"), ("/metrics", "admin")):

        async def endpoint(client: Annotated[Client, Depends(access.guard(scope))]):
            return client.name

        made.get(path)(endpoint)
    if router := access.routes():
        made.include_router(router)
    return made


@contextmanager
def serving(made):
    """Serve an app on a free port of this machine; yield the port."""
    server = uvicorn.Server(uvicorn.Config(made, "127.0.0.1", 0, log_config=None, lifespan="off", proxy_headers=False))
    socket = server.config.bind_socket()
    thread = threading.Thread(target=server.run, args=([socket],), daemon=True)
    socket.listen()  # from here on a request waits until the server takes it
    thread.start()
    try:
        yield socket.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(60)


@dataclass(frozen=True)
class Answer:
    """What a client sees."""

    status: int
    headers: dict
    body: str


def ask(port, path="/predict", *headers, method="GET", body=None):
    """Ask with (name, value) headers, of which one may stand there twice."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.putrequest(method, path)
    content = (body or "").encode()
    for name, value in (*headers, ("Content-Length", str(len(content)))):
        connection.putheader(name, value)
    connection.endheaders(content)
    answer = connection.getresponse()
    seen = Answer(answer.status, {k.lower(): v for k, v in answer.getheaders() if k != "date"}, answer.read().decode())
    connection.close()
    return seen


def bearer(value):
    return ("Authorization", f"Bearer {value}")


@dataclass
class Issuer:
    """What the issuer answers (status, headers, body), and how often it was asked."""

    url: str = ""
    status: int = 200
    headers: dict = field(default_factory=dict)
    body: bytes = ALL.encode()
    asked: int = 0
    drip: threading.Event | None = None  # one byte, and the rest when somebody lets it go
    reached: threading.Event = field(default_factory=threading.Event)  # that byte is on its way


@contextmanager
def issuing(folder, monkeypatch):
    """Serve a key set over HTTPS with an authority of its own, that this process trusts; yield the Issuer."""
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            content = issuer.body
            issuer.asked += 1
            self.send_response(issuer.status)
            for name, value in issuer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if issuer.drip:
                self.wfile.write(content[:1])
                content = content[1:]
                issuer.reached.set()
                issuer.drip.wait(60)
            with contextlib.suppress(OSError):  # whoever has read enough has gone
                self.wfile.write(content)

        def log_message(self, *_):
            """Say nothing."""

        def log_error(self, *_):
            """Say nothing."""

    made = certificate(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.server)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("SSL_CERT_FILE", str(made.authority))
    issuer.url = f"https://localhost:{server.server_port}/jwks.json"
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def behind(**changes):
    """Serve the small app behind Access; yield the port."""
    with serving(app(Access(config(**changes)))) as port:
        yield port
