//! Timers and what they wait for.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::anyhow;
use chrono::{DateTime, Utc};
use common::kafka::{Member, Producer, SOON, topic};
use common::{Notebook, database, heard};
use diesel::sql_query;
use diesel::sql_types::Text;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::consumer::{ReactionError, Subscription};
use service_kit::testing::{TestDb, eventually, unique};
use service_kit::timers::{self, Timers};

/// Writes down what fires.
#[derive(Default)]
struct Alarm {
    broken: AtomicBool,
}

impl Timers for Alarm {
    type Loaded = Vec<(String, String)>;

    async fn load(&self, _: &mut AsyncPgConnection, _: &[&str]) -> Result<Self::Loaded, ReactionError> {
        Ok(Vec::new())
    }

    fn fire(&self, loaded: &mut Self::Loaded, kind: &str, key: &str) -> Result<(), ReactionError> {
        if AtomicBool::load(&self.broken, Ordering::SeqCst) {
            return Err(ReactionError::Permanent(anyhow!("the bell is broken")));
        }
        loaded.push((key.to_owned(), kind.to_owned()));
        Ok(())
    }

    async fn save(&self, conn: &mut AsyncPgConnection, loaded: Self::Loaded) -> Result<(), ReactionError> {
        for (key, kind) in loaded {
            let note = sql_query("insert into heard (key, what) values ($1, $2)");
            note.bind::<Text, _>(key).bind::<Text, _>(kind).execute(conn).await?;
        }
        Ok(())
    }
}

async fn set(db: &TestDb, kind: &str, key: &str, due_at: DateTime<Utc>) {
    timers::set(&mut *db.conn().await, kind, key, due_at).await.unwrap();
}

/// Sets a timer that is due now, by the database's clock and not this machine's.
async fn set_due(db: &TestDb, kind: &str, key: &str) {
    set(db, kind, key, Utc::now() + Duration::from_secs(3600)).await;
    let due = sql_query("update timers set due_at = clock_timestamp() where kind = $1 and key = $2");
    due.bind::<Text, _>(kind).bind::<Text, _>(key).execute(&mut db.conn().await).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn race_service_down_for_hours_a_timer_waits_until_everything_before_its_time_is_heard() {
    let (db, orders, stock) = (database().await, topic(3).await, topic(3).await);
    let (notebook, producer) = (Arc::new(Notebook::default()), Producer::new());
    notebook.out_of_ink.store(true, Ordering::SeqCst);
    let heard_here = vec![Subscription::inbox(&orders), Subscription::inbox(&stock)];
    let member = Member::start(&db.pool, &unique("g"), heard_here, Arc::clone(&notebook));
    producer.say(&stock, "k", "in time").await;
    set_due(&db, "deadline", "k").await;
    let alarm = Alarm::default();
    // other partitions are read up to now, and the backlog of this key's is not
    let read = "consumer_progress where caught_up_to > (select max(due_at) from timers)";
    eventually("the rest is read", SOON, async || db.count(read).await == 5).await;
    assert_eq!(timers::fire_due(&db.pool, &member.handle, &alarm).await.unwrap(), 0);

    notebook.out_of_ink.store(false, Ordering::SeqCst);
    eventually("the timer fires", SOON, async || {
        timers::fire_due(&db.pool, &member.handle, &alarm).await.unwrap() == 1
    })
    .await;
    assert_eq!(heard(&db, &["k"]).await, ["in time", "deadline"]);
    assert_eq!(db.count("timers").await, 0);
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timers_of_a_parked_key_wait_with_it() {
    let (db, topic, producer) = (database().await, topic(1).await, Producer::new());
    let heard_here = vec![Subscription::inbox(&topic)];
    let member = Member::start(&db.pool, &unique("g"), heard_here, Arc::new(Notebook::default()));
    producer.say(&topic, "parked", "unreadable").await;
    eventually("the key is parked", SOON, async || db.count("parked_keys").await == 1).await;
    set_due(&db, "deadline", "parked").await;
    set_due(&db, "deadline", "free").await;
    eventually("the other key's timer fires", SOON, async || {
        timers::fire_due(&db.pool, &member.handle, &Alarm::default()).await.unwrap() == 1
    })
    .await;
    assert_eq!(heard(&db, &["parked", "free"]).await, ["deadline"]);
    assert_eq!(db.count("timers where key = 'parked'").await, 1);
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_fires_once_unless_it_is_cancelled_or_fails() {
    let (db, topic) = (database().await, topic(1).await);
    let heard_here = vec![Subscription::inbox(&topic)];
    let member = Member::start(&db.pool, &unique("g"), heard_here, Arc::new(Notebook::default()));
    let alarm = Alarm::default();
    set_due(&db, "deadline", "cancelled").await;
    timers::cancel(&mut *db.conn().await, "deadline", "cancelled").await.unwrap();
    set(&db, "deadline", "later", Utc::now() + Duration::from_secs(3600)).await;
    set_due(&db, "deadline", "failing").await;
    alarm.broken.store(true, Ordering::SeqCst);
    eventually("the failure is noted", SOON, async || {
        assert_eq!(timers::fire_due(&db.pool, &member.handle, &alarm).await.unwrap(), 0);
        db.count("timers where key = 'failing' and attempts = 1 and not_before > clock_timestamp()").await == 1
    })
    .await;
    alarm.broken.store(false, Ordering::SeqCst);
    eventually("it fires when it is mended", SOON, async || {
        timers::fire_due(&db.pool, &member.handle, &alarm).await.unwrap() == 1
    })
    .await;
    assert_eq!(heard(&db, &["cancelled", "later", "failing"]).await, ["deadline"]);
    assert_eq!(db.count("timers").await, 1);
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compacted_topic_is_read_once_everything_in_it_is_handled() {
    let (db, topic, producer) = (database().await, topic(3).await, Producer::new());
    let notebook = Arc::new(Notebook::default());
    for key in ["a", "b", "c", "d", "e"] {
        producer.say(&topic, key, "price").await;
    }
    notebook.out_of_ink.store(true, Ordering::SeqCst);
    let heard_here = vec![Subscription::latest_per_key(&topic)];
    let member = Member::start(&db.pool, &unique("g"), heard_here, Arc::clone(&notebook));
    eventually("it is well", SOON, async || member.handle.is_well()).await;
    assert!(!member.handle.caught_up(&topic));
    notebook.out_of_ink.store(false, Ordering::SeqCst);
    eventually("it is read", SOON, async || member.handle.caught_up(&topic)).await;
    assert_eq!(heard(&db, &["a", "b", "c", "d", "e"]).await.len(), 5);
    member.stop().await;
}
