//! Looking at dead letters.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Pool;
use crate::dead_letters::{self, DeadLetter, Ended, Filter, Group, GroupId, Shown, Ungrouped, Version};
use crate::http::{Cursor, Limit, Page, Paged, Path, Problem, Query};

/// The key of a record, as a dead letter has it.
#[derive(Deserialize)]
#[serde(try_from = "String")]
pub(super) struct RecordKey(pub String);

impl TryFrom<String> for RecordKey {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let fits = (1..=1_000).contains(&text.chars().count()) && !text.contains('\0');
        if fits { Ok(Self(text)) } else { Err("expected 1 to 1000 characters without NUL") }
    }
}

/// The parameters of a list of dead letters.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only those of this cause.
    #[param(value_type = Option<String>, pattern = "^[0-9a-f]{16}$")]
    group: Option<GroupId>,
    /// Only those of this key, in whichever topic.
    #[param(value_type = Option<String>, min_length = 1, max_length = 1000, pattern = "^[^\\x00]+$")]
    key: Option<RecordKey>,
    #[param(inline)]
    limit: Option<Limit>,
    /// The `next_cursor` of the previous answer.
    #[param(value_type = Option<i64>)]
    cursor: Option<Cursor<i64>>,
}

/// Lists dead letters, the oldest first
///
/// Those without an error only wait behind another of their key. One that waits with nothing ahead of it says so.
#[utoipa::path(
    get, path = "/api/v1/dead-letters", tag = "dead-letters", operation_id = "list_dead_letters",
    params(ListQuery),
    responses((status = 200, description = "A page of them.", body = Paged<DeadLetter>))
)]
pub(super) async fn list(pool: Data<Pool>, query: Query<ListQuery>) -> Result<HttpResponse, Problem> {
    let ListQuery { group, key, limit, cursor } = query.0;
    let (limit, after) = (limit.unwrap_or_default().get(), cursor.map_or(0, |Cursor(after)| after));
    let mut conn = pool.get().await?;
    let rows = dead_letters::list_of(&mut conn, Filter { group, key: key.map(|RecordKey(key)| key) }, after, limit + 1)
        .await?;
    Ok(HttpResponse::Ok().json(Paged::from_rows(rows, limit, |letter| letter.id.to_string())))
}

/// The parameters of the list of groups.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only what the macro makes of it is used")]
pub(super) struct GroupsQuery {
    #[param(inline)]
    limit: Option<Limit>,
    /// The `next_cursor` of the previous answer.
    #[param(value_type = Option<String>, pattern = "^[0-9a-f]{16}$")]
    cursor: Option<Cursor<GroupId>>,
}

/// A page of groups.
#[derive(Serialize, ToSchema)]
#[schema(as = PageOfDeadLetterGroups)]
pub(super) struct GroupsPage {
    /// The items.
    items: Vec<Group>,
    /// The cursor of the next page; null on the last page.
    #[schema(required, example = json!(null))]
    next_cursor: Option<String>,
    /// Those that are in no group yet, if there are some.
    ungrouped: Option<Ungrouped>,
}

/// Lists dead letters by cause
///
/// A group has the letters of one event type, consumer and error, whatever values the error names. Those that only wait behind
/// another of their key are in no group; once nothing is ahead of one, as its head was discarded, it is in the group of those
/// that nobody has tried. Within a page the group that has grown last comes first. `ungrouped` counts those whose causes are
/// still to be found, as after an upgrade.
#[utoipa::path(
    get, path = "/api/v1/dead-letters/groups", tag = "dead-letters", operation_id = "list_dead_letter_groups",
    params(GroupsQuery),
    responses((status = 200, description = "A page of them.", body = GroupsPage))
)]
pub(super) async fn groups(pool: Data<Pool>, page: Query<Page<GroupId>>) -> Result<HttpResponse, Problem> {
    let (limit, after) = page.0.parts();
    let mut conn = pool.get().await?;
    let rows = dead_letters::groups(&mut conn, after, limit + 1).await?;
    let mut page = Paged::from_rows(rows, limit, |group| group.group.clone());
    page.items.sort_by_key(|group| std::cmp::Reverse(group.last_at));
    let ungrouped = dead_letters::ungrouped(&mut conn).await?;
    let Paged { items, next_cursor } = page;
    Ok(HttpResponse::Ok().json(GroupsPage { items, next_cursor, ungrouped }))
}

/// Shows a dead letter
///
/// With its headers and its value, decoded where they are text, and what waits in its key.
#[utoipa::path(
    get, path = "/api/v1/dead-letters/{id}", tag = "dead-letters", operation_id = "get_dead_letter",
    params(("id" = i64, Path, description = "Its number.", example = "7")),
    responses((status = 200, description = "The letter.", body = Shown))
)]
pub(super) async fn show(pool: Data<Pool>, id: Path<i64>) -> Result<HttpResponse, Problem> {
    let mut conn = pool.get().await?;
    let shown = dead_letters::show(&mut conn, id.0).await?.ok_or_else(|| missing(id.0))?;
    Ok(HttpResponse::Ok().json(shown))
}

/// Lists the versions of a dead letter
///
/// What came, and what it was edited to; nothing if it was never edited. They stay for 30 days after the letter has ended.
#[utoipa::path(
    get, path = "/api/v1/dead-letters/{id}/versions", tag = "dead-letters", operation_id = "list_dead_letter_versions",
    params(("id" = i64, Path, description = "Its number.", example = "7")),
    responses((status = 200, description = "All of them, at most 21.", body = Paged<Version>))
)]
pub(super) async fn versions(pool: Data<Pool>, id: Path<i64>) -> Result<HttpResponse, Problem> {
    let items = dead_letters::versions(&mut *pool.get().await?, id.0).await?;
    Ok(HttpResponse::Ok().json(Paged { items, next_cursor: None }))
}

/// The parameters of the list of letters that have ended.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EndedQuery {
    /// Only those of this key, in whichever topic.
    #[param(value_type = Option<String>, min_length = 1, max_length = 1000, pattern = "^[^\\x00]+$")]
    key: Option<RecordKey>,
    #[param(inline)]
    limit: Option<Limit>,
    /// The `next_cursor` of the previous answer.
    #[param(value_type = Option<i64>)]
    cursor: Option<Cursor<i64>>,
}

/// Lists dead letters that were replayed or discarded, the newest first
///
/// For 30 days, with who had that done and why.
#[utoipa::path(
    get, path = "/api/v1/dead-letters/ended", tag = "dead-letters", operation_id = "list_ended_dead_letters",
    params(EndedQuery),
    responses((status = 200, description = "A page of them.", body = Paged<Ended>))
)]
pub(super) async fn ended(pool: Data<Pool>, query: Query<EndedQuery>) -> Result<HttpResponse, Problem> {
    let EndedQuery { key, limit, cursor } = query.0;
    let (limit, before) = (limit.unwrap_or_default().get(), cursor.map(|Cursor(before)| before));
    let mut conn = pool.get().await?;
    let rows = dead_letters::ended(&mut conn, key.map(|RecordKey(key)| key), before, limit + 1).await?;
    Ok(HttpResponse::Ok().json(Paged::from_rows(rows, limit, |letter| letter.id.to_string())))
}

/// It was replayed or discarded, or never there.
pub(super) fn missing(id: i64) -> Problem {
    Problem::not_found(format!("There is no dead letter {id}."))
}
