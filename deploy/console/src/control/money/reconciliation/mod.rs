//! A day's money held side by side: what orders were told of it, what the ledger has, what the gateway has. payment-svc compares
//! the last two, since the gateway's key is its own; what orders were told the console has heard.

mod compared;
mod totals;

use std::time::Instant;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data};
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use futures_util::future::join_all;
use futures_util::stream;
use serde::Deserialize;
use serde_json::Value;
use shared_events::Currency;
use uuid::Uuid;

use self::compared::{Announced, Movement, Row, Saying, State, TYPES, alone};
use self::totals::{Counts, name_of, totals};
use super::amount::plain;
use super::{csv, day};
use crate::app::KEPT;
use crate::control::trouble;
use crate::http::AppState;
use crate::http::form::Form;
use crate::http::visit::{Refusal, Visit};
use crate::pages::{amount_in, context};
use crate::services::{Service, query};
use crate::store;

/// For how long parts of a day are gathered for one page, and how many at most. What is left comes with the next page.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(4);
const PARTS: usize = 10;
/// Parts of a file.
const PARTS_OF_A_FILE: usize = 2_000;
/// Differences on a page.
const SHOWN: usize = 200;
/// Events of a part that are read, and those without a movement of which payment-svc is asked whether it has them at another time.
const EVENTS: i64 = 5_000;
const ASKED: usize = 20;

const HEAD: &str =
    "order_id,payment_id,movement,refund_id,gateway_id,currency,orders,ledger,gateway,made_at,booked_at,state,why\r\n";

/// What is to be compared.
#[derive(Clone, Debug)]
struct Asked {
    day: NaiveDate,
    within: (DateTime<Utc>, DateTime<Utc>),
    currency: Option<Currency>,
    /// Before when: a large day comes in parts, the latest first.
    until: Option<DateTime<Utc>>,
}

impl Asked {
    fn of(visit: Visit) -> Result<(Visit, Self), Refusal> {
        let form = Form::query(&visit.request);
        let (day, currency, until) = (form.get("day"), form.get("currency"), form.get("until"));
        let day = day.and_then(|day| day.parse::<NaiveDate>().ok());
        let why = match day.and_then(|day| Some((day, day::within(day)?))) {
            None => "There is no such day; expected one such as 2026-11-30.".to_owned(),
            Some((day, within)) => match currency.map(str::parse::<Currency>) {
                Some(Err(_)) => format!("{:?} is no currency; expected one such as EUR.", currency.unwrap_or_default()),
                currency => {
                    let until = until.and_then(|until| until.parse().ok());
                    return Ok((visit, Self { day, within, currency: currency.and_then(Result::ok), until }));
                }
            },
        };
        Err(visit.refuse(StatusCode::UNPROCESSABLE_ENTITY, "Which day?", why))
    }

    fn path(&self) -> String {
        let until = self.until.map(written);
        let pairs = [("currency", self.currency.map(Currency::code)), ("cursor", until.as_deref())];
        let pairs = pairs.into_iter().filter_map(|(name, value)| Some((name, value?)));
        format!("/api/v1/reconciliations/{}?{}", self.day, query(pairs))
    }
}

