#!/usr/bin/env bash
# Lints the OpenAPI document of the standalone server with Redocly and Spectral.
set -euo pipefail
. "$(dirname "$0")/tools.sh"
command -v npm >/dev/null || lacks "openapi-lint" "Node and npm"
node_tools @redocly/cli@2.77.0 @stoplight/spectral-cli@6.16.3
document=$(mktemp -d)/openapi.json
trap 'rm -rf "$(dirname "$document")"' EXIT
(cd "$root" && ${GO:-go} run ./examples/standalone openapi) >"$document"
cd "$root"
REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true "$OUTSIDE_TOOLS/node_modules/.bin/redocly" lint --config .redocly.yaml "$document"
"$OUTSIDE_TOOLS/node_modules/.bin/spectral" lint --ruleset .spectral.yaml --fail-severity hint "$document"
