# What the scripts beside this file share: where things go, how to say what happens, how to put a file in place at once.
# Sourced, not run.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
PARTS=${RECONCILE_PARTS:-$ROOT/.parts}
PYTHON=${PYTHON:-$ROOT/.venv/bin/python}
mkdir -p "$PARTS/bin" "$PARTS/models"

say() { printf '  %s\n' "$*"; }

# could_not PART REASON REMEDY: a part that cannot be had is said in one place and in one form.
could_not() {
    printf '  %s: could not be had: %s\n    what helps: %s\n' "$1" "$2" "$3" >&2
    exit 1
}

is_root() { [ "$(id -u)" = 0 ]; }

# scratch: a folder beside the parts, so that moving out of it is a rename and never a half-copied file.
scratch() {
    mkdir -p "$PARTS/scratch"
    mktemp -d "$PARTS/scratch/XXXXXX"
}

# put SOURCE DESTINATION: a file is the old or the new one at every moment. A folder cannot be renamed over another, so
# an old one is moved aside first and stays whole for whoever has its files open.
put() {
    if [ -d "$2" ] && [ ! -L "$2" ]; then mv -T "$2" "$(scratch)/old"; fi
    mv -fT "$1" "$2"
}

# apt_install PACKAGE…: what is there already is left alone; lists are fetched only when the first try fails.
apt_install() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return 0
    is_root || { printf '  not root, so apt cannot install: %s\n' "${missing[*]}" >&2; return 1; }
    command -v apt-get >/dev/null || { printf '  no apt-get here for: %s\n' "${missing[*]}" >&2; return 1; }
    say "apt: installing ${missing[*]}"
    quiet_apt install "${missing[@]}" 2>/dev/null || { quiet_apt update && quiet_apt install "${missing[@]}"; }
}

quiet_apt() {
    local verb=$1
    shift
    if [ "$verb" = install ]; then set -- --no-install-recommends "$@"; fi
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Dpkg::Use-Pty=0 "$verb" "$@" >"$PARTS/apt.log" || {
        tail -n 5 "$PARTS/apt.log" >&2
        return 1
    }
}

# apt_unpack PACKAGE FOLDER: the package's files in a folder of ours. Nothing is installed on the machine, no service
# is started by a package's script, and root is not needed.
apt_unpack() {
    local folder=$2 deb
    (cd "$folder" && { apt-get -qq download "$1" 2>/dev/null || { quiet_apt update && apt-get -qq download "$1"; }; }) >/dev/null
    deb=$(find "$folder" -maxdepth 1 -name '*.deb' | head -n 1)
    dpkg-deb -x "$deb" "$folder"
}
