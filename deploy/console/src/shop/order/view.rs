//! An order as services tell of it: what its page needs of that. What this does not know is passed over.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use crate::shop::product::Money;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Pending,
    Confirmed,
    PartiallyShipped,
    Shipped,
    Completed,
    Cancelling,
    Cancelled,
    #[serde(other)]
    Unknown,
}

impl Status {
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled)
    }
}

#[derive(Clone, Debug, Deserialize)]
pub struct Order {
    pub id: Uuid,
    #[serde(default)]
    pub number: Option<String>,
    pub status: Status,
    #[serde(default)]
    pub reason: Option<String>,
    #[serde(default)]
    pub failure: Option<FailureDetails>,
    #[serde(default)]
    pub customer: Customer,
    #[serde(default)]
    pub delivery_address: Value,
    #[serde(default)]
    pub requested_address: Value,
    pub lines: Vec<Line>,
    pub total: Money,
    #[serde(default)]
    pub stock: Option<String>,
    #[serde(default)]
    pub payment: Option<String>,
    #[serde(default)]
    pub shipments: Vec<Parcel>,
    #[serde(default)]
    pub waiting_for: Option<Waiting>,
    pub version: i64,
    pub placed_at: DateTime<Utc>,
    #[serde(default)]
    pub forgotten_at: Option<DateTime<Utc>>,
    #[serde(default)]
    pub links: Links,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Customer {
    #[serde(default)]
    pub id: String,
    #[serde(default)]
    pub name: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct FailureDetails {
    #[serde(default)]
    pub shortages: Vec<Shortage>,
    #[serde(default)]
    pub payment_code_for_customer: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Shortage {
    pub sku: String,
    pub requested: i64,
    pub available: i64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Line {
    pub sku: String,
    pub name: String,
    pub quantity: i64,
    pub unit_price: Money,
    #[serde(default)]
    pub line_total: Option<Money>,
    #[serde(default)]
    pub called_off: i64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Parcel {
    pub status: String,
    #[serde(default)]
    pub carrier: Option<String>,
    #[serde(default)]
    pub tracking_number: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Waiting {
    pub fact: String,
    pub from: String,
}

/// What can be done now.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Links {
    #[serde(default)]
    pub cancel: Option<String>,
    #[serde(default)]
    pub delivery_address: Option<String>,
    #[serde(default)]
    pub call_off: Option<String>,
}

/// When each kind of event happened first, by its type without a version.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Times(BTreeMap<String, DateTime<Utc>>);

impl Times {
    /// Reads a page of order-svc's history. What changed nothing tells nothing.
    pub fn of(history: &Value) -> Self {
        let mut times = BTreeMap::new();
        for entry in history["items"].as_array().into_iter().flatten() {
            let time = entry["time"].as_str().and_then(|time| time.parse().ok());
            if let (Some(kind), Some(time), true) = (entry["type"].as_str(), time, entry["ignored"].is_null()) {
                times.entry(kind.trim_end_matches(".v1").to_owned()).or_insert(time);
            }
        }
        Self(times)
    }

    pub fn of_kind(&self, kind: &str) -> Option<DateTime<Utc>> {
        self.0.get(kind).copied()
    }

    /// When any of these happened first.
    pub fn of_any(&self, kinds: &[&str]) -> Option<DateTime<Utc>> {
        kinds.iter().filter_map(|kind| self.of_kind(kind)).min()
    }
}

/// The payment of payment-svc.
#[derive(Clone, Debug, Deserialize)]
pub struct Payment {
    #[serde(default)]
    pub captured: Option<Money>,
    #[serde(default)]
    pub refunded: Option<Money>,
    #[serde(default)]
    pub next_action: Option<NextAction>,
}

/// How its customer goes on with it.
#[derive(Clone, Debug, Deserialize)]
pub struct NextAction {
    #[serde(default)]
    redirect_to_url: Option<Redirect>,
    #[serde(default)]
    pub deadline: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug, Deserialize)]
struct Redirect {
    url: String,
}

impl Payment {
    /// The newest payment of a page of payment-svc.
    pub fn of(page: &Value) -> Option<Self> {
        page["items"].as_array()?.iter().find_map(|item| serde_json::from_value(item.clone()).ok())
    }
}

impl NextAction {
    pub fn url(&self) -> Option<String> {
        web(&self.redirect_to_url.as_ref()?.url)
    }
}

/// An address of the web. Nothing else becomes a link, since a link may run a script.
pub fn web(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then(|| url.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_bank_s_page_is_on_the_web() {
        assert_eq!(web("https://bank.example/3ds?x=1").as_deref(), Some("https://bank.example/3ds?x=1"));
        for bad in ["javascript:alert(1)", "data:text/html,x", "/orders", "", "https://"] {
            assert_eq!(web(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_happened_first_counts_and_what_changed_nothing_does_not() {
        let entry = |kind: &str, minute: u8, ignored: Value| json!({"type": kind, "time": format!("2026-07-14T09:{minute:02}:00Z"), "ignored": ignored});
        let history = json!({"items": [
            entry("stock.reserved.v1", 1, "late".into()), entry("stock.reserved.v1", 2, Value::Null),
            entry("stock.reserved.v1", 3, Value::Null)
        ]});
        let times = Times::of(&history);
        assert_eq!(times.of_kind("stock.reserved"), "2026-07-14T09:02:00Z".parse().ok());
        assert_eq!(times.of_any(&["order.placed", "x"]), None);
        assert_eq!(Times::of(&Value::Null), Times::default());
    }

    #[test]
    fn a_status_of_a_later_version_is_unknown_and_no_error() {
        assert_eq!(serde_json::from_value::<Status>(json!("held_for_review")).unwrap(), Status::Unknown);
    }

    #[test]
    fn a_payment_tells_how_its_customer_goes_on() {
        let action = json!({"type": "redirect_to_url", "redirect_to_url": {"url": "https://bank.example/"}});
        let page = json!({"items": [{"captured": null, "next_action": action}]});
        assert_eq!(Payment::of(&page).unwrap().next_action.unwrap().url().as_deref(), Some("https://bank.example/"));
        assert!(Payment::of(&json!({"items": []})).is_none());
    }
}
