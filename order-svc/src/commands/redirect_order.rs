use service_kit::Pool;
use shared_events::{Address, OrderId};

use super::ChangeOrderError;
use super::change_order::change_order;
use crate::domain::{Decided, Order};
use crate::store::Root;

/// Changes the address of a pending order; otherwise asks stock-svc to. Repeating it says nothing new.
pub async fn redirect_order(pool: &Pool, id: OrderId, address: Address) -> Result<Order, ChangeOrderError> {
    let decide = |root: &Root| {
        let (progress, destination) = (root.progress.clone(), root.destination.clone());
        let destination = destination.ok_or(ChangeOrderError::NotFound)?;
        let (destination, events) = destination.redirect(id, progress.status, address)?;
        let decided = Decided { progress, destination: Some(destination), events };
        Ok((!decided.events.is_empty()).then_some(decided))
    };
    change_order(pool, id, decide).await
}
