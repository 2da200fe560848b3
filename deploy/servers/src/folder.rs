//! Folders for a server that runs as another user than the one who started it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use nix::unistd::{User, geteuid};
use sha2::{Digest, Sha256};

/// Where the data goes if the server's user can't reach the requested folder.
const FALLBACK: &str = "/var/lib/quadrille";

/// The user that a server runs as: the current one, or an unprivileged one instead of root, which PostgreSQL refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunAs(Option<(u32, u32)>);

impl RunAs {
    /// The current user; instead of root the user `postgres`, else `nobody`.
    pub fn unprivileged() -> anyhow::Result<Self> {
        if !geteuid().is_root() {
            return Ok(Self(None));
        }
        for name in ["postgres", "nobody"] {
            if let Some(user) = User::from_name(name)? {
                return Ok(Self(Some((user.uid.as_raw(), user.gid.as_raw()))));
            }
        }
        bail!(
            "PostgreSQL doesn't run as root, and this machine has neither a user `postgres` nor `nobody` to run it as"
        )
    }

    /// Makes a command run as that user, in a folder that every user can reach.
    pub fn apply(self, command: &mut Command) {
        use std::os::unix::process::CommandExt;
        command.current_dir("/");
        if let Self(Some((uid, gid))) = self {
            command.uid(uid).gid(gid);
        }
    }

    /// Makes that user the owner of a file or folder.
    pub fn own(self, path: &Path) -> anyhow::Result<()> {
        match self.0 {
            None => Ok(()),
            Some((uid, gid)) => {
                chown(path, Some(uid), Some(gid)).with_context(|| format!("giving {} to user {uid}", path.display()))
            }
        }
    }

    /// Creates a folder that this user can use. If the user can't reach the requested one, it is created under
    /// /var/lib/quadrille, with a name derived from the requested one, so that the next run finds it again.
    pub fn folder(self, wish: &Path) -> anyhow::Result<PathBuf> {
        let wish = std::path::absolute(wish)?;
        self.make(&wish)?;
        if self.reaches(&wish)? {
            return Ok(wish);
        }
        fs::remove_dir(&wish).ok();
        let name: String =
            Sha256::digest(wish.as_os_str().as_encoded_bytes())[..6].iter().map(|byte| format!("{byte:02x}")).collect();
        let fallback = Path::new(FALLBACK).join(name);
        self.make(&fallback)?;
        if !self.reaches(&fallback)? {
            bail!(
                "neither {} nor {} can be used by the user that PostgreSQL runs as",
                wish.display(),
                fallback.display()
            );
        }
        Ok(fallback)
    }

    fn make(self, folder: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("making the folder {}", folder.display()))?;
        if self.0.is_some() {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        }
        self.own(folder)
    }

    /// This tries it out instead of looking at permission bits, because ACLs and mounts matter too.
    fn reaches(self, folder: &Path) -> anyhow::Result<bool> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", r#"cd "$1" && [ -w . ]"#, "sh"]).arg(folder).stderr(std::process::Stdio::null());
        self.apply(&mut command);
        Ok(command.status().context("running /bin/sh")?.success())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_the_servers_user_can_reach_is_taken_as_it_is() {
        let open = tempfile::tempdir().unwrap();
        fs::set_permissions(open.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let wish = open.path().join("data");
        assert_eq!(RunAs::unprivileged().unwrap().folder(&wish).unwrap(), wish);
    }

    #[test]
    fn as_root_a_folder_behind_a_closed_door_is_replaced_by_the_same_one_each_time() {
        if !geteuid().is_root() {
            return;
        }
        let closed = tempfile::tempdir().unwrap();
        fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let wish = closed.path().join("data");
        let run_as = RunAs::unprivileged().unwrap();
        let instead = run_as.folder(&wish).unwrap();
        assert!(instead.starts_with(FALLBACK));
        assert_eq!(run_as.folder(&wish).unwrap(), instead);
        fs::remove_dir(instead).unwrap();
    }
}
