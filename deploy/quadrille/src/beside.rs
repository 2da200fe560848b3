//! Programs of their own that are commands of this one, such as `quadrille bench`: nobody needs them who only runs the shop.

use std::{ffi::OsString, os::unix::process::CommandExt, process::Command};

use anyhow::{Context, bail};

/// Becomes a program that lies beside this one. `how` says how it is built. Returns only where that can't be done.
pub fn become_program(name: &str, how: &str, arguments: &[OsString]) -> anyhow::Result<()> {
    let program = std::env::current_exe()?.parent().context("this program is in a folder")?.join(name);
    if !program.exists() {
        bail!("{} is not there: {how}", program.display());
    }
    Err(Command::new(&program).args(arguments).exec()).with_context(|| format!("starting {}", program.display()))
}
