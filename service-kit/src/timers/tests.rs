//! What finding due timers costs, in PostgreSQL's own counts, and how instances share them.
#![allow(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::anyhow;
use diesel::sql_types::Json;
use diesel::{QueryableByName, sql_query};
use futures_util::future::join_all;
use tokio::sync::Barrier;

use super::claim::{CLAIM, WINDOW, statement};
use super::*;
use crate::consumer::Subscription;
use crate::testing::{TestDb, eventually};

const SOON: Duration = Duration::from_secs(60);
const PARTITIONS: i32 = 4;

/// Counts and records what it fires, and fails for one key.
#[derive(Default)]
struct Bell {
    fired: AtomicUsize,
    transactions: AtomicUsize,
    /// How long each transaction was to wait for roots.
    patience: Mutex<Vec<String>>,
    /// In its first transaction it waits here until another instance fires too.
    company: Option<std::sync::Arc<Barrier>>,
    /// Cancelled after its first transaction.
    stops: Option<CancellationToken>,
}

impl Bell {
    fn in_company(company: &std::sync::Arc<Barrier>) -> std::sync::Arc<Self> {
        std::sync::Arc::new(Self { company: Some(std::sync::Arc::clone(company)), ..Self::default() })
    }
}

impl Timers for std::sync::Arc<Bell> {
    type Loaded = Vec<String>;

    async fn load(&self, conn: &mut AsyncPgConnection, keys: &[&str]) -> Result<Vec<String>, ReactionError> {
        let patience = diesel::dsl::sql::<Text>("current_setting('lock_timeout')");
        let patience = diesel::select(patience).get_result(conn).await?;
        self.patience.lock().unwrap().push(patience);
        let roots = sql_query("select key from roots where key = any($1) order by key for update");
        roots.bind::<Array<Text>, _>(keys).execute(conn).await?;
        Ok(Vec::new())
    }

    fn fire(&self, loaded: &mut Vec<String>, _: &str, key: &str) -> Result<(), ReactionError> {
        if key == "broken" {
            return Err(ReactionError::Permanent(anyhow!("the bell is broken")));
        }
        loaded.push(key.to_owned());
        Ok(())
    }

    async fn save(&self, conn: &mut AsyncPgConnection, loaded: Vec<String>) -> Result<(), ReactionError> {
        sql_query("insert into rung select unnest($1)").bind::<Array<Text>, _>(&loaded).execute(conn).await?;
        if self.fired.fetch_add(loaded.len(), Ordering::SeqCst) == 0 {
            let patience = "insert into patience values (current_setting('lock_timeout'))";
            sql_query(patience).execute(conn).await?;
            if let Some(company) = &self.company {
                company.wait().await;
            }
        }
        Ok(())
    }

    fn committed(&self) {
        self.transactions.fetch_add(1, Ordering::SeqCst);
        if let Some(stops) = &self.stops {
            stops.cancel();
        }
    }
}

async fn database() -> TestDb {
    let db = TestDb::new(&[crate::MIGRATIONS]).await;
    for table in [
        "create table rung (key text primary key)",
        "create table roots (key text primary key)",
        "create table patience (lock_timeout text)",
    ] {
        run_sql(&db, table).await;
    }
    db
}

async fn run_sql(db: &TestDb, sql: &str) {
    sql_query(sql).execute(&mut db.conn().await).await.unwrap();
}

/// Inserts a timer for each `n` in the range; `due_at` is an SQL expression of `n`.
async fn timers(db: &TestDb, range: std::ops::Range<u32>, due_at: &str) {
    let insert = format!(
        "insert into timers (kind, key, key_hash, due_at) select 'deadline', 'key ' || n, n, {due_at} \
         from generate_series({}, {}) n",
        range.start,
        range.end - 1
    );
    run_sql(db, &insert).await;
}

/// A consumer of one topic that has read partition `n` up to `now() - ages[n]` seconds.
async fn consumer(db: &TestDb, ages: [u32; 4]) -> ConsumerHandle {
    let handle = ConsumerHandle::new("group".to_owned(), vec![Subscription::inbox("topic")]);
    handle.note_partitions("topic", PARTITIONS);
    for (partition, age) in ages.into_iter().enumerate() {
        let read = format!(
            "insert into consumer_progress values ('group', 'topic', {partition}, 0, now() - {age} * interval '1 second') \
             on conflict (consumer, topic, partition) do update set caught_up_to = excluded.caught_up_to"
        );
        run_sql(db, &read).await;
    }
    handle
}

async fn count(db: &TestDb, of: &str) -> i64 {
    let count = diesel::dsl::sql::<diesel::sql_types::BigInt>(&format!("(select count(*) from {of})"));
    diesel::select(count).get_result(&mut db.conn().await).await.unwrap()
}

