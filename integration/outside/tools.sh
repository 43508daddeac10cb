# Sourced by the scripts beside it: tools of pinned versions, kept outside of the
# repository in $OUTSIDE_TOOLS.
OUTSIDE_TOOLS=${OUTSIDE_TOOLS:-${TMPDIR:-/tmp}/platform-outside-tools}
mkdir -p "$OUTSIDE_TOOLS"
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
here=$root/integration/outside

# lacks says what is missing and ends the script without an error.
lacks() {
  echo "$1: left out, it needs $2"
  exit 0
}

# node_tools installs npm packages, without running scripts of theirs.
node_tools() {
  (cd "$OUTSIDE_TOOLS" && { [ -f package.json ] || echo '{"private":true}' >package.json; } &&
    npm install --silent --no-audit --no-fund --ignore-scripts "$@" >&2)
}

# python_tools installs PyPI packages.
python_tools() {
  [ -x "$OUTSIDE_TOOLS/venv/bin/pip" ] || python3 -m venv "$OUTSIDE_TOOLS/venv"
  "$OUTSIDE_TOOLS/venv/bin/pip" install --quiet --disable-pip-version-check "$@"
}
