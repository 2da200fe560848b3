//! What becomes of a term whose publisher or database fails, with publishers that note what they are told.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};
use outbox_relay::{Failure, NullPublisher, OutboxRow, Publisher, Relay, Report, State};
use service_kit::testing::{TestDb, eventually, rows};
use support::{SOON, commit, config, row, used_database};
use tokio_util::sync::CancellationToken;

/// What a publisher was told.
#[derive(Default)]
struct Told {
    terms: Vec<Instant>,
    /// The numbers of the rows that it was handed, by lots.
    lots: Vec<Vec<usize>>,
}

/// Takes everything, apart from what fails of its first lot.
struct Noting {
    told: Arc<Mutex<Told>>,
    first_lot: Vec<Result<(), Failure>>,
    taken: NullPublisher,
    failed: Vec<Report>,
}

fn noting(first_lot: Vec<Result<(), Failure>>) -> (Noting, Arc<Mutex<Told>>) {
    let told = Arc::<Mutex<Told>>::default();
    (Noting { told: Arc::clone(&told), first_lot, taken: NullPublisher::default(), failed: Vec::new() }, told)
}

fn number(row: &OutboxRow) -> usize {
    row.headers.iter().find(|header| header.0 == "n").unwrap().1.parse().unwrap()
}

impl Publisher for Noting {
    fn warm_up(&mut self) {
        self.told.lock().unwrap().terms.push(Instant::now());
    }

    fn publish(&mut self, rows: &[OutboxRow]) {
        self.told.lock().unwrap().lots.push(rows.iter().map(number).collect());
        if self.first_lot.is_empty() {
            self.taken.publish(rows);
        } else {
            let outcomes = self.first_lot.drain(..);
            self.failed = rows.iter().zip(outcomes).map(|(row, outcome)| Report { id: row.id, outcome }).collect();
        }
    }

    async fn reports(&mut self, reports: &mut Vec<Report>) {
        if self.failed.is_empty() {
            self.taken.reports(reports).await;
        }
        reports.append(&mut self.failed);
    }

