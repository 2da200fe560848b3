//! The folder into which a local run writes mails. A mail's name begins with its order.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;

use super::Places;
use super::person::{About, Person};
use super::places::{Found, Place};
use super::shop::Shop;

pub(super) fn search(shop: &Shop, person: &Person) -> anyhow::Result<Places> {
    let files = files(shop)?;
    let mut found = Found::default();
    for (name, path) in files {
        let order = name.split('.').next().unwrap_or_default();
        // what has gone meanwhile names nobody
        let text = || fs::read(&path).map(|mail| String::from_utf8_lossy(&mail).into_owned()).unwrap_or_default();
        let about = if person.ended.contains(order) {
            Some(About::Person)
        } else if person.going_on.contains(order) {
            Some(About::OrderGoingOn)
        } else {
            person.named_in(&text())
        };
        about.into_iter().for_each(|about| found.add(about, None));
    }
    Ok(if found == Found::default() { Places::new() } else { Places::from([(Place::Mails, found)]) })
}

/// Deletes the mails about orders that have ended.
pub(super) fn delete(shop: &Shop, person: &Person) -> anyhow::Result<()> {
    for (name, path) in files(shop)? {
        if person.is_of_an_ended_order(&name) {
            fs::remove_file(&path).with_context(|| format!("deleting {}", path.display()))?;
        }
    }
    Ok(())
}

fn files(shop: &Shop) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let Some(folder) = shop.mails().filter(|folder| folder.exists()) else { return Ok(Vec::new()) };
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    entries
        .map(|entry| Ok(entry.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))?))
        .collect()
}
