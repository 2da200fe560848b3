//! deploy/kubernetes says what the code and docker-compose.yml say: variables, ports, probes, what a program may, topics, rights.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end by panicking")]

mod brokers_and_databases;
mod files;
mod pods;

use std::collections::BTreeSet;

use service_kit::config::Reader;
use service_kit::testing::Authority;

use files::{OVERLAYS, Variables, document, list, read, secret_files, told, told_by_compose};

/// Where the programs find their secrets.
const SECRETS: &str = "/run/secrets/quadrille/";

/// The variables that a program asks for, and what is wrong with those that it is given.
fn started(program: &str, given: &Variables) -> Result<BTreeSet<String>, String> {
    let mut asked = BTreeSet::new();
    let read = Reader::from_pairs(given.clone()).whole(|reader| {
        let read = match program {
            "order-svc" => order_svc::config::Config::read(reader).map(drop),
            "stock-svc" => stock_svc::config::Config::read(reader).map(drop),
            "payment-svc" => payment_svc::config::Config::read(reader).map(drop),
            "notification-svc" => notification_svc::config::Config::read(reader).map(drop),
            "sandbox-gateway" => sandbox_gateway::config::Config::read(reader).map(drop),
            "sandbox-issuer" => sandbox_issuer::config::Config::read(reader).map(drop),
            relay if relay.ends_with("-relay") => outbox_relay::worker::Config::read(reader).map(drop),
            other => panic!("which program is {other}?"),
        };
        asked = reader.seen().iter().map(|var| var.name.to_owned()).collect();
        read
    });
    read.map(|()| asked).map_err(|error| error.to_string())
}

/// What a program is told, the files with its secrets read.
fn with_secrets(overlay: &str, program: &str) -> Variables {
    let files = secret_files(overlay, program);
    let file = |path: &str| {
        let name = path.strip_prefix(SECRETS).unwrap_or_else(|| panic!("{path} is not below {SECRETS}"));
        files.get(name).unwrap_or_else(|| panic!("{overlay}: no secret puts {name} into {program}'s volume")).clone()
    };
    let value = |(name, value): (String, String)| match name.strip_suffix("_FILE") {
        Some(secret) => (secret.to_owned(), file(&value)),
        None => (name, value),
    };
    told(overlay, program).into_iter().map(value).collect()
}

#[test]
fn every_program_starts_with_what_it_is_told_and_reads_all_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = Authority::new("an authority").certificate_in(folder.path().join("ca.pem"));
    let certificate = certificate.to_str().unwrap();
    for overlay in OVERLAYS {
        let programs = files::programs(overlay);
        assert_eq!(programs.len(), if overlay == "local" { 10 } else { 8 }, "{programs:?}");
        for program in programs {
            let mut given = with_secrets(overlay, &program);
            // The operators' certificates are not here, but in the places of the volume that the variables and URLs name.
            for file in secret_files(overlay, &program).keys().filter(|file| file.ends_with("-ca.pem")) {
                let place = format!("{SECRETS}{file}");
                assert!(
                    given.values().any(|value| value.ends_with(&place)),
                    "{overlay}: {program} never looks at {place}"
                );
                given.values_mut().for_each(|value| *value = value.replace(&place, certificate));
            }
            let asked = started(&program, &given).unwrap_or_else(|why| panic!("{overlay} {program}: {why}"));
            let unread: Vec<_> = given.keys().filter(|name| !asked.contains(*name)).collect();
            assert!(unread.is_empty(), "{overlay}: {program} does not read {unread:?}");
        }
    }
}

#[test]
fn production_is_no_sandbox_believes_only_its_own_servers_and_gives_each_program_a_name_at_the_brokers() {
    for program in files::programs("production") {
        let told = with_secrets("production", &program);
        assert_eq!(told.get("SANDBOX"), None, "{program}");
        let url = told.get("DATABASE_URL").or_else(|| told.get("OUTBOX_RELAY_DATABASES")).unwrap();
        assert!(url.contains("?sslmode=verify-full&sslrootcert="), "{program}");
        assert_eq!(told["KAFKA_SECURITY_PROTOCOL"], "sasl_ssl", "{program}");
        assert_eq!(told["KAFKA_SASL_USERNAME"], program);
    }
}

/// What compose tells and this does not, or otherwise.
const OTHERWISE: [(&str, &str); 6] = [
    ("GROUP_INSTANCE_ID", "a pod has no name that stays, and a group of changing size needs none"),
    ("ALLOWED_HOSTS", "each has names of its own"),
    ("KAFKA_SECURITY_PROTOCOL", "the local overlay's Kafka lets everybody in"),
    ("KAFKA_SASL_MECHANISM", "the same"),
    ("KAFKA_SASL_USERNAME", "the same"),
    ("KAFKA_SASL_PASSWORD", "the same"),
];

#[test]
fn what_compose_tells_a_program_the_local_overlay_tells_it_too() {
    for program in files::programs("local") {
        let here = with_secrets("local", &program);
        let asked = started(&program, &here).unwrap_or_else(|why| panic!("{program}: {why}"));
        let told = told_by_compose(&program);
        assert!(told.len() > 5, "{program}: {told:?}");
        for (name, value) in told.iter().filter(|(name, value)| !value.is_empty() && asked.contains(*name)) {
            if OTHERWISE.iter().all(|(known, _)| known != name) {
                assert_eq!(here.get(name), Some(value), "{program}: {name}");
            }
        }
    }
}

#[test]
fn images_are_those_of_this_version_and_of_compose() {
    for file in ["base", "overlays/local", "overlays/production"] {
        let kustomization = document(&format!("deploy/kubernetes/{file}/kustomization.yaml"));
        for image in list(&kustomization["images"]) {
            assert_eq!(image["newTag"], env!("CARGO_PKG_VERSION"), "{file}: {image}");
        }
    }
    let compose = read(".env.example");
    for (image, file) in [("POSTGRES_IMAGE", "postgres"), ("KAFKA_IMAGE", "kafka"), ("MAILPIT_IMAGE", "mailpit")] {
        let line = compose.lines().find_map(|line| line.strip_prefix(image)?.strip_prefix('='));
        let manifest = read(&format!("deploy/kubernetes/overlays/local/{file}.yaml"));
        assert!(manifest.contains(&format!("image: {}\n", line.unwrap())), "{file}");
    }
}

#[test]
fn the_local_overlay_has_a_password_for_every_role_that_is_made() {
    let given = files::variables(&read("deploy/kubernetes/overlays/local/databases.env"));
    let script = read("deploy/compose/databases.sh");
    let asked =
        script.split(|c: char| !c.is_ascii_uppercase() && c != '_').filter(|word| word.ends_with("_DB_PASSWORD"));
    let asked: BTreeSet<_> = asked.collect();
    assert!(asked.len() > 8, "{asked:?}");
    for name in asked {
        assert!(given.contains_key(name), "{name}");
    }
    for program in files::programs("local") {
        let told = with_secrets("local", &program);
        let url = told.get("DATABASE_URL").or_else(|| told.get("OUTBOX_RELAY_DATABASES")).unwrap();
        let password = url.split_once("://").unwrap().1.split_once(':').unwrap().1.split_once('@').unwrap().0;
        assert!(given.values().any(|known| known == password), "{program}: nobody makes the role of {url}");
    }
}
