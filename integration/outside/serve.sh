# Sourced after tools.sh: serve builds the standalone server, starts it on a
# free port with a folder of its own, and signs somebody up. It sets URL, TOKEN (a
# session) and KEY (an API key with every permission), and ends the server with
# the script.
work=$(mktemp -d)
cleanup() {
  [ -z "${server:-}" ] || { kill "$server" 2>/dev/null && wait "$server" || true; }
  rm -rf "$work"
}
trap cleanup EXIT

serve() {
  (cd "$root" && ${GO:-go} build -o "$work/standalone" ./examples/standalone)
  # Limits that a fast tool would meet are out of the way; they have tests of their own.
  "$work/standalone" --addr 127.0.0.1:0 --data "$work/data" --log-format json --access-log=false \
    --rate-limit 0 --sign-in-limit 0 --bad-credential-limit 0 "$@" 2>"$work/log" &
  server=$!
  URL=
  for _ in $(seq 100); do
    URL=$(sed -n 's/.*"msg":"listening","addr":"\([^"]*\)".*/http:\/\/\1/p' "$work/log")
    [ -z "$URL" ] || break
    kill -0 "$server" || { cat "$work/log"; exit 1; }
    sleep 0.1
  done
  curl -sSf "$URL/readyz" >/dev/null
  post() { curl -sSf -H 'Content-Type: application/json' "${@:3}" -d "$2" "$URL$1"; }
  member() { python3 -c "import functools,json,sys; print(functools.reduce(dict.get, sys.argv[1].split('.'), json.load(sys.stdin)))" "$1"; }
  TOKEN=$(post /v1/auth/signup '{"email":"ann@example.com","password":"correct horse battery","name":"Ann","organization":"Acme"}' | member tokens.access_token)
  KEY=$(post /v1/api-keys '{"name":"outside","scopes":["*"]}' -H "Authorization: Bearer $TOKEN" | member key)
  export URL TOKEN KEY
}
