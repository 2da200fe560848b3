//! The image: who it runs as, what it says of itself, and how much it adds to its base.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::super::{engine, stack::Stack};

const LABELS: [&str; 5] = ["title", "description", "licenses", "version", "revision"];
/// Compressed, without the base. The programs were 76 MB when it was last looked at, since each checks tokens and speaks TLS; what
/// comes with a broker would be more.
const LIMIT: u64 = 82 << 20;
const PATIENCE: Duration = Duration::from_secs(180);

/// The bytes of an image's layers beyond so many, each compressed as a registry keeps it.
const COMPRESSED: &str = r#"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
docker save "$image" | tar -x -C "$folder"
layers=$(grep -oE '"Layers":\[[^]]*\]' "$folder/manifest.json" | grep -oE '[^",[]+(layer\.tar|blobs/sha256/[0-9a-f]+)' | tail -n "+$((base + 1))")
for layer in $layers; do gzip -c "$folder/$layer"; done | wc -c
"#;

pub(in crate::compose_test) async fn try_out(stack: &Stack) -> anyhow::Result<String> {
    let container = stack.only("order-svc").await?;
    let name = container.fact("/Config/Image").as_str().context("order-svc's container has no image")?;
    let image = inspect(name).await?;
    ensure!(image["Config"]["User"] == json!("10001:10001"), "{name} runs as {}", image["Config"]["User"]);
    ensure!(image["Config"]["Healthcheck"]["Test"].is_array(), "{name} has no health check");
    for label in LABELS {
        let label = format!("org.opencontainers.image.{label}");
        let value = image["Config"]["Labels"][&label].as_str().unwrap_or_default();
        ensure!(!value.is_empty(), "{name} has no label {label}");
    }
    let base = base_layers(stack, &image).await?;
    let words = [("image", name), ("base", &base.to_string())];
    let counted = stack.shell.script(COMPRESSED, &words, PATIENCE).await?.ok("docker save")?;
    let bytes: u64 = counted.trim().parse().with_context(|| format!("no number of bytes: {counted}"))?;
    ensure!(bytes > 0 && bytes < LIMIT, "{name} adds {} MB to its base", bytes >> 20);
    Ok(format!("the programs add {:.1} MB, compressed, to the base", megabytes(bytes)))
}

fn megabytes(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes >> 10).unwrap_or(u32::MAX)) / 1024.0
}

async fn inspect(name: &str) -> anyhow::Result<Value> {
    let shown: Vec<Value> = serde_json::from_str(&engine::docker(&["image", "inspect", name]).await?)?;
    shown.into_iter().next().with_context(|| format!("there is no image {name}"))
}

/// How many of the image's layers are its base's, which the compose file names as a build argument.
async fn base_layers(stack: &Stack, image: &Value) -> anyhow::Result<usize> {
    let config = stack.compose(&["config"], PATIENCE).await?.ok("docker compose config")?;
    let named = config.lines().find_map(|line| line.trim().strip_prefix("RUNTIME_IMAGE:"));
    let base = named.context("no RUNTIME_IMAGE among the build's arguments")?.trim().trim_matches('"');
    let base = inspect(base).await?;
    let layers = |image: &Value| image["RootFS"]["Layers"].as_array().cloned().unwrap_or_default();
    let (of_base, of_image) = (layers(&base), layers(image));
    ensure!(of_image.starts_with(&of_base) && !of_base.is_empty(), "the image is not built on the base it should be");
    Ok(of_base.len())
}
