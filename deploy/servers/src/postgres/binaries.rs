//! Finds PostgreSQL's server binaries, which many systems keep off the PATH.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, bail};

/// The oldest version that supports this project's SQL.
const OLDEST: u32 = 14;

/// A folder with the `initdb` and `postgres` of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    folder: PathBuf,
    pub major: u32,
}

impl Binaries {
    /// The binaries to use: those of the wanted major version if there is data of that version, else the newest.
    pub fn find(wanted: Option<u32>) -> anyhow::Result<Self> {
        let found: Vec<_> = candidates().into_iter().filter_map(|folder| Self::in_folder(&folder)).collect();
        choose(found, wanted)
    }

    pub fn postgres(&self) -> PathBuf {
        self.folder.join("postgres")
    }

    pub fn initdb(&self) -> PathBuf {
        self.folder.join("initdb")
    }

    fn in_folder(folder: &Path) -> Option<Self> {
        // Links on the PATH are resolved, because PostgreSQL looks for its libraries next to the real file.
        let folder = fs::canonicalize(folder.join("postgres")).ok()?.parent()?.to_owned();
        if !folder.join("initdb").exists() {
            return None;
        }
        let output = Command::new(folder.join("postgres")).arg("--version").output().ok()?;
        let major = major_version(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self { folder, major })
    }
}

fn choose(found: Vec<Binaries>, wanted: Option<u32>) -> anyhow::Result<Binaries> {
    let versions: Vec<_> = found.iter().map(|binaries| binaries.major.to_string()).collect();
    match wanted {
        Some(major) => found.into_iter().find(|binaries| binaries.major == major).with_context(|| {
            format!(
                "the data were made by PostgreSQL {major}, whose binaries were not found (found: {}); install it, or name \
                 its folder in the variable PG",
                if versions.is_empty() { "none".to_owned() } else { versions.join(", ") }
            )
        }),
        None => match found.into_iter().max_by_key(|binaries| binaries.major) {
            Some(binaries) if binaries.major >= OLDEST => Ok(binaries),
            Some(old) => bail!("PostgreSQL {} was found; {OLDEST} or later is needed", old.major),
            None => bail!(
                "PostgreSQL's server binaries (postgres, initdb) were not found. Install them (Debian, Ubuntu: apt-get \
                 install postgresql; macOS: brew install postgresql), name their folder in the variable PG, or give a \
                 running server in DATABASE_URL"
            ),
        },
    }
}

/// The folders to look in: only `PG` if it is set, because whoever sets it means it.
fn candidates() -> Vec<PathBuf> {
    if let Some(folder) = env::var_os("PG") {
        return vec![PathBuf::from(folder)];
    }
    let mut folders: Vec<PathBuf> =
        env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        folders.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    for parent in
        ["/usr/lib/postgresql", "/usr", "/opt/homebrew/opt", "/usr/local/opt", "/home/linuxbrew/.linuxbrew/opt"]
    {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        folders.extend(entries.map(|entry| entry.path()).filter(|path| is_postgres(path)).map(|path| path.join("bin")));
    }
    folders.extend(["/usr/pgsql/bin", "/usr/local/pgsql/bin"].map(PathBuf::from));
    folders
}

/// `/usr/lib/postgresql/15`, `/usr/pgsql-17`, `/opt/homebrew/opt/postgresql@17`
fn is_postgres(path: &Path) -> bool {
    path.parent().is_some_and(|parent| parent.ends_with("postgresql"))
        || path
            .file_name()
            .map(|name| name.to_string_lossy())
            .is_some_and(|name| name.starts_with("postgresql") || name.starts_with("pgsql-"))
}

/// `postgres (PostgreSQL) 15.12 (Debian 15.12-0+deb12u2)` is 15, `17beta1` is 17.
fn major_version(text: &str) -> Option<u32> {
    let version = text.split_once("(PostgreSQL)")?.1.trim_start();
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binaries(major: u32) -> Binaries {
        Binaries { folder: PathBuf::from(format!("/usr/lib/postgresql/{major}/bin")), major }
    }

    #[test]
    fn the_major_version_is_read_from_releases_and_betas() {
        assert_eq!(major_version("postgres (PostgreSQL) 15.12 (Debian 15.12-0+deb12u2)\n"), Some(15));
        assert_eq!(major_version("postgres (PostgreSQL) 17beta1"), Some(17));
        assert_eq!(major_version("mysql 8"), None);
    }

    #[test]
    fn new_data_get_the_newest_version_and_kept_data_their_own() {
        let found = || vec![binaries(14), binaries(17), binaries(15)];
        assert_eq!(choose(found(), None).unwrap(), binaries(17));
        assert_eq!(choose(found(), Some(15)).unwrap(), binaries(15));
    }

    #[test]
    fn what_is_missing_or_too_old_is_said() {
        assert!(choose(vec![], None).unwrap_err().to_string().contains("apt-get"));
        assert!(choose(vec![binaries(11)], None).unwrap_err().to_string().contains("14 or later"));
        assert!(choose(vec![binaries(17)], Some(15)).unwrap_err().to_string().contains("PostgreSQL 15"));
    }
}
