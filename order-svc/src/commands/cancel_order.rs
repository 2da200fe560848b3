use service_kit::Pool;
use shared_events::OrderId;

use super::ChangeOrderError;
use super::change_order::change_order;
use crate::domain::Order;
use crate::store::Root;

/// Moves the order to `cancelling` and asks stock-svc for the goods. Repeating it says nothing new.
pub async fn cancel_order(pool: &Pool, id: OrderId) -> Result<Order, ChangeOrderError> {
    let decide = |root: &Root| {
        let step = root.progress.clone().cancel()?;
        Ok((step.0 != root.progress).then(|| step.into()))
    };
    change_order(pool, id, decide).await
}