    async fn withdraw(&mut self, patience: Duration, reports: &mut Vec<Report>) {
        self.taken.withdraw(patience, reports).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_failed_before_a_refused_one_of_their_key_are_tried_before_it() {
    let db = used_database().await;
    let outage = || Err(Failure::Outage("it was under way".to_owned()));
    let refused = || Err(Failure::Refused("with others".to_owned()));
    let (publisher, told) = noting(vec![outage(), outage(), refused(), outage()]);
    commit(&db, vec![row("t", "a", 1), row("t", "b", 2), row("t", "a", 3), row("t", "a", 4)]).await;
    let stop = CancellationToken::new();
    let _running = stop.clone().drop_guard();
    tokio::spawn(Relay::new(config(&db, "nowhere"), publisher).run(stop));
    eventually("all is published", SOON, async || db.count("outbox").await == 0).await;
    assert_eq!(told.lock().unwrap().lots, [vec![1, 2, 3, 4], vec![1], vec![3], vec![2, 4]]);
}

/// Changes whether new sessions may write, and ends the others.
async fn read_only(db: &TestDb, on: bool) {
    let mut conn = writing(db).await;
    let name = service_kit::pool::place(&db.url);
    let name = name.rsplit_once('/').unwrap().1;
    let change = format!(
        "alter database \"{name}\" set default_transaction_read_only = {on};
        select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid()"
    );
    conn.batch_execute(&change).await.unwrap();
}

/// A session that may write, whatever others may.
async fn writing(db: &TestDb) -> AsyncPgConnection {
    let mut conn = AsyncPgConnection::establish(&db.url).await.unwrap();
    conn.batch_execute("set default_transaction_read_only = off").await.unwrap();
    conn
}

/// How many sessions its database has had.
async fn sessions(conn: &mut AsyncPgConnection) -> i64 {
    rows(conn, "select sessions from pg_stat_database where datname = current_database()").await[0]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_turns_read_only_is_waited_for_and_nothing_is_published_meanwhile() {
    let db = used_database().await;
    let (publisher, told) = noting(Vec::new());
    let relay = Relay::new(config(&db, "nowhere"), publisher);
    let (health, stop) = (relay.health(), CancellationToken::new());
    let _running = stop.clone().drop_guard();
    tokio::spawn(relay.run(stop));
    commit(&db, vec![row("t", "a", 1)]).await;
    eventually("all is published", SOON, async || db.count("outbox").await == 0).await;

    read_only(&db, true).await;
    outbox_relay::append_all(&writing(&db).await, vec![row("t", "a", 2)]).await.unwrap();
    let waits = || matches!(health.state(), State::Waiting(why) if why.contains("takes no writes"));
    eventually("it says that it waits, and why", SOON, async || waits()).await;
    // Each of its attempts is a session; those of the pool find no server that takes writes.
    let mut outside = writing(&db).await;
    let (before, deadline) = (sessions(&mut outside).await, Instant::now() + SOON);
    while sessions(&mut outside).await < before + 4 {
        assert!(Instant::now() < deadline, "it has not looked again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(waits());
    assert_eq!(told.lock().unwrap().terms.len(), 1, "terms");
    assert_eq!(told.lock().unwrap().lots, [[1]]);

    read_only(&db, false).await;
    eventually("all is published", SOON, async || db.count("outbox").await == 0).await;
    assert_eq!(told.lock().unwrap().terms.len(), 2, "terms");
    assert_eq!(told.lock().unwrap().lots, [[1], [2]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn terms_that_fail_at_once_follow_each_other_ever_more_slowly() {
    let db = used_database().await;
    let broken = "create or replace function outbox_archive_tend(keep_seconds bigint) returns int language plpgsql
        as 'begin raise exception ''broken''; end'";
    db.run(broken).await;
    let (publisher, told) = noting(Vec::new());
    let stop = CancellationToken::new();
    let _running = stop.clone().drop_guard();
    tokio::spawn(Relay::new(config(&db, "nowhere"), publisher).run(stop));
    eventually("it was elected six times", SOON, async || told.lock().unwrap().terms.len() >= 6).await;
    let terms = &told.lock().unwrap().terms;
    // Half of 100 ms, doubled four times, is the least that the fifth wait can be.
    assert!(terms[5].duration_since(terms[4]) >= Duration::from_millis(800), "{terms:?}");
}

/// Answers once it is told to: all rows are taken but the last.
struct AnswersLate {
    handed: Arc<Mutex<usize>>,
    answers: Arc<tokio::sync::Notify>,
    reports: Vec<Report>,
}

impl Publisher for AnswersLate {
    fn publish(&mut self, rows: &[OutboxRow]) {
        self.reports.extend(rows.iter().map(|row| Report { id: row.id, outcome: Ok(()) }));
        *self.handed.lock().unwrap() += rows.len();
    }

    async fn reports(&mut self, reports: &mut Vec<Report>) {
        self.answers.notified().await;
        self.reports.last_mut().unwrap().outcome = Err(Failure::Outage("the last one".to_owned()));
        reports.append(&mut self.reports);
    }

    async fn withdraw(&mut self, _patience: Duration, reports: &mut Vec<Report>) {
        reports.append(&mut self.reports);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_stopped_deletes_what_was_acknowledged_though_another_row_failed() {
    let db = used_database().await;
    commit(&db, (1..=400).map(|number| row("t", &format!("key {number}"), number)).collect()).await;
    let (handed, answers) = (Arc::<Mutex<usize>>::default(), Arc::new(tokio::sync::Notify::new()));
    let publisher = AnswersLate { handed: Arc::clone(&handed), answers: Arc::clone(&answers), reports: Vec::new() };
    let stop = CancellationToken::new();
    let running = tokio::spawn(Relay::new(config(&db, "nowhere"), publisher).run(stop.clone()));
    eventually("all rows are under way", SOON, async || *handed.lock().unwrap() == 400).await;
    stop.cancel();
    answers.notify_one();
    tokio::time::timeout(SOON, running).await.unwrap().unwrap();
    assert_eq!(db.count("outbox").await, 1, "rows that the next leader publishes");
}
