//! Checks that every row of docs/RACES.md has tests that are named for it at each level that the row lists. Missing
//! tests are listed here, so that none is lost unnoticed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "the list is for whoever reads the test's output")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The rows whose tests are still missing. Whoever writes such a test removes its line.
const MISSING: &[&str] = &[];

/// A row: the name of the race, and the levels at which tests must show it.
struct Row {
    name: String,
    wanted: BTreeSet<String>,
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn rows() -> Vec<Row> {
    let page = fs::read_to_string(workspace().join("docs/RACES.md")).unwrap();
    let row = |line: &str| {
        let cells: Vec<_> = line.strip_prefix("| `")?.trim_end_matches('|').split('|').collect();
        let name = cells[0].trim().trim_end_matches('`').to_owned();
        Some(Row { name, wanted: cells.last()?.split(',').map(|place| place.trim().to_owned()).collect() })
    };
    page.lines().filter_map(row).collect()
}

/// The level at which the tests of this file show a race.
fn place_of(file: &Path) -> &'static str {
    if file.starts_with("deploy/model") {
        "machines"
    } else if file.starts_with("deploy") {
        "system"
    } else {
        "postgres"
    }
}

/// Every function of the workspace that is named for a race, with its file.
fn tests() -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(workspace().join(&folder)).unwrap().map(Result::unwrap) {
            let (name, path) = (entry.file_name().into_string().unwrap(), folder.join(entry.file_name()));
            if entry.file_type().unwrap().is_dir() {
                if name != "target" && !name.starts_with('.') {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let source = fs::read_to_string(workspace().join(&path)).unwrap();
                found.extend(races_in(&source).map(|race| (race, path.clone())));
            }
        }
    }
    found.sort();
    found
}

fn races_in(source: &str) -> impl Iterator<Item = String> {
    let named = |line: &str| {
        let name =
            line.trim_start().trim_start_matches("pub ").trim_start_matches("async ").strip_prefix("fn race_")?;
        Some(name.split('(').next()?.to_owned())
    };
    source.lines().filter_map(named)
}

#[test]
fn every_row_of_the_race_table_has_its_tests_and_what_is_missing_is_named() {
    let (rows, tests) = (rows(), tests());
    let mut missing = Vec::new();
    for Row { name, wanted } in &rows {
        println!("{name}");
        let mut seen = BTreeMap::<_, Vec<_>>::new();
        for (race, file) in tests.iter().filter(|(race, _)| race.starts_with(name)) {
            seen.entry(place_of(file)).or_default().push(format!("{}: race_{race}", file.display()));
        }
        for place in wanted {
            match seen.get(place.as_str()) {
                Some(tests) => tests.iter().for_each(|test| println!("    {place}: {test}")),
                None => {
                    println!("    {place}: no test");
                    missing.push(format!("{name} on {place}"));
                }
            }
        }
    }
    assert_eq!(missing, MISSING, "what is missing, and what was known to be; mend the list or the tests");
}

#[test]
fn no_test_is_named_for_a_race_that_is_not_in_the_table() {
    let rows = rows();
    assert_eq!(rows.len(), 23, "docs/RACES.md has its rows");
    let unknown: Vec<_> =
        tests().into_iter().filter(|(race, _)| !rows.iter().any(|row| race.starts_with(&row.name))).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}
