//! What staff and operators change is on record: who, when, which request, and what it was answered. The row is there before
//! the request is handled, so that no change is without one.

use std::time::Duration;

use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::web::{Data, ServiceConfig, resource};
use actix_web::{HttpResponse, http::StatusCode};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::Caller;
use crate::Pool;
use crate::housekeeping::TimeToLive;
use crate::http::{Cursor, Limit, Paged, Problem, Query};
use crate::schema::actions;
use crate::trace;

/// How long actions stay on record.
const KEPT: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// How long an answer waits until it is on record.
const NOTING: Duration = Duration::from_secs(2);

tokio::task_local! {
    static ACTOR: String;
}

/// Whoever of staff and operators the current work is for. Their events carry it as `ce_actor`.
pub fn actor() -> Option<String> {
    ACTOR.try_with(Clone::clone).ok()
}

/// The rule by which housekeeping deletes old actions.
pub const fn time_to_live() -> TimeToLive {
    TimeToLive::new("actions", "id", "at", KEPT)
}

/// An action that is under way.
#[derive(Debug)]
pub(crate) struct Action {
    id: Uuid,
    sub: String,
    pool: Pool,
}

impl Action {
    /// Puts a request on record, if it is one that staff or an operator changes something with.
    pub async fn begin(pool: &Pool, request: &ServiceRequest, caller: &Caller) -> Result<Option<Self>, Problem> {
        let Some((role, sub)) = caller.acts_as.zip(caller.sub()) else { return Ok(None) };
        if request.method() == Method::GET {
            return Ok(None);
        }
        let action = Self { id: Uuid::now_v7(), sub: sub.to_owned(), pool: pool.clone() };
        let row = (
            actions::id.eq(action.id),
            actions::sub.eq(sub),
            actions::role.eq(role),
            actions::method.eq(request.method().as_str()),
            actions::path.eq(request.path()),
            actions::traceparent.eq(trace::current_traceparent()),
        );
        let mut conn = pool.get().await?;
        diesel::insert_into(actions::table).values(row).execute(&mut *conn).await?;
        Ok(Some(action))
    }

    /// Runs what was asked for in the actor's name.
    pub async fn run<T>(action: Option<&Self>, work: impl Future<Output = T>) -> T {
        match action {
            Some(action) => ACTOR.scope(action.sub.clone(), work).await,
            None => work.await,
        }
    }

    /// Notes what it was answered. The change is committed by then, so a failure is told in the log alone, and the answer
    /// waits for it no longer than a moment.
    pub async fn end(self, status: StatusCode) {
        let status = i16::try_from(status.as_u16()).unwrap_or(i16::MAX);
        let noted = async {
            let mut conn = self.pool.get().await.map_err(|error| error.to_string())?;
            let row = diesel::update(actions::table.find(self.id)).set(actions::status.eq(status));
            row.execute(&mut *conn).await.map_err(|error| error.to_string())
        };
        if let Err(error) = timeout(NOTING, noted).await.unwrap_or_else(|_| Err("it took too long".to_owned())) {
            tracing::warn!(action.id = %self.id, status, error, "what an action was answered is not on record");
        }
    }
}

/// What somebody of staff, or an operator, asked for.
#[derive(Queryable, Selectable, Serialize, ToSchema)]
#[diesel(table_name = actions, check_for_backend(diesel::pg::Pg))]
#[schema(as = Action, example = json!({
    "id": "01890a5d-ac96-774b-bcce-b302099a8057", "at": "2026-11-29T12:00:00Z", "sub": "sam", "role": "staff",
    "method": "POST", "path": "/api/v1/products",
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "status": 201
}))]
pub(crate) struct ActionView {
    id: Uuid,
    at: DateTime<Utc>,
    /// Who, by the issuer's name for them.
    sub: String,
    /// What let them in: `staff` or `operator`.
    role: String,
    method: String,
    path: String,
    /// The trace of the request, which its events have, too.
    traceparent: Option<String>,
    /// What it was answered; null while it is under way, or if the service died or the handler failed meanwhile.
    status: Option<i16>,
}

/// An issuer's name for somebody.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Subject(String);

impl TryFrom<String> for Subject {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let fits = (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Self(text)) } else { Err("expected 1 to 255 visible ASCII characters without spaces") }
    }
}

/// The parameters of a list of actions.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Only those of this one.
    #[param(value_type = Option<String>, min_length = 1, max_length = 255, pattern = "^[!-~]+$")]
    sub: Option<Subject>,
    #[param(inline)]
    limit: Option<Limit>,
    /// The `next_cursor` of the previous answer.
    #[param(value_type = Option<Uuid>)]
    cursor: Option<Cursor<Uuid>>,
}

pub(crate) fn routes(config: &mut ServiceConfig, pool: &Pool) {
    config.service(resource("/api/v1/actions").app_data(Data::new(pool.clone())).get(list));
}

async fn list(pool: Data<Pool>, query: Query<ListQuery>) -> Result<HttpResponse, Problem> {
    let ListQuery { sub, limit, cursor } = query.0;
    let limit = limit.unwrap_or_default().get();
    let mut rows =
        actions::table.select(ActionView::as_select()).order(actions::id.desc()).limit(limit + 1).into_boxed();
    if let Some(sub) = sub {
        rows = rows.filter(actions::sub.eq(sub.0));
    }
    if let Some(Cursor(before)) = cursor {
        rows = rows.filter(actions::id.lt(before));
    }
    let mut conn = pool.get().await?;
    let rows: Vec<ActionView> = rows.load(&mut *conn).await?;
    Ok(HttpResponse::Ok().json(Paged::from_rows(rows, limit, |row| row.id.to_string())))
}
