//! The messages that were sent here.

use actix_web::HttpResponse;
use actix_web::web::Data;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Text;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use service_kit::http::{Cursor, Limit, Paged, Problem, Query};

use crate::http::AppState;
use crate::params::has_control;
use crate::schema::messages;

/// A message that is to be kept.
#[derive(Insertable)]
#[diesel(table_name = messages)]
pub(super) struct NewMessage<'a> {
    pub channel: &'static str,
    pub recipient: &'a str,
    pub title: Option<&'a str>,
    pub body: &'a str,
    pub data: Value,
}

#[derive(Serialize, Queryable, Selectable)]
#[diesel(table_name = messages)]
struct Message {
    id: i64,
    channel: String,
    recipient: String,
    title: Option<String>,
    body: String,
    data: Value,
    received_at: DateTime<Utc>,
}

/// Keeps a message; returns its place among them.
pub(super) async fn keep(conn: &mut AsyncPgConnection, message: &NewMessage<'_>) -> QueryResult<i64> {
    diesel::insert_into(messages::table).values(message).returning(messages::id).get_result(conn).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    to: Option<String>,
    limit: Option<Limit>,
    cursor: Option<Cursor<i64>>,
}

/// All of them, or those to one number or device, the newest first.
pub(super) async fn list(state: Data<AppState>, query: Query<ListQuery>) -> Result<HttpResponse, Problem> {
    let Query(ListQuery { to, limit, cursor }) = query;
    let limit = limit.unwrap_or_default().get();
    let mut kept = messages::table.select(Message::as_select()).order(messages::id.desc()).into_boxed();
    if let Some(to) = to.map(|to| plain("to", to)).transpose()? {
        kept = kept.filter(messages::recipient.eq(to));
    }
    if let Some(Cursor(after)) = cursor {
        kept = kept.filter(messages::id.lt(after));
    }
    let rows: Vec<Message> = kept.limit(limit + 1).load(&mut *state.pool.get().await?).await?;
    Ok(HttpResponse::Ok().json(Paged::from_rows(rows, limit, |message| message.id.to_string())))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeleteQuery {
    about: String,
}

/// Deletes those that go to or name somebody or something: a number, a device, an order's id.
pub(super) async fn delete(state: Data<AppState>, query: Query<DeleteQuery>) -> Result<HttpResponse, Problem> {
    let about = plain("about", query.0.about)?;
    if about.trim().is_empty() {
        return Err(Problem::bad_input("about", "It is empty; expected a number, a token or an order's id."));
    }
    let mut conn = state.pool.get().await?;
    let deleted = sql_query(
        "delete from messages where recipient = $1 or strpos(body, $1) > 0 or strpos(title, $1) > 0 \
            or strpos(data::text, $1) > 0",
    )
    .bind::<Text, _>(about)
    .execute(&mut *conn)
    .await?;
    Ok(HttpResponse::Ok().json(json!({ "deleted": deleted })))
}

/// A text that the database can be asked for.
fn plain(field: &'static str, text: String) -> Result<String, Problem> {
    if has_control(&text) { Err(Problem::bad_input(field, "It has control characters.")) } else { Ok(text) }
}
