#!/usr/bin/env bash
# build-shipped.sh OUT: builds the programs that images are made of and puts them into OUT/services, OUT/tools and OUT/sandbox, with
# the certificates in OUT/certs. deploy/Dockerfile runs it, which sets TARGETARCH and BUILDARCH.
set -euo pipefail
out=$1

programs=(order-svc stock-svc payment-svc notification-svc outbox-relay quadrille sandbox-gateway sandbox-issuer)
options=(--release --locked --workspace --no-default-features)
for program in "${programs[@]}"; do options+=("--bin=$program"); done

# For another architecture: its linker, libraries and tools.
built=target/release tools="" multiarch=$(gcc -print-multiarch)
if [ "$TARGETARCH" != "$BUILDARCH" ]; then
    case "$TARGETARCH" in
    amd64) triple=x86_64 ;;
    arm64) triple=aarch64 ;;
    *)
        echo "TARGETARCH is '$TARGETARCH', where amd64 or arm64 is expected" >&2
        exit 1
        ;;
    esac
    multiarch=$triple-linux-gnu tools=$triple-linux-gnu-
    options+=(--target "$triple-unknown-linux-gnu")
    built=target/$triple-unknown-linux-gnu/release
    export "CARGO_TARGET_${triple^^}_UNKNOWN_LINUX_GNU_LINKER=${tools}gcc"
fi
export OPENSSL_LIB_DIR="/usr/lib/$multiarch" CARGO_HOME=/usr/local/cargo-cache

# cargo goes by the time of files, and another checkout's may be older than what is in the cache: ours are all new.
find . -path ./target -prune -o -type f -exec touch {} +
cargo build "${options[@]}"

mkdir -p "$out/services" "$out/tools" "$out/sandbox" "$out/certs"
for program in "${programs[@]}"; do
    case $program in quadrille) folder=tools ;; sandbox-*) folder=sandbox ;; *) folder=services ;; esac
    "${tools}strip" -o "$out/$folder/$program" "$built/$program"
    if readelf -d "$out/$folder/$program" | grep NEEDED | grep -vE '\[(libc|libm|libgcc_s|ld-linux-[a-z0-9-]+)\.so\.[0-9]+\]'; then
        echo "$program needs a library that the runtime base may not have" >&2
        exit 1
    fi
done
cp /etc/ssl/certs/ca-certificates.crt "$out/certs/"
