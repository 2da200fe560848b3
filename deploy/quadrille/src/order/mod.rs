//! `quadrille order show ID`: what happened to one order, over all services and topics, and what it waits for.

mod holes;
mod report;

use std::io::Write;

use anyhow::bail;
use chrono::{DateTime, TimeDelta, Utc};
use clap::{Args, Subcommand};
use shared_events::Money;
use uuid::Uuid;

pub(crate) use self::report::events_of;
use self::report::{Call, Event, FailedRefund, Mail, Report};
use crate::audit::SourceArgs;

/// A mail that was due so long ago is waiting for something.
const OVERDUE: TimeDelta = TimeDelta::seconds(30);

/// What to do with orders.
#[derive(Debug, Args)]
pub struct OrderArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Shows the timeline of one order: its events with outbox wait, partition, offset and who has heard them, calls to the
    /// gateway, messages to the customer, timers, and what is stuck.
    Show {
        /// The order.
        id: Uuid,
        #[command(flatten)]
        sources: SourceArgs,
    },
}

/// Does what is asked for and writes the answer to `out`. Fails if nobody who answers knows the order.
pub async fn order(arguments: &OrderArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let Action::Show { id, sources } = &arguments.action;
    let report = Report::collect(&sources.sources()?, *id).await;
    if report.is_empty() {
        let away = report.away.iter().map(|away| format!("; {} could not be looked at: {}", away.what, away.why));
        bail!("nobody who was asked knows order {id}{}", away.collect::<String>());
    }
    head(&report, *id, out)?;
    events(&report.events, out)?;
    sections(&report, out)?;
    Ok(out.flush()?)
}

fn head(report: &Report, id: Uuid, out: &mut impl Write) -> std::io::Result<()> {
    let Some(order) = &report.order else {
        let asked = !report.away.iter().any(|away| away.what.contains("order-svc"));
        let why = if asked { "order-svc doesn't know it" } else { "order-svc's database could not be looked at" };
        return writeln!(out, "order {id}: {why}");
    };
    let reason = order.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    writeln!(out, "order {id}: {}{reason}, placed {}", order.status, time(order.placed_at))?;
    for failure in order.failure() {
        writeln!(out, "  failed: {failure}")?;
    }
    let fact = |fact: &Option<String>| fact.clone().unwrap_or_else(|| "nothing".to_owned());
    writeln!(
        out,
        "  heard last: stock {}, payment {}, shipment {}",
        fact(&order.stock),
        fact(&order.payment),
        fact(&order.shipment)
    )?;
    match &report.waiting_for {
        Some(waiting) => {
            let seconds = (report.now - waiting.since).num_seconds();
            writeln!(
                out,
                "  waits for {} from {} since {} ({seconds} s)",
                waiting.fact,
                waiting.from,
                time(waiting.since)
            )
        }
        None if matches!(&*order.status, "completed" | "cancelled") => writeln!(out, "  has ended: waits for nothing"),
        None => writeln!(
            out,
            "  order-svc doesn't answer: what it waits for isn't known; it hasn't changed since {}",
            time(order.updated_at)
        ),
    }
}

fn events(events: &[Event], out: &mut impl Write) -> std::io::Result<()> {
    writeln!(
        out,
        "\n  {:>3}  {:<23} {:<27} {:<28} {:>9}  {:>5}  heard by",
        "#", "made", "event", "topic[partition]@offset", "outbox", "after"
    )?;
    for (number, event) in events.iter().enumerate() {
        let record = &event.record;
        let place = format!("{}[{}]@{}", record.topic, record.partition, record.offset);
        let wait = match (record.made_at, record.sent_at) {
            (Some(made), Some(sent)) => format!("{} ms", (sent - made).num_milliseconds()),
            _ => "?".to_owned(),
        };
        let cause = events.iter().position(|other| Some(&other.record.id) == record.caused_by.as_ref());
        let cause = cause.map(|cause| format!("#{}", cause + 1)).unwrap_or_default();
        let made = record.made_at.map(time).unwrap_or_default();
        let name = record.event_type.trim_end_matches(".v1");
        writeln!(
            out,
            "  {:>3}  {made:<23} {name:<27} {place:<28} {wait:>9}  {cause:>5}  {}",
            number + 1,
            event.heard_by.join(", ")
        )?;
        if let Some(why) = &event.ignored {
            writeln!(out, "       order-svc changed nothing: {why}")?;
        }
    }
    Ok(())
}

