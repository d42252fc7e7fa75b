#!/usr/bin/env bash
# The real OCI registry server, unpacked from Debian's package: no service is installed or started.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

works() { "$PARTS/bin/docker-registry" --version >/dev/null 2>&1; }

if works; then exit 0; fi
say "docker-registry: unpacking Debian's package"
root=$(scratch)
trap 'rm -rf "$root"' EXIT
apt_unpack docker-registry "$root" && put "$root/usr/bin/docker-registry" "$PARTS/bin/docker-registry" && works || could_not \
    docker-registry "Debian's package could not be downloaded" "set RECONCILE_TEST_REGISTRY to a registry binary"
