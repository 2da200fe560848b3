//! docs/CONFIGURATION.md says what the code reads. `make docs` writes it anew.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use service_kit::config::{Reader, markdown};

const INTRODUCTION: &str = "# Configuration\n\n\
    Every process is told what it needs by variables of its environment. They are read once and checked whole before \
    anything is bound: a start with something missing or wrong ends at once and names every such variable, what was \
    expected, and an example. A variable that is set to nothing counts as not set; where the column `default` is empty, it may stay so. A secret `X` can be given as a file, which `X_FILE` names. Durations are written as `90s`, \
    `15m`, `2h`, `7d` or `250ms`.\n\n\
    This page is generated from the code (`make docs`); a test fails when it is not up to date.\n";

/// `quadrille up` and the test servers look at these before any process is started, so no reader knows them.
const LOCAL: &str = "## quadrille (local run and tools)\n\n\
    | variable | what it is for | expected | default | example |\n|---|---|---|---|---|\n\
    | `DATABASE_URL` | A PostgreSQL to use instead of starting one; `up` makes a database for each service in it. | a PostgreSQL URL of a role that may create databases |  | `postgres://postgres@127.0.0.1:5432/postgres` |\n\
    | `KAFKA_BOOTSTRAP_SERVERS` | A Kafka to use instead of the embedded broker, as `--kafka HOST:PORT`; also where `topics`, `tail`, `order show`, `audit` and `demo` look. For one with TLS or SASL: `KAFKA_SECURITY_PROTOCOL` and its fellows, as above. | host:port, several with commas between |  | `127.0.0.1:9092` |\n\
    | `QUADRILLE_DATABASES` | Where `order show`, `audit` and `dead-letters` find the services' databases, when they are not a local run's (`--database`). | SERVICE=URL, several with commas between |  | `order-svc=postgres://order_svc:order@127.0.0.1:15432/order_svc` |\n\
    | `SANDBOX_URL` | Where `audit` finds the sandbox gateway's journal, when it is not the local run's. | a URL |  | `http://127.0.0.1:8090` |\n\
    | `STOCK_URL` | Where `catalogue` finds stock-svc. | a URL | `http://127.0.0.1:8082` | `http://stock-svc:8082` |\n\
    | `ORDER_URL` | Where `catalogue` finds order-svc; where `order show` does, when it is not the local run's. | a URL | `http://127.0.0.1:8080` | `http://order-svc:8080` |\n\
    | `AUTH_ISSUER` | Where `login`, `catalogue`, `order show` and `audit` find the sandbox issuer, when it is neither the local run's nor that of compose. | a URL |  | `http://sandbox-issuer:8091` |\n\
    | `STAFF` | A token of staff for `catalogue`, where no sandbox issuer gives one. | a token |  | `eyJhbGciOi...` |\n\
    | `LOGIN_COMMAND` | What `catalogue` tells to log in with, at its end. | a command | `quadrille login` | `docker compose run --rm -T quadrille login` |\n\
    | `PG` | Where PostgreSQL's server binaries are, when they are in no usual place. | a folder with `postgres` and `initdb` |  | `/usr/lib/postgresql/15/bin` |\n\
    | `JAVA_HOME` | Which Java runs Kafka, when it is not the `java` in the path. | the folder of a Java runtime 17 or later |  | `/usr/lib/jvm/java-17-openjdk-amd64` |\n\
    | `QUADRILLE_MAVEN_URL` | Where Kafka's jars are fetched, when `mvn` is not to be used. | the base URL of a Maven repository |  | `https://repo.example.com/maven2` |\n";

fn section(name: &str, read: impl FnOnce(&mut Reader)) -> String {
    format!("\n## {name}\n\n{}", markdown(read))
}

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    page += &section("order-svc", |reader| drop(order_svc::config::Config::read(reader)));
    page += &section("stock-svc", |reader| drop(stock_svc::config::Config::read(reader)));
    page += &section("payment-svc", |reader| drop(payment_svc::config::Config::read(reader)));
    page += &section("notification-svc", |reader| drop(notification_svc::config::Config::read(reader)));
    page += &section("outbox-relay (the worker)", |reader| drop(outbox_relay::worker::Config::read(reader)));
    page += &section("sandbox-gateway", |reader| drop(sandbox_gateway::config::Config::read(reader)));
    page += &section("sandbox-issuer", |reader| drop(sandbox_issuer::config::Config::read(reader)));
    page + "\n" + LOCAL
}

#[test]
fn the_page_on_configuration_says_what_the_code_reads() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/CONFIGURATION.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page(), "docs/CONFIGURATION.md is not what the code reads: run `make docs`");
}
