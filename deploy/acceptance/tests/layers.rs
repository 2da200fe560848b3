//! What each folder of a service may use: the domain nothing of the service but itself, the store the domain, commands and
//! reactions both of them, and HTTP all three. Only `http/` knows how a request is answered.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

const SERVICES: [&str; 4] = ["order-svc", "stock-svc", "payment-svc", "notification-svc"];
/// A folder of a service, and the modules of the service that are above it.
const LAYERS: [(&str, &[&str]); 4] = [
    ("domain", &["schema", "store", "commands", "reactions", "worker", "http", "app", "config"]),
    ("store", &["commands", "reactions", "worker", "http", "app", "config"]),
    ("commands", &["reactions", "worker", "http", "app", "config"]),
    ("reactions", &["worker", "http", "app", "config"]),
];
/// What an answer over HTTP is made of.
const OF_HTTP: [&str; 3] = ["service_kit::http", "actix_web", "HttpResponse"];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return vec![] };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// The modules of its own crate that a source names, with the lines joined, so that a group over several lines is one.
fn modules_named(source: &str) -> Vec<String> {
    let code: Vec<&str> = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join(" ");
    let after = code.split("crate::").skip(1);
    after
        .flat_map(|rest| if let Some(group) = rest.strip_prefix('{') { of_group(group) } else { vec![word(rest)] })
        .collect()
}

fn word(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The first word of each part of `{a::b, c::{d, e}}`, whose opening brace is gone.
fn of_group(group: &str) -> Vec<String> {
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => parts.push(String::new()),
            _ => parts.last_mut().unwrap().push(c),
        }
    }
    parts.iter().map(|part| word(part)).filter(|part| !part.is_empty()).collect()
}

/// Each use in the folder of `service` that goes upwards, as `file: module`.
fn uses_upwards(service: &Path) -> Vec<String> {
    let mut found = vec![];
    for (layer, above) in LAYERS {
        for path in sources(&service.join("src").join(layer)) {
            let source = fs::read_to_string(&path).unwrap();
            let named = modules_named(&source).into_iter().filter(|module| above.contains(&module.as_str()));
            let of_http = OF_HTTP.iter().filter(|name| source.contains(*name)).map(|name| (*name).to_owned());
            found.extend(named.chain(of_http).map(|module| format!("{}: {module}", path.display())));
        }
    }
    found
}

#[test]
fn no_layer_of_a_service_uses_one_above_it() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let looked_at: usize = SERVICES.map(|name| sources(&workspace.join(name).join("src/domain")).len()).iter().sum();
    assert!(looked_at > 10, "only {looked_at} files of domains are there");
    let found: Vec<_> = SERVICES.iter().flat_map(|name| uses_upwards(&workspace.join(name))).collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_use_upwards_is_seen_in_whatever_form_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("src/store");
    fs::create_dir_all(&store).unwrap();
    let source = "use crate::{\n    domain::{Order, Status},\n    commands::place_order,\n};\nfn f() { crate::app::build() }\n// crate::http\n";
    fs::write(store.join("orders.rs"), source).unwrap();
    let found = uses_upwards(folder.path());
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].ends_with("orders.rs: commands") && found[1].ends_with("orders.rs: app"), "{found:?}");
}
