#!/usr/bin/env bash
# `make test-compose`: runs docker-compose.yml for real. Needs a Docker engine; a registry only where one can be reached
# (stand-ins.sh builds what can't be pulled). Leaves nothing running and no volume behind; --keep leaves the shop up.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$PWD/target/compose-test
mkdir -p "$work/bin"

# One way to call it: `docker compose`, which is docker-compose 1.29 where the plugin is missing; and a docker client that
# builds with BuildKit, which a client from 23 on can't do without the buildx plugin.
client=
for candidate in $(type -ap docker); do
    [ "$candidate" != "$work/bin/docker" ] || continue
    major=$("$candidate" version --format '{{.Client.Version}}' 2>/dev/null | cut -d. -f1)
    if [ "${major:-99}" -lt 23 ] || "$candidate" buildx version >/dev/null 2>&1; then client=$candidate; break; fi
done
[ -n "$client" ] || { echo "test-compose: no docker client that can build with BuildKit (install docker.io, or docker-buildx)" >&2; exit 1; }
"$client" info >/dev/null 2>&1 || { echo "test-compose: no Docker engine answers; start dockerd, or set DOCKER_HOST" >&2; exit 1; }
if "$client" compose version >/dev/null 2>&1; then
    compose="$client compose"
elif command -v docker-compose >/dev/null; then
    compose=$(command -v docker-compose)
else
    echo "test-compose: neither the compose plugin nor docker-compose is here" >&2
    exit 1
fi
cat >"$work/bin/docker" <<SHIM
#!/bin/bash
if [ "\$1" = compose ]; then shift; exec $compose "\$@"; fi
exec $client "\$@"
SHIM
chmod +x "$work/bin/docker"
export PATH="$work/bin:$PATH" DOCKER_BUILDKIT=1 COMPOSE_DOCKER_CLI_BUILD=1 COMPOSE_PROJECT_NAME=quadrille-test
export QUADRILLE_IMAGE=quadrille-test/quadrille

deploy/compose/stand-ins.sh >"$work/images.env"
# shellcheck source=/dev/null
. "$work/images.env"
docker compose config --quiet
# With its progress: the first build takes minutes. `up --build` in the scenario then finds every layer in the cache.
docker compose build order-svc
cargo build --quiet -p quadrille --bin quadrille-compose-test
exec target/debug/quadrille-compose-test "$@"
