"""Verifies a token with joserfc, as tokens.sh says."""
import base64
import json
import os
import urllib.request

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

base, token, alg, issuer = (os.environ[name] for name in ("URL", "TOKEN", "ALG", "ISSUER"))
with urllib.request.urlopen(base + "/.well-known/jwks.json") as answer:
    keys = KeySet.import_key_set(json.load(answer))


def verify(text, algorithms=(alg,), now=None, **claims):
    got = jwt.decode(text, keys, algorithms=list(algorithms))
    want = {"iss": issuer, "aud": issuer} | claims
    rules = {name: {"essential": True, "value": value} for name, value in want.items()}
    jwt.JWTClaimsRegistry(now=now, exp={"essential": True}, nbf={"essential": True}, **rules).validate(got.claims)
    assert got.header["typ"] == "at+jwt" and got.header["alg"] == alg, got.header
    return got.claims


claims = verify(token)
assert claims["sub"].startswith("usr_") and claims["org"].startswith("org_"), claims

head, body, signature = token.split(".")
changed = base64.urlsafe_b64encode(json.dumps(claims | {"sub": "usr_other"}).encode()).rstrip(b"=").decode()
for name, text, more in [
    ("a changed body", f"{head}.{changed}.{signature}", {}),
    ("no signature", f"{head}.{body}.", {}),
    ("another issuer", token, {"iss": "https://evil.example"}),
    ("another audience", token, {"aud": "https://other.example"}),
    ("another algorithm", token, {"algorithms": ["EdDSA" if alg == "ES256" else "ES256"]}),
    ("a time after its end", token, {"now": claims["exp"] + 1}),
]:
    try:
        verify(text, **more)
    except (JoseError, ValueError):
        continue
    raise SystemExit(f"joserfc: {name} is taken")
print(f"joserfc: {alg} verified, kid {jwt.decode(token, keys, algorithms=[alg]).header['kid']}")
