//! What happens next with an order, and by when.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::view::{Order, Status};
use super::words::{waits_for_bank, waits_for_staff};

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Next {
    pub text: &'static str,
    /// Until when, if there is an end to it.
    pub by: Option<DateTime<Utc>>,
    /// What becomes of the order if it did not happen by then.
    pub otherwise: Option<&'static str>,
}

const CANCELLED: &str = "If that has not happened by then, we cancel it and charge nothing.";

/// What is awaited; none once the order has ended. `deadline` is the order's, `approval` the bank's.
pub fn next(order: &Order, deadline: Option<DateTime<Utc>>, approval: Option<DateTime<Utc>>) -> Option<Next> {
    let waits_for = order.waiting_for.as_ref().map_or("", |waiting| waiting.fact.as_str());
    let text = match order.status {
        Status::Pending if waits_for_staff(order) => "Somebody of ours looks at your order. You need do nothing.",
        Status::Pending if waits_for_bank(order) => {
            "Your bank waits for your approval. The order goes on as soon as it has it."
        }
        Status::Pending if waits_for == "stock.reserved" => {
            "We look whether everything is there, and ask your bank then."
        }
        Status::Pending => "We ask your bank, and confirm the order then.",
        Status::Confirmed if waits_for == "payment.captured" => "Your card is charged, and we pack your order.",
        Status::Confirmed => "We pack your order. You can still cancel it until it leaves.",
        Status::PartiallyShipped if waits_for == "stock.restocked" => {
            "We take out what you called off, and give you back what it cost."
        }
        Status::PartiallyShipped => "We send the rest.",
        Status::Shipped if waits_for == "payment.refunded" && waits_for_staff(order) => {
            "Somebody of ours looks after your refund. You need do nothing."
        }
        Status::Shipped if waits_for == "payment.refunded" => "We give you back what you don't get.",
        Status::Shipped => "The carrier brings it to you.",
        Status::Cancelling if waits_for_staff(order) => {
            "Somebody of ours looks after your refund. You need do nothing."
        }
        Status::Cancelling => "We see to it that you get your money back, if you were charged.",
        Status::Unknown => "We are working on it. You need do nothing.",
        Status::Completed | Status::Cancelled => return None,
    };
    let by = match order.status {
        Status::Pending if waits_for_bank(order) => approval.or(deadline),
        Status::Pending if !waits_for_staff(order) => deadline,
        _ => None,
    };
    Some(Next { text, by, otherwise: by.map(|_| CANCELLED) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::examples::order;
    use super::*;

    fn at(text: &str) -> Option<DateTime<Utc>> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn until_it_is_confirmed_an_order_has_a_deadline() {
        let deadline = at("2026-07-14T09:50:00Z");
        let told = next(&order(json!({})), deadline, None).unwrap();
        assert_eq!((told.by, told.otherwise), (deadline, Some(CANCELLED)));
        let confirmed = next(&order(json!({"status": "confirmed"})), deadline, None).unwrap();
        assert_eq!((confirmed.by, confirmed.otherwise), (None, None));
    }

    #[test]
    fn the_bank_s_deadline_counts_while_it_asks_its_customer() {
        let asked = order(json!({"stock": "reserved", "payment": "action_required"}));
        let (deadline, approval) = (at("2026-07-14T09:50:00Z"), at("2026-07-14T09:44:00Z"));
        assert_eq!(next(&asked, deadline, approval).unwrap().by, approval);
        assert_eq!(next(&asked, deadline, None).unwrap().by, deadline);
    }

    #[test]
    fn nothing_comes_after_the_end() {
        for status in ["completed", "cancelled"] {
            assert_eq!(next(&order(json!({"status": status})), None, None), None);
        }
    }
}
