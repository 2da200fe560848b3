#!/usr/bin/env bash
# Sees to a Docker engine for `make test-compose`: uses the one that answers; else, as root on Debian or Ubuntu, installs
# docker.io and starts dockerd, whose pid it writes to FILE for whoever is to end it. Ends with 3 where none can be had, and
# with 1 when one that can be had fails; both with a line that says why.
#   deploy/ensure-engine.sh FILE
set -euo pipefail
pid_file=$1
cd "$(dirname "$0")/.."

have() { command -v "$1" >/dev/null 2>&1; }
client() { deploy/compose/client.sh; }
answers() { "$(client || echo false)" info >/dev/null 2>&1; }
compose() { have docker-compose || { have docker && docker compose version >/dev/null 2>&1; }; }

missing=()
answers || have dockerd || missing+=(docker.io iptables)
client >/dev/null || missing+=(docker.io docker-cli docker-buildx)
compose || missing+=(docker-compose)
# For a base where none can be pulled; an engine that works is enough for whoever can pull.
have debootstrap || ! have apt-get || [ "$(id -u)" != 0 ] || missing+=(debootstrap)
if [ ${#missing[@]} -gt 0 ]; then
    if ! have apt-get || [ "$(id -u)" != 0 ]; then
        echo "no Docker engine here, and none can be installed (needs apt-get as root): ${missing[*]}" >&2
        exit 3
    fi
    apt-get update -qq
    # Client and buildx are packages of their own in some releases only.
    wanted=()
    for package in "${missing[@]}"; do
        if apt-cache policy "$package" | grep -E 'Candidate: [^(]' >/dev/null; then wanted+=("$package"); fi
    done
    echo "Installing ${wanted[*]}"
    # No package is to start a service: the engine is ours, and ends with the run.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod +x $policy
        trap 'rm -f $policy' EXIT
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null
fi
answers && exit 0
[ "$(id -u)" = 0 ] || { echo "no Docker engine answers, and only root can start one" >&2; exit 3; }
mkdir -p "$(dirname "$pid_file")"
log=$(dirname "$pid_file")/dockerd.log
dockerd >"$log" 2>&1 &
echo $! >"$pid_file"
for _ in $(seq 60); do
    answers && exit 0
    kill -0 "$(cat "$pid_file")" 2>/dev/null || break
    sleep 1
done
echo "dockerd doesn't answer; its log is $log: $(tail -n 1 "$log")" >&2
exit 1
