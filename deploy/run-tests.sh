#!/usr/bin/env bash
# Runs all tests of the workspace at once with cargo-nextest, where it is installed (`make tools-cargo`); else program by
# program with cargo test, which takes longer. PROFILE names a profile of .config/nextest.toml (cargo test knows only whether
# it is `default`). Arguments go to cargo test.
#   deploy/run-tests.sh PROFILE [ARGUMENT...]
set -euo pipefail
cd "$(dirname "$0")/.."
profile=$1
shift
PATH=$PWD/target/cargo-tools/bin:$PATH
if [ $# -eq 0 ] && cargo nextest --version >/dev/null 2>&1; then
    cargo test --workspace --doc --quiet
    exec cargo nextest run --workspace --profile "$profile" --test-threads "${TEST_THREADS:-$(($(nproc) * 2))}"
fi
[ $# -gt 0 ] || set -- --workspace
if [ "$profile" = default ]; then
    # The embedded broker doesn't do what these need.
    [[ " $* " == *" -- "* ]] || set -- "$@" --
    set -- "$@" --skip on_apache_kafka_
fi
exec cargo test --no-fail-fast "$@"
