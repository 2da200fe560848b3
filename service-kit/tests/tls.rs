//! PostgreSQL over TLS, on servers and with a CA of the tests' own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::path::PathBuf;
use std::time::Duration;

use common::server::Server;
use diesel::sql_types::Integer;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use secrecy::SecretString;
use service_kit::config::DatabaseConfig;
use service_kit::testing::{Authority, eventually};
use service_kit::{Pool, migrate, pool};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const SOON: Duration = Duration::from_secs(30);
/// Lines of `pg_hba.conf`.
const TLS_ALONE: &str = "hostssl all all 127.0.0.1/32 trust";
const PLAIN_ALONE: &str = "hostnossl all all 127.0.0.1/32 trust";
const WITH_PASSWORD: &str = "hostssl all all 127.0.0.1/32 scram-sha-256\nhostnossl all all 127.0.0.1/32 scram-sha-256";

#[derive(diesel::QueryableByName)]
struct Number {
    #[diesel(sql_type = Integer)]
    number: i32,
}

async fn number(conn: &mut AsyncPgConnection, query: &str) -> diesel::QueryResult<i32> {
    diesel::sql_query(query).get_result::<Number>(conn).await.map(|row| row.number)
}

async fn is_encrypted(conn: &mut AsyncPgConnection) -> bool {
    number(conn, "select ssl::int as number from pg_stat_ssl where pid = pg_backend_pid()").await.unwrap() == 1
}

/// The CA, and the folder with its certificate.
struct Ca {
    authority: Authority,
    folder: tempfile::TempDir,
}

impl Ca {
    fn new() -> Self {
        Self { authority: Authority::new("the shop's authority"), folder: tempfile::tempdir().unwrap() }
    }

    /// The file with its certificate, as a URL has it.
    fn file(&self) -> PathBuf {
        self.authority.certificate_in(self.folder.path().join("ca.pem"))
    }

    fn verify_full(&self) -> String {
        format!("sslmode=verify-full&sslrootcert={}", self.file().display())
    }
}

fn url(server: &Server, host: &str, query: &str) -> String {
    format!("postgres://postgres:hunter2@{host}:{}/postgres?{query}", server.postgres.port())
}

