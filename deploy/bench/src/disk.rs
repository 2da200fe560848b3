//! Where servers keep their data during a run.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, path::PathBuf};

use anyhow::Context;

/// What folders for servers are called.
pub const STAGES: [&str; 6] = ["whole", "placement", "reads", "reactions", "relay", "growth"];

/// A new folder for one set of servers. Other users may pass through it, since PostgreSQL runs as one where we are root.
pub fn new_folder(data: &Path, name: &str) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(data).with_context(|| format!("making {}", data.display()))?;
    let folder = std::path::absolute(data)?.join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("removing what an earlier run left in {}", folder.display()))?;
    }
    fs::create_dir(&folder)?;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o711))?;
    Ok(folder)
}

/// Removes what an interrupted run left there, and then the data folder if nothing else is in it.
pub fn tidy(data: &Path) {
    for name in STAGES {
        fs::remove_dir_all(data.join(name)).ok();
    }
    fs::remove_dir(data).ok();
}
