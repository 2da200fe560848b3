//! An order in its customer's words.

use serde::Serialize;

use super::view::{Order, Parcel, Payment, Status};
use crate::pages::amount_in;
use crate::shop::product::Money;

/// Words with a colour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    pub words: String,
    /// Good, warn, bad, note, or nothing.
    pub kind: &'static str,
}

fn told(words: &str, kind: &'static str) -> Told {
    Told { words: words.to_owned(), kind }
}

/// Where the order is, in a line.
pub fn headline(order: &Order) -> Told {
    match order.status {
        Status::Pending if waits_for_bank(order) => told("Your bank asks for your approval", "warn"),
        Status::Pending if waits_for_staff(order) => told("We are looking at your order", "note"),
        Status::Pending => told("We are working on your order", "note"),
        Status::Confirmed => told("Your order is confirmed", "good"),
        Status::PartiallyShipped => told("A part of your order is on its way", "good"),
        Status::Shipped if order.shipments.is_empty() || order.shipments.iter().any(is_under_way) => {
            told("Your order is on its way", "good")
        }
        Status::Shipped => told("Your order has arrived", "good"),
        Status::Completed if order.shipments.iter().any(|parcel| parcel.status == "delivered") => {
            told("Your order has arrived", "good")
        }
        Status::Completed => told("Your order is closed", "note"),
        Status::Cancelling => told("Your order is being cancelled", "warn"),
        Status::Cancelled => told("Your order is cancelled", "bad"),
        Status::Unknown => told("We are working on your order", "note"),
    }
}

fn is_under_way(parcel: &Parcel) -> bool {
    parcel.status == "dispatched"
}

/// Whether the customer has to approve the payment at their bank's.
pub fn waits_for_bank(order: &Order) -> bool {
    order.status == Status::Pending && order.payment.as_deref() == Some("action_required")
}

pub fn waits_for_staff(order: &Order) -> bool {
    order.waiting_for.as_ref().is_some_and(|waiting| waiting.from == "staff")
}

/// Why it is cancelled.
pub fn why(order: &Order) -> String {
    let details = order.failure.clone().unwrap_or_default();
    let code = details.payment_code_for_customer.as_deref();
    match order.reason.as_deref().unwrap_or_default() {
        "out_of_stock" => {
            let shortages = details.shortages.iter().map(|short| {
                let line = order.lines.iter().find(|line| line.sku == short.sku);
                let name = line.map_or(short.sku.as_str(), |line| line.name.as_str());
                match short.available {
                    0 => format!("{name} is sold out"),
                    some => format!("of {name} there are only {some} of the {} that you wanted", short.requested),
                }
            });
            let shortages: Vec<_> = shortages.collect();
            match shortages.as_slice() {
                [] => "We did not have enough of it.".to_owned(),
                shortages => format!("We did not have enough of it: {}.", shortages.join("; ")),
            }
        }
        "payment_declined" => format!("The payment was declined. {}", decline(code)),
        "payment_expired" => format!("Your card could not be charged. {}", decline(code)),
        "timeout" if code == Some("authentication_timeout") => decline(code).to_owned(),
        "timeout" => "It could not be confirmed in time. We are sorry; please try it again.".to_owned(),
        "customer" => "You cancelled it.".to_owned(),
        "staff" => "We cancelled it. Please write to us if you want to know more.".to_owned(),
        _ => "It could not be carried out.".to_owned(),
    }
}

/// What a customer can do about a declined payment.
fn decline(code: Option<&str>) -> &'static str {
    match code.unwrap_or_default() {
        "authentication_timeout" => "The payment was not approved at your bank in time.",
        "authentication_required" | "payment_intent_authentication_failure" => {
            "The payment was not approved at your bank."
        }
        "insufficient_funds" => "There was not enough money on the card.",
        "expired_card" => "The card has expired.",
        "card_velocity_exceeded" | "withdrawal_count_limit_exceeded" => "The card was used more often than it may be.",
        "card_not_supported" => "The card can't be used for this.",
        "currency_not_supported" => "The card can't be charged in this currency.",
        "incorrect_number" | "invalid_number" => "The card's number is not right.",
        "incorrect_cvc" | "invalid_cvc" => "The card's security code is not right.",
        "invalid_expiry_month" | "invalid_expiry_year" => "The card's expiry date is not right.",
        "incorrect_zip" | "incorrect_address" => "The bank knows another address for this card.",
        "issuer_not_available" | "processing_error" | "reenter_transaction" | "try_again_later" => {
            "Your bank could not be reached. Please try it again later."
        }
        "payment_method_unknown" | "payment_request_invalid" => "The fault is ours: please tell us.",
        _ => "Your bank does not say why: please ask it, or try another card.",
    }
}

fn amount(money: &Money) -> String {
    amount_in(money.amount, &money.currency)
}

