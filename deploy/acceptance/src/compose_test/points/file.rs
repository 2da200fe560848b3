//! The compose file itself: nothing to warn of, and `.env.example` says what it does without one.

use std::time::Duration;

use anyhow::{bail, ensure};

use super::super::stack::Stack;

const PATIENCE: Duration = Duration::from_secs(60);

pub(in crate::compose_test) async fn try_out(stack: &Stack) -> anyhow::Result<String> {
    let quiet = stack.compose(&["config", "--quiet"], PATIENCE).await?;
    ensure!(quiet.success && quiet.text.trim().is_empty(), "`docker compose config` says: {}", quiet.text.trim());
    let without = stack.compose(&["config"], PATIENCE).await?.ok("docker compose config")?;
    let with = stack.compose(&["--env-file", ".env.example", "config"], PATIENCE).await?;
    let with = with.ok("docker compose --env-file .env.example config")?;
    if let Some((one, other)) = without.lines().zip(with.lines()).find(|(one, other)| one != other) {
        bail!("`.env.example` doesn't say the defaults: `{}` becomes `{}`", one.trim(), other.trim());
    }
    let lines = without.lines().count();
    ensure!(lines == with.lines().count(), "`.env.example` adds or takes away lines of the configuration");
    Ok(format!("{lines} lines of configuration without a warning; `.env.example` says the defaults"))
}
