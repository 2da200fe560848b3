//! How the shop is just now, with a line over the last hour for each figure.

use crate::pages::context;
use actix_web::HttpResponse;
use actix_web::web::{ServiceConfig, resource};
use chrono::{DateTime, Utc};
use minijinja::value::Value;
use serde::Serialize;

use super::flow::Flow;
use super::or_not_just_now;
use super::samples::{Gauges, Health, Samples};
use crate::http::visit::{Refusal, Visit, shown};
use crate::pages::span;
use crate::store::figures::{Cancelled, Minute, Now};
use crate::svg::line::{line, short};

/// A line has so many points: more are not seen.
const POINTS: usize = 90;

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/control").get(|visit| shown(page(visit, "control/now.html"))))
        .service(resource("/control/live").get(|visit| shown(page(visit, "control/now_live.html"))));
}

/// A figure as a card shows it.
#[derive(Debug, Serialize)]
pub struct Figure {
    name: String,
    value: String,
    unit: &'static str,
    line: String,
    kind: &'static str,
}

/// A service as a card shows it.
#[derive(Debug, Serialize)]
struct ServiceCard {
    service: &'static str,
    state: String,
    kind: &'static str,
    /// The checks that fail.
    failing: Vec<(String, String)>,
    away: Vec<String>,
    figures: Vec<Figure>,
}

pub fn samples_of(visit: &Visit) -> Samples {
    visit.state.samples.clone()
}

async fn page(visit: Visit, template: &str) -> Result<HttpResponse, Refusal> {
    let visit = visit.for_workers()?;
    let samples = samples_of(&visit);
    let health = samples.health(&visit.state.services).await;
    let flow = samples.flow().flow(&visit.state.pool).await;
    let (visit, flow) = or_not_just_now(visit, flow)?;
    let own = live(&samples, &health, &flow);
    Ok(visit.page(template, own))
}

