//! `.quadrille/addresses.json`: where everything of a local run listens and which processes it is made of, for people,
//! for tools and for the next run, which ends what a killed one left behind.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use quadrille_servers::process::Identity;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// The `quadrille up` itself.
    pub runner: Identity,
    /// By service name.
    pub services: BTreeMap<String, ServiceAddress>,
    /// The administrator's URL.
    pub postgres: String,
    /// What clients take as `bootstrap.servers`.
    pub kafka: String,
    /// Where the runner answers whether everything that must hold does.
    #[serde(default)]
    pub audit: String,
    /// Where the mails are, one file each.
    pub mails: PathBuf,
    pub logs: PathBuf,
    /// Every living child, servers included, by name.
    pub processes: BTreeMap<String, Identity>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceAddress {
    /// The URL of its HTTP interface.
    pub url: String,
    /// Its database, if it owns one.
    pub database: Option<String>,
}

impl Addresses {
    pub fn file(data: &Path) -> PathBuf {
        data.join("addresses.json")
    }

    /// What the last run wrote there; `None` when there was none.
    pub fn read(data: &Path) -> anyhow::Result<Option<Self>> {
        let file = Self::file(data);
        match fs::read(&file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("reading {}", file.display())),
            Ok(raw) => {
                Ok(Some(serde_json::from_slice(&raw).with_context(|| format!("{} is damaged", file.display()))?))
            }
        }
    }

    /// Replaces the file whole, so that no reader sees half of it. For its owner's eyes: it holds a password.
    pub fn write(&self, data: &Path) -> anyhow::Result<()> {
        let file = Self::file(data);
        let unfinished = file.with_extension("json.new");
        let mut out = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        out.write_all(&serde_json::to_vec_pretty(self)?)?;
        fs::rename(&unfinished, &file).with_context(|| format!("writing {}", file.display()))
    }
}
