//! What a service announced.

use std::collections::BTreeMap;

use service_kit::testing::TestDb;
use shared_events::{Event, header};

/// A row of the outbox.
#[derive(Clone, Debug)]
pub struct OutboxRow {
    pub topic: String,
    pub key: String,
    pub headers: BTreeMap<String, String>,
    pub payload: String,
}

impl OutboxRow {
    pub fn event_type(&self) -> &str {
        &self.headers[header::TYPE]
    }

    pub fn sequence(&self) -> i64 {
        self.headers[header::SEQUENCE].parse().unwrap()
    }

    pub fn event(&self) -> Event {
        Event::decode(self.event_type(), self.payload.as_bytes()).unwrap()
    }
}

/// All rows of the outbox, in order.
pub async fn outbox(db: &TestDb) -> Vec<OutboxRow> {
    type Row = (String, String, Vec<(String, String)>, String);
    let all = "select topic, key, headers, convert_from(payload, 'UTF8') from outbox order by id";
    let row =
        |(topic, key, headers, payload): Row| OutboxRow { topic, key, headers: headers.into_iter().collect(), payload };
    db.rows(all).await.into_iter().map(row).collect()
}
