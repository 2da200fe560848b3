//! Notes that staff write about orders, for each other.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use service_kit::auth::Caller;
use service_kit::http::openapi::Key;
use service_kit::http::{Cursor, IdempotencyKey, Json, Limit, Paged, Problem, Query};
use shared_events::OrderId;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use uuid::Uuid;

use super::theirs::Theirs;
use super::{AppState, examples, problem};
use crate::commands;
use crate::domain::NoteText;
use crate::store::{self, notes::Note};

/// A note to write.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"text": "Called Ann: she is at home on Friday."}))]
pub struct NoteRequest {
    text: NoteText,
}

/// A note about an order.
#[derive(Serialize, ToSchema)]
#[schema(as = Note, example = json!(examples::note()))]
pub struct NoteView<'a> {
    id: Uuid,
    text: &'a str,
    /// Whoever wrote it, by the issuer's name for them; none where nobody is asked who they are.
    author: Option<&'a str>,
    written_at: DateTime<Utc>,
}

impl<'a> NoteView<'a> {
    fn of(note: &'a Note) -> Self {
        Self { id: note.id, text: &note.text, author: note.author.as_deref(), written_at: note.written_at }
    }
}

/// Something to read, and no control character but ends of lines and tabs.
const SOME_LINES: &str = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x08\x0b-\x1f\x7f-\x9f]*$";

impl PartialSchema for NoteText {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("Some lines of text."))
            .examples(["Called Ann: she is at home on Friday."])
            .min_length(Some(1))
            .max_length(Some(Self::MAX))
            .pattern(Some(SOME_LINES))
            .into()
    }
}

impl ToSchema for NoteText {}

/// Writes a note about an order
///
/// Staff read it, and customers never. It is deleted when the customer is forgotten. Under an `Idempotency-Key` it is written once.
#[utoipa::path(
    post, path = "/api/v1/orders/{id}/notes", tag = "orders", operation_id = "write_note",
    params(("id" = inline(OrderId), Path, description = "The order."), ("Idempotency-Key" = inline(Option<Key>), Header)),
    request_body = NoteRequest,
    responses(
        (status = 201, description = "The note.", body = NoteView),
        (status = 409, description = "The order's customer is forgotten.")
    )
)]
pub async fn write(
    state: Data<AppState>,
    Theirs(id): Theirs,
    caller: Caller,
    http: HttpRequest,
    body: Json<NoteRequest>,
) -> Result<HttpResponse, Problem> {
    let NoteRequest { text } = body.into_inner();
    let idempotency = IdempotencyKey::request(&http, &(id, &text))?;
    let note = commands::write_note(&state.pool, id, caller.sub(), &text, idempotency.as_ref())
        .await
        .map_err(|error| problem::not_noted(id.0, error))?;
    Ok(HttpResponse::Created().json(NoteView::of(&note)))
}

/// The parameters of a list of notes, which are those of every list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct NotesQuery {
    #[param(inline)]
    limit: Option<Limit>,
    /// The `next_cursor` of the previous answer.
    #[param(value_type = Option<Uuid>)]
    cursor: Option<Cursor<Uuid>>,
}

/// Lists the notes about an order, the newest first
#[utoipa::path(
    get, path = "/api/v1/orders/{id}/notes", tag = "orders", operation_id = "list_notes",
    params(("id" = inline(OrderId), Path, description = "The order."), NotesQuery),
    responses((status = 200, description = "A page of them.", body = Paged<NoteView>))
)]
pub async fn list(
    state: Data<AppState>,
    Theirs(id): Theirs,
    query: Query<NotesQuery>,
) -> Result<HttpResponse, Problem> {
    let NotesQuery { limit, cursor } = query.0;
    let (limit, before) = (limit.unwrap_or_default().get(), cursor.map(|Cursor(before)| before));
    let conn = state.pool.get().await?;
    let notes = store::notes::list(&conn, id, before, limit + 1).await?;
    if notes.is_empty() && store::orders::customer_of(&conn, id).await?.is_none() {
        return Err(problem::no_order(id.0));
    }
    let Paged { items, next_cursor } = Paged::from_rows(notes, limit, |note| note.id.to_string());
    Ok(HttpResponse::Ok().json(Paged { items: items.iter().map(NoteView::of).collect(), next_cursor }))
}
