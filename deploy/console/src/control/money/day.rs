//! A day of the shop's money as CSV (RFC 4180), from what payment-svc announced.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Bytes;
use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, Utc};
use futures_util::stream;
use service_kit::Pool;
use uuid::Uuid;

use super::amount::plain;
use super::csv;
use crate::app::KEPT;
use crate::control::YEARS;
use crate::http::form::Form;
use crate::http::visit::{Refusal, Visit};
use crate::store::events::Event;
use crate::store::money::announced;

/// What moves money, or says that it did not move.
const TYPES: [&str; 5] = [
    "payment.captured.v1",
    "payment.refunded.v1",
    "payment.voided.v1",
    "payment.capture_failed.v1",
    "payment.refund_failed.v1",
];
const HEAD: &str = "time,order_id,event,amount,currency,payment_id,refund_id,remaining,event_id\r\n";
const BATCH: i64 = 1_000;

pub async fn export(visit: Visit) -> Result<HttpResponse, Refusal> {
    let visit = visit.for_workers()?;
    let day = Form::query(&visit.request).get("day").and_then(|day| day.parse::<NaiveDate>().ok());
    let Some((day, within)) = day.and_then(|day| Some((day, within(day)?))) else {
        let why = "There is no such day; expected one such as 2026-11-30.";
        return Err(visit.refuse(StatusCode::UNPROCESSABLE_ENTITY, "Which day?", why.to_owned()));
    };
    if within.0 < Utc::now() - KEPT {
        let why = format!("{day} is too long ago: what was announced is kept for 30 days.");
        return Err(visit.refuse(StatusCode::UNPROCESSABLE_ENTITY, "That day is over", why));
    }
    let rows = Rows { pool: visit.state.pool.clone(), within, after: Some((within.0, Uuid::nil())) };
    let body = stream::unfold((rows, true), |(mut rows, is_first): (Rows, bool)| async move {
        let head = if is_first { HEAD } else { "" };
        let next = rows.next().await?;
        Some((next.map(|rows| Bytes::from(format!("{head}{rows}"))), (rows, false)))
    });
    Ok(csv::file(visit, &format!("money-{day}"), body))
}

pub fn within(day: NaiveDate) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let begin = day.and_time(NaiveTime::MIN).and_utc();
    YEARS.contains(&day.year()).then_some((begin, begin.checked_add_days(Days::new(1))?))
}

struct Rows {
    pool: Pool,
    within: (DateTime<Utc>, DateTime<Utc>),
    /// None once all were read.
    after: Option<(DateTime<Utc>, Uuid)>,
}

impl Rows {
    async fn next(&mut self) -> Option<Result<String, actix_web::Error>> {
        let after = self.after.take()?;
        let read: anyhow::Result<Vec<Event>> = async {
            let mut conn = self.pool.get().await?;
            Ok(announced(&mut conn, &TYPES, after, self.within.1, BATCH).await?)
        }
        .await;
        match read {
            Ok(events) => {
                let is_full = i64::try_from(events.len()).unwrap_or(i64::MAX) == BATCH;
                self.after = events.last().filter(|_| is_full).map(|last| (last.time, last.id));
                Some(Ok(events.iter().map(row).collect()))
            }
            // The browser sees that the file is not whole.
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "a day of money can't be read");
                Some(Err(actix_web::error::ErrorServiceUnavailable("the database does not answer")))
            }
        }
    }
}

fn row(event: &Event) -> String {
    let body = event.money.clone().unwrap_or_default();
    let money = |name: &str| {
        let (amount, currency) = (body[name]["amount"].as_i64(), body[name]["currency"].as_str());
        amount.zip(currency).map(|(amount, currency)| plain(amount, currency)).unwrap_or_default()
    };
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let fields = [
        event.time.to_rfc3339(),
        event.order_id.map(|order| order.to_string()).unwrap_or_default(),
        event.event_type.clone(),
        money("amount"),
        body["amount"]["currency"].as_str().unwrap_or_default().to_owned(),
        text("payment_id"),
        text("refund_id"),
        money("remaining"),
        event.id.to_string(),
    ];
    csv::row(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_one_of_utc() {
        let (begin, end) = within("2026-11-30".parse().unwrap()).unwrap();
        assert_eq!((begin.to_rfc3339(), (end - begin).num_hours()), ("2026-11-30T00:00:00+00:00".to_owned(), 24));
        assert!(within(NaiveDate::MAX).is_none() && within("1815-06-18".parse().unwrap()).is_none());
    }
}
