#!/usr/bin/env bash
# Drives Chromium against the built server: what browser-*.mjs say. Each of them
# gets the URL of a server of its own, under which the browser reaches it.
set -euo pipefail
. "$(dirname "$0")/tools.sh"
command -v npm >/dev/null || lacks "browser" "Node and npm"
CHROMIUM=${CHROMIUM:-$(command -v chromium || true)}
[ -n "$CHROMIUM" ] || lacks "browser" "Chromium"
node_tools playwright-core@1.56.1
. "$here/serve.sh"
export CHROMIUM NODE_PATH="$OUTSIDE_TOOLS/node_modules"
for script in "$here"/browser-*.mjs; do
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  serve --addr "127.0.0.1:$port" --public-url "http://localhost:$port"
  ORIGIN="http://localhost:$port" node "$script"
  kill "$server" && wait "$server" || true
  server=
  rm -rf "$work/data"
done
