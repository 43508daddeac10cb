"""What schemathesis must know of the media types that are text to it."""

import json
import os
import urllib.request

import schemathesis


def text(ctx, value):
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", errors="surrogatepass")
    return b"\xff"  # a value that is no text is none in these formats either


schemathesis.serializer("application/x-ndjson", "application/ndjson", "application/jsonl", "text/csv")(text)


@schemathesis.auth(refresh_interval=2)
class Session:
    """Signs in anew all the time, since operations end sessions and revoke keys."""

    def get(self, case, ctx):
        body = json.dumps({"email": "ann@example.com", "password": "correct horse battery"}).encode()
        request = urllib.request.Request(
            os.environ["URL"] + "/v1/auth/login", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)["access_token"]

    def set(self, case, data, ctx):
        case.headers["Authorization"] = "Bearer " + data
