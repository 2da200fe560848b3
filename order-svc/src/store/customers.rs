//! Customers' profiles. A customer's row is the root of its events on `customers.v1`, and counts them.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Jsonb, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use outbox_relay::NewRow;
use serde_json::Value;
use service_kit::prepared;
use shared_events::{CustomerForgotten, CustomerId, Event, SequenceCounter, Topic};

use super::AnnounceError;
use super::loaded::encoded;
use super::rows::{failed, json, read};
use crate::domain::Profile;
use crate::schema::customers;

/// A profile as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredProfile {
    pub customer_id: CustomerId,
    pub profile: Profile,
    /// Counts its changes.
    pub version: i64,
    pub updated_at: DateTime<Utc>,
}

/// A customer's row, locked until the transaction ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomerRoot {
    pub id: CustomerId,
    /// None if there is none yet, or none any more.
    pub profile: Option<Profile>,
    pub version: i64,
    last_sequence: i64,
    pub updated_at: DateTime<Utc>,
    /// When this transaction began, by the database's clock.
    pub now: DateTime<Utc>,
}

impl SequenceCounter for CustomerRoot {
    /// A customer's events go to `customers.v1` alone.
    fn next_sequence(&mut self, _: Topic) -> i64 {
        self.last_sequence += 1;
        self.last_sequence
    }
}

impl CustomerRoot {
    /// What others have to know of the customer.
    pub fn told(&self) -> Event {
        match &self.profile {
            Some(profile) => profile.told_of(self.id.clone()).into(),
            None => CustomerForgotten { customer_id: self.id.clone() }.into(),
        }
    }
}

type Row = (String, Option<Value>, i64, i64, DateTime<Utc>);

/// The profile, as an order needs it.
pub async fn profile(mut conn: &AsyncPgConnection, id: &CustomerId) -> QueryResult<Option<Profile>> {
    let query = customers::table.find(id.as_str()).select(customers::profile);
    let found: Option<Option<Value>> = query.first(&mut conn).await.optional()?;
    found.flatten().map(read).transpose()
}

pub async fn find(mut conn: &AsyncPgConnection, id: &CustomerId) -> QueryResult<Option<StoredProfile>> {
    let query =
        customers::table.find(id.as_str()).select((customers::all_columns, diesel::dsl::now.into_sql::<Timestamptz>()));
    let found: Option<(Row, DateTime<Utc>)> = query.first(&mut conn).await.optional()?;
    let Some(CustomerRoot { id, profile, version, updated_at, .. }) = found.map(root).transpose()? else {
        return Ok(None);
    };
    Ok(profile.map(|profile| StoredProfile { customer_id: id, profile, version, updated_at }))
}

/// Makes the customer's row, if there is none, and locks it.
pub async fn lock(conn: &mut AsyncPgConnection, id: &CustomerId) -> QueryResult<CustomerRoot> {
    diesel::insert_into(customers::table)
        .values(customers::id.eq(id.as_str()))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    let query =
        customers::table.find(id.as_str()).select((customers::all_columns, diesel::dsl::now.into_sql::<Timestamptz>()));
    root(query.for_update().get_result(conn).await?)
}

/// Locks the customers after this one of whom something was said, in the order of their ids.
pub async fn lock_after(
    conn: &mut AsyncPgConnection,
    after: Option<&CustomerId>,
    limit: i64,
) -> QueryResult<Vec<CustomerRoot>> {
    let rows: Vec<(Row, DateTime<Utc>)> = customers::table
        .filter(customers::id.gt(after.map_or("", CustomerId::as_str)).and(customers::last_sequence.gt(0)))
        .order(customers::id)
        .limit(limit)
        .select((customers::all_columns, diesel::dsl::now.into_sql::<Timestamptz>()))
        .for_update()
        .load(conn)
        .await?;
    rows.into_iter().map(root).collect()
}

pub async fn count(conn: &mut AsyncPgConnection) -> QueryResult<u64> {
    let count: i64 = customers::table.count().get_result(conn).await?;
    Ok(count.unsigned_abs())
}

fn root(((id, profile, version, last_sequence, updated_at), now): (Row, DateTime<Utc>)) -> QueryResult<CustomerRoot> {
    let (id, profile) = (id.parse().map_err(failed)?, profile.map(read).transpose()?);
    Ok(CustomerRoot { id, profile, version, last_sequence, updated_at, now })
}

/// Writes these customers, and says of each what others have to know, with its next sequence.
pub async fn announce(mut conn: &AsyncPgConnection, roots: &mut [CustomerRoot]) -> Result<(), AnnounceError> {
    let (mut rows, mut save) = (Vec::with_capacity(roots.len()), Save::default());
    for root in roots.iter_mut() {
        let (now, told) = (root.now, root.told());
        rows.extend(encoded(root, now, &[told], None)?.into_iter().map(|message| message.into_row(NewRow::new)));
    }
    for root in roots.iter() {
        save.ids.push(root.id.as_str());
        save.profiles.push(root.profile.as_ref().map(json).transpose()?);
        save.versions.push(root.version);
        save.last_sequences.push(root.last_sequence);
        save.updated_at.push(root.updated_at);
    }
    save.execute(&mut conn).await?;
    Ok(outbox_relay::append_all(conn, rows).await?)
}

prepared! {
    #[derive(Default)]
    struct Save<'a> {
        ids: Vec<&'a str> as Array<Text>,
        profiles: Vec<Option<Value>> as Array<Nullable<Jsonb>>,
        versions: Vec<i64> as Array<BigInt>,
        last_sequences: Vec<i64> as Array<BigInt>,
        updated_at: Vec<DateTime<Utc>> as Array<Timestamptz>,
    };
    "update customers set profile = new.profile, version = new.version, last_sequence = new.last_sequence, \
         updated_at = new.updated_at \
     from unnest(?, ?, ?, ?, ?) as new (id, profile, version, last_sequence, updated_at) where customers.id = new.id"
}
