//! What may keep orders from going on, as services say of themselves, and what mends it.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::found;
use crate::control::samples::Health;
use crate::pages::span;

/// What a waiting order means, and how it goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Advice {
    pub means: &'static str,
    pub mend: &'static str,
    /// What the button beside each order does: `warehouse`, `money`, `cancel`, `order` or `letters`.
    pub button: &'static str,
}

impl Advice {
    /// What it means that an order waits for `fact` from `from`.
    pub fn of(fact: &str, from: &str) -> Self {
        let (means, mend, button) = match (fact, from) {
            ("payment.authorized", "customer") => (
                "The customer has not confirmed the payment with their bank.",
                "Nobody but the customer can. At its deadline the order ends by itself; it can be cancelled before.",
                "cancel",
            ),
            ("order.confirmed", "staff") => (
                "Staff hold it for review, and its money is authorised.",
                "Look at it, then release or cancel it; a card keeps money authorised for about a week.",
                "order",
            ),
            (_, "staff") => (
                "A refund was refused by the gateway, or came back.",
                "Ask for another refund, or give the money back by bank transfer and say so at the payment.",
                "money",
            ),
            ("shipment.dispatched", _) => (
                "Parcels were not handed to the carrier for two days.",
                "Dispatch them in the warehouse, or cancel the order.",
                "warehouse",
            ),
            ("shipment.delivered", _) => (
                "Parcels have been on their way for two weeks.",
                "Ask the carrier; then note that they arrived or are lost.",
                "warehouse",
            ),
            ("stock.reserved", _) => (
                "The goods are not held yet, which takes a moment.",
                "Mend what keeps stock-svc; the orders go on by themselves.",
                "letters",
            ),
            ("payment.authorized", _) => (
                "The gateway was asked, or is to be asked, for the money.",
                "Mend what keeps payment-svc or the gateway; calls go on by themselves, with the same keys.",
                "letters",
            ),
            ("payment.captured" | "payment.voided" | "payment.refunded", _) => (
                "The gateway is to take the money, or to give it back.",
                "Mend what keeps payment-svc or the gateway; calls go on by themselves, with the same keys.",
                "letters",
            ),
            _ => (
                "A service has not said yet what the order needs next.",
                "Mend what keeps it; the orders go on by themselves.",
                "letters",
            ),
        };
        Self { means, mend, button }
    }
}

/// Something that may keep orders: found in what a service says of itself, or by `quadrille stuck`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cause {
    pub service: &'static str,
    pub what: String,
    pub mend: String,
    pub command: Option<String>,
    /// Where a button leads.
    pub link: Option<String>,
    pub button: &'static str,
    pub since: Option<DateTime<Utc>>,
    pub next_try: Option<DateTime<Utc>>,
    /// Some of the orders that it keeps, if that is known.
    #[serde(skip)]
    pub keeps: Option<BTreeSet<Uuid>>,
}

/// Whether people have to do what such an order waits for.
pub fn needs_people(fact: &str, from: &str) -> bool {
    matches!(from, "customer" | "staff") || matches!(fact, "shipment.dispatched" | "shipment.delivered")
}

impl Cause {
    pub fn new(service: &'static str, what: String, mend: &str) -> Self {
        let mend = mend.to_owned();
        Self { service, what, mend, command: None, link: None, button: "", since: None, next_try: None, keeps: None }
    }

    fn command(self, command: impl Into<String>) -> Self {
        Self { command: Some(command.into()), ..self }
    }

    pub fn link(self, link: String, button: &'static str) -> Self {
        Self { link: Some(link), button, ..self }
    }

    /// Whether it may be what keeps orders that wait for this, of which these are the first. What keeps order-svc from hearing keeps
    /// all that machines do.
    pub fn may_keep(&self, fact: &str, from: &str, first: &[Uuid]) -> bool {
        match &self.keeps {
            Some(named) => found::keeps(named, self.service, (fact, from), first),
            None => !needs_people(fact, from) && (self.service == from || self.service == "order-svc"),
        }
    }
}

/// Everything that is found, service by service.
pub fn causes(health: &[Health]) -> Vec<Cause> {
    health.iter().flat_map(of_service).collect()
}

