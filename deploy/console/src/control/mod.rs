//! The control room, for staff and operators. It decides nothing: what a button does, a service does.

mod actions;
mod dead_letters;
mod event_rows;
mod flow;
mod holds;
mod json_text;
mod letter;
mod map;
mod metrics;
mod money;
mod now;
mod order;
mod order_parts;
mod orders;
mod record;
pub mod samples;
pub mod stuck;
mod topics;
mod warehouse;

use actix_web::http::StatusCode;
use actix_web::web::ServiceConfig;
use chrono::{DateTime, Datelike, SecondsFormat, Utc};
use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::http::visit::{Refusal, Visit};
use crate::services::{Failure, Service};

pub fn routes(config: &mut ServiceConfig) {
    config
        .configure(now::routes)
        .configure(stuck::routes)
        .configure(orders::routes)
        .configure(order::routes)
        .configure(dead_letters::routes)
        .configure(letter::routes)
        .configure(topics::routes)
        .configure(map::routes)
        .configure(holds::routes)
        .configure(warehouse::routes)
        .configure(money::routes)
        .configure(actions::routes);
}

/// A part of a page, as a service answered, or why it is missing.
#[derive(Clone, Debug, Serialize)]
pub struct Part {
    service: &'static str,
    trouble: Option<String>,
    value: Value,
}

impl Part {
    fn of(service: Service, asked: Result<Value, Failure>) -> Self {
        let service = service.name();
        match asked {
            Ok(value) => Self { service, trouble: None, value },
            Err(failure) => Self { service, trouble: Some(trouble(service, &failure)), value: Value::Null },
        }
    }

    /// The items of a list; none of anything else.
    fn items(&self) -> &[Value] {
        self.value["items"].as_array().map(Vec::as_slice).unwrap_or_default()
    }
}

/// Why a part is missing, for whoever looks.
fn trouble(service: &str, failure: &Failure) -> String {
    match failure {
        Failure::Away { why, .. } => {
            tracing::info!(service, why, "a part of a page is missing");
            format!("{service} does not answer just now.")
        }
        Failure::Refused { status: 401, .. } => format!("{service} wants you to sign in anew."),
        Failure::Refused { status: 403, .. } => format!("{service} does not show you this: your role is another."),
        Failure::Refused { .. } => format!("{service} says: {failure}"),
    }
}

/// Reads from the console's own database, or says that it can't be read.
async fn stored<T>(
    visit: Visit,
    work: impl AsyncFnOnce(&mut AsyncPgConnection) -> QueryResult<T>,
) -> Result<(Visit, T), Refusal> {
    let read: anyhow::Result<T> = async {
        let mut conn = visit.state.pool.get().await?;
        let conn: &mut AsyncPgConnection = &mut conn;
        Ok(work(conn).await?)
    }
    .await;
    or_not_just_now(visit, read)
}

/// What was read, or that it can't be read.
fn or_not_just_now<T>(visit: Visit, read: anyhow::Result<T>) -> Result<(Visit, T), Refusal> {
    match read {
        Ok(read) => Ok((visit, read)),
        Err(error) => {
            tracing::warn!(error = format!("{error:#}"), "the console's database can't be read");
            let why = "The console's own database does not answer just now. Please try again in a moment.";
            Err(visit.refuse(StatusCode::SERVICE_UNAVAILABLE, "Not just now", why.to_owned()))
        }
    }
}

/// There is no such thing.
fn missing(visit: Visit, what: &str) -> Refusal {
    visit.refuse(StatusCode::NOT_FOUND, "There is nothing here", format!("There is no such {what}."))
}

/// An id in a path.
fn id_in_path(visit: Visit, what: &str) -> Result<(Visit, Uuid), Refusal> {
    match visit.request.match_info().get("id").and_then(|id| id.parse().ok()) {
        Some(id) => Ok((visit, id)),
        None => Err(missing(visit, what)),
    }
}

/// What somebody looks for, as it may go into a query.
fn term(text: &str) -> Option<String> {
    let text: String = text.chars().filter(|char| !char.is_control()).take(200).collect();
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The years in which anything here can have been.
const YEARS: std::ops::RangeInclusive<i32> = 2000..=2200;

/// Where a list goes on, as it stands in an address.
fn cursor(at: DateTime<Utc>, id: Uuid) -> String {
    format!("{}_{id}", at.to_rfc3339_opts(SecondsFormat::Micros, true))
}

fn parsed_cursor(text: &str) -> Option<(DateTime<Utc>, Uuid)> {
    let (at, id) = text.split_once('_')?;
    let at = at.parse::<DateTime<Utc>>().ok().filter(|at| YEARS.contains(&at.year()))?;
    Some((at, id.parse().ok()?))
}

/// A key that makes a repeated form do nothing again.
fn once() -> Uuid {
    Uuid::now_v7()
}

/// The key of a form that was sent, which the page has drawn.
fn once_of(given: Option<&str>) -> Uuid {
    given.and_then(|key| key.parse().ok()).unwrap_or_else(once)
}

/// A text of JSON, or whatever else it is, for people: at most so many characters.
fn pretty(text: &str, most: usize) -> (String, bool) {
    let pretty = json_text::laid_out(text);
    let pretty = pretty.as_deref().unwrap_or(text);
    let cut = pretty.chars().nth(most).is_some();
    (pretty.chars().take(most).collect(), cut)
}

/// Where a list goes on, as a service's answer says: the address of this page with its cursor.
fn next_of(path: &str, asked: &[(&str, &str)], part: &Part) -> Option<String> {
    let cursor = part.value["next_cursor"].as_str()?;
    let pairs = asked.iter().copied().filter(|(_, value)| !value.is_empty()).chain([("cursor", cursor)]);
    Some(format!("{path}?{}", crate::services::query(pairs)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_in_an_address_is_read_again() {
        let (at, id) = (DateTime::from_timestamp(1_700_000_000, 123_456_000).unwrap(), Uuid::from_u128(7));
        assert_eq!(parsed_cursor(&cursor(at, id)), Some((at, id)));
        for bad in [
            "",
            "_",
            "2026-01-01T00:00:00Z",
            "x_y",
            "2026-01-01T00:00:00Z_x",
            "9999-01-01T00:00:00Z_00000000-0000-0000-0000-000000000007",
        ] {
            assert_eq!(parsed_cursor(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_looked_for_can_stand_in_a_query() {
        assert_eq!(term(" a\0b\n "), Some("ab".to_owned()));
        assert_eq!([term(""), term(" \t")], [None, None]);
        assert_eq!(term(&"x".repeat(999)).map(|term| term.len()), Some(200));
    }

    #[test]
    fn json_is_laid_out_and_anything_else_stays_as_it_is() {
        assert_eq!(pretty(r#"{"b":1,"a":2}"#, 99), ("{\n  \"b\": 1,\n  \"a\": 2\n}".to_owned(), false));
        assert_eq!(pretty("<script>", 4), ("<scr".to_owned(), true));
    }

    #[test]
    fn a_service_that_is_away_says_so_and_one_that_refuses_is_quoted() {
        let away = Failure::Away { service: "stock-svc", why: "refused".to_owned() };
        assert_eq!(trouble("stock-svc", &away), "stock-svc does not answer just now.");
        let refused = Failure::Refused { status: 404, problem: serde_json::json!({"detail": "There is no order 7."}) };
        assert_eq!(trouble("order-svc", &refused), "order-svc says: There is no order 7.");
    }
}
