#!/usr/bin/env bash
# Uses session cookies in Debian's Chromium against two built servers.
set -euo pipefail
. "$(dirname "$0")/tools.sh"
chromium=$(command -v chromium || command -v chromium-browser || true)
[ -n "$chromium" ] || lacks "cookies" "Chromium"
command -v npm >/dev/null || lacks "cookies" "Node and npm"
node_tools playwright-core@1.56.1
dir=$(mktemp -d)
servers=()
trap 'kill "${servers[@]}" 2>/dev/null || true; rm -rf "$dir"' EXIT
(cd "$root" && ${GO:-go} build -o "$dir/standalone" ./examples/standalone)
urls=()
for name in one two; do
  "$dir/standalone" serve --addr 127.0.0.1:0 --data "$dir/$name" --public-url "http://localhost/$name" --log-format json --sign-in-limit 0 2>"$dir/$name.log" &
  servers+=($!)
  addr=
  for _ in $(seq 300); do
    addr=$(grep -m1 '"msg":"listening"' "$dir/$name.log" | grep -o '"addr":"[^"]*"' | cut -d'"' -f4) && [ -n "$addr" ] && break
    sleep 0.1
  done
  [ -n "$addr" ] || { cat "$dir/$name.log"; exit 1; }
  urls+=("http://localhost:${addr##*:}")
done
NODE_PATH="$OUTSIDE_TOOLS/node_modules" CHROMIUM="$chromium" node "$here/cookies.cjs" "${urls[@]}"