/// What has become of the money, in sentences.
pub fn money(order: &Order, payment: Option<&Payment>) -> Vec<String> {
    let zero = Money { amount: 0, currency: order.total.currency.clone() };
    let of_payment = |money: &Option<Money>| money.clone().unwrap_or_else(|| zero.clone());
    let (captured, refunded) = match payment {
        Some(payment) => (of_payment(&payment.captured), of_payment(&payment.refunded)),
        // Of a refund order-svc does not know the amount.
        None if was_charged(order) => (order.total.clone(), zero),
        None => (zero.clone(), zero),
    };
    let total = amount(&order.total);
    if captured.amount > 0 {
        let mut sentences = vec![format!("You paid {}.", amount(&captured))];
        if refunded.amount >= captured.amount {
            sentences.push("All of it has gone back to your card; your bank shows it within a few days.".to_owned());
        } else if refunded.amount > 0 {
            sentences.push(format!("{} of it went back to your card.", amount(&refunded)));
        } else if payment.is_none() && order.payment.as_deref() == Some("refunded") {
            sentences.push("Money went back to your card.".to_owned());
        } else if order.status == Status::Cancelling {
            sentences.push("It is going back to your card.".to_owned());
        }
        return sentences;
    }
    let sentence = match (order.status, order.payment.as_deref()) {
        (Status::Cancelled, _) => "You were not charged.".to_owned(),
        (Status::Cancelling, _) => "You are not charged.".to_owned(),
        (_, Some("authorized")) => {
            format!("Your bank has set {total} aside. You are charged once we have confirmed the order.")
        }
        (Status::Pending, _) => format!("You have not been charged. The order costs {total}."),
        _ => format!("Your card is being charged {total}."),
    };
    vec![sentence]
}

fn was_charged(order: &Order) -> bool {
    matches!(order.payment.as_deref(), Some("captured" | "refunded" | "refund_failed"))
}

/// A parcel, for its customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ParcelWords {
    pub words: String,
    pub kind: &'static str,
    pub carrier: Option<String>,
    pub tracking_number: Option<String>,
}

/// Those of which something can be said.
pub fn parcels(order: &Order) -> Vec<ParcelWords> {
    let words = |parcel: &Parcel| {
        let Told { words, kind } = match parcel.status.as_str() {
            "created" => told("Being packed", "note"),
            "dispatched" => told("On its way", "good"),
            "delivered" => told("Delivered", "good"),
            "cancelled" => told("Not sent", ""),
            "returned" => told("Came back to us", "warn"),
            "lost" => told("Lost by the carrier; you get your money back", "bad"),
            _ => told("Being prepared", "note"),
        };
        let (carrier, tracking_number) = (parcel.carrier.clone(), parcel.tracking_number.clone());
        ParcelWords { words, kind, carrier, tracking_number }
    };
    let is_seen = |parcel: &&Parcel| parcel.status != "cancelled" || order.shipments.len() > 1;
    order.shipments.iter().filter(is_seen).map(words).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::examples::{order, payment};
    use super::*;

    #[test]
    fn no_customer_reads_the_name_of_a_status() {
        let statuses =
            ["pending", "confirmed", "partially_shipped", "shipped", "completed", "cancelling", "cancelled", "new"];
        for status in statuses {
            let told = headline(&order(json!({"status": status}))).words;
            assert!(!told.contains('_') && !told.contains("pending") && !told.contains("shipped"), "{told}");
        }
    }

    #[test]
    fn why_an_order_failed_is_told_so_that_one_can_do_something() {
        let why = |reason: &str, failure: Value| {
            why(&order(json!({"status": "cancelled", "reason": reason, "failure": failure})))
        };
        let code = |code: &str| json!({"shortages": [], "payment_code_for_customer": code});
        assert!(why("payment_declined", code("insufficient_funds")).contains("not enough money"));
        assert!(why("payment_declined", code("generic_decline")).contains("another card"));
        assert_eq!(
            why("timeout", code("authentication_timeout")),
            "The payment was not approved at your bank in time."
        );
        let short = json!({"shortages": [
            {"sku": "TEA-EARL-GREY-250", "requested": 2, "available": 1}, {"sku": "MUG", "requested": 1, "available": 0}
        ]});
        assert_eq!(
            why("out_of_stock", short),
            "We did not have enough of it: of Earl Grey, 250 g there are only 1 of the 2 that you wanted; MUG is sold out."
        );
        assert_eq!(why("customer", Value::Null), "You cancelled it.");
        assert_eq!(why("something_new", Value::Null), "It could not be carried out.");
    }

    #[test]
    fn money_is_told_as_it_moves() {
        let of = |changes: Value, captured: i64, refunded: i64| {
            money(&order(changes), Some(&payment(captured, refunded))).join(" ")
        };
        assert_eq!(of(json!({}), 0, 0), "You have not been charged. The order costs €25.98.");
        assert!(of(json!({"payment": "authorized"}), 0, 0).contains("set €25.98 aside"));
        assert_eq!(of(json!({"status": "confirmed"}), 2598, 0), "You paid €25.98.");
        assert_eq!(
            of(json!({"status": "completed"}), 2598, 500),
            "You paid €25.98. €5.00 of it went back to your card."
        );
        assert!(of(json!({"status": "cancelled"}), 2598, 2598).contains("All of it has gone back"));
        assert_eq!(of(json!({"status": "cancelled"}), 0, 0), "You were not charged.");
    }

    #[test]
    fn money_is_told_by_the_order_where_its_payment_can_t_be_seen() {
        let of = |changes: Value| money(&order(changes), None).join(" ");
        assert_eq!(of(json!({"status": "shipped", "payment": "captured"})), "You paid €25.98.");
        assert_eq!(
            of(json!({"status": "cancelled", "payment": "refunded"})),
            "You paid €25.98. Money went back to your card."
        );
        assert_eq!(of(json!({"status": "cancelled", "payment": "voided"})), "You were not charged.");
    }

    #[test]
    fn a_parcel_is_told_with_its_number() {
        let parcel = json!({"id": "x", "status": "dispatched", "carrier": "An Post", "tracking_number": "AP1"});
        let parcels = parcels(&order(json!({"status": "shipped", "shipments": [parcel]})));
        assert_eq!((parcels[0].words.as_str(), parcels[0].tracking_number.as_deref()), ("On its way", Some("AP1")));
    }
}
