# Stands in for the official `rust` image where no registry can be reached: Debian's C toolchain and this machine's Rust,
# which is the build context (`rustc --print sysroot`).
FROM quadrille-test/debian:bookworm
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends gcc g++ libc6-dev make pkg-config libssl-dev zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*
COPY . /usr/local/rust
ENV PATH=/usr/local/rust/bin:$PATH
