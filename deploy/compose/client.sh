#!/usr/bin/env bash
# Prints the docker client to use: the first on the PATH that can build with BuildKit, which one from 23 on can't do without
# the buildx plugin. Fails where there is none.
set -uo pipefail
for candidate in $(type -ap docker); do
    case $candidate in */compose-test/bin/docker) continue ;; esac
    # An engine that is away is no matter here, though the client then fails after it has told its version.
    major=$("$candidate" version --format '{{.Client.Version}}' 2>/dev/null | cut -d. -f1)
    if [ "${major:-99}" -lt 23 ] || "$candidate" buildx version >/dev/null 2>&1; then
        echo "$candidate"
        exit 0
    fi
done
exit 1
