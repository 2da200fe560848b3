//! What the programs measure, as their sources say it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const PROGRAMS: [&str; 6] =
    ["service-kit", "outbox-relay", "order-svc", "stock-svc", "payment-svc", "notification-svc"];
const KINDS: [&str; 3] = ["counter", "gauge", "histogram"];

/// Names of metrics, with their kind.
pub type Metrics = BTreeSet<(String, &'static str)>;

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The names that stand first in calls of this macro.
fn named<'a>(text: &'a str, called: &'a str) -> impl Iterator<Item = String> + 'a {
    let calls = text.match_indices(called).filter(|(at, _)| {
        let before = text[..*at].chars().next_back();
        before.is_none_or(|before| !before.is_alphanumeric() && before != '_')
    });
    calls.filter_map(|(at, _)| {
        let name = text[at + called.len()..].trim_start().strip_prefix('"')?;
        Some(name[..name.find('"')?].to_owned())
    })
}

/// What is measured, and what is explained.
pub fn metrics() -> (Metrics, Metrics) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let mut files = vec![];
    PROGRAMS.iter().for_each(|program| sources(&root.join(program).join("src"), &mut files));
    let (mut measured, mut explained) = (Metrics::new(), Metrics::new());
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        for kind in KINDS {
            measured.extend(named(&text, &format!("{kind}!(")).map(|name| (name, kind)));
            explained.extend(named(&text, &format!("describe_{kind}!(")).map(|name| (name, kind)));
        }
    }
    (measured, explained)
}