/// How many buffers one look touches, and its plan. The claims are rolled back.
async fn cost(db: &TestDb, consumer: &ConsumerHandle) -> (i64, String) {
    #[derive(QueryableByName)]
    struct Plan {
        #[diesel(sql_type = Json, column_name = "QUERY PLAN")]
        plan: serde_json::Value,
    }
    let mut conn = db.conn().await;
    let explain = format!("explain (analyze, buffers, format json) {CLAIM}");
    sql_query("begin").execute(&mut conn).await.unwrap();
    let (gates, from) = (consumer.gates().unwrap(), Place::default());
    let plan: Plan = statement(&explain, consumer.group(), &gates, &from).get_result(&mut conn).await.unwrap();
    sql_query("rollback").execute(&mut conn).await.unwrap();
    let top = &plan.plan[0]["Plan"];
    let buffers = ["Shared Hit Blocks", "Shared Read Blocks"].map(|name| top[name].as_i64().unwrap());
    (buffers.iter().sum(), plan.plan.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn timers_that_are_not_due_cost_nothing_however_many_there_are() {
    let db = database().await;
    let consumer = consumer(&db, [0; 4]).await;
    timers(&db, 0..500_000, "now() + n * interval '1 second' + interval '1 hour'").await;
    for statistics in ["none yet", "known"] {
        let (buffers, plan) = cost(&db, &consumer).await;
        assert!(plan.contains("timers_in_order"), "{plan}");
        assert!(buffers < 60, "{buffers} buffers for 500,000 timers, statistics {statistics}: {plan}");
        run_sql(&db, "analyze timers").await;
    }
    let swept =
        sweep(&db.pool, &consumer, &std::sync::Arc::<Bell>::default(), &CancellationToken::new()).await.unwrap();
    assert_eq!((swept.fired, swept.held_up, swept.late), (0, false, Duration::ZERO));
    assert!(swept.next.is_some_and(|next| next > Duration::from_secs(3_000)), "{swept:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn timers_that_are_due_and_wait_for_what_is_to_be_heard_are_not_walked_over() {
    let db = database().await;
    timers(&db, 0..100_000, "now() - interval '1 hour' + n * interval '1 millisecond'").await;
    // An outage of the service or of the brokers: nothing was read for two hours.
    let away = consumer(&db, [7_200; 4]).await;
    let (buffers, plan) = cost(&db, &away).await;
    assert!(buffers < 60, "{buffers} buffers: {plan}");
    let bell = std::sync::Arc::<Bell>::default();
    let swept = sweep(&db.pool, &away, &bell, &CancellationToken::new()).await.unwrap();
    assert_eq!((swept.fired, swept.held_up), (0, true));
    // The oldest is late all the same, whether its topics are not read or not even known.
    assert!(swept.late >= Duration::from_secs(3_600), "{swept:?}");
    let unknown = ConsumerHandle::new("group".to_owned(), vec![Subscription::inbox("topic")]);
    let blind = sweep(&db.pool, &unknown, &bell, &CancellationToken::new()).await.unwrap();
    assert!(blind.fired == 0 && blind.late >= Duration::from_secs(3_600), "{blind:?}");

    // One partition is not being read. Its timers don't delay others, and one look at them has a bounded cost.
    run_sql(&db, "delete from timers where key_hash % 4 <> 1 and key_hash > 99000").await;
    let one_away = consumer(&db, [0, 7_200, 0, 0]).await;
    let (buffers, plan) = cost(&db, &one_away).await;
    assert!(buffers < 20 * WINDOW, "{buffers} buffers: {plan}");
    run_sql(&db, "delete from timers where key_hash % 4 <> 1 and key_hash > 2000").await;
    let free = count(&db, "timers where key_hash % 4 <> 1").await;
    assert_eq!(fire_due(&db.pool, &one_away, &bell).await.unwrap(), usize::try_from(free).unwrap());
    assert_eq!(count(&db, "timers where key_hash % 4 <> 1").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_share_ten_thousand_due_timers_and_fire_each_once() {
    let db = database().await;
    let consumer = consumer(&db, [0; 4]).await;
    timers(&db, 0..10_000, "now() - interval '1 hour'").await;
    // Neither instance goes on before the other fires, so both take part from the first window on.
    let company = std::sync::Arc::new(Barrier::new(2));
    let bells = [Bell::in_company(&company), Bell::in_company(&company)];
    let stop = CancellationToken::new();
    let runs: Vec<_> = bells
        .iter()
        .map(|bell| tokio::spawn(run(db.pool.clone(), consumer.clone(), std::sync::Arc::clone(bell), stop.clone())))
        .collect();
    eventually("all have fired", SOON, async || count(&db, "timers").await == 0).await;
    stop.cancel();
    join_all(runs).await;
    assert_eq!(count(&db, "rung").await, 10_000);
    let fired = bells.each_ref().map(|bell| AtomicUsize::load(&bell.fired, Ordering::SeqCst));
    assert_eq!(fired.iter().sum::<usize>(), 10_000, "none in vain: {fired:?}");
    assert!(fired.iter().all(|fired| *fired > 0), "they share them: {fired:?}");
    let transactions: usize = bells.iter().map(|bell| AtomicUsize::load(&bell.transactions, Ordering::SeqCst)).sum();
    assert!(transactions < 500, "{transactions} transactions for 10,000 timers");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_nobody_elses_until_it_ends_and_waits_for_no_root() {
    let db = database().await;
    let consumer = consumer(&db, [0; 4]).await;
    timers(&db, 0..10, "now() - interval '1 hour'").await;
    let gates = consumer.gates().unwrap();
    let mine = claim(&mut *db.conn().await, "group", &gates, &Place::default()).await.unwrap();
    assert_eq!((mine.claimed.len(), mine.walked), (10, 10));
    let other = claim(&mut *db.conn().await, "group", &gates, &Place::default()).await.unwrap();
    assert_eq!((other.claimed.len(), other.walked), (0, 10));

    // A reaction, which holds the lock on the key's root, moves the timer: it is due at its new time, and the claim
    // is void.
    set(&mut *db.conn().await, "deadline", "key 3", Utc::now() - Duration::from_secs(60)).await.unwrap();
    let bell = std::sync::Arc::<Bell>::default();
    assert_eq!(fire::all(&mut *db.conn().await, &bell, &mine.claimed, &CancellationToken::new()).await.unwrap(), 9);
    assert_eq!(fire_due(&db.pool, &consumer, &bell).await.unwrap(), 1);

    // Timers that a dead instance has claimed can be claimed again.
    timers(&db, 20..30, "now() - interval '1 hour'").await;
    claim(&mut *db.conn().await, "group", &gates, &Place::default()).await.unwrap();
    assert_eq!(fire_due(&db.pool, &consumer, &bell).await.unwrap(), 0);
    run_sql(&db, "update timers set not_before = not_before - interval '30 seconds'").await;
    assert_eq!(fire_due(&db.pool, &consumer, &bell).await.unwrap(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_fails_holds_up_none_of_those_that_are_fired_with_it() {
    let db = database().await;
    let consumer = consumer(&db, [0; 4]).await;
    timers(&db, 0..20, "now() - interval '1 hour'").await;
    run_sql(&db, "update timers set key = 'broken' where key = 'key 7'").await;
    let bell = std::sync::Arc::<Bell>::default();
    assert_eq!(fire_due(&db.pool, &consumer, &bell).await.unwrap(), 19);
    assert_eq!(count(&db, "timers where key = 'broken' and attempts = 1 and not_before > now()").await, 1);
    assert_eq!(count(&db, "rung").await, 19);
}

#[tokio::test(flavor = "multi_thread")]
async fn roots_that_somebody_holds_delay_their_own_timers_and_no_other_and_a_batch_waits_for_them_once() {
    let db = database().await;
    let consumer = consumer(&db, [0; 4]).await;
    timers(&db, 0..60, "now() - interval '1 hour'").await;
    run_sql(&db, "insert into roots select 'key ' || n from generate_series(0, 39) n").await;
    let mut holder = db.conn().await;
    sql_query("begin").execute(&mut holder).await.unwrap();
    sql_query("select * from roots for update").execute(&mut holder).await.unwrap();
    let bell = std::sync::Arc::<Bell>::default();
    assert_eq!(fire_due(&db.pool, &consumer, &bell).await.unwrap(), 20);
    let waits = std::mem::take(&mut *bell.patience.lock().unwrap());
    let long = waits.iter().filter(|wait| *wait != "10ms").count();
    assert_eq!(long, 2, "one wait for each of the two batches: {waits:?}");
    let waiting = "timers where attempts = 0 and not_before < now() + interval '5 seconds'";
    assert_eq!(count(&db, waiting).await, 40, "that its root is held is no failure of a timer");
    assert_eq!(count(&db, "patience where lock_timeout = '10s'").await, 1, "what fires waits for locks as before");

    sql_query("rollback").execute(&mut holder).await.unwrap();
    run_sql(&db, "update timers set not_before = 'epoch'").await;
    assert_eq!(fire_due(&db.pool, &consumer, &bell).await.unwrap(), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_told_to_stop_fires_no_more_of_what_it_has_claimed() {
    let db = database().await;
    let consumer = consumer(&db, [0; 4]).await;
    timers(&db, 0..400, "now() - interval '1 hour'").await;
    let stop = CancellationToken::new();
    let bell = std::sync::Arc::new(Bell { stops: Some(stop.clone()), ..Bell::default() });
    assert!(sweep(&db.pool, &consumer, &bell, &stop).await.unwrap().fired < 400);
    assert_eq!(AtomicUsize::load(&bell.transactions, Ordering::SeqCst), 1);
}
