//! `quadrille bench`: the benchmark is a program of its own, which nobody needs who only runs the shop.

use std::{ffi::OsString, os::unix::process::CommandExt, process::Command};

use anyhow::{Context, bail};

const PROGRAM: &str = "quadrille-bench";

/// Becomes `quadrille-bench`. Returns only where that can't be done.
pub fn bench(arguments: &[OsString]) -> anyhow::Result<()> {
    let program = std::env::current_exe()?.parent().context("this program is in a folder")?.join(PROGRAM);
    if !program.exists() {
        bail!(
            "{} is not there: build it with cargo build --release -p {PROGRAM}, or run make bench",
            program.display()
        );
    }
    Err(Command::new(&program).args(arguments).exec()).with_context(|| format!("starting {}", program.display()))
}
