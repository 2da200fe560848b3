//! The gateway's own journal of money, as far as it is compared with our ledger.

use std::future::Future;

use chrono::{DateTime, Utc};
use shared_events::RefundId;

use super::{GatewayError, GivenBack};

/// What can be asked of the gateway's journal. Nothing here moves money.
pub trait GatewayJournal: Send + Sync + 'static {
    /// What happened to the money of one intent: nothing, if the gateway doesn't know it.
    fn totals(&self, intent: String) -> impl Future<Output = Result<JournalTotals, GatewayError>> + Send;

    /// All intents, newest first: those after `after`, and whether there are more.
    fn intents(
        &self,
        after: Option<String>,
    ) -> impl Future<Output = Result<(Vec<ListedIntent>, bool), GatewayError>> + Send;

    /// What moved the shop's balance from `from` to before `until`, whole seconds, newest first: what comes after `after`.
    fn balance(
        &self,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
        after: Option<String>,
    ) -> impl Future<Output = Result<BalancePage, GatewayError>> + Send;
}

/// Some of what moved the shop's balance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BalancePage {
    pub movements: Vec<BalanceMovement>,
    /// When the last thing on the page happened, be it a movement or something else.
    pub oldest: Option<DateTime<Utc>>,
    /// After what the next page begins, if there is one.
    pub next: Option<String>,
}

/// Money of an intent that came or went, by the gateway's own clock, which counts seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalanceMovement {
    pub moved: Moved,
    pub at: DateTime<Utc>,
    pub intent: String,
    /// The gateway's name for the charge, the refund or the dispute.
    pub id: String,
    /// Our id for a refund, if we asked for it.
    pub ours: Option<RefundId>,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Moved {
    Captured,
    /// By a refund, or by a dispute.
    GivenBack,
    /// A refund that failed later, or a dispute that was won.
    CameBack,
}

/// What happened to the money of one intent; amounts in minor units.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalTotals {
    /// Reserved, at any time.
    pub authorised: i64,
    pub captured: i64,
    pub voided: i64,
    /// Given back and not failed since, one by one: by refunds, and by disputes that were not won.
    pub given_back: Vec<GivenBack>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedIntent {
    pub id: String,
    pub order: Option<String>,
    /// Whether money is reserved or taken with it.
    pub has_money: bool,
}
