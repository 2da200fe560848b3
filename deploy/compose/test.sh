#!/usr/bin/env bash
# `make test-compose`: runs docker-compose.yml for real. Needs a Docker engine; a registry only where one can be reached
# (stand-ins.sh builds what can't be pulled). At the end nothing is left running and no volume is left; --keep leaves the
# shop up; --short leaves out the long points; --images only finds or builds the images.
# After a Ctrl-C: COMPOSE_PROJECT_NAME=quadrille-test docker compose --profile scale down --volumes
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$PWD/target/compose-test
mkdir -p "$work/bin"

fail() {
    echo "test-compose: $*" >&2
    exit 1
}

# One way to call it: `docker compose`, which is docker-compose 1.29 where the plugin is missing.
client=$(deploy/compose/client.sh) || fail "no docker client that can build with BuildKit (install docker.io, or docker-buildx)"
"$client" info >/dev/null 2>&1 || fail "no Docker engine answers; start dockerd, or set DOCKER_HOST"
if "$client" compose version >/dev/null 2>&1; then
    compose="$client compose"
else
    compose=$(command -v docker-compose) || fail "neither the compose plugin nor docker-compose is here"
fi
cat >"$work/bin/docker" <<SHIM
#!/bin/bash
if [ "\$1" = compose ]; then shift; exec $compose "\$@"; fi
exec $client "\$@"
SHIM
chmod +x "$work/bin/docker"
export PATH="$work/bin:$PATH" DOCKER_BUILDKIT=1 COMPOSE_DOCKER_CLI_BUILD=1 COMPOSE_PROJECT_NAME=quadrille-test
export QUADRILLE_IMAGE=quadrille-test/quadrille
QUADRILLE_REVISION=$(git rev-parse --short HEAD 2>/dev/null || echo uncommitted)
export QUADRILLE_REVISION

docker compose config --quiet
deploy/compose/stand-ins.sh >"$work/images.env"
# shellcheck source=/dev/null
. "$work/images.env"
# With its progress: the first build takes minutes. `up --build` in the scenario then finds every layer in the cache.
docker compose build topics
[ "${1:-}" != --images ] || exit 0
cargo build --quiet --workspace --bins --test with_servers
exec target/debug/quadrille-compose-test "$@"
