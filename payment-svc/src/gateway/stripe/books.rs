//! Stripe's lists and charges, for comparing them with the ledger.

use super::{
    PAGE, Stripe,
    wire::{IntentObject, ListObject},
};
use crate::gateway::{Book, GatewayBooks, GatewayError, ListedIntent, PaymentGateway};

impl GatewayBooks for Stripe {
    async fn book(&self, intent: String) -> Result<Book, GatewayError> {
        let expand = vec![("expand%5B0%5D", "latest_charge".to_owned())];
        let mut book = match self.get::<IntentObject>(&format!("/v1/payment_intents/{intent}"), &expand).await {
            Ok(found) => found.book(),
            Err(GatewayError::Unknown) => return Ok(Book::default()),
            Err(error) => return Err(error),
        };
        book.given_back = self.given_back(intent).await?;
        book.given_back.retain(|given| given.failed.is_none());
        Ok(book)
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
