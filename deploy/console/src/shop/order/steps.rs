//! The way of an order in steps: what is done, what is going on, what comes then.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::view::{Order, Status, Times};
use super::words::{waits_for_bank, waits_for_staff, why};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Done,
    Now,
    Next,
    /// It went wrong, or was undone.
    Bad,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    pub state: State,
    pub title: &'static str,
    pub text: Option<String>,
    pub at: Option<DateTime<Utc>>,
}

impl Step {
    const fn done(title: &'static str, at: Option<DateTime<Utc>>) -> Self {
        Self { state: State::Done, title, text: None, at }
    }

    fn now(title: &'static str, text: &str) -> Self {
        Self { state: State::Now, title, text: Some(text.to_owned()), at: None }
    }

    const fn next(title: &'static str) -> Self {
        Self { state: State::Next, title, text: None, at: None }
    }
}

/// The steps of an order, from what order-svc tells of it and from when things happened.
pub fn steps(order: &Order, times: &Times) -> Vec<Step> {
    match order.status {
        Status::Cancelling | Status::Cancelled => undone(order, times),
        _ => going_on(order, times),
    }
}

const fn rank(status: Status) -> u8 {
    match status {
        Status::Confirmed => 1,
        Status::PartiallyShipped => 2,
        Status::Shipped => 3,
        Status::Completed => 4,
        _ => 0,
    }
}

fn going_on(order: &Order, times: &Times) -> Vec<Step> {
    let rank = rank(order.status);
    let received = Step::done("We have your order", Some(order.placed_at));
    vec![
        received,
        set_aside(order, times),
        agreed(order, times),
        confirmed(order, times),
        sent(rank, times),
        arrived(order, times),
    ]
}

fn is_set_aside(order: &Order) -> bool {
    rank(order.status) > 0 || matches!(order.stock.as_deref(), Some("reserved" | "committed"))
}

fn set_aside(order: &Order, times: &Times) -> Step {
    match is_set_aside(order) {
        true => Step::done("Set aside for you", times.of_kind("stock.reserved")),
        false => Step::now("Setting it aside for you", "We look whether everything is there. That takes seconds."),
    }
}

fn agreed(order: &Order, times: &Times) -> Step {
    const AGREED: &str = "Your bank has agreed";
    let payment = order.payment.as_deref();
    match payment {
        _ if rank(order.status) > 0 => Step::done(AGREED, times.of_kind("payment.authorized")),
        Some("authorized" | "captured") => Step::done(AGREED, times.of_kind("payment.authorized")),
        _ if waits_for_bank(order) => {
            Step::now("Your bank asks for your approval", "Open your bank's page, and approve the payment there.")
        }
        _ if !is_set_aside(order) => Step::next("Your bank agrees"),
        Some("declined") => Step::now("Asking your bank", "Your bank could not agree just now. We ask it again."),
        Some("unknown") => Step::now("Asking your bank", "Your bank's answer got lost. We ask what became of it."),
        _ => Step::now("Asking your bank", "That takes seconds."),
    }
}

fn confirmed(order: &Order, times: &Times) -> Step {
    match rank(order.status) {
        0 if waits_for_staff(order) => {
            Step::now("Somebody of ours looks at it", "You need do nothing, and are not charged yet.")
        }
        0 => Step::next("Confirmed"),
        _ => Step::done("Confirmed", times.of_kind("order.confirmed")),
    }
}

fn sent(rank: u8, times: &Times) -> Step {
    let at = times.of_kind("shipment.dispatched");
    match rank {
        0 => Step::next("Packed and sent"),
        1 => Step::now("Being packed", "We write you a mail when it leaves."),
        2 => {
            Step { at, ..Step::now("Being sent", "A part is on its way. The rest follows, or waits in our warehouse.") }
        }
        _ => Step::done("Packed and sent", at),
    }
}

fn arrived(order: &Order, times: &Times) -> Step {
    let has = |status: &str| order.shipments.iter().any(|parcel| parcel.status == status);
    let at = times.of_any(&["shipment.delivered"]).or_else(|| times.of_kind("order.completed"));
    let waits_for = order.waiting_for.as_ref().map(|waiting| waiting.fact.as_str());
    match order.status {
        Status::Completed if has("delivered") || order.shipments.is_empty() => Step::done("Delivered", at),
        Status::Completed if has("lost") => {
            let text = Some("The carrier lost it. Your money has gone back to you.".to_owned());
            Step { state: State::Bad, title: "Lost on the way", text, at: times.of_kind("shipment.lost").or(at) }
        }
        Status::Completed => {
            let text = Some("Your money has gone back to you.".to_owned());
            Step { state: State::Done, title: "Came back to us", text, at: times.of_kind("shipment.returned").or(at) }
        }
        Status::Shipped if waits_for == Some("payment.refunded") => Step::now(
            "Your refund",
            if waits_for_staff(order) { STAFF } else { "We give you back what you don't get." },
        ),
        Status::Shipped => Step::now("On its way to you", "The carrier has it."),
        _ => Step::next("Delivered"),
    }
}

const STAFF: &str = "Your bank did not take it back, so somebody of ours looks after it.";

/// What had happened, what ended it, and what becomes of the money.
fn undone(order: &Order, times: &Times) -> Vec<Step> {
    let mut steps = vec![Step::done("We have your order", Some(order.placed_at))];
    let happened = [
        ("stock.reserved", "Set aside for you"),
        ("payment.authorized", "Your bank has agreed"),
        ("order.confirmed", "Confirmed"),
    ];
    let happened = happened.into_iter().filter_map(|(kind, title)| Some((times.of_kind(kind)?, title)));
    steps.extend(happened.map(|(at, title)| Step::done(title, Some(at))));
    let at = times.of_any(&["order.cancel_requested", "order.cancelled"]);
    steps.push(Step { state: State::Bad, title: "Cancelled", text: Some(why(order)), at });
    steps.push(money_back(order, times));
    steps
}

