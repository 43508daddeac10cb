#!/usr/bin/env bash
# Runs the tour of README.md as it stands there against a server of its own,
# and fails if a command does or if an answer is not what the tour promises. Its
# arguments are flags of the server.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
cleanup() {
  [ -z "${pid:-}" ] || { kill "$pid" 2>/dev/null && wait "$pid" || true; }
  rm -rf "$work"
}
trap cleanup EXIT
go build -o "$work/standalone" ./examples/standalone
"$work/standalone" --addr 127.0.0.1:0 --data "$work/data" --log-format json "$@" 2>"$work/log" &
pid=$!
for _ in $(seq 100); do
  addr=$(sed -n 's/.*"msg":"listening","addr":"\([^"]*\)".*/\1/p' "$work/log")
  [ -z "$addr" ] || break
  kill -0 "$pid" || { cat "$work/log"; exit 1; }
  sleep 0.1
done
curl -sSf "http://$addr/readyz" >/dev/null

# The commands between the two marks, with the server's own address.
sed -n '/^<!-- tour -->/,/^<!-- \/tour -->/p' README.md | sed '/^<!--/d; /^```/d' |
  sed "s|^API=.*|API=http://$addr|" >"$work/tour"
bash -eu -o pipefail "$work/tour" >"$work/out"
cat "$work/out"

promised() {
  grep -qF "$1" "$work/out" || { echo "tour: the answers lack $1" >&2; exit 1; }
}
promised '"imported":4'
promised '"title":"City Lights"'
promised 'nosferatu'
promised '"accepted":2'
promised '2026-02-01T00:00:00+01:00'
promised '"unread":1'
promised '"key":null,"count":2'
promised '"status":403'
echo "tour: as written"
