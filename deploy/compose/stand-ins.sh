#!/usr/bin/env bash
# Finds a base image for everything that docker-compose.yml and deploy/Dockerfile name: the real one where it can be pulled,
# else a stand-in built on this machine from Debian's packages, Maven Central's jars and Go's module proxy, always under
# quadrille-test/, never under an official name. Prints the variables to set, one `export` a line; what it does goes to
# standard error. What can be neither pulled nor built (kafka-ui, Traefik) is named in QUADRILLE_TEST_SKIP_PROFILES.
set -euo pipefail
cd "$(dirname "$0")/../.."
export DOCKER_BUILDKIT=1
here=deploy/compose/stand-ins
work=target/compose-test
mkdir -p "$work"

say() { echo "$*" >&2; }
have() { docker image inspect "$1" >/dev/null 2>&1; }
# The pinned default of a variable, as the files themselves say it.
default_of() { sed -nE -e "s/.*\\$\\{$1:-([^}]*)\\}.*/\\1/p" -e "s/^ARG $1=(.*)/\\1/p" docker-compose.yml deploy/Dockerfile | head -n 1; }

# Once one pull has found no registry there, the others of that registry need not wait for theirs.
declare -A unreachable=()
pulled() { # pulled IMAGE: whether it is here now
    local image=$1 host=docker.io
    have "$image" && return 0
    [[ $image == *.*/* ]] && host=${image%%/*}
    [ -z "${unreachable[$host]:-}" ] || return 1
    say "pulling $image"
    local told
    if told=$(timeout 600 docker pull --quiet "$image" 2>&1); then return 0; fi
    say "  can't: $(tail -n 1 <<< "$told")"
    grep -qiE 'no such host|timeout|refused|unreachable|TLS' <<< "$told" && unreachable[$host]=1
    return 1
}

build() { # build NAME DOCKERFILE CONTEXT
    have "$1" && return 0
    say "building $1"
    # The containers of a build reach package registries as this machine does.
    docker build --network host --quiet --tag "$1" --file "$2" "$3" >&2
}

debian() {
    have quadrille-test/debian:bookworm && return 0
    say "building quadrille-test/debian:bookworm with debootstrap"
    local root
    root=$(mktemp -d)
    debootstrap --variant=minbase --include=ca-certificates bookworm "$root" >"$work/debootstrap.log"
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
    # What this machine trusts beyond Debian's own certificates, so that containers reach what it reaches.
    cp "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$root/etc/ssl/certs/ca-certificates.crt"
    tar -C "$root" -c . | docker import --change 'CMD ["bash"]' - quadrille-test/debian:bookworm >&2
    rm -rf "$root"
}

postgres() { build quadrille-test/postgres "$here/postgres.Dockerfile" "$here"; }

# The runtime needs nothing that Debian's base has not.
runtime() { docker tag quadrille-test/debian:bookworm quadrille-test/runtime; }

rust() {
    local context=$work/rust
    have quadrille-test/rust && return 0
    rm -rf "$context" && mkdir -p "$context"
    tar -C "$(rustc --print sysroot)" --exclude=share -c . | tar -x -C "$context"
    build quadrille-test/rust "$here/rust.Dockerfile" "$context"
    rm -rf "$context"
}

kafka() {
    local context=$work/kafka sha path jar
    have quadrille-test/kafka && return 0
    mkdir -p "$context/jars"
    cp "$here/kafka-run.sh" "$context/"
    while read -r sha path; do
        jar=$context/jars/${path##*/}
        [ -e "$jar" ] || curl -fsSL --retry 4 --max-time 300 -o "$jar" "${QUADRILLE_MAVEN_URL:-https://repo1.maven.org/maven2}/$path"
        sha256sum --quiet --check <<< "$sha  $jar" >&2
    done < <(grep -vE '^(#|$)' deploy/servers/kafka.lock)
    build quadrille-test/kafka "$here/kafka.Dockerfile" "$context"
}

# Mailpit itself, built from its source at the version that docker-compose.yml pins.
mailpit() {
    local context=$work/mailpit version source
    have quadrille-test/mailpit && return 0
    version=$(default_of MAILPIT_IMAGE)
    version=${version##*:}
    command -v go >/dev/null || { say "Mailpit can't be built without Go"; return 1; }
    say "building Mailpit $version from its source"
    rm -rf "$context" && mkdir -p "$context"
    # Not every module is in every checksum database; its own go.sum vouches for what it is built from.
    source=$(cd "$context" && GONOSUMDB=github.com/axllent/mailpit go mod download -json "github.com/axllent/mailpit@$version" |
        sed -nE 's/.*"Dir": "(.*)",?/\1/p')
    cp -r "$source" "$context/source" && chmod -R u+w "$context/source"
    (cd "$context/source" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X github.com/axllent/mailpit/config.Version=$version" -o ../mailpit . >&2)
    build quadrille-test/mailpit "$here/mailpit.Dockerfile" "$context"
    rm -rf "$context"
}

choose() { # choose VARIABLE STAND_IN: the image that VARIABLE asks for, else the stand-in
    local image=${!1:-$(default_of "$1")}
    if pulled "$image"; then
        echo "export $1=$image"
    else
        debian
        "$2"
        echo "export $1=quadrille-test/$2"
    fi
}

skip=()
choose_profile() { # choose_profile PROFILE VARIABLE
    local image=${!2:-$(default_of "$2")}
    pulled "$image" || { say "  profile $1 is left out"; skip+=("$1"); }
}

choose POSTGRES_IMAGE postgres
choose KAFKA_IMAGE kafka
choose MAILPIT_IMAGE mailpit
choose RUST_IMAGE rust
choose RUNTIME_IMAGE runtime
choose_profile tools KAFKA_UI_IMAGE
choose_profile edge TRAEFIK_IMAGE
echo "export QUADRILLE_TEST_SKIP_PROFILES='${skip[*]}'"