fn sections(report: &Report, out: &mut impl Write) -> std::io::Result<()> {
    let mut section = |title: &str, lines: Vec<String>| {
        if lines.is_empty() {
            return Ok(());
        }
        writeln!(out, "\n  {title}")?;
        lines.iter().try_for_each(|line| writeln!(out, "    {line}"))
    };
    let calls = report.calls.iter().map(|call| {
        let end = match (&call.outcome, call.finished_at) {
            (Some(outcome), Some(at)) => format!("{outcome} at {}", time(at)),
            _ => format!("no answer yet, next try at {}", time(call.due_at)),
        };
        format!("{:<10} begun {}, {} tries, {end}", call.operation, time(call.created_at), call.tries)
    });
    section("calls to the gateway", calls.collect())?;
    let mails = report.mails.iter().map(|mail| {
        let error = mail.last_error.as_ref().map(|error| format!(", last: {error}")).unwrap_or_default();
        format!("{:<27} {:<5} {}, {} attempts{error}", mail.template, mail.channel, mail.status, mail.attempts)
    });
    section("messages", mails.collect())?;
    let timers = report.timers.iter().map(|timer| {
        let overdue = if timer.due_at < report.now { "OVERDUE since" } else { "due at" };
        format!("{} of {}: {overdue} {}", timer.kind, timer.service, time(timer.due_at))
    });
    section("timers", timers.collect())?;
    let stuck = report.stuck.iter().map(|stuck| {
        let why = stuck.why.as_deref().unwrap_or("waits behind another of its key");
        format!("{} of {}, {} since {}: {why}", stuck.place, stuck.service, stuck.event, time(stuck.since))
    });
    section(
        "STUCK",
        stuck
            .chain(report.causes.iter().cloned())
            .chain(report.calls.iter().filter_map(failing_call))
            .chain(report.refunds.iter().map(failed_refund))
            .chain(report.mails.iter().filter_map(|mail| failing_mail(mail, report.now)))
            .chain(holes::lines(&report.events))
            .collect(),
    )?;
    let away = report.away.iter().map(|away| format!("{}: {}", away.what, away.why));
    section("NOT LOOKED AT", away.collect())
}

/// A call to the gateway that has no answer, and why.
fn failing_call(call: &Call) -> Option<String> {
    let since = call.failing_since.filter(|_| call.finished_at.is_none())?;
    let (code, text) = (call.error_code.as_deref().unwrap_or("?"), call.error.as_deref().unwrap_or("?"));
    let (operation, tries, next) = (&call.operation, call.tries, time(call.due_at));
    Some(format!(
        "gateway_calls of payment-svc, {operation} since {}: {code}, {text}; {tries} tries, next try at {next}",
        time(since)
    ))
}

/// A refund that the gateway does not make, and what staff can do.
fn failed_refund(refund: &FailedRefund) -> String {
    let FailedRefund { payment_id, refund_id, amount, currency, since } = refund;
    let amount = currency.parse().ok().and_then(|currency| Money::new(*amount, currency).ok());
    let amount = amount.map_or_else(|| currency.clone(), |amount| amount.to_string());
    let (since, of_payment) = (time(*since), format!("/api/v1/payments/{payment_id}/refunds"));
    format!(
        "refunds of payment-svc, {refund_id} of {amount} failed since {since}: try another with POST {of_payment}, or give \
         the money back by bank transfer and say so with POST {of_payment}/{refund_id}/settle-outside"
    )
}

