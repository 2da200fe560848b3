use service_kit::Pool;
use shared_events::OrderId;

use super::ChangeOrderError;
use super::change_order::change_order;
use crate::domain::Order;
use crate::store::Root;

/// The customer does not want what has not left, after a part has: stock-svc is asked, and decides. Asked again, nothing new
/// is said.
pub async fn call_off_rest(pool: &Pool, id: OrderId) -> Result<Order, ChangeOrderError> {
    let decide = |root: &Root| {
        let step = root.progress.clone().call_off()?;
        Ok((step.0 != root.progress).then(|| step.into()))
    };
    change_order(pool, id, decide).await
}
