#!/usr/bin/env bash
# Verifies access tokens of each signing algorithm as a service of somebody else
# would: with jose of npm and joserfc of PyPI, by the key set that the built server
# publishes. A token of another algorithm, type, issuer or time, and a changed one,
# must be refused.
set -euo pipefail
. "$(dirname "$0")/tools.sh"
command -v npm >/dev/null || lacks "tokens" "Node and npm"
command -v python3 >/dev/null || lacks "tokens" "Python"
node_tools jose@6.2.17
python_tools joserfc==1.8.0
. "$here/serve.sh"
for ALG in EdDSA ES256 RS256; do
  export ALG ISSUER=https://api.example.com
  serve --signing-algorithm "$ALG" --public-url "$ISSUER" --data "$work/$ALG"
  cp "$here/tokens.mjs" "$OUTSIDE_TOOLS/tokens.mjs" # where its modules are found
  node "$OUTSIDE_TOOLS/tokens.mjs"
  "$OUTSIDE_TOOLS/venv/bin/python" "$here/tokens.py"
  kill "$server" && wait "$server" || true
  server=
done
