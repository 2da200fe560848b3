use service_kit::Pool;
use shared_events::OrderId;

use super::ChangeOrderError;
use super::change_order::change_order;
use crate::domain::Order;
use crate::store::Root;

/// Asks stock-svc to call off what has not left, once a part has; stock-svc decides. Repeating it says nothing new.
pub async fn call_off_rest(pool: &Pool, id: OrderId) -> Result<Order, ChangeOrderError> {
    let decide = |root: &Root| {
        let step = root.progress.clone().call_off()?;
        Ok((step.0 != root.progress).then(|| step.into()))
    };
    change_order(pool, id, decide).await
}
