#!/usr/bin/env bash
# `.venv` in this checkout, with this project in it (editable) and the tools that work on it.
#
#   install.sh            the versions in constraints.txt: a release of somebody else's breaks nothing here overnight
#   install.sh upgrade    the newest that pyproject.toml allows, written back to constraints.txt
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PYTHON=${PYTHON:-python3}
# Whoever set this wanted no bytecode of their own; here it would make every start of the command slower.
unset PYTHONDONTWRITEBYTECODE

fail() {
    printf 'install: %s\n' "$*" >&2
    exit 1
}

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    fail "$PYTHON is not Python 3.11 or newer; name one with \`make install PYTHON=/path/to/python3\`"

if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    rm -rf .venv
    if ! "$PYTHON" -c 'import ensurepip' 2>/dev/null; then
        # Debian ships Python without the part that makes environments.
        { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; } ||
            fail "$PYTHON cannot make environments: install the package python3-venv"
        echo "install: apt: installing python3-venv"
        export DEBIAN_FRONTEND=noninteractive
        apt-get -qq -y --no-install-recommends install python3-venv >/dev/null 2>&1 ||
            { apt-get -qq update && apt-get -qq -y --no-install-recommends install python3-venv >/dev/null; }
    fi
    "$PYTHON" -m venv .venv
fi

pip() { .venv/bin/python -m pip --quiet --disable-pip-version-check "$@"; }
pip install --upgrade 'pip>=25.1' # the first that knows dependency groups
if [ "${1:-}" = upgrade ]; then
    pip install --compile --upgrade --upgrade-strategy eager --editable '.[aws]' --group dev
    # Not with --quiet: it would take the list away too, and nothing would be fixed.
    { grep '^#' infra/constraints.txt; .venv/bin/python -m pip --disable-pip-version-check list --format freeze --exclude pip --exclude setuptools --exclude-editable; } >.venv/constraints.txt
    mv .venv/constraints.txt infra/constraints.txt
else
    pip install --compile --editable '.[aws]' --group dev --constraint infra/constraints.txt
fi
.venv/bin/python -m compileall -q reconciler drivers state
touch .venv/.installed