fn of_service(health: &Health) -> Vec<Cause> {
    let service = health.service;
    if health.state == "away" {
        let mend = "Start it; if it runs and hangs, kill it first. Its log says why. What it should hear waits for it in Kafka.";
        return vec![
            Cause::new(service, format!("{service} does not answer"), mend).command(format!("quadrille run {service}")),
        ];
    }
    let mut causes = letters(health);
    causes.extend(outbox(health));
    causes.extend(consumer(health));
    causes.extend(outside(health));
    causes
}

/// What could not be handled or published.
fn letters(health: &Health) -> Vec<Cause> {
    let (service, gauges) = (health.service, &health.gauges);
    let mut causes = Vec::new();
    if let Some(letters) = some(gauges.dead_letters) {
        let keys = gauges.parked_keys.unwrap_or_default();
        let s = if keys == 1.0 { "" } else { "s" };
        let what = format!("{service} could not handle events: {letters:.0} wait in {keys:.0} key{s}");
        let mend = "Look at why, try it dry, mend it or drop it, and replay.";
        let link = format!("/control/dead-letters?service={service}");
        let command = format!("quadrille dead-letters list {service}");
        causes.push(Cause::new(service, what, mend).command(command).link(link, "Open its dead letters"));
    }
    if let Some(rows) = some(gauges.parked_rows) {
        let what =
            format!("Kafka refused {rows:.0} events of {service} for good, or they wait behind one that it refused");
        let mend = "Mend what the reason says, then have them sent again.";
        causes.push(Cause::new(service, what, mend).command("outbox-relay parked list"));
    }
    causes
}

fn outbox(health: &Health) -> Vec<Cause> {
    let (service, gauges) = (health.service, &health.gauges);
    let mut causes = Vec::new();
    let (pending, oldest) = (gauges.pending_rows.unwrap_or_default(), gauges.oldest_row_seconds.unwrap_or_default());
    if gauges.leaders.is_some_and(|leaders| leaders < 1.0) && oldest > 5.0 {
        let what = format!("nobody publishes the outbox of {service}; its oldest row is {} old", time(oldest));
        let mend = "Start a relay, or find the session that has its lock and is none.";
        causes.push(Cause::new(service, what, mend).command(format!("quadrille run {service}")));
    } else if some(gauges.outage).is_some() {
        let what = format!("Kafka takes nothing from {service}; about {pending:.0} rows wait");
        causes.push(
            Cause::new(service, what, "Start the brokers; everything goes on by itself.").command("quadrille topics"),
        );
    } else if oldest > 10.0 {
        let what = format!("events of {service} leave late: the oldest has waited for {}", time(oldest));
        causes.push(
            Cause::new(service, what, "Look at the relay's log, and at the database.").command("quadrille topics"),
        );
    }
    if some(gauges.relay_waits).is_some() {
        let what = format!("the relay of {service} can't work in its database");
        causes.push(Cause::new(service, what, "It is away, read-only, or lacks tables or rights: its log says which."));
    }
    causes
}

fn consumer(health: &Health) -> Vec<Cause> {
    let (service, gauges) = (health.service, &health.gauges);
    let mut causes = Vec::new();
    if some(gauges.broker_away).is_some() {
        let what = format!("no broker has answered {service} lately");
        causes.push(
            Cause::new(service, what, "Start the brokers; everything goes on by itself.").command("quadrille topics"),
        );
    }
    if some(gauges.stopped).is_some() {
        let what = format!("{service} has stopped listening, or a lane of it has died");
        causes.push(
            Cause::new(service, what, "Start it anew; its log says why.").command(format!("quadrille run {service}")),
        );
    }
    if some(gauges.waits_for_lock).is_some() {
        let what = format!("a lane of {service} waits for a lock that another session holds");
        causes.push(Cause::new(service, what, "End the session that holds it.").command("quadrille stuck"));
    } else if gauges.lag_seconds.is_some_and(|lag| lag > 10.0) {
        let lag = (gauges.lag_records.unwrap_or_default(), time(gauges.lag_seconds.unwrap_or_default()));
        let what = format!("{service} is behind by {}: {:.0} events are not handled yet", lag.1, lag.0);
        causes.push(Cause::new(service, what, "Its log says what holds it up.").command("quadrille topics"));
    }
    if gauges.timers_late_seconds.is_some_and(|late| late > 60.0) {
        let what =
            format!("timers of {service} have been due for {}", time(gauges.timers_late_seconds.unwrap_or_default()));
        let mend = "They fire once it has heard what was published before.";
        causes.push(Cause::new(service, what, mend).command("quadrille stuck"));
    }
    causes
}

