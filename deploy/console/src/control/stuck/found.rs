//! What `quadrille stuck` has found in databases and at the brokers, where the console may ask it. It knows which orders a cause keeps,
//! which no service says of itself.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::advice::{Cause, needs_people};
use crate::services::Service;

/// Its answer. What a newer one says besides is left out.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Found {
    #[serde(default)]
    causes: Vec<Kept>,
    #[serde(default)]
    away: Vec<Away>,
}

/// A cause, and some of the orders that it keeps.
#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Kept {
    kind: String,
    service: Option<String>,
    what: String,
    since: Option<DateTime<Utc>>,
    next_try: Option<DateTime<Utc>>,
    #[serde(default)]
    orders: i64,
    #[serde(default)]
    first: Vec<Uuid>,
    mend: String,
}

/// A place that it could not look at.
#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Away {
    what: String,
    why: String,
}

/// Kinds that [`Advice`] tells with each group of orders: people have to act, or nothing was found.
const TOLD_BY_ADVICE: [&str; 6] = ["customer", "review", "staff_refund", "dispatch", "carrier", "unknown"];

impl Found {
    /// None if it is no answer of `quadrille stuck`.
    pub fn read(answer: Value) -> Option<Self> {
        let is_one = answer["causes"].is_array();
        serde_json::from_value(answer).ok().filter(|_| is_one)
    }

    /// Every cause but those that are told with their orders, and what could not be looked at.
    pub fn causes(&self) -> Vec<Cause> {
        let told = |kept: &&Kept| !TOLD_BY_ADVICE.contains(&kept.kind.as_str());
        let away = self.away.iter().map(|away| {
            let what = format!("{} could not be looked at: {}", away.what, away.why);
            Cause::new("", what, "What it would tell is missing here.")
        });
        self.causes.iter().filter(told).map(Kept::cause).chain(away).collect()
    }
}

impl Kept {
    fn cause(&self) -> Cause {
        let service = self.service.as_deref().and_then(Service::named).map_or("", Service::name);
        let mut cause = Cause::new(service, self.what.clone(), &self.mend);
        cause.since = self.since;
        cause.next_try = self.next_try;
        cause.keeps = Some(self.first.iter().copied().take_while(|_| self.orders > 0).collect());
        match (self.kind.as_str(), &self.first[..]) {
            ("dead_letter", [only]) => {
                cause.link(format!("/control/dead-letters?service={service}&key={only}"), "Open its dead letters")
            }
            ("dead_letter", _) => {
                cause.link(format!("/control/dead-letters?service={service}"), "Open its dead letters")
            }
            _ => cause,
        }
    }
}

/// Whether a cause whose orders are known keeps orders that wait for this, of which these are the first. Only some of its orders are
/// named, so of one that keeps many it is enough that they wait for its service.
pub fn keeps(named: &BTreeSet<Uuid>, service: &str, waiting: (&str, &str), first: &[Uuid]) -> bool {
    let (fact, from) = waiting;
    first.iter().any(|id| named.contains(id)) || (!named.is_empty() && service == from && !needs_people(fact, from))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ORDER: Uuid = Uuid::from_u128(7);

    fn found(kind: &str, service: &str, first: &[Uuid]) -> Vec<Cause> {
        let cause = json!({"kind": kind, "service": service, "what": "it stumbles", "orders": first.len(), "first": first,
            "since": "2026-11-30T08:00:00Z", "mend": "mend it", "new": 1});
        let answer = json!({"at": "2026-11-30T08:00:00Z", "overdue": 1, "causes": [cause],
            "away": [{"what": "Kafka", "why": "refused"}]});
        Found::read(answer).unwrap().causes()
    }

    #[test]
    fn a_dead_letter_of_one_order_leads_to_it_and_what_was_not_looked_at_is_told() {
        let causes = found("dead_letter", "order-svc", &[ORDER]);
        let link = format!("/control/dead-letters?service=order-svc&key={ORDER}");
        assert_eq!(causes[0].link.as_deref(), Some(link.as_str()));
        assert_eq!(causes[1].what, "Kafka could not be looked at: refused");
    }

    #[test]
    fn what_people_have_to_do_is_told_with_their_orders_alone() {
        assert_eq!(found("dispatch", "stock-svc", &[ORDER]).len(), 1, "but what could not be looked at");
    }

    #[test]
    fn a_cause_is_shown_with_the_orders_that_it_keeps_and_with_no_others() {
        let lock = &found("lock", "stock-svc", &[ORDER])[0];
        assert!(lock.may_keep("payment.authorized", "payment-svc", &[ORDER]), "it names the order");
        assert!(lock.may_keep("stock.reserved", "stock-svc", &[Uuid::nil()]), "it names few of many");
        assert!(!lock.may_keep("payment.authorized", "payment-svc", &[Uuid::nil()]));
        assert!(!lock.may_keep("shipment.dispatched", "stock-svc", &[Uuid::nil()]), "that is for people");
        let beside = &found("message_server", "notification-svc", &[])[0];
        assert!(!beside.may_keep("stock.reserved", "notification-svc", &[ORDER]), "it keeps no order");
    }

    #[test]
    fn another_answer_is_none() {
        assert_eq!([Found::read(json!({"detail": "no"})), Found::read(json!("x"))], [None, None]);
    }
}
