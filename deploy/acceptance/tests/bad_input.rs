//! What is wrong at the start ends a service at once, with one line that says what and how to mend it; nothing is
//! written.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use quadrille_acceptance::program;
use quadrille_servers::{Durability, Postgres, postgres};
use service_kit::testing::{TestDb, kafka_bootstrap};
use url::Url;

/// A service that ended, and what it said last.
struct Ended {
    code: Option<i32>,
    said: String,
    took: Duration,
}

impl Ended {
    /// Its last line, which is the only one that is no log line.
    fn line(&self) -> &str {
        let mut told = self.said.lines().filter(|line| !line.starts_with('{'));
        let line = told.next().unwrap_or_default();
        assert_eq!(told.next(), None, "more than one line: {}", self.said);
        line
    }
}

async fn run(service: &str, variables: &[(&str, &str)]) -> Ended {
    let mut command = Command::new(program("quadrille").unwrap());
    let whole = [
        ("KAFKA_BOOTSTRAP_SERVERS", kafka_bootstrap()),
        ("HTTP_ADDR", "127.0.0.1:0".to_owned()),
        ("AUTH", "off".to_owned()),
        ("METRICS_ADDR", "127.0.0.1:0".to_owned()),
        ("PAYMENT_GATEWAY_KEY", "sk_test".to_owned()),
        ("MAIL_TRANSPORT", "smtp://127.0.0.1:1".to_owned()),
        ("MAIL_FROM", "shop@example.com".to_owned()),
    ];
    command.args(["run", service]).env_clear().envs(whole).envs(variables.iter().copied());
    let began = Instant::now();
    let Output { status, stderr, .. } = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    Ended { code: status.code(), said: String::from_utf8(stderr).unwrap(), took: began.elapsed() }
}

fn with(url: &str, change: impl FnOnce(&mut Url)) -> String {
    let mut url = Url::parse(url).unwrap();
    change(&mut url);
    url.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_role_or_database_is_told_at_once_and_the_password_never() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    // one that asks for passwords, as a real one does
    let options =
        postgres::Options { folder: folder.path().join("postgres"), port: None, durability: Durability::Real };
    let server = Postgres::start(&options).await.unwrap();
    let good = server.url("order_svc");
    let place = format!("127.0.0.1:{}/order_svc", server.port());
    let wrong = with(&good, |url| url.set_password(Some("hunter2")).unwrap());
    let nobody = with(&wrong, |url| url.set_username("nobody").unwrap());
    for (url, words) in [
        (&wrong, ["postgres", "password authentication failed", "correct user and password"]),
        (&nobody, ["nobody", "password authentication failed", "correct user and password"]),
        (&good, ["order_svc", "does not exist", "create the database"]),
    ] {
        let ended = run("order-svc", &[("DATABASE_URL", url)]).await;
        let line = ended.line();
        assert!(ended.code == Some(1) && ended.took < Duration::from_secs(15), "{:?} {}", ended.took, ended.said);
        assert!(line.starts_with("order-svc: DATABASE_URL: ") && line.contains(&place), "{line}");
        assert!(words.iter().all(|word| line.contains(word)) && !line.contains("hunter2"), "{line}");
    }
    for service in ["stock-svc", "payment-svc", "notification-svc", "sandbox-gateway"] {
        let ended = run(service, &[("DATABASE_URL", &wrong)]).await;
        assert!(ended.line().starts_with(&format!("{service}: DATABASE_URL: ")), "{}", ended.said);
    }
    server.stop(Duration::from_secs(20)).await.unwrap();
}

#[derive(diesel::QueryableByName)]
struct Written {
    #[diesel(sql_type = diesel::sql_types::Text)]
    state: String,
}

/// Everything that a start may write: tables, migrations, rights.
async fn written(conn: &mut AsyncPgConnection) -> String {
    let state = "select concat(
        (select string_agg(relname || coalesce(relacl::text, ''), ',' order by relname) from pg_class
            where relnamespace = 'public'::regnamespace),
        (select string_agg(version, ',' order by version) from __diesel_schema_migrations)) as state";
    diesel::sql_query(state).get_result::<Written>(conn).await.unwrap().state
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_newer_than_the_program_is_refused_and_nothing_is_written() {
    let db = TestDb::new(&[service_kit::MIGRATIONS]).await; // the rest would be added
    let mut conn = db.conn().await;
    let newer = "insert into __diesel_schema_migrations (version) values ('29990101000000')";
    conn.batch_execute(newer).await.unwrap();
    let before = written(&mut conn).await;
    let ended = run("order-svc", &[("DATABASE_URL", &db.url), ("OUTBOX_RELAY_ROLE", "nobody")]).await;
    let line = ended.line();
    assert!(ended.code == Some(1) && line.starts_with("order-svc: 127.0.0.1:"), "{}", ended.said);
    assert!(line.contains("newer than this program") && line.contains("29990101000000"), "{line}");
    assert_eq!(written(&mut conn).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_role_that_is_not_there_is_named_with_its_variable() {
    let db = TestDb::new(&stock_svc::migrations()).await;
    let ended = run("stock-svc", &[("DATABASE_URL", &db.url), ("OUTBOX_RELAY_ROLE", "stock_rely")]).await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.line().starts_with("stock-svc: OUTBOX_RELAY_ROLE is \"stock_rely\""), "{}", ended.said);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_named_with_its_variable() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let db = TestDb::new(&payment_svc::migrations()).await;
    let ended = run("payment-svc", &[("DATABASE_URL", &db.url), ("HTTP_ADDR", &taken)]).await;
    let line = ended.line();
    assert!(line.starts_with(&format!("payment-svc: can't listen on {taken}")) && line.contains("HTTP_ADDR"), "{line}");
    let ended = run("outbox-relay", &[("OUTBOX_RELAY_DATABASES", &db.url), ("METRICS_ADDR", &taken)]).await;
    let line = ended.line();
    assert!(line.starts_with(&format!("outbox-relay: can't listen on {taken}")), "{line}");
    assert!(line.contains("METRICS_ADDR") && !line.contains("HTTP_ADDR"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_is_not_whole_is_one_line_with_every_name_and_a_code_of_its_own() {
    let ended = run("order-svc", &[("KAFKA_BOOTSTRAP_SERVERS", ""), ("ORDER_DEADLINE", "soon")]).await;
    assert_eq!(ended.code, Some(78), "{}", ended.said);
    for name in ["DATABASE_URL is not set", "KAFKA_BOOTSTRAP_SERVERS is not set", "ORDER_DEADLINE is \"soon\""] {
        assert!(ended.line().contains(name), "{}", ended.said);
    }
}
