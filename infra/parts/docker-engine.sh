#!/usr/bin/env bash
# The Docker engine's programs. Whether one runs is another matter: see infra/engine/engine.sh.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

docker info >/dev/null 2>&1 && exit 0 # an engine that answers is all we need, whoever installed it
have() { command -v docker >/dev/null && command -v dockerd >/dev/null && command -v iptables >/dev/null; }
PATH=$PATH:/usr/sbin:/sbin

have || apt_install docker.io iptables && have || could_not "Docker engine" \
    "docker.io and iptables are not here and could not be installed" "run as root on Debian, or start a Docker engine yourself"
