"""The guard on a machine: once a minute a program asks whether the machine's time is up, and then shuts it down.

A machine that shuts itself down is terminated (`InstanceInitiatedShutdownBehavior`). The moment is a tag of the
machine, read through its metadata, so that a changed `cloud.ttl` reaches it; nothing else is asked, and no credentials
are needed. What was read is kept in a file: a machine that cannot read its tags goes by what it last knew, and one that
never knew a moment never ends. Only where the tags can be read and have none is it forgotten.
"""

from __future__ import annotations

from drivers.aws.ec2.expiry import EXPIRES
from drivers.aws.tags import DEPLOYMENT

PROGRAM = "/usr/local/sbin/compose-model-guard"
SERVICE, TIMER = "compose-model-guard.service", "compose-model-guard.timer"

SCRIPT = f"""#!/bin/bash
set -uo pipefail
export LC_ALL=C
imds="${{COMPOSE_MODEL_IMDS:-http://169.254.169.254}}/latest"
known="$STATE_DIRECTORY/expires-at"
moment='^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T[0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}Z$'
ask() {{ curl --silent --fail --max-time 5 --noproxy '*' "$@"; }}
tag() {{ ask --header "X-aws-ec2-metadata-token: $token" "$imds/meta-data/tags/instance$1"; }}
learn() {{
  local token tags told
  token=$(ask --request PUT --header 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$imds/api/token") || return
  tags=$(tag "") || return
  if grep --quiet --line-regexp --fixed-strings '{EXPIRES}' <<<"$tags"; then
    told=$(tag '/{EXPIRES}') || return
    [[ $told =~ $moment ]] || return
    expires=$told
    printf '%s\\n' "$told" > "$known.new" && mv "$known.new" "$known"
  elif grep --quiet --line-regexp --fixed-strings '{DEPLOYMENT}' <<<"$tags"; then
    expires=""
    rm -f "$known"
  fi
}}
expires=$(cat "$known" 2>/dev/null)
learn
[[ $expires =~ $moment ]] || exit 0
now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
[[ $now =~ $moment && ! $now < $expires ]] || exit 0
echo "the time of this machine was up at $expires"
exec shutdown -h now
"""

_SERVICE = f"""[Unit]
Description=Ends this machine when its time is up

[Service]
Type=oneshot
StateDirectory=compose-model-guard
TimeoutStartSec=60
ExecStart={PROGRAM}
StandardOutput=journal+console
StandardError=journal+console
"""

_TIMER = """[Unit]
Description=Asks every minute whether the time of this machine is up

[Timer]
OnBootSec=60
OnUnitActiveSec=60
AccuracySec=10

[Install]
WantedBy=timers.target
"""

FILES = (
    {"path": PROGRAM, "permissions": "0700", "content": SCRIPT},
    {"path": f"/etc/systemd/system/{SERVICE}", "permissions": "0644", "content": _SERVICE},
    {"path": f"/etc/systemd/system/{TIMER}", "permissions": "0644", "content": _TIMER},
)
"""For cloud-init; the timer has to be enabled and started."""
