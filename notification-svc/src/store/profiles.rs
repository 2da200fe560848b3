//! How customers want to be told, as `customers.v1` last said.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Jsonb, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Deserialize;
use serde_json::Value;
use service_kit::prepared;

use super::loaded::Loaded;
use crate::domain::Profile;

/// What is kept of a customer: of one who is forgotten the sequence alone.
pub(super) struct Kept {
    pub sequence: i64,
    pub profile: Option<Profile>,
}

/// A row of the table, as JSON.
#[derive(Deserialize)]
struct Row {
    customer_id: String,
    sequence: i64,
    #[serde(flatten)]
    profile: Value,
}

pub(super) fn read(row: Value) -> QueryResult<(String, Kept)> {
    let unreadable = |error: serde_json::Error| super::unreadable(error.to_string());
    let Row { customer_id, sequence, profile } = serde_json::from_value(row).map_err(unreadable)?;
    let is_forgotten = profile["messages"].is_null();
    let profile = if is_forgotten { None } else { Some(serde_json::from_value(profile).map_err(unreadable)?) };
    Ok((customer_id, Kept { sequence, profile }))
}

pub(super) async fn of(mut conn: &AsyncPgConnection, customers: &[&str]) -> QueryResult<Vec<(String, Kept)>> {
    if customers.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<Value> = Find { customers }.load(&mut conn).await?;
    rows.into_iter().map(read).collect()
}

prepared! {
    struct Find<'a> { customers: &'a [&'a str] as Array<Text> } -> Jsonb;
    "select to_jsonb(profiles) from profiles where customer_id = any (?)"
}

/// Writes what is new, unless something newer has been written meanwhile.
pub(super) async fn save(mut conn: &AsyncPgConnection, loaded: &Loaded) -> QueryResult<()> {
    let mut rows = Save::default();
    for (customer, Kept { sequence, profile }) in
        loaded.changed_profiles.iter().filter_map(|customer| loaded.profiles.get_key_value(customer))
    {
        let messages = profile.as_ref().map(|profile| serde_json::to_value(&profile.messages)).transpose();
        rows.customers.push(customer);
        rows.sequences.push(*sequence);
        rows.phones.push(profile.as_ref().and_then(|profile| profile.phone.as_deref()));
        rows.push_tokens.push(profile.as_ref().and_then(|profile| profile.push_token.as_deref()));
        rows.languages.push(profile.as_ref().map(|profile| profile.language).unwrap_or_default().as_str());
        rows.messages.push(messages.map_err(|error| diesel::result::Error::SerializationError(error.into()))?);
    }
    if !rows.customers.is_empty() {
        rows.execute(&mut conn).await?;
    }
    Ok(())
}

prepared! {
    #[derive(Default)]
    struct Save<'a> {
        customers: Vec<&'a str> as Array<Text>,
        sequences: Vec<i64> as Array<BigInt>,
        phones: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        push_tokens: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        languages: Vec<&'a str> as Array<Text>,
        messages: Vec<Option<Value>> as Array<Nullable<Jsonb>>,
    };
    "insert into profiles as known (customer_id, sequence, phone, push_token, language, messages) \
        select * from unnest(?, ?, ?, ?, ?, ?) \
     on conflict (customer_id) do update set sequence = excluded.sequence, phone = excluded.phone, \
        push_token = excluded.push_token, language = excluded.language, messages = excluded.messages \
        where known.sequence < excluded.sequence"
}
