//! PostgreSQL is killed with -9 in the middle of its work and started again on the same data.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]
use std::{os::unix::fs::PermissionsExt, path::Path, time::Duration};

use nix::sys::signal::Signal;
use quadrille_servers::{Durability, Postgres, postgres};
use tokio_postgres::NoTls;

const PATIENCE: Duration = Duration::from_secs(20);

/// A folder that PostgreSQL's user can reach.
fn open_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn postgres_in(folder: &Path) -> postgres::Options {
    postgres::Options { folder: folder.join("postgres"), port: None, durability: Durability::Real }
}

async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_what_was_committed_over_a_kill_and_serves_it_again() {
    let folder = open_folder();
    let options = postgres_in(folder.path());
    let mut server = Postgres::start(&options).await.unwrap();
    assert!(postgres::ensure_database(&server.url("postgres"), "shop").await.unwrap());
    let client = connect(&server.url("shop")).await;
    client.batch_execute("create table kept (n int); insert into kept values (7)").await.unwrap();
    server.identity().signal(Signal::SIGKILL);
    server.wait().await.unwrap();

    let again = Postgres::start(&options).await.unwrap();
    assert!(!postgres::ensure_database(&again.url("postgres"), "shop").await.unwrap());
    let row = connect(&again.url("shop")).await.query_one("select n from kept", &[]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), 7);
    again.stop(PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_left_over_by_a_killed_run_is_stopped_and_its_data_are_served() {
    let folder = open_folder();
    let options = postgres_in(folder.path());
    let left_over = Postgres::start(&options).await.unwrap();
    let second = Postgres::start(&options).await.unwrap();
    assert!(!left_over.identity().is_alive());
    connect(&second.url("postgres")).await.simple_query("select 1").await.unwrap();
    second.stop(PATIENCE).await.unwrap();
}
