//! The consumer on a real broker and a real database.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::kafka::{Member, Producer, SOON, committed, make_topic, topic};
use common::{Notebook, database, heard};
use service_kit::consumer::{Subscription, partition_of};
use service_kit::dead_letters;
use service_kit::testing::{eventually, unique};
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn events_are_handled_once_and_in_the_order_of_their_key() {
    let (db, topic, group, producer) = (database().await, topic(3).await, unique("g"), Producer::new());
    let member = Member::start(&db.pool, &group, vec![Subscription::inbox(&topic)], Arc::new(Notebook::default()));
    let said: Vec<_> = (0..40).map(|n| n.to_string()).collect();
    for what in &said {
        producer.say(&topic, "k", what).await;
    }
    let id = Uuid::now_v7();
    producer.send(&topic, "other", "again", id).await;
    producer.send(&topic, "other", "again", id).await;
    producer.say(&topic, "other", "end").await;
    eventually("all are heard", SOON, async || heard(&db, &["other"]).await.contains(&"end".to_owned())).await;
    eventually("all are heard", SOON, async || heard(&db, &["k"]).await.len() == said.len()).await;
    assert_eq!(heard(&db, &["k"]).await, said);
    assert_eq!(heard(&db, &["other"]).await, ["again", "end"]);
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_parks_its_key_the_rest_goes_on_and_a_replay_keeps_the_order() {
    let (db, topic, group, producer) = (database().await, topic(1).await, unique("g"), Producer::new());
    let notebook = Arc::new(Notebook::default());
    let member = Member::start(&db.pool, &group, vec![Subscription::inbox(&topic)], Arc::clone(&notebook));
    for (key, what) in [("a", "1"), ("a", "poison"), ("a", "2"), ("b", "1"), ("a", "3"), ("b", "2")] {
        producer.say(&topic, key, what).await;
    }
    eventually("the other key goes on", SOON, async || heard(&db, &["b"]).await == ["1", "2"]).await;
    assert_eq!(heard(&db, &["a"]).await, ["1"]);
    let letters = dead_letters::list(&mut *db.conn().await, 0, 10).await.unwrap();
    let errors: Vec<_> = letters.iter().map(|letter| letter.error.as_deref()).collect();
    assert_eq!(errors, [Some("it hurts"), None, None]);
    assert_eq!(db.count("copies").await, 1);

    // not mended yet: it stays, and says so
    assert_eq!(dead_letters::replay(&mut *db.conn().await, letters[0].id).await.unwrap(), 3);
    eventually("the replay failed", SOON, async || {
        let whole = dead_letters::get(&mut *db.conn().await, letters[0].id).await.unwrap().unwrap();
        whole.letter.replay_requested_at.is_none() && whole.letter.attempts > letters[0].attempts
    })
    .await;
    assert_eq!(heard(&db, &["a"]).await, ["1"]);

    notebook.cure();
    dead_letters::replay(&mut *db.conn().await, letters[1].id).await.unwrap();
    eventually("the queue is empty", SOON, async || db.count("dead_letters").await == 0).await;
    producer.say(&topic, "a", "4").await;
    eventually("the key is free", SOON, async || heard(&db, &["a"]).await.len() == 5).await;
    assert_eq!(heard(&db, &["a"]).await, ["1", "poison", "2", "3", "4"]);
    assert_eq!(db.count("parked_keys").await, 0);
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_cannot_be_saved_is_tried_event_by_event_and_only_what_fails_is_parked() {
    let (db, topic, group, producer) = (database().await, topic(1).await, unique("g"), Producer::new());
    for (key, what) in [("a", "1"), ("b", "too long"), ("c", "panic"), ("a", "2"), ("b", "2"), ("c", "2")] {
        producer.say(&topic, key, what).await;
    }
    let member = Member::start(&db.pool, &group, vec![Subscription::inbox(&topic)], Arc::new(Notebook::default()));
    eventually("four wait", SOON, async || db.count("dead_letters").await == 4).await;
    eventually("the other key goes on", SOON, async || heard(&db, &["a"]).await == ["1", "2"]).await;
    assert_eq!(heard(&db, &["b", "c"]).await, [""; 0]);
    let letters = dead_letters::list(&mut *db.conn().await, 0, 10).await.unwrap();
    let errors: Vec<_> = letters.iter().map(|letter| letter.error.as_deref()).collect();
    assert_eq!(errors, [Some("the page is too small"), Some("panicked: out of wits"), None, None]);
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_comes_during_a_replay_is_replayed_too_and_the_key_is_free() {
    let (db, topic, group, producer) = (database().await, topic(1).await, unique("g"), Producer::new());
    let notebook = Arc::new(Notebook::default());
    let member = Member::start(&db.pool, &group, vec![Subscription::inbox(&topic)], Arc::clone(&notebook));
    producer.say(&topic, "a", "poison").await;
    eventually("it is parked", SOON, async || db.count("dead_letters").await == 1).await;
    notebook.cure();
    notebook.out_of_ink.store(true, Ordering::SeqCst);
    let letters = dead_letters::list(&mut *db.conn().await, 0, 10).await.unwrap();
    assert_eq!(dead_letters::replay(&mut *db.conn().await, letters[0].id).await.unwrap(), 1);
    producer.say(&topic, "a", "latecomer").await;
    eventually("it waits behind", SOON, async || db.count("dead_letters").await == 2).await;
    notebook.out_of_ink.store(false, Ordering::SeqCst);
    eventually("the key is free", SOON, async || db.count("parked_keys").await == 0).await;
    assert_eq!(heard(&db, &["a"]).await, ["poison", "latecomer"]);
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discarded_dead_letter_frees_its_key_when_nothing_waits_behind_it() {
    let (db, topic, group, producer) = (database().await, topic(1).await, unique("g"), Producer::new());
    let member = Member::start(&db.pool, &group, vec![Subscription::inbox(&topic)], Arc::new(Notebook::default()));
    producer.say(&topic, "a", "unreadable").await;
    producer.say(&topic, "a", "next").await;
    eventually("both wait", SOON, async || db.count("dead_letters").await == 2).await;
    let letters = dead_letters::list(&mut *db.conn().await, 0, 10).await.unwrap();
    assert!(dead_letters::discard(&mut *db.conn().await, letters[0].id).await.unwrap());
    assert_eq!(db.count("parked_keys").await, 1);
    dead_letters::replay(&mut *db.conn().await, letters[1].id).await.unwrap();
    eventually("the key is free", SOON, async || db.count("parked_keys").await == 0).await;
    assert_eq!(heard(&db, &["a"]).await, ["next"]);
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_member_takes_over_partitions_and_nothing_is_lost_or_done_twice() {
    let (db, topic, group, producer) = (database().await, topic(4).await, unique("g"), Producer::new());
    let heard_here = || vec![Subscription::inbox(&topic)];
    let first = Member::start(&db.pool, &group, heard_here(), Arc::new(Notebook::default()));
    let keys: Vec<_> = (0..12).map(|n| format!("key-{n}")).collect();
    let say_all = async |what: &str| {
        for key in &keys {
            producer.say(&topic, key, what).await;
        }
    };
    let newcomer = Arc::new(Notebook::default());
    let second = Member::start(&db.pool, &group, heard_here(), Arc::clone(&newcomer));
    let mut all = Vec::new();
    let mut say_one_more = async || {
        all.push(all.len().to_string());
        say_all(&all[all.len() - 1]).await;
    };
    // under traffic: partitions change hands while their lanes are at work
    let deadline = Instant::now() + SOON;
    while !newcomer.was_asked() {
        assert!(Instant::now() < deadline, "the second member got no partition");
        say_one_more().await;
    }
    first.stop().await;
    say_one_more().await;
    for key in &keys {
        eventually("all are heard", SOON, async || heard(&db, &[key]).await.len() >= all.len()).await;
        assert_eq!(heard(&db, &[key]).await, all, "{key}");
    }
    assert_eq!(db.count("inbox").await, i64::try_from(all.len() * keys.len()).unwrap());
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kits_partition_of_a_key_is_the_producers() {
    let (topic, producer) = (topic(7).await, Producer::new());
    for key in ["", "a", "ab", "abc", "abcd", "order-1", "ключ", "018f3c3e-7f2b-7000-8000-000000000001"] {
        if !key.is_empty() {
            assert_eq!(producer.say(&topic, key, "x").await, partition_of(key, 7), "{key}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_is_committed_only_after_its_transaction() {
    let (db, topic, group, producer) = (database().await, topic(1).await, unique("g"), Producer::new());
    let notebook = Arc::new(Notebook::default());
    notebook.out_of_ink.store(true, Ordering::SeqCst);
    producer.say(&topic, "k", "1").await;
    let member = Member::start(&db.pool, &group, vec![Subscription::inbox(&topic)], Arc::clone(&notebook));
    eventually("it is tried again and again", SOON, async || notebook.asked.load(Ordering::SeqCst) > 3).await;
    // offsets that are stored go to the broker every second
    let since = Instant::now();
    eventually("that second is long over", SOON, async || {
        assert_eq!(committed(&group, &topic).await, None);
        since.elapsed() > Duration::from_secs(3)
    })
    .await;
    notebook.out_of_ink.store(false, Ordering::SeqCst);
    eventually("its offset is committed", SOON, async || committed(&group, &topic).await == Some(1)).await;
    assert_eq!(heard(&db, &["k"]).await, ["1"]);
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_not_there_is_named_and_heard_once_it_is_made_and_the_others_go_on() {
    let (db, there, later) = (database().await, topic(2).await, unique("later"));
    let heard_topics = vec![Subscription::inbox(&there), Subscription::inbox(&later)];
    let member = Member::start(&db.pool, &unique("group"), heard_topics, Arc::new(Notebook::default()));
    let producer = Producer::new();
    producer.say(&there, "k", "first").await;
    eventually("it is heard", SOON, async || heard(&db, &["k"]).await == ["first"]).await;
    let named = Err(format!("missing: {later}"));
    eventually("it is named", SOON, async || member.handle.topics_are_there() == named).await;
    eventually("it is well all the same", SOON, async || member.handle.is_well()).await;
    make_topic(&later, 2).await;
    eventually("it is there", SOON, async || member.handle.topics_are_there() == Ok(())).await;
    producer.say(&later, "k", "second").await;
    eventually("it is heard too", SOON, async || heard(&db, &["k"]).await == ["first", "second"]).await;
    member.stop().await;
}
