#!/usr/bin/env bash
# Installs what Quadrille needs beside Rust and is missing: a C toolchain and OpenSSL (librdkafka is built from source), the
# PostgreSQL server's binaries and, with the argument `kafka`, a Java runtime 17 or later. Does nothing where all is there.
set -euo pipefail

have() { command -v "$1" >/dev/null 2>&1; }

have_postgres() {
    local program
    # A pattern that nothing matches stays as it is, and is no program.
    for program in "${PG:-none}/initdb" /usr/lib/postgresql/*/bin/initdb /usr/pgsql-*/bin/initdb \
        /opt/homebrew/opt/postgresql@*/bin/initdb /usr/local/opt/postgresql@*/bin/initdb; do
        [ ! -x "$program" ] || return 0
    done
    have initdb
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
{ have pkg-config && pkg-config --exists openssl; } || missing+=(openssl)
# A cluster elsewhere needs no server here.
[ -n "${DATABASE_URL:-}" ] || have_postgres || missing+=(postgresql)
[ "${1:-}" != kafka ] || [ -n "${KAFKA_BOOTSTRAP_SERVERS:-}" ] || have_java || missing+=(java)

if ! have cargo; then
    echo "Rust is missing: install it from https://rustup.rs, then run this again." >&2
    exit 1
fi
[ ${#missing[@]} -eq 0 ] && exit 0

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
# shellcheck disable=SC2206 # a name may stand for several packages
packages() { # names for: toolchain cmake openssl postgresql java
    local wanted=() thing
    for thing in "${missing[@]}"; do
        case $thing in
            toolchain) wanted+=($1) ;;
            cmake) wanted+=($2) ;;
            openssl) wanted+=($3) ;;
            postgresql) wanted+=($4) ;;
            java) wanted+=($5) ;;
        esac
    done
    echo "Installing what is missing: ${missing[*]} (${wanted[*]})"
    WANTED=("${wanted[@]}")
}

if have apt-get; then
    packages "build-essential" cmake "libssl-dev pkg-config" postgresql openjdk-17-jre-headless
    # The distribution's own cluster is not wanted, only the binaries.
    as_root mkdir -p /etc/postgresql-common
    [ -e /etc/postgresql-common/createcluster.conf ] ||
        echo "create_main_cluster = false" | as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${WANTED[@]}" >/dev/null
elif have dnf; then
    packages "gcc gcc-c++ make" cmake "openssl-devel pkgconf-pkg-config" postgresql-server java-21-openjdk-headless
    as_root dnf install -y -q "${WANTED[@]}"
elif have pacman; then
    packages base-devel cmake "openssl pkgconf" postgresql jre-openjdk-headless
    as_root pacman -Sy --noconfirm --needed "${WANTED[@]}"
elif have brew; then
    packages "" cmake "openssl@3 pkgconf" postgresql@17 openjdk@21
    brew install "${WANTED[@]}"
else
    echo "Missing: ${missing[*]}. Install a C and C++ toolchain with make, cmake, OpenSSL with its headers, pkg-config, the PostgreSQL server and, for Apache Kafka, a Java runtime 17 or later." >&2
    exit 1
fi
