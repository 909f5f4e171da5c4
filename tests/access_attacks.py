"""Tokens that must not be let in, each with the reason that stands in our log."""

import base64
import json
import time

import jwt
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from tests.access_server import ALL, AUDIENCE, EC, ISSUER, LEEWAY, LIFE, OTHER, RSA, claims, published, token

WEAK = rsa.generate_private_key(65537, 1024)
PEM = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


WITH_WEAK = json.dumps({"keys": json.loads(ALL)["keys"] + json.loads(published(("weak", WEAK)))["keys"]})


def coded(value):
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def unsigned(header, **changes):
    return f"{coded(header)}.{coded(claims(**changes))}."


def signed_by_hmac(secret, header):
    text = f"{coded(header)}.{coded(claims())}"
    mac = hmac.HMAC(secret, hashes.SHA256())
    mac.update(text.encode())
    return f"{text}.{coded(mac.finalize())}"


def resigned(whole, part, change):
    """Return a token whose header (0), claims (1) or signature (2) were changed after it was signed."""
    parts = whole.split(".")
    old = {} if part == 2 else json.loads(base64.urlsafe_b64decode(parts[part] + "=="))
    parts[part] = coded(change if part == 2 else old | change)
    return ".".join(parts)


def own_key(kind, value):
    return lambda: token(OTHER, headers={kind: value})


OWN_JWK = json.loads(published(("rsa", OTHER)))["keys"][0]
NOT_OURS = "algorithm is not allowed"
BY_HMAC = {"alg": "HS256", "kid": "rsa"}
DETACHED = {"alg": "RS256", "kid": "rsa", "b64": False, "crit": ["b64"]}
ATTACKS = {
    "expired": ("ExpiredSignatureError", lambda: token(exp=int(time.time()) - LEEWAY - 1)),
    "never ends": ("MissingRequiredClaimError", lambda: token(exp=None)),
    "not yet valid": ("ImmatureSignatureError", lambda: token(nbf=int(time.time()) + LIFE)),
    "issued in the future": ("ImmatureSignatureError", lambda: token(iat=int(time.time()) + LIFE)),
    "no time of issue": ("MissingRequiredClaimError", lambda: token(iat=None)),
    "wrong audience": ("InvalidAudienceError", lambda: token(aud="other")),
    "audience with a longer name": ("InvalidAudienceError", lambda: token(aud=AUDIENCE + "2")),
    "no audience": ("MissingRequiredClaimError", lambda: token(aud=None)),
    "wrong issuer": ("InvalidIssuerError", lambda: token(iss="https://evil.example/")),
    "issuer without its slash": ("InvalidIssuerError", lambda: token(iss=ISSUER.rstrip("/"))),
    "no issuer": ("MissingRequiredClaimError", lambda: token(iss=None)),
    "no subject": ("MissingRequiredClaimError", lambda: token(sub=None)),
    "empty subject": ("subject is not a name", lambda: token(sub="")),
    "subject that breaks a line": ("subject is not a name", lambda: token(sub="ada\nadmin")),
    "subject of a megabyte": ("subject is not a name", lambda: token(sub="a" * 3000)),
    "end that is no number": ("DecodeError", lambda: token(exp="soon")),
    "alg none": ("not a bearer token", lambda: unsigned({"alg": "none", "kid": "rsa"})),
    "alg None": (NOT_OURS, lambda: unsigned({"alg": "None", "kid": "rsa"}) + "AA"),
    "no alg": (NOT_OURS, lambda: unsigned({"kid": "rsa"}) + "AA"),
    "alg as a list": (NOT_OURS, lambda: unsigned({"alg": ["RS256"], "kid": "rsa"}) + "AA"),
    "no signature": ("not a bearer token", lambda: token().rpartition(".")[0] + "."),
    "HS256 with the public key as secret": (NOT_OURS, lambda: signed_by_hmac(PEM, BY_HMAC)),
    "HS256 with the modulus as secret": (NOT_OURS, lambda: signed_by_hmac(OWN_JWK["n"].encode(), BY_HMAC)),
    "algorithm that we do not take": (NOT_OURS, lambda: token(algorithm="RS512")),
    "algorithm of another key": ("unknown kid", lambda: resigned(token(EC, "ES256", "ec"), 0, {"alg": "RS256"})),
    "kid of another key": ("unknown kid", lambda: token(kid="ec")),
    "tampered claims": ("InvalidSignatureError", lambda: resigned(token(), 1, {"scope": "admin predict"})),
    "tampered header": ("InvalidSignatureError", lambda: resigned(token(), 0, {"typ": "at+jwt"})),
    "other key": ("InvalidSignatureError", lambda: token(OTHER)),
    "other curve": ("InvalidSignatureError", lambda: token(ec.generate_private_key(ec.SECP256R1()), "ES256", "ec")),
    "signature of zeros": ("InvalidSignatureError", lambda: resigned(token(EC, "ES256", "ec"), 2, bytes(64))),
    "key too short to trust": ("InvalidKeyError", lambda: token(WEAK, kid="weak")),
    "unknown kid": ("unknown kid", lambda: token(kid="nobody")),
    "no kid": ("unknown kid", lambda: jwt.encode(claims(), RSA, "RS256")),
    "kid as a path": ("unknown kid", lambda: token(kid="../../../../dev/null")),
    "kid as a query": ("unknown kid", lambda: token(kid="rsa' OR '1'='1")),
    "kid as a number": ("InvalidTokenError", lambda: unsigned({"alg": "RS256", "kid": 1}) + "AA"),
    "jku": ("InvalidSignatureError", own_key("jku", "https://evil.example/jwks.json")),
    "x5u": ("InvalidSignatureError", own_key("x5u", "https://evil.example/cert.pem")),
    "jwk": ("InvalidSignatureError", own_key("jwk", OWN_JWK)),
    "x5c": ("InvalidSignatureError", own_key("x5c", ["MIIB"])),
    "crit": ("InvalidTokenError", lambda: token(headers={"crit": ["exp2"], "exp2": 1})),
    "payload that is not in the token": ("DecodeError", lambda: unsigned(DETACHED) + "AA"),
    "token for a logout": ("not an access token", lambda: token(headers={"typ": "logout+jwt"})),
    "bound to a certificate": ("token is bound to its sender", lambda: token(cnf={"x5t#S256": "A"})),
    "nested deeply": ("DecodeError", lambda: f"{coded(b'[' * 3000)}.{coded(b'[' * 1000)}.AA"),
    "not JSON": ("DecodeError", lambda: f"{coded(b'{')}.{coded(b'{')}.AA"),
    "not UTF-8": ("DecodeError", lambda: f"{coded(bytes([255, 254]))}.{coded(bytes([255]))}.AA"),
    "two parts": ("not a bearer token", lambda: "AA.AA"),
    "four parts": ("not a bearer token", lambda: token() + ".AA"),
    "huge": ("token is too long", lambda: token(padding="a" * 9000)),
}  # fmt: skip