fn outside(health: &Health) -> Vec<Cause> {
    let (service, gauges) = (health.service, &health.gauges);
    let away = health.away.iter().map(|server| {
        let mend = "Nothing here: calls go on by themselves, with the same keys, once it answers.";
        Cause::new(service, format!("{service} can't reach {server}"), mend)
    });
    let mut causes: Vec<_> = away.collect();
    if gauges.oldest_transaction_seconds.is_some_and(|age| age > 300.0) {
        let age = time(gauges.oldest_transaction_seconds.unwrap_or_default());
        let what = format!("a transaction in the database of {service} has been open for {age}");
        causes.push(Cause::new(service, what, "End the session that left it open.").command("quadrille stuck"));
    }
    // What can't be reached is told above.
    for (check, told) in health.checks.iter().filter(|(check, told)| told != "ok" && !health.away.contains(check)) {
        let what = format!("{service} says of its {check}: {told}");
        causes.push(Cause::new(service, what, "It goes on by itself once that is well."));
    }
    causes
}

/// A figure that should be 0, if it is not.
fn some(figure: Option<f64>) -> Option<f64> {
    figure.filter(|figure| *figure > 0.0)
}

#[expect(clippy::cast_possible_truncation, reason = "seconds for people")]
fn time(seconds: f64) -> String {
    span(seconds as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::samples::Gauges;

    fn service(service: &'static str, state: &str, gauges: Gauges) -> Health {
        Health { service, state: state.to_owned(), checks: vec![], gauges, partitions: vec![], away: vec![] }
    }

    fn what(health: Health) -> Vec<String> {
        causes(&[health]).into_iter().map(|cause| cause.what).collect()
    }

    #[test]
    fn nothing_is_found_where_all_is_well() {
        let well = Gauges { leaders: Some(1.0), dead_letters: Some(0.0), lag_seconds: Some(0.2), ..Gauges::default() };
        assert_eq!(what(service("stock-svc", "ready", well)), [""; 0]);
    }

    #[test]
    fn a_service_that_is_away_is_told_once_with_the_command_that_starts_it() {
        let causes = causes(&[service("stock-svc", "away", Gauges::default())]);
        assert_eq!(causes.len(), 1);
        assert_eq!(causes[0].command.as_deref(), Some("quadrille run stock-svc"));
    }

    #[test]
    fn dead_letters_come_with_the_button_that_opens_them() {
        let gauges = Gauges { dead_letters: Some(3.0), parked_keys: Some(1.0), ..Gauges::default() };
        let causes = causes(&[service("stock-svc", "ready", gauges)]);
        assert_eq!(causes[0].link.as_deref(), Some("/control/dead-letters?service=stock-svc"));
        assert!(causes[0].what.contains("3 wait in 1 key"), "{}", causes[0].what);
    }

    #[test]
    fn an_outbox_without_a_relay_is_trouble_only_if_something_waits() {
        let of = |oldest| Gauges { leaders: Some(0.0), oldest_row_seconds: Some(oldest), ..Gauges::default() };
        assert_eq!(what(service("order-svc", "ready", of(0.0))).len(), 0);
        assert!(what(service("order-svc", "ready", of(90.0)))[0].contains("nobody publishes"), "90 s");
    }

    #[test]
    fn what_people_have_to_do_no_machine_keeps() {
        let cause = Cause::new("stock-svc", String::new(), "");
        let keeps = |cause: &Cause, fact, from| cause.may_keep(fact, from, &[]);
        assert!(keeps(&cause, "stock.reserved", "stock-svc") && !keeps(&cause, "payment.captured", "payment-svc"));
        assert!(!keeps(&cause, "shipment.dispatched", "stock-svc"));
        assert!(keeps(&Cause::new("order-svc", String::new(), ""), "payment.captured", "payment-svc"));
        assert_eq!(Advice::of("shipment.dispatched", "stock-svc").button, "warehouse");
    }
}
