//! Stripe's lists and charges, for comparing them with the ledger.

use super::wire::{IntentObject, ListObject};
use super::{PAGE, Stripe};
use crate::gateway::{GatewayError, GatewayJournal, JournalTotals, ListedIntent, PaymentGateway};

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
}
