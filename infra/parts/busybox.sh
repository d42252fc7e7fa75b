#!/usr/bin/env bash
# A static busybox: shell and wget of the containers in the tests and the demonstration, since nothing can be pulled.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

works() { [ "$("$PARTS/bin/busybox" echo yes 2>/dev/null)" = yes ]; }

if works; then exit 0; fi
say "busybox: unpacking Debian's busybox-static"
root=$(scratch)
trap 'rm -rf "$root"' EXIT
apt_unpack busybox-static "$root" && put "$root/bin/busybox" "$PARTS/bin/busybox" && works || could_not \
    busybox "Debian's busybox-static could not be downloaded" "put a static busybox at $PARTS/bin/busybox"
