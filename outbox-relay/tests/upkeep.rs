//! What is asked for parked rows, while the broker is silent or there is much to do: nothing waits for ever.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use outbox_relay::{OutboxRow, Publisher, Relay, RelayConfig, Report, State, parked};
use service_kit::testing::{TestDb, eventually};
use support::{SOON, commit, config, row, used_database};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// A broker that takes everything and answers as often as it is allowed to.
struct Broker {
    taken: Arc<Mutex<Vec<String>>>,
    answers: Arc<Semaphore>,
    unanswered: Vec<Report>,
}

impl Broker {
    fn new(answers: usize) -> Self {
        Self { taken: Arc::default(), answers: Arc::new(Semaphore::new(answers)), unanswered: Vec::new() }
    }
}

impl Publisher for Broker {
    fn publish(&mut self, rows: &[OutboxRow]) {
        let number = |row: &OutboxRow| format!("{}{}", row.key, row.headers.get("n").unwrap());
        self.taken.lock().unwrap().extend(rows.iter().map(number));
        self.unanswered.extend(rows.iter().map(|row| Report { id: row.id, outcome: Ok(()) }));
    }

    async fn reports(&mut self, reports: &mut Vec<Report>) {
        if self.unanswered.is_empty() {
            std::future::pending::<()>().await;
        }
        self.answers.acquire().await.unwrap().forget();
        reports.append(&mut self.unanswered);
    }

    async fn withdraw(&mut self, _patience: Duration, _reports: &mut Vec<Report>) {
        self.unanswered.clear();
    }
}

/// Rows 1 to 3 of the key `p` are parked, and asked to be published again.
async fn database_with_a_retry() -> TestDb {
    let db = used_database().await;
    commit(&db, (1..=3).map(|number| row("topic", "p", number)).collect()).await;
    let park = "with moved as (delete from outbox returning *)
        insert into outbox_parked (id, event_id, topic, key, headers, payload, created_at, asked)
        select id, event_id, topic, key, headers, payload, created_at, 'retry' from moved";
    db.run(park).await;
    db
}

fn to_nowhere(db: &TestDb) -> RelayConfig {
    config(db, "no broker is asked")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_silent_about_a_parked_row_is_an_outage_until_it_answers() {
    let (db, broker) = (database_with_a_retry().await, Broker::new(0));
    let answers = Arc::clone(&broker.answers);
    let relay = Relay::new(RelayConfig { silence: Duration::from_millis(200), ..to_nowhere(&db) }, broker);
    let (health, stop) = (relay.health(), CancellationToken::new());
    let _running = stop.clone().drop_guard();
    tokio::spawn(relay.run(stop));
    eventually("the outage is told", SOON, async || matches!(health.state(), State::Outage(_))).await;
    assert_eq!(db.count("outbox_parked").await, 3);
    answers.add_permits(1_000);
    eventually("nothing is parked", SOON, async || db.count("outbox_parked").await == 0).await;
    eventually("the outage is over", SOON, async || health.state() == State::Leading).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_discarded_while_one_before_it_is_published_again_is_never_published() {
    let (db, broker) = (database_with_a_retry().await, Broker::new(0));
    let (taken, answers) = (Arc::clone(&broker.taken), Arc::clone(&broker.answers));
    let stop = CancellationToken::new();
    let _running = stop.clone().drop_guard();
    tokio::spawn(Relay::new(to_nowhere(&db), broker).run(stop));
    eventually("the first is under way", SOON, async || !taken.lock().unwrap().is_empty()).await;
    let second = parked::list(&mut *db.conn().await, 0, 2).await.unwrap()[1].id;
    assert!(parked::discard(&mut *db.conn().await, second).await.unwrap());
    answers.add_permits(1_000);
    eventually("nothing is parked", SOON, async || db.count("outbox_parked").await == 0).await;
    assert_eq!(*taken.lock().unwrap(), ["p1", "p3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_parked_rows_is_done_in_the_midst_of_a_long_drain() {
    let (db, broker) = (database_with_a_retry().await, Broker::new(1_000_000));
    commit(&db, (1..=5_000).map(|number| row("topic", "k", number)).collect()).await;
    let taken = Arc::clone(&broker.taken);
    let stop = CancellationToken::new();
    let _running = stop.clone().drop_guard();
    tokio::spawn(Relay::new(to_nowhere(&db), broker).run(stop));
    eventually("all is published", SOON, async || db.count("outbox").await + db.count("outbox_parked").await == 0)
        .await;
    let taken = taken.lock().unwrap();
    let (parked, last) = (taken.iter().position(|row| row == "p3"), taken.iter().position(|row| row == "k5000"));
    assert!(parked.unwrap() < last.unwrap(), "a broker that always answers leaves no pause to do it in");
}
