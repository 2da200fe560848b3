//! Lanes that have work at once share a transaction, and none stops another by what it does in it.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use common::kafka::{Member, Producer, SOON, committed, config, topic};
use common::{Notebook, database};
use diesel::sql_query;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use service_kit::consumer::{Subscription, partition_of};
use service_kit::testing::{TestDb, eventually, unique};
use uuid::Uuid;

const LANES: usize = 8;

/// A consumer whose first lane was at work while each of the others came to wait with one event.
struct Busy {
    db: TestDb,
    notebook: Arc<Notebook>,
    member: Member,
    events: i64,
}

impl Busy {
    /// One of the waiting lanes has `what`. `before` is given the database, the group and that event's id.
    async fn with(what: &str, before: impl AsyncFnOnce(&TestDb, &str, Uuid)) -> Self {
        let (db, topic, group, producer) = (database().await, topic(64).await, unique("g"), Producer::new());
        let (notebook, mut config, id) = (Arc::new(Notebook::default()), config(&group), Uuid::now_v7());
        config.transactions = 1;
        let mut holder = db.conn().await;
        holder.batch_execute("begin; lock table heard in exclusive mode").await.unwrap();
        before(&db, &group, id).await;
        let member = Member::start_as(&db.pool, config, vec![Subscription::inbox(&topic)], notebook.clone());
        producer.say(&topic, "first", "first").await;
        eventually("a lane is at work", SOON, async || notebook.was_asked()).await;
        let mut lanes = BTreeSet::from([producer.send(&topic, "held", what, id).await]);
        for key in (0..).map(|key: u32| key.to_string()) {
            if lanes.len() == LANES {
                break;
            }
            if lanes.insert(partition_of(&key, 64)) {
                producer.say(&topic, &key, &key).await;
            }
        }
        let events = LANES + 1;
        eventually("all lanes have work", SOON, async || notebook.has_seen(events)).await;
        holder.batch_execute("rollback").await.unwrap();
        Self { db, notebook, member, events: events.try_into().unwrap() }
    }

    async fn hears(&self, events: i64) {
        eventually("that many are heard", SOON, async || self.db.count("heard").await == events).await;
    }
}

async fn nothing(_: &TestDb, _: &str, _: Uuid) {}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_that_have_work_at_once_share_a_transaction() {
    let busy = Busy::with("fine", nothing).await;
    busy.hears(busy.events).await;
    let transactions = busy.db.count("(select distinct xmin::text from heard) as transactions").await;
    // A lane that was about to wait when the first was done has one of its own.
    assert!(transactions <= 3, "{transactions} transactions of {} lanes", busy.events);
    busy.member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_saved_in_a_shared_transaction_costs_only_itself() {
    let busy = Busy::with("too long", nothing).await;
    busy.hears(busy.events - 1).await;
    eventually("its key is parked", SOON, async || busy.db.count("parked_keys where key = 'held'").await == 1).await;
    assert_eq!(busy.db.count("dead_letters").await, 1);
    busy.member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_somebody_holds_stops_only_the_lane_that_needs_it() {
    let mut holder = None;
    let busy = Busy::with("fine", async |db, group, id| {
        let mut conn = db.conn().await;
        conn.batch_execute("begin").await.unwrap();
        let noted = format!("insert into inbox (consumer, event_id) values ('{group}', '{id}')");
        sql_query(noted).execute(&mut conn).await.unwrap();
        holder = Some(conn);
    })
    .await;
    busy.hears(busy.events - 1).await;
    assert!(busy.notebook.has_seen(LANES + 1));
    holder.unwrap().batch_execute("rollback").await.unwrap();
    busy.hears(busy.events).await;
    busy.member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_decoding_panics_is_a_dead_letter_and_its_lane_goes_on() {
    let (db, topic, group, producer) = (database().await, topic(1).await, unique("g"), Producer::new());
    let member = Member::start(&db.pool, &group, vec![Subscription::inbox(&topic)], Arc::new(Notebook::default()));
    producer.say(&topic, "k", "spilt").await;
    producer.say(&topic, "other", "fine").await;
    eventually("the lane goes on", SOON, async || committed(&group, &topic).await == Some(2)).await;
    assert_eq!((db.count("dead_letters").await, db.count("heard").await), (1, 1));
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_concern_nobody_cost_no_transaction() {
    let (db, topic, group, producer) = (database().await, topic(1).await, unique("g"), Producer::new());
    let member = Member::start(&db.pool, &group, vec![Subscription::inbox(&topic)], Arc::new(Notebook::default()));
    producer.say(&topic, "k", "first").await;
    eventually("the first is handled", SOON, async || committed(&group, &topic).await == Some(1)).await;
    let mut holder = db.conn().await;
    holder.batch_execute("begin; lock table inbox, parked_keys, consumer_progress").await.unwrap();
    for _ in 0..5 {
        producer.say(&topic, "k", "for nobody").await;
    }
    eventually("they are passed over", SOON, async || committed(&group, &topic).await == Some(6)).await;
    holder.batch_execute("rollback").await.unwrap();
    let noted = "consumer_progress where position = 6";
    eventually("they are noted as read", SOON, async || db.count(noted).await == 1).await;
    member.stop().await;
}