fn written(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A part of a day, as payment-svc answers.
#[derive(Debug, Deserialize)]
struct Answer {
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    trouble: Option<String>,
    items: Vec<Movement>,
    next_cursor: Option<DateTime<Utc>>,
}

/// A part of a day with all three sides.
#[derive(Debug)]
struct Part {
    from: DateTime<Utc>,
    rows: Vec<Row>,
    trouble: Option<String>,
    next: Option<DateTime<Utc>>,
}

/// Compares a part. Fails if the console's own database can't be read.
async fn part(state: &AppState, token: Option<&str>, asked: &Asked) -> anyhow::Result<Part> {
    let answer = match state.services.get(Service::Payments, &asked.path(), token).await {
        Ok(value) => {
            serde_json::from_value::<Answer>(value).map_err(|_| "payment-svc answers something else.".to_owned())
        }
        Err(failure) => Err(trouble(Service::Payments.name(), &failure)),
    };
    let is_there = answer.is_ok();
    let answer = answer.unwrap_or_else(|trouble| Answer {
        from: asked.within.0,
        until: asked.until.unwrap_or(asked.within.1),
        trouble: Some(trouble),
        items: Vec::new(),
        next_cursor: None,
    });
    let (alone, announced) = orders_side(state, &answer, asked.currency).await?;
    let (kept_since, now) = (Utc::now() - KEPT, Utc::now());
    let mut rows = placed(state, token, alone, is_there).await;
    rows.extend(answer.items.into_iter().map(|movement| announced.row(movement, kept_since, now)));
    Ok(Part { from: answer.from, rows, trouble: answer.trouble, next: answer.next_cursor })
}

/// What orders were told within a part and nobody else has in it, and all that they were told of its movements.
async fn orders_side(
    state: &AppState,
    answer: &Answer,
    currency: Option<Currency>,
) -> anyhow::Result<(Vec<Saying>, Announced)> {
    let mut conn = state.pool.get().await?;
    let events = store::money::announced(&mut conn, &TYPES, (answer.from, Uuid::nil()), answer.until, EVENTS).await?;
    let alone = alone(&events, &answer.items, currency.map(Currency::code));
    let mut orders: Vec<_> = answer.items.iter().filter_map(|movement| movement.order_id).collect();
    orders.sort_unstable();
    orders.dedup();
    let announced = Announced::of(&store::money::announced_of(&mut conn, &orders, &TYPES).await?);
    Ok((alone, announced))
}

/// Asks payment-svc for what orders were told and it has not in this part. What it has at another time is of that time.
async fn placed(state: &AppState, token: Option<&str>, alone: Vec<Saying>, is_there: bool) -> Vec<Row> {
    let asked = if is_there { alone.len().min(ASKED) } else { 0 };
    let payments = join_all(alone.iter().take(asked).map(|saying| payment_of(state, token, saying.order))).await;
    let mut payments = payments.into_iter();
    let place = |saying: Saying| match payments.next().flatten() {
        Some(payment) if saying.is_in(&payment) => None,
        Some(_) => Some(saying.row(State::Different)),
        None => Some(saying.row(State::Unchecked)),
    };
    alone.into_iter().filter_map(place).collect()
}

/// The payment of an order, whole; null if it has none. None if payment-svc can't be asked.
async fn payment_of(state: &AppState, token: Option<&str>, order: Uuid) -> Option<Value> {
    let listed = state.services.get(Service::Payments, &format!("/api/v1/payments?order_id={order}"), token).await;
    let Some(id) = listed.ok()?["items"][0]["id"].as_str().and_then(|id| id.parse::<Uuid>().ok()) else {
        return Some(Value::Null);
    };
    state.services.get(Service::Payments, &format!("/api/v1/payments/{id}"), token).await.ok()
}

pub async fn show(visit: Visit) -> Result<HttpResponse, Refusal> {
    let (visit, asked) = Asked::of(visit.for_workers()?)?;
    let until = asked.until.unwrap_or(asked.within.1);
    let (begun, mut rows, mut trouble, mut from) = (Instant::now(), Vec::new(), None, until);
    let (mut asked_until, mut next) = (asked.until, None);
    for _ in 0..PARTS {
        let until = asked_until;
        let compared = part(&visit.state, visit.token(), &Asked { until, ..asked.clone() }).await;
        let part = match compared {
            Ok(part) => part,
            Err(error) => return Err(unreadable(visit, &error)),
        };
        rows.extend(part.rows);
        (from, next) = (part.from, part.next);
        trouble = trouble.or(part.trouble);
        if next.is_none() || trouble.is_some() || begun.elapsed() > PATIENCE {
            break;
        }
        asked_until = next;
    }
    let counts = Counts::of(&rows);
    let totals: Vec<_> = totals(&rows).into_iter().map(|total| {
        let of = |amount| amount_in(amount, &total.currency);
        let (orders, ledger, gateway) = (of(total.orders), of(total.ledger), total.gateway.map(of));
        context! { name => total.name, movements => total.movements, is_same => total.is_same(), orders, ledger, gateway }
    }).collect();
    rows.retain(|row| row.state != State::Same);
    let more = rows.len().saturating_sub(SHOWN);
    let differences: Vec<_> = rows.iter().take(SHOWN).map(shown).collect();
    let pairs = |until: Option<DateTime<Utc>>| {
        let (day, until) = (asked.day.to_string(), until.map(written).unwrap_or_default());
        let currency = asked.currency.map(Currency::code).unwrap_or_default();
        query(
            [("day", day.as_str()), ("currency", currency), ("until", until.as_str())]
                .into_iter()
                .filter(|it| !it.1.is_empty()),
        )
    };
    let next = next.map(|next| format!("/control/money/reconciliation?{}", pairs(Some(next))));
    let file = format!("/control/money/reconciliation.csv?{}", pairs(None));
    let (day, currency) = (asked.day.to_string(), asked.currency.map(Currency::code));
    let is_old = asked.within.0 < Utc::now() - KEPT;
    let (from, until) = (written(from), written(until));
    let own = context! { day, currency, from, until, totals, counts, differences, more, next, file, trouble, is_old };
    Ok(visit.page("control/reconciliation.html", own))
}

fn unreadable(visit: Visit, error: &anyhow::Error) -> Refusal {
    tracing::warn!(error = format!("{error:#}"), "a day can't be compared: the console's database can't be read");
    let why = "The console's own database does not answer just now. Please try again in a moment.";
    visit.refuse(StatusCode::SERVICE_UNAVAILABLE, "Not just now", why.to_owned())
}

/// A row for people.
fn shown(row: &Row) -> minijinja::value::Value {
    let amount = |amount: Option<i64>| amount.map(|amount| amount_in(amount, &row.currency));
    let kind = if row.state == State::Different { "bad" } else { "" };
    context! {
        order => row.order_id, payment => row.payment_id, name => name_of(&row.operation), at => row.made_at.or(row.booked_at),
        refund => row.refund_id, gateway_id => row.gateway_id, why => row.why, state => row.state.name(), kind,
        orders => amount(row.orders), ledger => amount(row.ledger), gateway => amount(row.gateway),
    }
}

/// What a file is made of, part by part.
struct Parts {
    state: Data<AppState>,
    token: Option<String>,
    /// None once all were read.
    next: Option<Asked>,
    left: usize,
}

impl Parts {
    async fn next(&mut self) -> Option<Result<String, actix_web::Error>> {
        let asked = self.next.take()?;
        let Some(left) = self.left.checked_sub(1) else {
            return Some(Ok(end_of(&asked, "cut: what is before is not in this file")));
        };
        self.left = left;
        match part(&self.state, self.token.as_deref(), &asked).await {
            Ok(part) => {
                let mut rows: String = part.rows.iter().map(line).collect();
                rows.extend(part.trouble.map(|trouble| end_of(&asked, &trouble)));
                self.next = part.next.map(|until| Asked { until: Some(until), ..asked });
                Some(Ok(rows))
            }
            // The browser sees that the file is not whole.
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "a day can't be compared to its end");
                Some(Err(actix_web::error::ErrorServiceUnavailable("the database does not answer")))
            }
        }
    }
}

