//! Stripe's lists and charges, for comparing them with the ledger.

use chrono::{DateTime, Utc};

use super::balance::BalanceTransactionObject;
use super::wire::{IntentObject, ListObject, Listed};
use super::{PAGE, Stripe};
use crate::gateway::{BalancePage, GatewayError, GatewayJournal, JournalTotals, ListedIntent, PaymentGateway};

impl GatewayJournal for Stripe {
    async fn totals(&self, intent: String) -> Result<JournalTotals, GatewayError> {
        let expand = vec![("expand%5B0%5D", "latest_charge".to_owned())];
        let mut totals = match self.get::<IntentObject>(&format!("/v1/payment_intents/{intent}"), &expand).await {
            Ok(found) => found.totals(),
            Err(GatewayError::Unknown) => return Ok(JournalTotals::default()),
            Err(error) => return Err(error),
        };
        totals.given_back = self.given_back(intent).await?;
        totals.given_back.retain(|given| given.failed.is_none());
        Ok(totals)
    }

    async fn intents(&self, after: Option<String>) -> Result<(Vec<ListedIntent>, bool), GatewayError> {
        let mut query = vec![("limit", PAGE.to_owned())];
        query.extend(after.map(|after| ("starting_after", after)));
        let page: ListObject<IntentObject> = self.get("/v1/payment_intents", &query).await?;
        let listed = |intent: IntentObject| {
            let (order, has_money) = (intent.order(), intent.has_money());
            ListedIntent { id: intent.id, order, has_money }
        };
        Ok((page.data.into_iter().map(listed).collect(), page.has_more))
    }

    async fn balance(
        &self,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
        after: Option<String>,
    ) -> Result<BalancePage, GatewayError> {
        let mut query = vec![
            ("created%5Bgte%5D", from.timestamp().to_string()),
            ("created%5Blt%5D", until.timestamp().to_string()),
            ("expand%5B0%5D", "data.source".to_owned()),
            ("limit", PAGE.to_owned()),
        ];
        query.extend(after.map(|after| ("starting_after", after)));
        let page: ListObject<BalanceTransactionObject> = self.get("/v1/balance_transactions", &query).await?;
        let last = page.data.last();
        let (oldest, next) = (last.and_then(BalanceTransactionObject::at), last.map(|last| last.id().to_owned()));
        let movements = page.data.into_iter().filter_map(BalanceTransactionObject::movement).collect();
        Ok(BalancePage { movements, oldest, next: next.filter(|_| page.has_more) })
    }
}