async fn open(url: &str) -> anyhow::Result<Pool> {
    let config = DatabaseConfig { url: SecretString::from(url.to_owned()), pool_size: 2 };
    tokio::time::timeout(SOON, pool::open(&config)).await.expect("it waits for what never comes")
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_works_on_a_server_that_takes_tls_alone() {
    let ca = Ca::new();
    let server = Server::secured(&ca.authority, "localhost", TLS_ALONE).await;
    let url = |host: &str, query: &str| url(&server, host, query);
    let file = ca.file();
    let verified = url("localhost", &ca.verify_full());
    for url in [
        verified.clone(),
        url("localhost", &format!("hostaddr=127.0.0.1&{}", ca.verify_full())),
        url("127.0.0.1", &format!("sslmode=verify-ca&sslrootcert={}", file.display())),
        url("127.0.0.1", &format!("sslmode=require&sslrootcert={}", file.display())),
        url("127.0.0.1", "sslmode=require"),
        url("127.0.0.1", "sslmode=prefer"),
        url("127.0.0.1", "sslmode=allow"),
        url("127.0.0.1", ""),
    ] {
        let pool = open(&url).await.unwrap();
        assert!(is_encrypted(&mut pool.get().await.unwrap()).await, "{url}");
    }
    migrate::migrate(&SecretString::from(verified.clone()), &[service_kit::MIGRATIONS]).await.unwrap();
    for mut conn in [
        pool::connect(&verified).await.unwrap(),
        pool::connect_to_read(&verified).await.unwrap(),
        pool::connect_for_long(&verified).await.unwrap(),
        pool::connect_patiently(&verified).await.unwrap(),
    ] {
        assert!(is_encrypted(&mut conn).await);
    }
}

/// At once, in one line that names the variable, what the words say, and no password.
async fn refused(url: &str, words: &[&str]) {
    let Err(error) = open(url).await else { panic!("{words:?} is not told") };
    let told = format!("{error:#}");
    let whole = told.starts_with("DATABASE_URL: ") && words.iter().all(|word| told.contains(word));
    assert!(whole && !told.contains('\n') && !told.contains("hunter2"), "{words:?} is not in: {told}");
    let told = pool::connect(url).await.err().unwrap().to_string();
    assert!(words.iter().all(|word| told.contains(word)) && !told.contains("hunter2"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_refused_at_once_with_words_that_mend_it() {
    let ca = Ca::new();
    let (server, without) = (Server::secured(&ca.authority, "localhost", TLS_ALONE).await, Server::start().await);
    let place = format!("localhost:{}/postgres", server.postgres.port());
    let of_ca = "sslrootcert must be the file of the CA that signed";
    for name in ["the shop's authority", "another authority"] {
        let stranger = ca.folder.path().join("stranger.pem");
        Authority::new(name).certificate_in(&stranger);
        for mode in ["verify-full", "verify-ca", "require"] {
            let wrong = url(&server, "localhost", &format!("sslmode={mode}&sslrootcert={}", stranger.display()));
            refused(&wrong, &[&place, "invalid peer certificate", of_ca]).await;
        }
        // A certificate that is put right is used without a restart.
        ca.authority.certificate_in(&stranger);
        let right = url(&server, "localhost", &format!("sslmode=verify-full&sslrootcert={}", stranger.display()));
        pool::connect(&right).await.unwrap();
    }
    let of_name = ["not valid for name \"127.0.0.1\"", "\"localhost\"", "name the host as its certificate does"];
    refused(&url(&server, "127.0.0.1", &ca.verify_full()), &of_name).await;
    let missing = ca.folder.path().join("missing.pem").display().to_string();
    let with_missing = url(&server, "localhost", &format!("sslmode=verify-full&sslrootcert={missing}"));
    refused(&with_missing, &[&missing, "can't be read: No such file"]).await;
    assert!(pool::check(&with_missing).is_err_and(|why| why.contains(&missing)));
    refused(&url(&server, "localhost", "sslmode=disable"), &[&place, "over TLS alone", "sslmode=verify-full"]).await;
    for query in ["sslmode=require", &ca.verify_full()] {
        refused(&url(&without, "localhost", query), &["the server has no TLS", "turn ssl on at the server"]).await;
    }
    let bound = url(&without, "localhost", "channel_binding=require");
    refused(&bound, &["did not use channel binding", "channel_binding=require needs TLS"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_has_expired_or_is_the_cas_own_is_refused_and_its_fault_named() {
    let ca = Ca::new();
    for ((key, certificate), words) in [
        (ca.authority.vouch_until("localhost", 2020), ["certificate expired", "renew the server's certificate"]),
        (ca.authority.itself(), ["invalid peer certificate", "the server shows a CA's own certificate"]),
    ] {
        let server = Server::start().await;
        server.postgres.secure(&certificate, &key, TLS_ALONE).await.unwrap();
        refused(&url(&server, "localhost", &ca.verify_full()), &words).await;
        let mut unchecked = pool::connect(&url(&server, "localhost", "sslmode=require")).await.unwrap();
        assert!(is_encrypted(&mut unchecked).await, "nobody asked whose it is");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_stands_between_and_answers_in_plain_text_learns_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let between = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut request = [0; 8];
        client.read_exact(&mut request).await.unwrap();
        // "yes to TLS", and at once what a server says that wants a password in plain text
        client.write_all(b"SR\0\0\0\x08\0\0\0\x03").await.unwrap();
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).await.ok();
        heard
    });
    let url = format!("postgres://postgres:hunter2@localhost:{port}/postgres?sslmode=require");
    let told = pool::connect(&url).await.err().unwrap().to_string();
    assert!(told.starts_with("error performing TLS handshake"), "{told}");
    let heard = between.await.unwrap();
    assert!(!heard.is_empty() && !heard.windows(7).any(|seven| seven == b"hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn weak_modes_go_without_tls_where_the_server_has_none_or_takes_none() {
    let ca = Ca::new();
    let (without, refusing) = (Server::start().await, Server::secured(&ca.authority, "localhost", PLAIN_ALONE).await);
    for query in ["", "sslmode=prefer", "sslmode=allow", "sslmode=disable"] {
        for server in [&without, &refusing] {
            let mut conn = pool::connect(&url(server, "localhost", query)).await.unwrap();
            assert!(!is_encrypted(&mut conn).await, "{query}");
        }
    }
    let of_hba = ["SSL encryption", "pg_hba.conf must let the role in from here"];
    refused(&url(&refusing, "localhost", "sslmode=require"), &of_hba).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_hosts_the_one_that_takes_writes_and_is_who_it_should_be_is_found() {
    let ca = Ca::new();
    let standby = Server::secured(&ca.authority, "localhost", TLS_ALONE).await;
    let primary = Server::secured(&ca.authority, "localhost", TLS_ALONE).await;
    // takes writes too, and is not who the URL says
    let stranger = Server::secured(&ca.authority, "elsewhere", TLS_ALONE).await;
    standby.take_writes(false).await;
    let (behind, leading) = (standby.postgres.port(), primary.postgres.port());
    let other = stranger.postgres.port();
    let verify = ca.verify_full();
    for hosts in [
        format!("localhost:{behind},localhost:{leading}"),
        format!("localhost:{leading},localhost:{behind}"),
        format!("localhost:{other},localhost:{leading}"),
        format!("127.0.0.1:{leading},localhost:{behind},localhost:{other},localhost:{leading}"),
    ] {
        let url = format!("postgres://postgres@{hosts}/postgres?{verify}&target_session_attrs=read-write");
        let pool = open(&url).await.unwrap();
        let mut conn = pool.get().await.unwrap();
        assert!(is_encrypted(&mut conn).await);
        let port = number(&mut conn, "select inet_server_port() as number").await.unwrap();
        assert_eq!(port, i32::from(leading), "{hosts}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_proved_to_the_server_of_this_certificate_alone() {
    let ca = Ca::new();
    let server = Server::start().await;
    server.operator().await.batch_execute("alter role postgres password 'hunter2'").await.unwrap();
    let (key, certificate) = ca.authority.vouch_for("localhost");
    server.postgres.secure(&certificate, &key, WITH_PASSWORD).await.unwrap();
    // With it the client gives up rather than prove its password without naming the certificate.
    let bound = url(&server, "localhost", &format!("{}&channel_binding=require", ca.verify_full()));
    assert!(is_encrypted(&mut pool::connect(&bound).await.unwrap()).await);
    let plain = url(&server, "localhost", "sslmode=disable&channel_binding=require");
    refused(&plain, &["channel_binding=require needs TLS"]).await;
    let wrong = url(&server, "localhost", &ca.verify_full()).replace("hunter2", "wrong1");
    refused(&wrong, &["password authentication failed", "correct user and password"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pool_tells_a_good_connection_from_a_busy_and_a_broken_one_through_the_encryption() {
    let ca = Ca::new();
    let server = Server::secured(&ca.authority, "localhost", TLS_ALONE).await;
    let url = url(&server, "localhost", &ca.verify_full());
    let config = DatabaseConfig { url: SecretString::from(url.clone()), pool_size: 2 };
    let pool = pool::open_within(&config, Duration::from_secs(2)).await.unwrap();

    let mut conn = pool.get().await.unwrap();
    let good = conn.backend();
    let before = conn.traffic();
    assert_eq!(number(&mut conn, "select pg_backend_pid() as number").await.unwrap(), good);
    assert!(conn.traffic().statements > before.statements && conn.traffic().round_trips > before.round_trips);
    drop(conn);
    let mut conn = pool.get().await.unwrap();
    assert_eq!(conn.backend(), good, "a good connection is used again");

    conn.batch_execute("begin").await.unwrap();
    drop(conn);
    let mut conn = pool.get().await.unwrap();
    let frozen = conn.backend();
    assert_ne!(frozen, good, "a transaction was open");

    server.freeze(&[frozen]);
    let asked = tokio::time::timeout(SOON, number(&mut conn, "select 1 as number")).await;
    let error = asked.expect("the statement hangs for as long as the server stands still").unwrap_err();
    assert!(pool::may_pass(&error), "{error}");
    drop(conn);
    server.thaw(&[frozen]);
    let mut conn = pool.get().await.unwrap();
    let ended = conn.backend();
    assert_ne!(ended, frozen, "its request had no answer");

    let mut operator = pool::connect(&url).await.unwrap();
    number(&mut operator, &format!("select pg_terminate_backend({ended})::int as number")).await.unwrap();
    let error = number(&mut conn, "select 1 as number").await.unwrap_err();
    assert!(pool::may_pass(&error), "{error}");
    drop(conn);
    eventually("another one is handed out", SOON, async || {
        let mut conn = pool.get().await.unwrap();
        conn.backend() != ended && number(&mut conn, "select 1 as number").await.is_ok()
    })
    .await;

    // slow, and waited for where it may be, while the server says on another connection that it is alive
    let mut patient = pool::connect_for_long_within(&url, Duration::from_millis(200)).await.unwrap();
    assert_eq!(number(&mut patient, "select 1 as number from pg_sleep(2)").await.unwrap(), 1);
    // longer than a TLS record, both ways
    let long = format!("select length(repeat('{}', 2)) as number", "x".repeat(3_000_000));
    assert_eq!(number(&mut patient, &long).await.unwrap(), 6_000_000);
    let rows = "select 7 as number, repeat('x', 3000000) as rest";
    assert_eq!(number(&mut patient, rows).await.unwrap(), 7);
}
