#!/usr/bin/env bash
# Every real part the tests and the demonstration use, one after the other. A part that cannot be had is named, with
# what helps, and does not stop the others: its tests then skip, and `make test` says so.
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1

missing=0
for part in docker-engine docker-registry busybox docker-compose smollm2 llama-server; do
    started=$SECONDS
    if bash "./$part.sh"; then
        [ $((SECONDS - started)) -lt 2 ] || printf '  %s: here, after %d s\n' "$part" $((SECONDS - started))
    else
        missing=$((missing + 1))
    fi
done
if [ "$missing" = 0 ]; then echo "parts: all six are here"; else echo "parts: $missing of 6 could not be had, see above"; fi
