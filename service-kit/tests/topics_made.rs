//! What a consumer reads of topics that are made under it. Left alone, librdkafka goes on at the offset where it was when
//! a topic is deleted and created anew, and what the new one has below that is never read; and nobody is given what was
//! made while a static member was away for a moment.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use common::kafka::{Member, Producer, SOON, committed, config, delete_topic, make_topic, more_partitions, topic};
use common::{Notebook, database, heard};
use service_kit::consumer::{ConsumerConfig, Subscription};
use service_kit::testing::{TestDb, eventually, unique};
use uuid::Uuid;

/// The events of a topic, which can be sent again as they were sent the first time.
struct Story {
    topic: String,
    producer: Producer,
    told: Vec<(String, Uuid)>,
}

impl Story {
    async fn new() -> Self {
        Self { topic: topic(1).await, producer: Producer::new(), told: Vec::new() }
    }

    async fn goes_on(&mut self, events: usize) {
        for _ in 0..events {
            let (what, id) = (self.told.len().to_string(), Uuid::now_v7());
            self.producer.send(&self.topic, "k", &what, id).await;
            self.told.push((what, id));
        }
    }

    /// Events that the old topic did not have before those that were heard, as when it was made anew once before.
    fn began_earlier(&mut self, events: usize) {
        self.told.splice(0..0, (0..events).map(|n| (format!("earlier {n}"), Uuid::now_v7())));
    }

    async fn is_lost_and_told_anew(&mut self) {
        delete_topic(&self.topic).await;
        make_topic(&self.topic, 1).await;
        // a relay that was stopped knows nothing of the topic's past
        self.producer = Producer::new();
        for (what, id) in &self.told {
            self.producer.send(&self.topic, "k", what, *id).await;
        }
    }

    async fn must_be_heard(&self, db: &TestDb) {
        let mut all: Vec<_> = self.told.iter().map(|(what, _)| what.clone()).collect();
        all.sort_unstable();
        let sorted = async || {
            let mut heard = heard(db, &["k"]).await;
            heard.sort_unstable();
            heard
        };
        eventually("all is heard", SOON, async || sorted().await.len() >= all.len()).await;
        assert_eq!(sorted().await, all, "once each");
    }
}

fn named(group: &str) -> ConsumerConfig {
    let mut config = config(group);
    config.group_instance_id = Some(format!("{group}-0"));
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn on_apache_kafka_a_topic_that_is_made_anew_is_read_from_its_beginning_though_it_is_longer_than_the_old_one() {
    let (db, group, mut story) = (database().await, unique("g"), Story::new().await);
    let heard_here = vec![Subscription::inbox(&story.topic)];
    let member = Member::start_as(&db.pool, named(&group), heard_here, Arc::new(Notebook::default()));
    story.goes_on(10).await;
    eventually("it is heard", SOON, async || committed(&group, &story.topic).await == Some(10)).await;

    story.began_earlier(5);
    story.is_lost_and_told_anew().await;
    story.must_be_heard(&db).await;
    story.goes_on(3).await;
    story.must_be_heard(&db).await;
    eventually("all is done", SOON, async || committed(&group, &story.topic).await == Some(18)).await;
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_apache_kafka_a_full_lane_is_no_reason_to_go_on_where_the_old_topic_ended() {
    let (db, group, mut story) = (database().await, unique("g"), Story::new().await);
    let (notebook, mut small) = (Arc::new(Notebook::default()), named(&group));
    (small.lane_records, small.batch_records) = (8, 4);
    let heard_here = vec![Subscription::inbox(&story.topic)];
    let member = Member::start_as(&db.pool, small, heard_here, Arc::clone(&notebook));
    story.goes_on(10).await;
    eventually("it is heard", SOON, async || committed(&group, &story.topic).await == Some(10)).await;
    // what comes now is read, fills the lane, and is not handled
    notebook.out_of_ink.store(true, Ordering::SeqCst);
    story.goes_on(30).await;
    let asked = notebook.asked.load(Ordering::SeqCst);
    eventually("it is tried", SOON, async || notebook.asked.load(Ordering::SeqCst) > asked).await;

    story.began_earlier(5);
    story.is_lost_and_told_anew().await;
    notebook.out_of_ink.store(false, Ordering::SeqCst);
    story.must_be_heard(&db).await;
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_apache_kafka_other_topics_lose_and_repeat_nothing_when_one_is_made_anew() {
    let (db, group, mut story, other) = (database().await, unique("g"), Story::new().await, topic(1).await);
    let heard_here = vec![Subscription::inbox(&story.topic), Subscription::inbox(&other)];
    let member = Member::start_as(&db.pool, named(&group), heard_here, Arc::new(Notebook::default()));
    story.goes_on(10).await;
    eventually("it is heard", SOON, async || committed(&group, &story.topic).await == Some(10)).await;
    let meanwhile = async {
        let (producer, mut said) = (Producer::new(), Vec::new());
        for n in 0..300 {
            producer.say(&other, "other", &n.to_string()).await;
            said.push(n.to_string());
        }
        said
    };
    let (said, ()) = tokio::join!(meanwhile, story.is_lost_and_told_anew());
    eventually("the other is heard", SOON, async || heard(&db, &["other"]).await.len() >= said.len()).await;
    assert_eq!(heard(&db, &["other"]).await, said);
    story.must_be_heard(&db).await;
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_apache_kafka_a_topic_that_is_made_while_a_static_member_is_away_is_heard_when_it_is_back() {
    let (db, group, known, new) = (database().await, unique("g"), topic(1).await, unique("t"));
    let heard_here = vec![Subscription::inbox(&known), Subscription::inbox(&new)];
    must_hear_all_after(&db, &group, heard_here, [&known, &new], async || make_topic(&new, 3).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_apache_kafka_partitions_that_are_made_while_a_static_member_is_away_are_heard_when_it_is_back() {
    let (db, group, topic) = (database().await, unique("g"), topic(1).await);
    let heard_here = vec![Subscription::inbox(&topic)];
    must_hear_all_after(&db, &group, heard_here, [&topic, &topic], async || more_partitions(&topic, 3).await).await;
}

/// A static member goes, something is made, and the member is back before anybody misses it.
async fn must_hear_all_after(
    db: &TestDb,
    group: &str,
    heard_here: Vec<Subscription>,
    [known, grown]: [&str; 2],
    made: impl AsyncFnOnce(),
) {
    let keys = ["a", "b", "c", "d", "e", "f"];
    let start = || Member::start_as(&db.pool, named(group), heard_here.clone(), Arc::new(Notebook::default()));
    let member = start();
    let producer = Producer::new();
    producer.say(known, "known", "known").await;
    // what is looked after besides must not end with the first dead letter
    producer.say(known, "unreadable", "unreadable").await;
    eventually("it is well", SOON, async || committed(group, known).await == Some(2)).await;
    member.stop().await;
    made().await;
    let member = start();
    let (producer, mut partitions) = (Producer::new(), BTreeSet::new());
    for key in keys {
        partitions.insert(producer.say(grown, key, key).await);
    }
    assert_eq!(partitions.len(), 3, "every partition has something to be heard");
    eventually("all is heard", SOON, async || heard(db, &keys).await.len() == keys.len()).await;
    member.stop().await;
}
