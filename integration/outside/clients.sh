#!/usr/bin/env bash
# Generates a client in TypeScript, one in Go and one in Python from the document
# of the built server, and does with each what client.* says.
set -euo pipefail
. "$(dirname "$0")/tools.sh"
command -v npm >/dev/null || lacks "clients" "Node and npm"
command -v python3 >/dev/null || lacks "clients" "Python"
command -v java >/dev/null || lacks "clients" "Java"
node_tools openapi-typescript@7.13.0 openapi-fetch@0.15.0 typescript@5.9.3 @types/node@20.19.25
python_tools openapi-generator-cli==7.15.0 pydantic==2.12.5 urllib3==2.6.0 python-dateutil==2.9.0.post0 typing-extensions==4.16.0 lazy-imports==1.0.1
. "$here/serve.sh"
serve
curl -sSf "$URL/openapi.json" >"$work/openapi.json"
cd "$work"

mkdir ts && cp "$here/client.ts" ts/ && ln -s "$OUTSIDE_TOOLS/node_modules" ts/node_modules
echo '{"type":"module"}' >ts/package.json
ts/node_modules/.bin/openapi-typescript openapi.json --output ts/schema.d.ts >/dev/null
(cd ts && node_modules/.bin/tsc --strict --target es2022 --module nodenext --types node client.ts && node client.js)

mkdir -p go/client && cp "$here/client.go.txt" go/main.go
printf 'module clients\n\ngo 1.26.0\n\nrequire github.com/oapi-codegen/runtime v1.9.0\n' >go/go.mod
export GOFLAGS=-mod=mod
${GO:-go} run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -generate types,client -package client -o go/client/client.go openapi.json
(cd go && ${GO:-go} mod tidy 2>/dev/null && ${GO:-go} vet ./... && ${GO:-go} run .)

"$OUTSIDE_TOOLS/venv/bin/openapi-generator-cli" generate -i openapi.json -g python -o python --package-name platform_client >generate.log ||
  { cat generate.log; exit 1; }
PYTHONPATH=python "$OUTSIDE_TOOLS/venv/bin/python" "$here/client.py"
