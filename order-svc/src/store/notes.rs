//! What staff write down about orders.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, Binary, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::idempotency::{IdempotentRequest, KeyRefused};
use service_kit::prepared;
use shared_events::OrderId;
use uuid::Uuid;

use super::loaded::Loaded;
use crate::domain::NoteText;
use crate::schema::order_notes;

#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = order_notes, check_for_backend(diesel::pg::Pg))]
pub struct Note {
    pub id: Uuid,
    /// None where nobody is asked who they are.
    pub author: Option<String>,
    pub text: String,
    pub written_at: DateTime<Utc>,
}

/// Writes a note; none if there is no such order, its customer is forgotten, or one was written under the key.
pub async fn write(
    mut conn: &AsyncPgConnection,
    order: OrderId,
    author: Option<&str>,
    text: &NoteText,
    idempotency: Option<&IdempotentRequest>,
) -> QueryResult<Option<Note>> {
    let (id, text) = (Uuid::now_v7(), text.as_str());
    let (key, request) = (idempotency.map(|sent| &*sent.key), idempotency.map(|sent| &*sent.request));
    let written: Option<(Uuid, DateTime<Utc>)> =
        Write { order: order.0, id, author, text, key, request }.get_result(&mut conn).await.optional()?;
    let note = |(id, written_at)| Note { id, author: author.map(str::to_owned), text: text.to_owned(), written_at };
    Ok(written.map(note))
}

prepared! {
    /// The order's row is locked, so that whoever is forgetting its customer finds the note, or this finds them forgotten.
    struct Write<'a> {
        order: Uuid as SqlUuid,
        id: Uuid as SqlUuid,
        author: Option<&'a str> as Nullable<Text>,
        text: &'a str as Text,
        key: Option<&'a str> as Nullable<Text>,
        request: Option<&'a [u8]> as Nullable<Binary>,
    } -> (SqlUuid, Timestamptz);
    "with noted as (select id from orders where id = ? and forgotten_at is null for share) \
     insert into order_notes (id, order_id, author, text, key, request) select ?, noted.id, ?, ?, ?, ? from noted \
     on conflict (key) do nothing returning id, written_at"
}

/// The note that was written under this key, if one was; refused if another was asked for.
pub async fn sent_before(
    mut conn: &AsyncPgConnection,
    IdempotentRequest { key, request }: &IdempotentRequest,
) -> QueryResult<Option<Result<Note, KeyRefused>>> {
    let query = order_notes::table.filter(order_notes::key.eq(key)).select((Note::as_select(), order_notes::request));
    let found: Option<(Note, Option<Vec<u8>>)> = query.first(&mut conn).await.optional()?;
    let answered = |(note, known): (Note, Option<Vec<u8>>)| match known.as_ref() == Some(request) {
        true => Ok(note),
        false => Err(KeyRefused::OtherRequest),
    };
    Ok(found.map(answered))
}

/// The notes about an order that were written before this one, the newest first.
pub async fn list(
    mut conn: &AsyncPgConnection,
    order: OrderId,
    before: Option<Uuid>,
    limit: i64,
) -> QueryResult<Vec<Note>> {
    let mut query = order_notes::table
        .filter(order_notes::order_id.eq(order.0))
        .order(order_notes::id.desc())
        .limit(limit)
        .select(Note::as_select())
        .into_boxed();
    if let Some(before) = before {
        query = query.filter(order_notes::id.lt(before));
    }
    query.load(&mut conn).await
}

/// A note that goes with a change of its order.
#[derive(Clone, Debug)]
pub(super) struct NewNote {
    pub order: OrderId,
    pub author: Option<String>,
    pub text: NoteText,
}

/// Writes the notes that go with changes. Their orders' rows must be locked.
pub(super) async fn append(mut conn: &AsyncPgConnection, loaded: &Loaded) -> QueryResult<()> {
    let mut rows = Append::default();
    for note in &loaded.notes {
        rows.ids.push(Uuid::now_v7());
        rows.orders.push(note.order.0);
        rows.authors.push(note.author.as_deref());
        rows.texts.push(note.text.as_str());
    }
    if !rows.ids.is_empty() {
        rows.execute(&mut conn).await?;
    }
    Ok(())
}

prepared! {
    #[derive(Default)]
    struct Append<'a> {
        ids: Vec<Uuid> as Array<SqlUuid>,
        orders: Vec<Uuid> as Array<SqlUuid>,
        authors: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        texts: Vec<&'a str> as Array<Text>,
    };
    "insert into order_notes (id, order_id, author, text) select * from unnest(?, ?, ?, ?)"
}

/// Deletes the notes about the orders whose customer is forgotten. Their rows must be locked.
pub(super) async fn forget(mut conn: &AsyncPgConnection, loaded: &Loaded) -> QueryResult<()> {
    let ids: Vec<_> = loaded.forgotten.iter().map(|id| id.0).collect();
    if !ids.is_empty() {
        Forget { ids: &ids }.execute(&mut conn).await?;
    }
    Ok(())
}

prepared! {
    struct Forget<'a> { ids: &'a [Uuid] as Array<SqlUuid> };
    "delete from order_notes where order_id = any(?)"
}
