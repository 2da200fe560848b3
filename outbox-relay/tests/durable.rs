//! With `OUTBOX_RELAY_DURABLE=standbys` nothing is on a topic that a standby lacks: on a primary and a standby of the test's own.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use diesel_async::{AsyncConnection, SimpleAsyncConnection};
use outbox_relay::{BatchOutcome, Durable, Health, Relay, RelayConfig, State, append, parked};
use secrecy::SecretString;
use service_kit::pool::Pool;
use service_kit::testing::{TestDb, eventually, unique};
use support::pair::Pair;
use support::{SOON, commit, first_appearances, holds, large, read, relay_to_tests_kafka, row, topic, used_database};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Quick to tell that a standby is behind.
fn config(db: &TestDb, durable: &str) -> RelayConfig {
    RelayConfig { silence: Duration::from_millis(300), ..relay_to_tests_kafka(db) }.durable(durable.parse().unwrap())
}

fn run(config: RelayConfig) -> (Health, DropGuard) {
    let (relay, stop) = (Relay::to_kafka(config), CancellationToken::new());
    let health = relay.health();
    tokio::spawn(relay.run(stop.clone()));
    (health, stop.drop_guard())
}

async fn waits_for_standbys(health: &Health, told: &str) {
    let waits = || matches!(health.state(), State::NotReplicated(why) if why.contains(told));
    eventually(&format!("it says {told:?}"), SOON, async || waits()).await;
    assert!(!health.well());
}

