//! One transaction, of one event mostly: inbox, parked keys, reaction.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::time::{Duration, Instant, SystemTime};

use common::{Copies, Notebook, database, event, headers, heard};
use diesel::sql_query;
use diesel_async::RunQueryDsl;
use service_kit::consumer::testing::{CONSUMER, react, react_as, react_to_all};
use service_kit::consumer::{Outcome, Record, Subscription, Why};
use uuid::{NoContext, Timestamp, Uuid};

#[tokio::test(flavor = "multi_thread")]
async fn race_delivered_twice_is_handled_once() {
    let db = database().await;
    let placed = event("t", "k", "placed");
    assert_eq!(react(&db.pool, &Notebook::default(), &placed).await.unwrap(), Outcome::Applied);
    assert_eq!(react(&db.pool, &Notebook::default(), &placed).await.unwrap(), Outcome::Duplicate);
    assert_eq!(heard(&db, &["k"]).await, ["placed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_ignores_is_still_noted_in_the_inbox() {
    let db = database().await;
    let ignored = react(&db.pool, &Notebook::default(), &event("t", "k", "ignore")).await.unwrap();
    assert_eq!(ignored, Outcome::Ignored(Why::NotForUs));
    assert_eq!(db.count("inbox").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_for_nobody_gets_no_row_whatever_its_age_and_whatever_its_key_waits_for() {
    let (db, notebook) = (database().await, Notebook::default());
    let not_for_us = Outcome::Ignored(Why::NotForUs);
    assert_eq!(react(&db.pool, &notebook, &event("t", "k", "for nobody")).await.unwrap(), not_for_us);
    let long_ago = Uuid::new_v7(Timestamp::from_unix(NoContext, 1_600_000_000, 0));
    let old = Record::sent("t", "k", headers(long_ago, "note.v1"), "for nobody");
    assert_eq!(react(&db.pool, &notebook, &old).await.unwrap(), not_for_us);
    react(&db.pool, &notebook, &event("t", "k", "poison")).await.unwrap();
    let noted = db.count("inbox").await;
    assert_eq!(react(&db.pool, &notebook, &event("t", "k", "for nobody")).await.unwrap(), not_for_us);
    assert_eq!((db.count("inbox").await, db.count("dead_letters").await), (noted, 1));
    assert_eq!(noted, 1, "that of the poison alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_type_is_skipped_without_an_inbox_row() {
    let db = database().await;
    let newer = Record::sent("t", "k", headers(Uuid::now_v7(), "from.the.future.v1"), "{}");
    assert_eq!(react(&db.pool, &Notebook::default(), &newer).await.unwrap(), Outcome::Skipped);
    assert_eq!((db.count("inbox").await, db.count("dead_letters").await), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_reaction_leaves_nothing_and_parks_only_its_key_on_its_topic() {
    let db = database().await;
    let notebook = Notebook::default();
    let failed = react(&db.pool, &notebook, &event("t", "k", "poison")).await.unwrap();
    assert_eq!(failed, Outcome::DeadLettered("it hurts".to_owned()));
    assert_eq!(react(&db.pool, &notebook, &event("t", "k", "later")).await.unwrap(), Outcome::QueuedBehind);
    assert_eq!(react(&db.pool, &notebook, &event("t", "other", "fine")).await.unwrap(), Outcome::Applied);
    assert_eq!(react(&db.pool, &notebook, &event("u", "k", "elsewhere")).await.unwrap(), Outcome::Applied);
    assert_eq!(heard(&db, &["k", "other"]).await, ["fine", "elsewhere"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_in_a_batch_is_buried_in_its_transaction_and_nothing_is_rolled_back_for_it() {
    let (db, notebook) = (database().await, Notebook::default());
    let said = [("k", "1"), ("k", "poison"), ("o", "1"), ("k", "2"), ("k", "unreadable"), ("o", "2")];
    let batch = said.map(|(key, what)| event("t", key, what));
    let outcomes = react_to_all(&mut *db.conn().await, &notebook, &batch).await.unwrap();
    let buried = Outcome::DeadLettered("it hurts".to_owned());
    let (applied, queued) = (Outcome::Applied, Outcome::QueuedBehind);
    assert_eq!(outcomes, [applied.clone(), buried, applied.clone(), queued.clone(), queued, applied]);
    assert_eq!(heard(&db, &["k", "o"]).await, ["1", "1", "2"]);
    assert_eq!(notebook.times_asked(), 4, "each new event once, and none of what waits behind");
    let queue = "(select key, event_id, row_number() over (order by id) as place from dead_letters) queue";
    for (place, letter) in [1, 3, 4].into_iter().enumerate() {
        let id = batch[letter].header("ce_id").unwrap();
        assert_eq!(db.count(&format!("{queue} where event_id = '{id}' and place = {place} + 1")).await, 1);
    }
    let again = react_to_all(&mut *db.conn().await, &notebook, &batch).await.unwrap();
    assert!(again.iter().all(|outcome| *outcome == Outcome::Duplicate), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_parks_its_key_on_its_topic_alone_in_a_transaction_of_several_topics_too() {
    let (db, notebook) = (database().await, Notebook::default());
    let batch = [("t", "poison"), ("u", "1"), ("t", "2"), ("u", "3")].map(|(topic, what)| event(topic, "k", what));
    let outcomes = react_to_all(&mut *db.conn().await, &notebook, &batch).await.unwrap();
    let applied = Outcome::Applied;
    assert_eq!(outcomes[1..], [applied.clone(), Outcome::QueuedBehind, applied.clone()]);
    let later = [("u", "4"), ("t", "5")].map(|(topic, what)| event(topic, "k", what));
    let outcomes = react_to_all(&mut *db.conn().await, &notebook, &later).await.unwrap();
    assert_eq!(outcomes, [applied, Outcome::QueuedBehind], "as it is read from the table");
    for (topic, record) in [("t", &later[1]), ("u", &later[0])] {
        let reached = format!("consumer_progress where topic = '{topic}' and position = {} + 1", record.place.offset);
        assert_eq!(db.count(&reached).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_cannot_be_saved_or_whose_reaction_panics_leaves_nothing() {
    let (db, notebook) = (database().await, Notebook::default());
    for broken in ["too long", "panic"] {
        let batch = ["1", broken, "2"].map(|what| event("t", what, what));
        let failed = react_to_all(&mut *db.conn().await, &notebook, &batch).await;
        assert!(failed.is_err(), "{failed:?}");
    }
    for table in ["heard", "inbox", "dead_letters", "consumer_progress"] {
        assert_eq!(db.count(table).await, 0, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_a_failure_for_good() {
    let db = database().await;
    let failed = react(&db.pool, &Notebook::default(), &event("t", "k", "panic")).await.unwrap();
    assert_eq!(failed, Outcome::DeadLettered("panicked: out of wits".to_owned()));
    assert_eq!(db.count("heard").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_sends_one_copy_however_often_it_is_heard() {
    let db = database().await;
    let (topic, notebook) = (Subscription::inbox("t"), Notebook::default());
    let headless = Record::sent("t", "k", Vec::<(String, String)>::new(), "?");
    for unreadable in [event("t", "k2", "unreadable"), headless] {
        let first = react_as(&db.pool, CONSUMER, &topic, &notebook, &Copies, &unreadable).await.unwrap();
        assert!(matches!(first, Outcome::DeadLettered(_)), "{first:?}");
        react_as(&db.pool, CONSUMER, &topic, &notebook, &Copies, &unreadable).await.unwrap();
    }
    assert_eq!((db.count("dead_letters").await, db.count("copies").await), (2, 2));
    assert_eq!(db.count("copies where topic = 'test.dlq' and headers like '%dead_letter_offset%'").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_at_the_place_of_another_dead_letter_is_kept_beside_it() {
    let db = database().await;
    let notebook = Notebook::default();
    let (poison, mut later, mut other) =
        (event("t", "k", "poison"), event("t", "k", "later"), event("t", "o", "poison"));
    react(&db.pool, &notebook, &poison).await.unwrap();
    // the topic was made anew: offsets begin at 0 again
    (later.place, other.place) = (poison.place.clone(), poison.place.clone());
    assert_eq!(react(&db.pool, &notebook, &later).await.unwrap(), Outcome::QueuedBehind);
    assert!(matches!(react(&db.pool, &notebook, &other).await.unwrap(), Outcome::DeadLettered(_)));
    assert_eq!(db.count("dead_letters").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_any_size_can_become_a_dead_letter() {
    let db = database().await;
    let (topic, notebook) = (Subscription::inbox("t"), Notebook::default());
    // nothing that an index could compress
    let key: String = (0..300).map(|_| Uuid::now_v7().to_string()).collect();
    let mut large = headers(Uuid::now_v7(), "noted.v1");
    large.push(("more".to_owned(), "x".repeat(950_000)));
    for record in [event("t", &key, "unreadable"), Record::sent("t", "k", large, "unreadable")] {
        let outcome = react_as(&db.pool, CONSUMER, &topic, &notebook, &Copies, &record).await.unwrap();
        assert!(matches!(outcome, Outcome::DeadLettered(_)), "{outcome:?}");
    }
    let behind = react(&db.pool, &notebook, &event("t", &key, "next")).await.unwrap();
    assert_eq!(behind, Outcome::QueuedBehind);
    let fit = "copies where length(headers) < 900000 and headers like '%dead_letter_headers_omitted%'";
    assert_eq!((db.count(fit).await, db.count("copies").await), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_older_than_the_inbox_reaches_never_goes_through() {
    let db = database().await;
    let long_ago = SystemTime::now() - Duration::from_secs(31 * 24 * 60 * 60);
    let since = long_ago.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let id = Uuid::new_v7(Timestamp::from_unix(NoContext, since.as_secs(), 0));
    let old = Record::sent("t", "k", headers(id, "noted.v1"), "old");
    let outcome = react(&db.pool, &Notebook::default(), &old).await.unwrap();
    assert!(matches!(outcome, Outcome::DeadLettered(why) if why.contains("older than the inbox reaches")));
    assert_eq!(db.count("heard").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compacted_topic_needs_no_inbox_and_parks_nothing() {
    let db = database().await;
    let (topic, notebook) = (Subscription::latest_per_key("p"), Notebook::default());
    let mut outcomes = Vec::new();
    let mut tombstone = event("p", "k", "");
    tombstone.value = None;
    for record in [event("p", "k", "unreadable"), event("p", "k", "newer"), tombstone] {
        outcomes.push(react_as(&db.pool, CONSUMER, &topic, &notebook, &Copies, &record).await.unwrap());
    }
    assert_eq!(outcomes[1..], [Outcome::Applied, Outcome::Skipped]);
    assert_eq!((db.count("inbox").await, db.count("parked_keys").await, db.count("dead_letters").await), (0, 0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_the_inbox_no_longer_reaches_are_dropped() {
    let db = database().await;
    let partitions = async || db.count("pg_inherits where inhparent = 'inbox'::regclass").await;
    let usual = partitions().await;
    db.run("select inbox_upkeep('400 days')").await;
    assert!(partitions().await > usual);
    react(&db.pool, &Notebook::default(), &event("t", "k", "kept")).await.unwrap();
    db.run("select inbox_upkeep('30 days')").await;
    assert_eq!((partitions().await, db.count("inbox").await), (usual, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_dropped_is_not_taken_for_news_when_the_inbox_is_to_reach_further_again() {
    let db = database().await;
    let upkeep = async |reach: &str| {
        sql_query(format!("select inbox_upkeep('{reach}')")).execute(&mut db.conn().await).await.unwrap();
    };
    let days_old = |days: u64| {
        let then = SystemTime::now() - Duration::from_secs(days * 24 * 60 * 60);
        let since = then.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let id = Uuid::new_v7(Timestamp::from_unix(NoContext, since.as_secs(), 0));
        Record::sent("t", "k", headers(id, "noted.v1"), "old")
    };
    let (old, notebook) = (days_old(50), Notebook::default());
    upkeep("60 days").await;
    assert_eq!(react(&db.pool, &notebook, &old).await.unwrap(), Outcome::Applied);
    assert_eq!(react(&db.pool, &notebook, &old).await.unwrap(), Outcome::Duplicate);
    upkeep("8 days").await;
    upkeep("60 days").await;
    let again = react(&db.pool, &notebook, &old).await.unwrap();
    assert!(matches!(&again, Outcome::DeadLettered(why) if why.contains("older than the inbox reaches")), "{again:?}");
    assert_eq!(heard(&db, &["k"]).await, ["old"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_partitions_wait_for_a_long_reader_and_nobody_waits_for_them() {
    let db = database().await;
    let partitions = async || db.count("pg_inherits where inhparent = 'inbox'::regclass").await;
    let usual = partitions().await;
    let mut reader = db.conn().await;
    sql_query("begin").execute(&mut reader).await.unwrap();
    sql_query("select count(*) from inbox").execute(&mut reader).await.unwrap();

    let begun = Instant::now();
    db.run("select inbox_upkeep('400 days')").await;
    let many = partitions().await;
    db.run("select inbox_upkeep('30 days')").await;
    react(&db.pool, &Notebook::default(), &event("t", "k", "heard")).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert!(many > usual && partitions().await == many);

    sql_query("commit").execute(&mut reader).await.unwrap();
    db.run("select inbox_upkeep('30 days')").await;
    assert_eq!(partitions().await, usual);
}
