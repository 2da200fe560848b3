//! A service in small: it writes down what it hears, and fails when told to.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, missing_docs, reason = "each test uses its part")]

pub mod kafka;
pub mod server;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::anyhow;
use diesel::sql_query;
use diesel::sql_types::{Array, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::consumer::{
    DeadLetterCopy, DeadLetterSink, Handled, Incoming, ReactionError, Reactions, Record, Undecodable, Why,
};
use service_kit::testing::TestDb;
use uuid::Uuid;

/// A database with the kit's tables, one for what was heard and one for copies of dead letters.
pub async fn database() -> TestDb {
    let db = TestDb::new(&[service_kit::MIGRATIONS]).await;
    let mut conn = db.conn().await;
    for table in [
        "create table heard (n bigint generated always as identity, key text not null, what text not null)",
        "create table copies (topic text not null, key text not null, headers text not null, value text not null)",
    ] {
        sql_query(table).execute(&mut conn).await.unwrap();
    }
    db
}

/// Writes down what it hears. `poison` fails for good until it is cured, `too long` when it is saved, `panic` panics,
/// `unreadable` can't be decoded, and decoding `spilt` panics.
#[derive(Default)]
pub struct Notebook {
    pub cured: AtomicBool,
    /// While it is set everything fails for reasons that pass.
    pub out_of_ink: AtomicBool,
    /// How often it was asked to react.
    pub asked: AtomicUsize,
    /// What a lane has in hand, or had.
    pub seen: Mutex<BTreeSet<String>>,
}

impl Notebook {
    pub fn was_asked(&self) -> bool {
        self.times_asked() > 0
    }

    pub fn times_asked(&self) -> usize {
        AtomicUsize::load(&self.asked, Ordering::SeqCst)
    }

    pub fn has_seen(&self, events: usize) -> bool {
        self.seen.lock().unwrap().len() >= events
    }

    pub fn cure(&self) {
        self.cured.store(true, Ordering::SeqCst);
    }
}

impl Reactions for Notebook {
    type Event = String;
    type Loaded = Vec<(String, String)>;

    fn decode(&self, event_type: &str, value: &[u8]) -> Result<String, Undecodable> {
        match (event_type, std::str::from_utf8(value)) {
            ("from.the.future.v1", _) => Err(Undecodable::UnknownType),
            (_, Ok("spilt")) => panic!("ink everywhere"),
            (_, Ok("unreadable")) | (_, Err(_)) => Err(Undecodable::Malformed("it can't be read".to_owned())),
            (_, Ok(what)) => Ok(what.to_owned()),
        }
    }

    fn concerns(&self, event: &String) -> bool {
        self.seen.lock().unwrap().insert(event.clone());
        event != "for nobody"
    }

    async fn load(&self, _: &mut AsyncPgConnection, _: &[Incoming<String>]) -> Result<Self::Loaded, ReactionError> {
        Ok(Vec::new())
    }

    fn react(&self, loaded: &mut Self::Loaded, incoming: &Incoming<String>) -> Result<Handled, ReactionError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if AtomicBool::load(&self.out_of_ink, Ordering::SeqCst) {
            return Err(ReactionError::Transient(anyhow!("out of ink")));
        }
        if incoming.event == "poison" && !AtomicBool::load(&self.cured, Ordering::SeqCst) {
            return Err(ReactionError::Permanent(anyhow!("it hurts")));
        }
        loaded.push((incoming.key.clone(), incoming.event.clone()));
        match incoming.event.as_str() {
            "panic" => panic!("out of wits"),
            "ignore" => Ok(Handled::Ignored(Why::NotForUs)),
            _ => Ok(Handled::Applied),
        }
    }

    async fn save(&self, conn: &mut AsyncPgConnection, loaded: Self::Loaded) -> Result<(), ReactionError> {
        let (keys, what): (Vec<_>, Vec<_>) = loaded.into_iter().unzip();
        if what.iter().any(|what| what == "too long") {
            return Err(ReactionError::Permanent(anyhow!("the page is too small")));
        }
        sql_query("insert into heard (key, what) select * from unnest($1, $2)")
            .bind::<Array<Text>, _>(keys)
            .bind::<Array<Text>, _>(what)
            .execute(conn)
            .await?;
        Ok(())
    }
}

/// Keeps copies of dead letters in a table, as an outbox would.
#[derive(Clone, Copy)]
pub struct Copies;

impl DeadLetterSink for Copies {
    async fn dead_letter(&self, conn: &mut AsyncPgConnection, copy: DeadLetterCopy) -> Result<(), ReactionError> {
        sql_query("insert into copies values ($1, $2, $3, $4)")
            .bind::<Text, _>(copy.topic)
            .bind::<Text, _>(copy.key)
            .bind::<Text, _>(format!("{:?}", copy.headers))
            .bind::<Text, _>(String::from_utf8_lossy(&copy.value).into_owned())
            .execute(conn)
            .await?;
        Ok(())
    }
}

/// The headers of an event, the first of its key.
pub fn headers(id: Uuid, event_type: &str) -> Vec<(String, String)> {
    numbered_headers(id, event_type, 1)
}

/// The headers of an event with this sequence.
pub fn numbered_headers(id: Uuid, event_type: &str, sequence: i64) -> Vec<(String, String)> {
    [
        ("ce_specversion", "1.0".to_owned()),
        ("ce_id", id.to_string()),
        ("ce_source", "/test".to_owned()),
        ("ce_type", event_type.to_owned()),
        ("ce_time", "2026-01-01T00:00:00Z".to_owned()),
        ("ce_sequence", format!("{sequence:020}")),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

/// An event `what` for `key`, with an id of its own.
pub fn event(topic: &str, key: &str, what: &str) -> Record {
    Record::sent(topic, key, headers(Uuid::now_v7(), "noted.v1"), what)
}

/// What was written down for these keys, in order.
pub async fn heard(db: &TestDb, keys: &[&str]) -> Vec<String> {
    let keys = keys.iter().map(|key| format!("'{key}'")).collect::<Vec<_>>().join(", ");
    db.rows(&format!("select what from heard where key in ({keys}) order by n")).await
}