async fn published(db: &TestDb) {
    eventually("all is published", SOON, async || db.count("outbox").await == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_published_once_the_standby_has_it_and_not_before() {
    for durable in ["standbys", "standbys:replica"] {
        let (pair, topic) = (Pair::start().await, topic(&[]).await);
        let (health, _running) = run(config(&pair.db, durable));
        commit(&pair.db, vec![row(&topic, "k", 1)]).await;
        published(&pair.db).await;
        assert_eq!(health.state(), State::Leading);

        pair.link.hold();
        commit(&pair.db, vec![row(&topic, "k", 2), row(&topic, "l", 1)]).await;
        waits_for_standbys(&health, "behind").await;
        assert_eq!((pair.db.count("outbox").await, read(&topic).await.len()), (2, 1));
        pair.link.release();
        published(&pair.db).await;
        eventually("it is well", SOON, async || health.state() == State::Leading).await;
        assert_eq!(
            first_appearances(&read(&topic).await),
            BTreeMap::from([("k".into(), vec![1, 2]), ("l".into(), vec![1])])
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_standby_that_counts_nothing_is_published_and_the_relay_says_why() {
    let (pair, topic) = (Pair::start().await, topic(&[]).await);
    let (health, running) = run(config(&pair.db, "standbys:replica,other"));
    commit(&pair.db, vec![row(&topic, "k", 1)]).await;
    waits_for_standbys(&health, "the standby other is not connected").await;
    assert_eq!((pair.db.count("outbox").await, read(&topic).await.len()), (1, 0));
    drop(running);

    let single = used_database().await;
    let (health, _running) = run(config(&single, "standbys"));
    waits_for_standbys(&health, "synchronous_standby_names is empty").await;
    commit(&single, vec![row(&topic, "k", 1)]).await;
    let mut once = Relay::to_kafka(config(&pair.db, "standbys:other"));
    eventually("the other relay is gone", SOON, async || {
        matches!(once.run_once().await.unwrap(), BatchOutcome::Outage(why) if why.contains("other is not connected"))
    })
    .await;
    assert_eq!((single.count("outbox").await, read(&topic).await.len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_waits_for_no_disk_at_all_is_published_without_another_commit_behind_it() {
    let (pair, topic) = (Pair::start().await, topic(&[]).await);
    let (_health, _running) = run(config(&pair.db, "standbys"));
    let began = Instant::now();
    let mut conn = pair.db.conn().await;
    conn.batch_execute("set synchronous_commit = off").await.unwrap();
    append(&mut conn, row(&topic, "k", 1)).await.unwrap();
    published(&pair.db).await;
    assert_eq!(read(&topic).await.len(), 1);
    assert!(began.elapsed() < Duration::from_secs(8), "the WAL writer, which comes every 10 s, was waited for");
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_rows_are_published_once_and_in_order_while_the_standby_comes_and_goes() {
    let (pair, topic) = (Pair::start().await, topic(&[]).await);
    for lot in 0..10 {
        let numbers = lot * 300..(lot + 1) * 300;
        commit(&pair.db, numbers.map(|number| row(&topic, &format!("k{}", number % 7), number)).collect()).await;
    }
    let (_health, _running) = run(config(&pair.db, "standbys"));
    for left in [2000, 1000, 0] {
        let there = format!("(select count(*) from outbox) <= {left}");
        eventually("some are published", SOON, async || holds(&pair.db, &there).await).await;
        pair.link.hold();
        tokio::task::yield_now().await;
        pair.link.release();
    }
    let found = read(&topic).await;
    let seen = first_appearances(&found);
    assert!(seen.values().all(|numbers| numbers.is_sorted()), "{seen:?}");
    assert_eq!((seen.values().map(Vec::len).sum::<usize>(), found.len()), (3000, 3000));
}

#[tokio::test(flavor = "multi_thread")]
async fn on_apache_kafka_a_parked_row_that_is_asked_for_waits_for_the_standby_too() {
    let (pair, topic) = (Pair::start().await, topic(&[("max.message.bytes", "20000")]).await);
    // A row that is published alone is given up after so long, and the broker has just been started.
    let patient = RelayConfig { silence: Duration::from_secs(4), ..config(&pair.db, "standbys") };
    let (health, _running) = run(patient);
    commit(&pair.db, vec![large(&topic, "bad", 1, 40_000), row(&topic, "bad", 2)]).await;
    eventually("the key is parked", SOON, async || pair.db.count("outbox_parked").await == 2).await;
    pair.link.hold();
    let id = parked::list(&mut *pair.db.conn().await, 0, 1).await.unwrap()[0].id;
    assert!(parked::discard(&mut *pair.db.conn().await, id).await.unwrap());
    waits_for_standbys(&health, "standbys").await;
    assert!(read(&topic).await.is_empty());
    pair.link.release();
    eventually("nothing is parked", SOON, async || pair.db.count("outbox_parked").await == 0).await;
    assert_eq!(first_appearances(&read(&topic).await)["bad"], [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_see_standbys_is_named_with_the_right_that_it_lacks() {
    let db = used_database().await;
    let role = unique("relay");
    db.run(format!("create role \"{role}\" login password 'secret'")).await;
    outbox_relay::grant(&mut *db.conn().await, &role).await.unwrap();
    let mut url = url::Url::parse(&db.url).unwrap();
    url.set_username(&role).unwrap();
    url.set_password(Some("secret")).unwrap();
    let of_role =
        |durable: &str| RelayConfig { database_url: SecretString::from(url.to_string()), ..config(&db, durable) };
    let (health, running) = run(of_role("standbys"));
    let told = format!("as a superuser, grant pg_read_all_stats to {role}");
    let waits = || matches!(health.state(), State::Waiting(why) if why.contains(&told));
    eventually("it names the right", SOON, async || waits()).await;
    db.run(format!("grant pg_read_all_stats to \"{role}\"")).await;
    waits_for_standbys(&health, "synchronous_standby_names is empty").await;
    drop(running);
    db.run(format!("revoke pg_read_all_stats from \"{role}\"")).await;
    let (health, _running) = run(of_role("local"));
    eventually("without standbys it needs no such right", SOON, async || health.state() == State::Leading).await;
}

/// Writers that note for each commit what they were told, until they are stopped.
struct Writers {
    stop: CancellationToken,
    work: Vec<tokio::task::JoinHandle<Vec<usize>>>,
    answered: Arc<AtomicUsize>,
}

const KEYS: usize = 6;

impl Writers {
    /// Half of them commit as soon as their own server has it, half when the standby has it, too.
    fn start(pool: &Pool, topic: &str) -> Self {
        let (stop, answered) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
        let write = |key: usize| {
            let writer = (pool.clone(), topic.to_owned(), Arc::clone(&answered), stop.clone());
            tokio::spawn(async move {
                let (pool, topic, answered, stop) = writer;
                let (mut kept, commits) = (Vec::new(), if key.is_multiple_of(2) { "local" } else { "on" });
                for number in 0.. {
                    let written = stop.run_until_cancelled(write(&pool, &topic, key, number, commits)).await;
                    match written {
                        Some(true) => kept.push(number),
                        Some(false) => tokio::time::sleep(Duration::from_millis(20)).await,
                        None => break,
                    }
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                kept
            })
        };
        let work = (0..KEYS).map(write).collect();
        Self { stop, work, answered }
    }

    async fn after(&self, commits: usize) {
        let at = self.answered.load(Ordering::Relaxed) + commits;
        eventually("there are commits", SOON, async || self.answered.load(Ordering::Relaxed) >= at).await;
    }

    /// The numbers of each key whose commit was answered.
    async fn end(self) -> Vec<Vec<usize>> {
        self.stop.cancel();
        futures_util::future::join_all(self.work).await.into_iter().map(Result::unwrap).collect()
    }
}

/// Whether the commit of this row, and of the change that it announces, was answered.
async fn write(pool: &Pool, topic: &str, key: usize, number: usize, commits: &str) -> bool {
    let Ok(mut conn) = pool.get().await else { return false };
    let written: Result<(), diesel::result::Error> = conn
        .transaction(async |conn| {
            conn.batch_execute(&format!(
                "set local synchronous_commit = {commits}; insert into kept values ({key}, {number})"
            ))
            .await?;
            append(conn, row(topic, &format!("k{key}"), number))
                .await
                .map_err(|_| diesel::result::Error::RollbackTransaction)
        })
        .await;
    written.is_ok()
}

/// What was committed and survived, what is on the topic, and what was answered, each as keys and numbers.
struct AfterFailover {
    survived: BTreeSet<(usize, usize)>,
    on_topic: Vec<(usize, usize)>,
    answered: Vec<Vec<usize>>,
}

/// Under load the network to the standby fails, then the primary dies; the standby is promoted and all go on there.
async fn fail_over(durable: &str) -> AfterFailover {
    let (pair, topic) = (Pair::start().await, topic(&[]).await);
    pair.db.run("create table kept (key int, number int)").await;
    let (health, _running) = run(config(&pair.db, durable));
    let writers = Writers::start(&pair.db.pool, &topic);
    writers.after(100).await;
    pair.link.hold();
    let heard: i64 = pair.db.row("select last_value from outbox_id_seq").await;
    writers.after(100).await;
    if durable == "local" {
        let beyond = format!(
            "(select last_value from outbox_id_seq) > {heard} + 100
            and not exists (select from outbox where id <= {heard} + 100)"
        );
        eventually("the relay has published what the standby lacks", SOON, async || holds(&pair.db, &beyond).await)
            .await;
    }
    let Pair { primary, standby, link, db, folder: _folder } = pair;
    primary.kill().await.unwrap();
    standby.promote().await.unwrap();
    drop(link);
    if durable != "local" {
        waits_for_standbys(&health, "synchronous_standby_names is empty").await;
        // The new primary has no standby yet; an operator who goes on without one says so.
        drop(_running);
    }
    writers.after(100).await;
    let answered = writers.end().await;
    let (_health, _running) = run(config(&db, "local"));
    published(&db).await;
    let on_topic = read(&topic).await.iter().map(|found| (found.key[1..].parse().unwrap(), found.number)).collect();
    let survived = db.rows("select key, number from kept").await.into_iter().collect();
    AfterFailover { survived, on_topic, answered }
}

impl AfterFailover {
    fn lost_though_published(&self) -> usize {
        self.on_topic.iter().filter(|found| !self.survived.contains(found)).count()
    }

    /// Each surviving commit is on the topic in order, and each that waited for the standby survived.
    fn keeps_its_word(&self) {
        let mut seen: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut known = BTreeSet::new();
        for found in self.on_topic.iter().filter(|found| known.insert(**found)) {
            seen.entry(found.0).or_default().push(found.1);
        }
        assert!(seen.values().all(|numbers| numbers.is_sorted()), "{seen:?}");
        assert!(self.survived.iter().all(|row| known.contains(row)), "a commit survived that is not on the topic");
        for key in (0..KEYS).filter(|key| key % 2 == 1) {
            assert!(self.answered[key].iter().all(|number| self.survived.contains(&(key, *number))), "of key {key}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failover_nothing_is_on_a_topic_that_did_not_survive_and_all_that_did_is_there_in_order() {
    let after = fail_over("standbys").await;
    after.keeps_its_word();
    assert_eq!(after.lost_though_published(), 0);
    let lost = (0..KEYS).step_by(2).flat_map(|key| after.answered[key].iter().map(move |number| (key, *number)));
    assert!(
        lost.filter(|row| !after.survived.contains(row)).count() > 50,
        "the failover lost nothing: it shows nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_waits_for_no_standby_publishes_what_a_failover_loses() {
    let after = fail_over("local").await;
    after.keeps_its_word();
    assert!(after.lost_though_published() > 50, "{}", after.lost_though_published());
    assert_eq!(Durable::default(), Durable::Local);
}
