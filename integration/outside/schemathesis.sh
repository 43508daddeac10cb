#!/usr/bin/env bash
# Calls every operation of the built server with what its description allows and
# with what it does not. Its arguments go to schemathesis, such as
# --max-examples 100 or --seed.
set -euo pipefail
. "$(dirname "$0")/tools.sh"
command -v python3 >/dev/null || lacks "schemathesis" "Python"
python_tools schemathesis==4.32.5
. "$here/serve.sh"
serve
cp "$here/schemathesis.toml" "$here/hooks.py" "$work" # it writes beside its config
cd "$work"
code=0
# The stream of the inbox has no end that could be waited for.
"$OUTSIDE_TOOLS/venv/bin/schemathesis" --config-file schemathesis.toml run "$URL/openapi.json" \
  --exclude-operation-id notify.inbox.stream --phases examples,coverage,fuzzing --workers 2 \
  --request-timeout 30 --continue-on-failure --report-dir "$work/report" "$@" || code=$?
if grep '"level":"ERROR"' "$work/log"; then
  echo "the server logged errors" >&2
  code=1
fi
exit $code
