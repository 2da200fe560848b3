//! `quadrille order show ID`: what happened to one order, over all services and topics, and what it waits for.

mod dossier;

use std::io::Write;

use anyhow::bail;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use uuid::Uuid;

pub(crate) use self::dossier::events_of;
use self::dossier::{Dossier, Event};
use crate::audit::SourceArgs;

/// What to do with orders.
#[derive(Debug, Args)]
pub struct OrderArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Shows the timeline of one order: its events with outbox wait, partition, offset and who has heard them, calls to the
    /// gateway, mails, timers, and what is stuck.
    Show {
        /// The order.
        id: Uuid,
        #[command(flatten)]
        sources: SourceArgs,
    },
}

/// Does what is asked for and writes the answer to `out`.
///
/// # Errors
/// Nobody who answers knows the order.
pub async fn order(arguments: &OrderArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let Action::Show { id, sources } = &arguments.action;
    let dossier = Dossier::collect(&sources.sources()?, *id).await;
    if dossier.is_empty() {
        let away = dossier.away.iter().map(|away| format!("; {} could not be looked at: {}", away.what, away.why));
        bail!("nobody who was asked knows order {id}{}", away.collect::<String>());
    }
    head(&dossier, *id, out)?;
    events(&dossier.events, out)?;
    sections(&dossier, out)?;
    Ok(out.flush()?)
}

fn head(dossier: &Dossier, id: Uuid, out: &mut impl Write) -> std::io::Result<()> {
    let Some(order) = &dossier.order else {
        let asked = !dossier.away.iter().any(|away| away.what.contains("order-svc"));
        let why = if asked { "order-svc doesn't know it" } else { "order-svc's database could not be looked at" };
        return writeln!(out, "order {id}: {why}");
    };
    let reason = order.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    writeln!(out, "order {id}: {}{reason}, placed {}", order.status, time(order.placed_at))?;
    let fact = |fact: &Option<String>| fact.clone().unwrap_or_else(|| "nothing".to_owned());
    writeln!(
        out,
        "  heard last: stock {}, payment {}, shipment {}",
        fact(&order.stock),
        fact(&order.payment),
        fact(&order.shipment)
    )?;
    match &dossier.waiting_for {
        Some(waiting) => {
            let seconds = (dossier.now - waiting.since).num_seconds();
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
        let cause = events.iter().position(|other| Some(&other.record.id) == record.because_of.as_ref());
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

fn sections(dossier: &Dossier, out: &mut impl Write) -> std::io::Result<()> {
    let mut section = |title: &str, lines: Vec<String>| {
        if lines.is_empty() {
            return Ok(());
        }
        writeln!(out, "\n  {title}")?;
        lines.iter().try_for_each(|line| writeln!(out, "    {line}"))
    };
    let calls = dossier.calls.iter().map(|call| {
        let end = match (&call.outcome, call.finished_at) {
            (Some(outcome), Some(at)) => format!("{outcome} at {}", time(at)),
            _ => format!("no answer yet, tried again at {}", time(call.due_at)),
        };
        format!("{:<10} begun {}, {} tries, {end}", call.operation, time(call.created_at), call.tries)
    });
    section("calls to the gateway", calls.collect())?;
    let mails = dossier.mails.iter().map(|mail| {
        let error = mail.last_error.as_ref().map(|error| format!(", last: {error}")).unwrap_or_default();
        format!("{:<22} {}, {} attempts{error}", mail.template, mail.status, mail.attempts)
    });
    section("mails", mails.collect())?;
    let timers = dossier.timers.iter().map(|timer| {
        let overdue = if timer.due_at < dossier.now { "OVERDUE since" } else { "due at" };
        format!("{} of {}: {overdue} {}", timer.kind, timer.service, time(timer.due_at))
    });
    section("timers", timers.collect())?;
    let stuck = dossier.stuck.iter().map(|stuck| {
        let why = stuck.why.as_deref().unwrap_or("waits behind another of its key");
        format!("{} of {}, {} since {}: {why}", stuck.place, stuck.service, stuck.event, time(stuck.since))
    });
    section("STUCK", stuck.collect())?;
    let away = dossier.away.iter().map(|away| format!("{}: {}", away.what, away.why));
    section("NOT LOOKED AT", away.collect())
}

fn time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S%.3f").to_string()
}
