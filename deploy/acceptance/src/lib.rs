//! What only the whole shop can show: the acceptance run, the compose file's test, and the tests in `tests/`, all with the one
//! client of the shop that the command line has (`quadrille::api`).

pub mod accept;
pub mod compose_test;
pub mod forgery;
mod report;
pub mod shop;

use std::path::PathBuf;

use anyhow::{Context, ensure};

/// A program of the workspace, which lies beside this one, or above it if this is a test. Fails if it has not been
/// built.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe().context("where this program is")?;
    let folder = this.parent().context("a program is in a folder")?;
    let folder = if folder.ends_with("deps") { folder.parent().context("deps is in a folder")? } else { folder };
    let program = folder.join(name);
    ensure!(program.is_file(), "{} is missing; build it: cargo build --workspace --bins", program.display());
    Ok(program)
}