fn live(samples: &Samples, health: &[Health], counted: &Flow) -> Value {
    let Flow { at, now, hour, cancelled } = counted;
    let services: Vec<_> = health.iter().enumerate().map(|(index, health)| card(samples, index, health)).collect();
    context! {
        flow => flow(samples, now, hour),
        pace => pace(samples, now),
        reasons => reasons(now, hour, cancelled),
        services,
        at,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
const fn float(number: i64) -> f64 {
    number as f64
}

/// Orders by how far they are.
fn flow(samples: &Samples, now: &Now, hour: &[Minute]) -> Vec<Figure> {
    let of_hour = |name: &str, value: i64, unit, kind, of: fn(&Minute) -> i64| {
        let values: Vec<_> = hour.iter().map(|minute| float(of(minute))).collect();
        let line = line(&values, &format!("{name}, minute by minute"));
        Figure { name: name.to_owned(), value: value.to_string(), unit, line, kind }
    };
    let standing = |name: &str, value: i64, kind, of: fn(&Now) -> i64| {
        let values = coarse(&samples.line(|point| point.flow.as_ref().map(|flow| float(of(flow)))));
        let line = line(&values, &format!("{name}, over the last hour"));
        Figure { name: name.to_owned(), value: value.to_string(), unit: "now", line, kind }
    };
    let placed = hour.iter().map(|minute| minute.placed).sum();
    vec![
        of_hour("Placed", placed, "last hour", "", |minute| minute.placed),
        standing("Waiting to be confirmed", now.pending, "", |now| now.pending),
        standing("Confirmed, in the warehouse", now.confirmed, "", |now| now.confirmed),
        standing("On the way", now.shipped, "", |now| now.shipped),
        of_hour("Completed", now.completed, "last hour", "", |minute| minute.completed),
        of_hour("Cancelled", now.cancelled, "last hour", "", |minute| minute.cancelled),
    ]
}

/// How fast it goes.
fn pace(samples: &Samples, now: &Now) -> Vec<Figure> {
    let of = |name: &str, value: Option<String>, kind, figure: fn(&Now) -> Option<f64>| {
        let values = coarse(&samples.line(|point| point.flow.as_ref().and_then(figure)));
        let line = line(&values, &format!("{name} in seconds, over the last hour"));
        Figure { name: name.to_owned(), value: value.unwrap_or_else(|| "–".to_owned()), unit: "", line, kind }
    };
    let oldest = |now: &Now| now.oldest_pending.map(|oldest| float(since(oldest)));
    let waits = now.oldest_pending.map(since);
    vec![
        of("Time to confirm, half of them", now.confirm_p50.map(seconds), "", |now| now.confirm_p50),
        of("Time to confirm, 99 of 100", now.confirm_p99.map(seconds), "", |now| now.confirm_p99),
        of("Oldest waiting", waits.map(span), if waits.is_some_and(|waits| waits > 60) { "down" } else { "" }, oldest),
    ]
}

/// Why orders were cancelled.
fn reasons(now: &Now, hour: &[Minute], cancelled: &[Cancelled]) -> Vec<Figure> {
    let figure = |(reason, orders): &(String, i64)| {
        let at = |minute: &Minute| {
            let found = cancelled.iter().find(|of| of.reason == *reason && of.at == minute.at);
            float(found.map_or(0, |of| of.orders))
        };
        let values: Vec<_> = hour.iter().map(at).collect();
        let line = line(&values, &format!("Cancelled for {reason}, minute by minute"));
        Figure { name: reason.clone(), value: orders.to_string(), unit: "last hour", line, kind: "" }
    };
    now.reasons.iter().take(12).map(figure).collect()
}

fn card(samples: &Samples, index: usize, health: &Health) -> ServiceCard {
    let of = |name: &str, value: Option<f64>, unit, bad: fn(f64) -> bool, figure: fn(&Gauges) -> Option<f64>| {
        let values = coarse(&samples.line(|point| point.services.get(index).and_then(figure)));
        let kind = if value.is_some_and(bad) { "down" } else { "" };
        let shown = value.map_or_else(|| "not told".to_owned(), short);
        let line = line(&values, &format!("{name} of {}, over the last hour", health.service));
        Figure { name: name.to_owned(), value: shown, unit, line, kind }
    };
    let gauges = &health.gauges;
    let figures = vec![
        of("Events not handled yet", gauges.lag_records, "", |lag| lag > 1_000.0, |gauges| gauges.lag_records),
        of("Behind by", gauges.lag_seconds, "s", |lag| lag > 10.0, |gauges| gauges.lag_seconds),
        of("Rows in the outbox", gauges.pending_rows, "", |rows| rows > 10_000.0, |gauges| gauges.pending_rows),
        of("Oldest row", gauges.oldest_row_seconds, "s", |age| age > 10.0, |gauges| gauges.oldest_row_seconds),
        of("Relays that lead", gauges.leaders, "", |leaders| leaders < 1.0, |gauges| gauges.leaders),
        of("Dead letters", gauges.dead_letters, "", |letters| letters > 0.0, |gauges| gauges.dead_letters),
    ];
    let failing: Vec<_> = health.checks.iter().filter(|(_, told)| told != "ok").cloned().collect();
    let kind = match health.state.as_str() {
        "ready" => "good",
        "degraded" => "warn",
        "not told" => "",
        _ => "bad",
    };
    // What fails as a check is not told twice.
    let away = health.away.iter().filter(|server| failing.iter().all(|(check, _)| check != *server)).cloned().collect();
    let (service, state) = (health.service, health.state.clone());
    ServiceCard { service, state, kind, failing, away, figures }
}

/// As many points as are seen: of those that stand together the largest.
fn coarse(values: &[f64]) -> Vec<f64> {
    let together = values.len().div_ceil(POINTS).max(1);
    values.chunks(together).map(|chunk| chunk.iter().copied().fold(f64::NAN, f64::max)).collect()
}

fn since(at: DateTime<Utc>) -> i64 {
    (Utc::now() - at).num_seconds()
}

fn seconds(seconds: f64) -> String {
    format!("{} s", short(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_seen_however_long_the_line() {
        let mut values = vec![1.0; 360];
        values[200] = 9.0;
        let coarse = coarse(&values);
        assert_eq!((coarse.len(), coarse.iter().filter(|value| **value > 8.0).count()), (90, 1));
    }

    #[test]
    fn each_reason_has_its_own_line() {
        let at = DateTime::from_timestamp(1_700_000_040, 0).unwrap();
        let hour = [
            Minute { at, ..Minute::default() },
            Minute { at: at + chrono::TimeDelta::minutes(1), ..Minute::default() },
        ];
        let cancelled = [Cancelled { reason: "customer".to_owned(), at, orders: 3 }];
        let now = Now { reasons: vec![("customer".to_owned(), 3), ("timeout".to_owned(), 1)], ..Now::default() };
        let reasons = reasons(&now, &hour, &cancelled);
        assert!(reasons[0].line.contains("M0.0 2.0L240.0 38.0"), "{}", reasons[0].line);
        assert!(reasons[1].line.contains("M0.0 38.0L240.0 38.0"), "{}", reasons[1].line);
    }
}