/// A message that its server has not taken, and why.
fn failing_mail(mail: &Mail, now: DateTime<Utc>) -> Option<String> {
    if mail.status != "queued" {
        return None;
    }
    let Some(since) = mail.failing_since else {
        let overdue = mail.due_at + OVERDUE < now;
        let why =
            "no try yet, as when its server is away (/readyz of notification-svc says so) or is configured no more";
        return overdue.then(|| {
            let (template, channel, since) = (&mail.template, &mail.channel, time(mail.due_at));
            format!("notifications of notification-svc, {template} by {channel} due since {since}: {why}")
        });
    };
    let (code, text) = (mail.error_code.as_deref().unwrap_or("?"), mail.last_error.as_deref().unwrap_or("?"));
    let (template, channel, attempts, next) = (&mail.template, &mail.channel, mail.attempts, time(mail.due_at));
    Some(format!(
        "notifications of notification-svc, {template} by {channel} since {}: {code}, {text}; {attempts} tries, next try at {next}",
        time(since)
    ))
}

fn time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S%.3f").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: u32) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minute.into())
    }

    #[test]
    fn an_order_that_failed_is_shown_with_what_was_short_and_with_the_payments_code() {
        let shown = |reason: &str, facts: serde_json::Value| {
            let order = serde_json::json!({"status": "cancelled", "reason": reason, "facts": facts,
                "placed_at": at(0), "updated_at": at(1)});
            let order = Some(serde_json::from_value(order).unwrap());
            let (mut out, report) = (Vec::new(), Report { order, ..Report::default() });
            head(&report, Uuid::nil(), &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let facts = serde_json::to_value(order_svc::domain::Facts::default()).unwrap();
        let mut short = facts.clone();
        short["shortages"] = serde_json::json!([{"sku": "TEA", "requested": 3, "available": 1}]);
        assert!(shown("out_of_stock", short.clone()).contains("\n  failed: TEA: 3 wanted, 1 left\n"));
        assert!(!shown("customer", short).contains("failed:"));
        let mut declined = facts;
        declined["payment_code"] = "stolen_card".into();
        assert!(
            shown("payment_declined", declined).contains("\n  failed: the payment came to nothing with stolen_card\n")
        );
    }

    #[test]
    fn a_call_and_a_mail_that_fail_are_shown_with_why_since_when_and_when_they_are_tried_next() {
        let call = Call {
            operation: "authorise".to_owned(),
            tries: 7,
            created_at: at(0),
            due_at: at(9),
            finished_at: None,
            outcome: None,
            error_code: Some("not_done".to_owned()),
            error: Some("not done: can't connect".to_owned()),
            failing_since: Some(at(1)),
        };
        let shown = "gateway_calls of payment-svc, authorise since 1970-01-01 00:01:00.000: not_done, \
                     not done: can't connect; 7 tries, next try at 1970-01-01 00:09:00.000";
        assert_eq!(failing_call(&call).as_deref(), Some(shown));
        assert_eq!(failing_call(&Call { finished_at: Some(at(3)), ..call }), None);
        let mail = Mail {
            template: "order_placed".to_owned(),
            channel: "sms".to_owned(),
            status: "queued".to_owned(),
            attempts: 2,
            last_error: Some("421 busy".to_owned()),
            error_code: Some("refused_for_now".to_owned()),
            failing_since: Some(at(1)),
            due_at: at(9),
        };
        let shown = failing_mail(&mail, at(5)).unwrap();
        assert!(
            shown.contains("order_placed by sms since 1970-01-01 00:01:00.000: refused_for_now, 421 busy; 2 tries"),
            "{shown}"
        );
        let untried = Mail { failing_since: None, ..mail };
        let refund = FailedRefund {
            payment_id: Uuid::from_u128(1),
            refund_id: Uuid::from_u128(2),
            amount: 598,
            currency: "EUR".to_owned(),
            since: at(3),
        };
        let shown = failed_refund(&refund);
        assert!(shown.contains(" of 5.98 EUR failed since 1970-01-01 00:03:00.000: try another"), "{shown}");
        let route = "POST /api/v1/payments/00000000-0000-0000-0000-000000000001/refunds/\
                     00000000-0000-0000-0000-000000000002/settle-outside";
        assert!(shown.ends_with(route), "{shown}");
        assert_eq!(failing_mail(&untried, at(9)), None);
        assert!(failing_mail(&untried, at(10)).unwrap().contains("due since 1970-01-01 00:09:00.000"));
    }
}