/// A line that says what is missing, and before when.
fn end_of(asked: &Asked, why: &str) -> String {
    let mut fields = vec![String::new(); 9];
    fields.extend([
        written(asked.until.unwrap_or(asked.within.1)),
        String::new(),
        "not whole".to_owned(),
        why.to_owned(),
    ]);
    csv::row(fields)
}

fn line(row: &Row) -> String {
    let id = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    let amount = |amount: Option<i64>| amount.map(|amount| plain(amount, &row.currency)).unwrap_or_default();
    let time = |time: Option<DateTime<Utc>>| time.map(|time| time.to_rfc3339()).unwrap_or_default();
    csv::row([
        id(row.order_id),
        id(row.payment_id),
        row.operation.clone(),
        id(row.refund_id),
        row.gateway_id.clone().unwrap_or_default(),
        row.currency.clone(),
        amount(row.orders),
        amount(row.ledger),
        amount(row.gateway),
        time(row.made_at),
        time(row.booked_at),
        row.state.name().to_owned(),
        row.why.to_owned(),
    ])
}

pub async fn export(visit: Visit) -> Result<HttpResponse, Refusal> {
    let (visit, asked) = Asked::of(visit.for_workers()?)?;
    let name = format!("reconciliation-{}", asked.day);
    let token = visit.token().map(str::to_owned);
    let parts = Parts { state: visit.state.clone(), token, next: Some(asked), left: PARTS_OF_A_FILE };
    let body = stream::unfold((parts, true), |(mut parts, is_first): (Parts, bool)| async move {
        let head = if is_first { HEAD } else { "" };
        let next = parts.next().await?;
        Some((next.map(|rows| Bytes::from(format!("{head}{rows}"))), (parts, false)))
    });
    Ok(csv::file(visit, &name, body))
}
