//! docker-compose.yml, .env.example, the page of operations and the configuration page say the same.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end by panicking")]

use std::{collections::BTreeMap, collections::BTreeSet, fs, path::Path};

use quadrille::principals::{READER, heard, relay_of, written};
use quadrille::service::Service;

fn read(file: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Every `${NAME:-default}` of the compose file, and `${NAME-default}` where emptying it means something; one name must have one
/// default everywhere.
fn defaults(compose: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (_, rest) in compose.match_indices("${").map(|(at, _)| compose.split_at(at + 2)) {
        let inside = rest.split_once('}').unwrap().0;
        let (name, default) = inside
            .split_once(":-")
            .or_else(|| inside.split_once('-'))
            .unwrap_or_else(|| panic!("{inside} has no default"));
        let before = found.insert(name.to_owned(), default.to_owned());
        assert!(before.is_none_or(|before| before == default), "{name} has two defaults");
    }
    found
}

#[test]
fn env_example_names_every_variable_of_the_compose_file_with_its_default() {
    let example: BTreeMap<_, _> = read(".env.example")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    assert_eq!(example, defaults(&read("docker-compose.yml")));
}

/// So that none of them is taken for a secret where it must be one.
#[test]
fn every_password_and_secret_that_is_a_default_is_known_to_be_one() {
    let defaults = defaults(&read("docker-compose.yml"));
    let secrets: Vec<_> =
        defaults.iter().filter(|(name, _)| name.ends_with("_PASSWORD") || name.ends_with("_SECRET")).collect();
    assert!(secrets.len() > 8, "{secrets:?}");
    for (name, default) in secrets.into_iter().filter(|(_, default)| !default.is_empty()) {
        assert!(
            service_kit::config::is_known(default),
            "{name}={default} is missing in service-kit/src/config/secrets.rs"
        );
    }
}

#[test]
fn every_published_port_is_on_loopback_and_in_the_documented_table() {
    let (compose, document) = (read("docker-compose.yml"), read("docs/OPERATIONS.md"));
    let defaults = defaults(&compose);
    let table: String = document
        .lines()
        .skip_while(|line| !line.starts_with("| on 127.0.0.1"))
        .take_while(|line| !line.is_empty())
        .collect();
    let ports: Vec<_> = compose
        .lines()
        .filter_map(|line| line.trim().strip_prefix("ports: ["))
        .flat_map(|list| list.trim_end_matches(']').split(", "))
        .collect();
    assert!(ports.len() > 8, "{ports:?}");
    for port in ports {
        let variable = port
            .strip_prefix("\"127.0.0.1:${")
            .and_then(|rest| rest.split_once(":-"))
            .unwrap_or_else(|| panic!("{port} is not a port of 127.0.0.1 with a variable"))
            .0;
        let number = &defaults[variable];
        assert!(table.contains(number.as_str()), "{variable}={number} is not in the table of docs/OPERATIONS.md");
    }
}

#[test]
fn images_are_pinned() {
    for (name, image) in defaults(&read("docker-compose.yml")).iter().filter(|(name, _)| name.ends_with("_IMAGE")) {
        let tag = image.rsplit_once(':').unwrap_or_else(|| panic!("{name}={image} has no tag")).1;
        assert!(tag.contains('.') || tag.contains('-'), "{name}={image} may change under the same name");
    }
}

#[test]
fn the_dockerfile_and_the_compose_file_build_from_the_same_bases() {
    let (dockerfile, defaults) = (read("deploy/Dockerfile"), defaults(&read("docker-compose.yml")));
    for base in ["RUST_IMAGE", "RUNTIME_IMAGE"] {
        assert!(dockerfile.contains(&format!("ARG {base}={}\n", defaults[base])), "{base}");
    }
}

/// Who logs in at the broker, beside the services and their relays.
const OTHERS: [&str; 3] = ["admin", "broker", READER];

fn principals() -> BTreeSet<String> {
    let programs = Service::WITH_OUTBOX.into_iter().flat_map(|service| [service.name().to_owned(), relay_of(service)]);
    programs.chain(OTHERS.map(str::to_owned)).collect()
}

#[test]
fn the_broker_knows_the_shops_principals_and_each_program_logs_in_as_its_own() {
    let compose = read("docker-compose.yml");
    let users: BTreeSet<_> = compose
        .lines()
        .filter_map(|line| Some(line.trim().strip_prefix("user_")?.split_once('=')?.0.to_owned()))
        .collect();
    assert_eq!(users, principals());
    let logins: BTreeSet<_> = compose
        .lines()
        .filter_map(|line| line.trim().strip_prefix("KAFKA_SASL_USERNAME: "))
        .map(str::to_owned)
        .collect();
    let mut programs = principals();
    programs.remove("broker");
    assert_eq!(logins, programs);
}

#[test]
fn the_page_of_operations_says_what_each_principal_reads_and_writes() {
    let document = read("docs/OPERATIONS.md");
    for service in Service::WITH_OUTBOX {
        let (reads, writes) = (heard(service).join(", "), written(service).join(", "));
        for row in
            [format!("| `{}` | {reads} | |", service.name()), format!("| `{}` | | {writes} |", relay_of(service))]
        {
            assert!(document.contains(&format!("\n{row}\n")), "docs/OPERATIONS.md lacks the row {row}");
        }
    }
}

/// What a program is told in its container must be something that it reads.
#[test]
fn variables_of_our_programs_are_in_the_configuration_page() {
    let (compose, page) = (read("docker-compose.yml"), read("docs/CONFIGURATION.md"));
    let block = compose.split_once("\nx-environment:").unwrap().1.split_once("\nx-after:").unwrap().0;
    let names: Vec<_> = block
        .lines()
        .filter_map(|line| line.trim().split_once(": "))
        .map(|(name, _)| name)
        .filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        .collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        assert!(page.contains(&format!("| `{name}` |")), "{name} is read by nobody");
    }
}
