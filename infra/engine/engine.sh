#!/usr/bin/env bash
# A Docker engine for the tests and the demonstration where none answers, and the one image they need.
#
#   engine.sh start [OWNER]    make sure that an engine answers; print `DOCKER_HOST=…` where it is one of ours
#   engine.sh stop [OWNER]     stop ours, with everything it left on the machine; with OWNER only if OWNER started it
#   engine.sh image            make sure that the image local/reconciler-test-app is there
#   engine.sh status           say which engine answers
#
# Ours is private: its data, socket and pid file are in folders of this checkout's own, so it neither sees nor touches
# images and containers of another engine. It uses the bridge `docker0`, therefore it is only started where no engine
# answers at the usual place.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
PARTS=${RECONCILE_PARTS:-$ROOT/.parts}
DATA=$PARTS/engine
# A Unix socket's path may have 108 bytes at most and a checkout may lie deep, so the sockets lie in /run.
RUN=/run/reconciler-engine-$(printf %s "$PARTS" | cksum | cut -d ' ' -f 1)
SOCKET=unix://$RUN/docker.sock
IMAGE=local/reconciler-test-app
PATH=$PATH:/usr/sbin:/sbin

fail() {
    printf 'engine: %s\n' "$*" >&2
    exit 1
}

answers() { timeout 20 docker ${1:+--host "$1"} info >/dev/null 2>&1; }

ours_runs() { [ -f "$RUN/docker.pid" ] && kill -0 "$(cat "$RUN/docker.pid")" 2>/dev/null; }

start() {
    command -v docker >/dev/null || fail "no docker command: run \`make parts\`"
    if answers; then return 0; fi
    mkdir -p "$DATA"
    exec 9>"$DATA/lock"
    flock 9 # several test workers may ask at once: one starts, the others find it
    if ! ours_runs; then launch "${1:-}"; fi
    wait_for_answer
    echo "DOCKER_HOST=$SOCKET"
}

launch() {
    [ "$(id -u)" = 0 ] || fail "no Docker engine answers, and starting one needs root"
    command -v dockerd >/dev/null || fail "no Docker engine answers, and there is no dockerd: run \`make parts\` as root"
    mkdir -p "$RUN"
    ip link show docker0 >/dev/null 2>&1 || touch "$DATA/made-docker0"
    printf %s "$1" >"$DATA/owner"
    # setsid: a Ctrl-C in the terminal is for the tests, which then stop the engine in order.
    setsid dockerd --data-root "$DATA/data" --exec-root "$RUN/exec" --pidfile "$RUN/docker.pid" --host "$SOCKET" \
        </dev/null >"$DATA/dockerd.log" 2>&1 9>&- &
}

wait_for_answer() {
    local tries
    for tries in $(seq 150); do
        if answers "$SOCKET"; then return 0; fi
        if [ "$tries" -gt 10 ] && ! ours_runs; then break; fi
        sleep 0.2
    done
    tail -n 5 "$DATA/dockerd.log" >&2
    fail "dockerd does not answer; its log is $DATA/dockerd.log"
}

stop() {
    ours_runs || { rm -rf "$RUN"; return 0; }
    if [ -n "${1:-}" ] && [ "$(cat "$DATA/owner" 2>/dev/null)" != "$1" ]; then return 0; fi
    local pid
    pid=$(cat "$RUN/docker.pid")
    docker --host "$SOCKET" ps --quiet | xargs -r docker --host "$SOCKET" kill >/dev/null
    kill "$pid"
    for _ in $(seq 150); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    if kill -0 "$pid" 2>/dev/null; then fail "dockerd ($pid) does not stop"; fi
    if [ -f "$DATA/made-docker0" ]; then ip link delete docker0 2>/dev/null || true; fi
    # A container on the host's network leaves its namespace's mount behind.
    awk -v run="$RUN/" 'index($2, run) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r umount
    rm -rf "$RUN" "$DATA/made-docker0" "$DATA/owner"
}

# Nothing can be pulled in the tests, so the image is made of the one static program that is a shell, a wget and more.
image() {
    local host=${DOCKER_HOST:-} folder command
    if ! answers "$host"; then host=$SOCKET; fi
    docker ${host:+--host "$host"} image inspect "$IMAGE" >/dev/null 2>&1 && return 0
    [ -x "$PARTS/bin/busybox" ] || fail "no static busybox: run \`make parts\`"
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' RETURN
    mkdir -p "$folder/bin" "$folder/etc" "$folder/tmp"
    cp -L "$PARTS/bin/busybox" "$folder/bin/busybox"
    for command in $("$PARTS/bin/busybox" --list); do ln -s busybox "$folder/bin/$command" 2>/dev/null || true; done
    tar -C "$folder" --sort=name --owner=0 --group=0 -c . | docker ${host:+--host "$host"} import - "$IMAGE" >/dev/null
}

status() {
    if answers; then
        echo "an engine answers at ${DOCKER_HOST:-the usual place}"
    elif ours_runs; then
        echo "ours answers: export DOCKER_HOST=$SOCKET"
    else
        echo "no engine answers: run \`make engine\`"
    fi
}

case "${1:-}" in
start | stop | image | status) "$@" ;;
*) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
