use shared_events::CancelReason;

use crate::domain::{Change, Goods, Refused};

/// Gives back what is held, or was until it expired, since nobody will pay for it.
pub(super) fn release(goods: Goods) -> Result<Change, Refused> {
    goods.release(CancelReason::PaymentDeclined)
}
