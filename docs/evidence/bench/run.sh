#!/usr/bin/env bash
# Runs the record operations against this platform and, where PEER names a
# PocketBase binary, against it in turn, so that both see the same machine.
#
#   LOADGEN=path/to/loadgen [PEER=path/to/pocketbase PEER_PROFILE=…] docs/evidence/bench/run.sh OUT.ndjson
#
# LOADGEN is a closed-loop generator that takes -base, -profile, -op, -label,
# -c, -d, -warmup, -n, -ids, -ids-out, -pid and -out and prints one JSON line.
# ROUNDS (3), DUR (8s), CONC (16) and N (100000 records) can be set.
set -euo pipefail
out=$(realpath -m "${1:?give a file for the results}")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
pids=()
cleanup() {
  for p in "${pids[@]}"; do kill "$p" 2>/dev/null && wait "$p" 2>/dev/null || true; done
  rm -rf "$work"
}
trap cleanup EXIT
export BENCH_EMAIL=bench@example.com BENCH_PASSWORD='correct horse battery'
json='Content-Type: application/json'

ready() { for _ in $(seq 100); do curl -sf "$1" >/dev/null && return; sleep 0.05; done; echo "no answer from $1" >&2; exit 1; }
field() { sed "s/.*\"$1\":\"\([^\"]*\)\".*/\1/"; }

# Ours, with every default but the limits of rate.
(cd "$here/../../.." && go build -trimpath -ldflags='-s -w' -o "$work/standalone" ./examples/standalone)
ours=http://127.0.0.1:18491
"$work/standalone" --addr 127.0.0.1:18491 --data "$work/ours" --rate-limit 0 --sign-in-limit 0 --access-log="${ACCESS_LOG:-false}" 2>"$work/ours.log" &
ours_pid=$!; pids+=("$ours_pid")
ready $ours/readyz
token=$(curl -sf $ours/v1/auth/signup -H "$json" \
  -d "{\"email\":\"$BENCH_EMAIL\",\"password\":\"$BENCH_PASSWORD\",\"name\":\"B\",\"organization\":\"B\"}" | field access_token)
curl -sf $ours/v1/data/collections -H "Authorization: Bearer $token" -H "$json" \
  -d '{"name":"bench","indexes":[{"fields":["tag","-when"]}]}' >/dev/null

peer=
if [ -n "${PEER:-}" ]; then
  peer=http://127.0.0.1:18492
  "$PEER" superuser upsert root@example.com "$BENCH_PASSWORD" --dir "$work/peer" >/dev/null
  "$PEER" serve --http 127.0.0.1:18492 --dir "$work/peer" >"$work/peer.log" 2>&1 &
  peer_pid=$!; pids+=("$peer_pid")
  ready $peer/api/health
  root=$(curl -sf $peer/api/collections/_superusers/auth-with-password -H "$json" -d "{\"identity\":\"root@example.com\",\"password\":\"$BENCH_PASSWORD\"}" | field token)
  rule='@request.auth.id != \"\"'
  curl -sf $peer/api/collections -H "Authorization: $root" -H "$json" -d "{\"name\":\"bench\",\"type\":\"base\",
    \"listRule\":\"$rule\",\"viewRule\":\"$rule\",\"createRule\":\"$rule\",\"updateRule\":\"$rule\",\"deleteRule\":\"$rule\",
    \"fields\":[{\"name\":\"title\",\"type\":\"text\"},{\"name\":\"num\",\"type\":\"number\"},{\"name\":\"flag\",\"type\":\"bool\"},
      {\"name\":\"meta\",\"type\":\"json\"},{\"name\":\"when\",\"type\":\"date\"},{\"name\":\"tag\",\"type\":\"text\"},
      {\"name\":\"created\",\"type\":\"autodate\",\"onCreate\":true},{\"name\":\"updated\",\"type\":\"autodate\",\"onCreate\":true,\"onUpdate\":true}],
    \"indexes\":[\"CREATE INDEX idx_bench_tag ON bench (tag)\"]}" >/dev/null
  curl -sf $peer/api/collections/users/records -H "$json" -H "Authorization: $root" \
    -d "{\"email\":\"$BENCH_EMAIL\",\"password\":\"$BENCH_PASSWORD\",\"passwordConfirm\":\"$BENCH_PASSWORD\"}" >/dev/null
fi

run() { # which op label flags…
  local which=$1 op=$2 label=$3; shift 3
  if [ "$which" = ours ]; then
    "$LOADGEN" -base $ours -profile "$here/platform.json" -pid "$ours_pid" -ids "$work/ours.ids" -op "$op" -label "$label" -c "${CONC:-16}" -out "$out" "$@"
  elif [ -n "$peer" ]; then
    "$LOADGEN" -base $peer -profile "$PEER_PROFILE" -pid "$peer_pid" -ids "$work/peer.ids" -op "$op" -label "$label" -c "${CONC:-16}" -out "$out" "$@"
  fi
}
touch "$work/ours.ids" "$work/peer.ids"
for which in ours peer; do
  run $which create seed -d 170s -warmup 0s -n "${N:-100000}" -ids-out "$work/$which.ids"
done
for round in $(seq "${ROUNDS:-3}"); do
  for op in get list create; do
    for which in ours peer; do run $which $op $op -d "${DUR:-8s}" -warmup 2s; done
  done
  run peer list-skiptotal list-skiptotal -d "${DUR:-8s}" -warmup 2s
done
