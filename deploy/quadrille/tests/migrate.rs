//! `quadrille migrate` as a job runs it before the services of a new version start.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

use std::process::{Command, Output};

use diesel::migration::MigrationSource;
use diesel::pg::Pg;
use quadrille::service::Service;
use service_kit::testing::TestDb;

async fn migrate(service: &str, database_url: &str, relay_role: &str) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quadrille"));
    command.args(["migrate", service]).env_clear();
    command.env("DATABASE_URL", database_url).env("OUTBOX_RELAY_ROLE", relay_role);
    let ran = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
    let Output { status, stdout, stderr } = ran.unwrap();
    (status.success(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_services_database_is_migrated_without_it_and_again_without_harm() {
    let all =
        [order_svc::migrations(), stock_svc::migrations(), payment_svc::migrations(), notification_svc::migrations()];
    for (service, migrations) in Service::WITH_OUTBOX.into_iter().zip(all) {
        let (db, name) = (TestDb::new(&[]).await, service.name());
        for time in ["the first time", "again"] {
            let (well, said) = migrate(name, &db.url, "").await;
            assert!(well && said.contains(&format!("{name}: the database is of this version")), "{time}: {said}");
        }
        let known = |source| MigrationSource::<Pg>::migrations(source).unwrap().len();
        let known: usize = migrations.iter().map(known).sum();
        assert_eq!(db.count("__diesel_schema_migrations").await, i64::try_from(known).unwrap(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_migrated_is_named() {
    let db = TestDb::new(&[]).await;
    let (well, said) = migrate("outbox-relay", &db.url, "").await;
    assert!(!well && said.contains("outbox-relay has no outbox"), "{said}");
    let (well, said) = migrate("order-svc", &db.url, "nobody_of_this_name").await;
    assert!(!well && said.contains("OUTBOX_RELAY_ROLE is \"nobody_of_this_name\""), "{said}");
}
