//! A relay that stands by notices that its connection is dead long before TCP would, and that nobody leads where it may not.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::spawn;

use outbox_relay::{Mode, Relay, State};
use secrecy::SecretString;
use service_kit::testing::eventually;
use support::{SOON, commit, relay_to_tests_kafka, row, topic, used_database};
use tokio_util::sync::CancellationToken;

/// Carries connections to `server` until it is told to swallow what they say. None is ever closed by it.
fn carrier(server: String, silent: Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    spawn(move || {
        for client in listener.incoming() {
            let (client, server) = (client.unwrap(), TcpStream::connect(&server).unwrap());
            for (from, to) in [(client.try_clone(), server.try_clone()), (Ok(server), Ok(client))] {
                let (from, to, silent) = (from.unwrap(), to.unwrap(), Arc::clone(&silent));
                spawn(move || carry(from, to, &silent));
            }
        }
    });
    port
}

fn carry(mut from: TcpStream, mut to: TcpStream, silent: &AtomicBool) {
    let mut said = [0; 8192];
    while let Ok(bytes @ 1..) = from.read(&mut said) {
        if !silent.load(Ordering::Acquire) && to.write_all(&said[..bytes]).is_err() {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_whose_connection_falls_silent_starts_over() {
    let db = used_database().await;
    let (leader, stop) = (Relay::to_kafka(relay_to_tests_kafka(&db)), CancellationToken::new());
    let _running = stop.clone().drop_guard();
    let leads = leader.health();
    tokio::spawn(leader.run(stop.clone()));
    eventually("one leads", SOON, async || leads.state() == State::Leading).await;

    let silent = Arc::new(AtomicBool::new(false));
    let server = service_kit::pool::place(&db.url);
    let server = server.split_once('/').unwrap().0;
    let port = carrier(server.to_owned(), Arc::clone(&silent));
    let mut config = relay_to_tests_kafka(&db);
    config.database_url = SecretString::from(db.url.replace(server, &format!("127.0.0.1:{port}")));
    let standby = Relay::to_kafka(config);
    let health = standby.health();
    tokio::spawn(standby.run(stop));
    eventually("the other stands by", SOON, async || health.state() == State::StandingBy).await;
    silent.store(true, Ordering::Release);
    eventually("it knows that its session is dead", SOON, async || health.state() == State::Disconnected).await;
    silent.store(false, Ordering::Release);
    eventually("it stands by again", SOON, async || health.state() == State::StandingBy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_may_not_lead_tells_how_long_rows_wait_while_nobody_does() {
    let (db, stop) = (used_database().await, CancellationToken::new());
    let _running = stop.clone().drop_guard();
    let mut config = relay_to_tests_kafka(&db);
    config.mode = Mode::External;
    let external = Relay::to_kafka(config);
    let health = external.health();
    tokio::spawn(external.run(stop.clone()));
    eventually("it stands by where nothing waits", SOON, async || health.state() == State::StandingBy).await;
    assert_eq!(health.outbox_is_read(), Ok(()));

    commit(&db, vec![row(&topic(&[]).await, "k", 1)]).await;
    eventually("it knows that a row waits", SOON, async || health.outbox_is_read().is_err()).await;
    let told = health.outbox_is_read().unwrap_err();
    assert!(told.starts_with("no relay leads, and this one may not (RELAY=external): events wait here"), "{told}");
    assert!(health.well(), "the service serves all the same");

    tokio::spawn(Relay::to_kafka(relay_to_tests_kafka(&db)).run(stop));
    eventually("somebody leads", SOON, async || health.outbox_is_read().is_ok()).await;
}