fn money_back(order: &Order, times: &Times) -> Step {
    let was_charged = times.of_kind("payment.captured").is_some()
        || matches!(order.payment.as_deref(), Some("captured" | "refunded" | "refund_failed"));
    match (order.status, was_charged) {
        (Status::Cancelling, _) if waits_for_staff(order) => Step::now("Your money", STAFF),
        (Status::Cancelling, true) => Step::now("Your money", "It is going back to your card."),
        (Status::Cancelling, false) => Step::now("Your money", "Your bank is told that nothing will be charged."),
        (_, true) => Step::done("Your money went back to your card", times.of_kind("payment.refunded")),
        (_, false) => Step::done("You were not charged", times.of_kind("payment.voided")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::examples::{order, times};
    use super::*;

    /// As in `done We have your order | now Asking your bank`.
    fn told(changes: Value, happened: &[&str]) -> String {
        let steps = steps(&order(changes), &times(happened));
        let told: Vec<_> = steps.iter().map(|step| format!("{:?} {}", step.state, step.title)).collect();
        told.join(" | ").to_lowercase()
    }

    #[test]
    fn an_order_that_goes_well_goes_step_by_step() {
        let start = "done we have your order | ";
        let rest = " | next confirmed | next packed and sent | next delivered";
        assert_eq!(told(json!({}), &[]), format!("{start}now setting it aside for you | next your bank agrees{rest}"));
        let reserved = json!({"stock": "reserved"});
        assert_eq!(told(reserved, &[]), format!("{start}done set aside for you | now asking your bank{rest}"));
        let confirmed = format!("{start}done set aside for you | done your bank has agreed | done confirmed | ");
        let status = |status: &str| json!({"status": status});
        assert_eq!(told(status("confirmed"), &[]), format!("{confirmed}now being packed | next delivered"));
        assert_eq!(told(status("partially_shipped"), &[]), format!("{confirmed}now being sent | next delivered"));
        assert_eq!(told(status("shipped"), &[]), format!("{confirmed}done packed and sent | now on its way to you"));
        assert_eq!(told(status("completed"), &[]), format!("{confirmed}done packed and sent | done delivered"));
    }

    #[test]
    fn steps_tell_when_they_were_done() {
        let steps = steps(&order(json!({"stock": "reserved"})), &times(&["stock.reserved"]));
        let at = |step: &Step| step.at.map(|at| at.to_rfc3339());
        assert_eq!(at(&steps[0]).as_deref(), Some("2026-07-14T09:30:00+00:00"));
        assert_eq!(at(&steps[1]).as_deref(), Some("2026-07-14T10:00:00+00:00"));
        assert_eq!(at(&steps[2]), None);
    }

    #[test]
    fn a_bank_that_asks_a_declined_card_and_a_lost_answer_are_told_apart() {
        let of = |payment: &str| steps(&order(json!({"stock": "reserved", "payment": payment})), &times(&[])).remove(2);
        assert_eq!(of("action_required").title, "Your bank asks for your approval");
        assert!(of("declined").text.unwrap().contains("again"));
        assert!(of("unknown").text.unwrap().contains("got lost"));
        assert_eq!(of("authorized").state, State::Done);
    }

    #[test]
    fn a_cancelled_order_tells_what_had_happened_why_it_ended_and_where_the_money_is() {
        let declined = json!({"status": "cancelled", "reason": "payment_declined", "payment": "declined"});
        let start = "done we have your order | ";
        assert_eq!(
            told(declined, &["stock.reserved"]),
            format!("{start}done set aside for you | bad cancelled | done you were not charged")
        );
        let paid = json!({"status": "cancelling", "reason": "customer", "payment": "captured"});
        let all =
            ["stock.reserved", "payment.authorized", "order.confirmed", "payment.captured", "order.cancel_requested"];
        let confirmed =
            format!("{start}done set aside for you | done your bank has agreed | done confirmed | bad cancelled | ");
        assert_eq!(told(paid, &all), format!("{confirmed}now your money"));
        let back = json!({"status": "cancelled", "reason": "customer", "payment": "refunded"});
        assert_eq!(told(back, &all), format!("{confirmed}done your money went back to your card"));
    }

    #[test]
    fn an_order_that_staff_look_at_says_so() {
        let waiting = json!({"fact": "order.confirmed", "from": "staff"});
        let held = json!({"stock": "reserved", "payment": "authorized", "waiting_for": waiting});
        assert!(told(held, &[]).contains("done your bank has agreed | now somebody of ours looks at it | next packed"));
    }

    #[test]
    fn a_refund_that_the_bank_refused_is_told_to_be_looked_after() {
        let waiting = json!({"fact": "payment.refunded", "from": "staff"});
        let order = order(json!({"status": "cancelling", "payment": "refund_failed", "waiting_for": waiting}));
        assert_eq!(steps(&order, &times(&[])).pop().unwrap().text.as_deref(), Some(STAFF));
    }

    #[test]
    fn a_parcel_that_was_lost_did_not_arrive() {
        let lost = json!({"status": "completed", "shipments": [{"status": "lost"}]});
        assert!(told(lost, &[]).ends_with("bad lost on the way"));
        let some = json!({"status": "completed", "shipments": [{"status": "lost"}, {"status": "delivered"}]});
        assert!(told(some, &[]).ends_with("done delivered"));
    }
}
