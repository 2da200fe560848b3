//! What a failover left: whether databases, topics and answers agree.

use std::collections::{BTreeSet, HashSet};

use anyhow::Context;
use diesel::QueryableByName;
use diesel::sql_types::{Array, Text};
use diesel_async::RunQueryDsl;
use quadrille::addresses::Addresses;
use quadrille::records::OF_ORDERS;
use quadrille::service::Service;
use service_kit::pool;

use crate::accept::events;

/// What was found after a failover.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Orders that were answered with 202 and are not in order-svc's database.
    pub lost_answers: Vec<String>,
    /// Events on a topic whose commit did not survive.
    pub made_up: Vec<String>,
    /// Events whose commit survived, which were published, and which are not on their topic.
    pub missing: Vec<String>,
    /// Why a key's events are not numbered 1, 2, 3, if so.
    pub out_of_order: Option<String>,
    /// Records on the topics.
    pub records: usize,
    /// Of those how many came again.
    pub twice: usize,
}

impl Found {
    pub fn breaks_nothing(&self) -> bool {
        self.lost_answers.is_empty()
            && self.made_up.is_empty()
            && self.missing.is_empty()
            && self.out_of_order.is_none()
    }
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

/// An event that is published is in a table of its database before, while and after it is: pending, parked, or in the
/// archive. So the archives are read before the topics, to see what must be there, and all tables after them, to see what
/// may be.
pub(super) async fn check(at: &Addresses, answered: &[String]) -> anyhow::Result<Found> {
    let archived = names(at, "select event_id::text as name from outbox_archive where topic = any($1)").await?;
    let records = events::all(&at.kafka, &OF_ORDERS).await?;
    let known = names(
        at,
        "select event_id::text as name from outbox_archive where topic = any($1)
         union all select event_id::text from outbox where topic = any($1)
         union all select event_id::text from outbox_parked where topic = any($1)",
    )
    .await?;
    let on_topics: HashSet<&str> = records.iter().map(|record| record.id.as_str()).collect();
    let made_up: BTreeSet<String> = records
        .iter()
        .filter(|record| !known.contains(&record.id))
        .map(|record| format!("{} {} of {}", record.event_type, record.id, record.key))
        .collect();
    let contiguous = events::must_be_contiguous(&records);
    Ok(Found {
        lost_answers: lost(at, answered).await?,
        made_up: made_up.into_iter().collect(),
        missing: archived.into_iter().filter(|id| !on_topics.contains(id.as_str())).collect(),
        records: records.len(),
        twice: *contiguous.as_ref().unwrap_or(&0),
        out_of_order: contiguous.err().map(|error| error.to_string()),
    })
}

async fn names(at: &Addresses, query: &str) -> anyhow::Result<HashSet<String>> {
    let mut found = HashSet::new();
    for service in Service::WITH_OUTBOX {
        let mut conn = pool::connect(&database(at, service)?).await?;
        let rows: Vec<Name> = diesel::sql_query(query).bind::<Array<Text>, _>(&OF_ORDERS[..]).load(&mut conn).await?;
        found.extend(rows.into_iter().map(|row| row.name));
    }
    Ok(found)
}

async fn lost(at: &Addresses, answered: &[String]) -> anyhow::Result<Vec<String>> {
    let mut conn = pool::connect(&database(at, Service::OrderSvc)?).await?;
    let query = "select name from unnest($1) as answered (name)
        where not exists (select from orders where id = answered.name::uuid)";
    let rows: Vec<Name> = diesel::sql_query(query).bind::<Array<Text>, _>(answered).load(&mut conn).await?;
    Ok(rows.into_iter().map(|row| row.name).collect())
}

fn database(at: &Addresses, service: Service) -> anyhow::Result<String> {
    let address = at.services.get(service.name()).and_then(|address| address.database.clone());
    address.with_context(|| format!("{} has no database", service.name()))
}
