#!/usr/bin/env bash
# Sees to a Docker engine for `make test-compose`: uses the one that answers; else, as root on Debian or Ubuntu, installs
# docker.io and starts dockerd, whose pid it writes to FILE for whoever is to end it. Fails, saying why, where it can't.
#   deploy/ensure-engine.sh FILE
set -euo pipefail
pid_file=$1
# A client of the engine's own age first: a newer one may be on the PATH without the plugins it needs.
docker=/usr/bin/docker
command -v "$docker" >/dev/null || docker=docker

have() { command -v "$1" >/dev/null 2>&1; }
answers() { have "$docker" && "$docker" info >/dev/null 2>&1; }
compose() { have docker-compose || { have docker && docker compose version >/dev/null 2>&1; }; }

missing=()
answers || have dockerd || missing+=(docker.io iptables)
compose || missing+=(docker-compose)
have debootstrap || missing+=(debootstrap)
if [ ${#missing[@]} -gt 0 ]; then
    if ! have apt-get || [ "$(id -u)" != 0 ]; then
        echo "no Docker engine here, and none can be installed (needs apt-get as root): ${missing[*]}" >&2
        exit 1
    fi
    echo "Installing ${missing[*]}"
    apt-get update -qq
    # No service is to be started by the package: the engine is ours, and ends with the run.
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    [ -x /usr/bin/docker ] && docker=/usr/bin/docker
fi
answers && exit 0
[ "$(id -u)" = 0 ] || { echo "no Docker engine answers, and only root can start one" >&2; exit 1; }
log=$(dirname "$pid_file")/dockerd.log
mkdir -p "$(dirname "$pid_file")"
dockerd >"$log" 2>&1 &
echo $! >"$pid_file"
for _ in $(seq 60); do
    answers && exit 0
    kill -0 "$(cat "$pid_file")" 2>/dev/null || break
    sleep 1
done
echo "dockerd doesn't answer; its log is $log: $(tail -n 1 "$log")" >&2
exit 1
