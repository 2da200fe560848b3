//! Documents lead a reader to files: each file that one names is there, so that a file that moves takes its mentions along.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

/// Endings of the files that documents lead to.
const ENDINGS: [&str; 6] = [".rs", ".md", ".sql", ".sh", ".yml", ".py"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// All files below `folder`, from the root, but what is built or downloaded.
fn files(folder: &Path, root: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() {
            if !matches!(&*name, "target" | ".git" | ".quadrille" | "node_modules") {
                files(&path, root, found);
            }
        } else {
            found.push(path.strip_prefix(root).unwrap().to_string_lossy().into_owned());
        }
    }
}

/// The paths in a document's code marks: at least a folder and a file.
fn paths_named(text: &str) -> Vec<&str> {
    let marked = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    marked
        .filter(|path| ENDINGS.iter().any(|ending| path.ends_with(ending)))
        .filter(|path| path.contains('/') && !path.starts_with("target/"))
        .filter(|path| path.chars().all(|c| c.is_ascii_alphanumeric() || "./_-".contains(c)))
        .collect()
}

fn is_there(path: &str, files: &[String]) -> bool {
    let path = path.trim_start_matches("../");
    files.iter().any(|file| file == path || file.ends_with(&format!("/{path}")))
}

#[test]
fn every_file_that_a_document_names_is_there() {
    let (root, mut all) = (root(), vec![]);
    files(&root, &root, &mut all);
    let documents: Vec<_> = all.iter().filter(|file| file.ends_with(".md")).collect();
    assert!(documents.iter().any(|file| *file == "docs/ARCHITECTURE.md"), "{documents:?}");

    let mut named = 0;
    let mut missing = vec![];
    for document in documents {
        let text = fs::read_to_string(root.join(document)).unwrap();
        for path in paths_named(&text) {
            named += 1;
            if !is_there(path, &all) {
                missing.push(format!("{document}: {path}"));
            }
        }
    }
    assert!(named > 50, "{named}");
    assert_eq!(missing, <Vec<String>>::new());
}

#[test]
fn a_file_that_moved_is_noticed() {
    let there = ["stock-svc/src/domain/allocation/parcels.rs".to_owned()];
    let document = "it has `domain/allocation/parcels.rs`, and `domain/goods/parcels.rs` as before; `a b.rs` is none";
    let missing: Vec<_> = paths_named(document).into_iter().filter(|path| !is_there(path, &there)).collect();
    assert_eq!(missing, ["domain/goods/parcels.rs"]);
}
