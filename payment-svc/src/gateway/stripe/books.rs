//! Stripe's lists and charges, for comparing them with the ledger.

use super::{
    PAGE, Stripe,
    wire::{IntentObject, ListObject, RefundObject},
};
use crate::gateway::{Book, GatewayBooks, GatewayError, ListedIntent};

impl GatewayBooks for Stripe {
    async fn book(&self, intent: String) -> Result<Book, GatewayError> {
        let expand = vec![("expand%5B0%5D", "latest_charge".to_owned())];
        let mut book = match self.get::<IntentObject>(&format!("/v1/payment_intents/{intent}"), &expand).await {
            Ok(found) => found.book(),
            Err(GatewayError::Unknown) => return Ok(Book::default()),
            Err(error) => return Err(error),
        };
        let mut query = vec![("payment_intent", intent), ("limit", PAGE.to_owned())];
        loop {
            let page: ListObject<RefundObject> = self.get("/v1/refunds", &query).await?;
            let last = page.data.last().map(|last| last.id.clone());
            book.refunds.extend(page.data.into_iter().filter_map(RefundObject::booked));
            let Some(last) = last.filter(|_| page.has_more) else { return Ok(book) };
            query.truncate(2);
            query.push(("starting_after", last));
        }
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
