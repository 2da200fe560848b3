#!/usr/bin/env bash
# Installs what Quadrille needs beside Rust and is missing: a C toolchain (librdkafka is built from source), the
# PostgreSQL server's binaries and a Java runtime 17 or later (Apache Kafka). Does nothing where all is there.
set -euo pipefail

have() { command -v "$1" >/dev/null 2>&1; }

have_postgres() {
    have initdb || ls /usr/lib/postgresql/*/bin/initdb /usr/pgsql-*/bin/initdb /opt/homebrew/opt/postgresql@*/bin/initdb \
        /usr/local/opt/postgresql@*/bin/initdb >/dev/null 2>&1
}

have_java() {
    local java="${JAVA_HOME:+$JAVA_HOME/bin/}java" version
    have "$java" || return 1
    version=$("$java" -version 2>&1 | sed -nE 's/.*version "([0-9]+).*/\1/p' | head -n 1)
    [ "${version:-0}" -ge 17 ]
}

missing=()
{ have cc && have c++ && have make; } || missing+=(toolchain)
have cmake || missing+=(cmake)
# A cluster elsewhere needs no server here.
[ -n "${DATABASE_URL:-}" ] || have_postgres || missing+=(postgresql)
[ -n "${KAFKA_BOOTSTRAP_SERVERS:-}" ] || have_java || missing+=(java)

if ! have cargo; then
    echo "Rust is missing: install it from https://rustup.rs, then run this again." >&2
    exit 1
fi
[ ${#missing[@]} -eq 0 ] && exit 0

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
packages() { # names for: toolchain cmake postgresql java
    local wanted=() thing
    for thing in "${missing[@]}"; do
        case $thing in
            toolchain) wanted+=($1) ;;
            cmake) wanted+=($2) ;;
            postgresql) wanted+=($3) ;;
            java) wanted+=($4) ;;
        esac
    done
    echo "Installing what is missing: ${missing[*]} (${wanted[*]})"
    WANTED=("${wanted[@]}")
}

if have apt-get; then
    packages "build-essential" cmake postgresql openjdk-17-jre-headless
    # The distribution's own cluster is not wanted, only the binaries.
    as_root mkdir -p /etc/postgresql-common
    [ -e /etc/postgresql-common/createcluster.conf ] ||
        echo "create_main_cluster = false" | as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${WANTED[@]}" >/dev/null
elif have dnf; then
    packages "gcc gcc-c++ make" cmake postgresql-server java-21-openjdk-headless
    as_root dnf install -y -q "${WANTED[@]}"
elif have pacman; then
    packages base-devel cmake postgresql jre-openjdk-headless
    as_root pacman -Sy --noconfirm --needed "${WANTED[@]}"
elif have brew; then
    packages "" cmake postgresql@17 openjdk@21
    brew install "${WANTED[@]}"
else
    echo "Missing: ${missing[*]}. Install a C and C++ toolchain with make, cmake, the PostgreSQL server and a Java runtime 17 or later." >&2
    exit 1
fi
