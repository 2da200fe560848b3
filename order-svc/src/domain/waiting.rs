use super::{Facts, PaymentFact, Progress, ShipmentFact, Status, StockFact};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitingFor {
    /// The next event that the order needs if all goes well.
    pub fact: &'static str,
    /// Who must act: the service that publishes the event, or the person who must act before it can.
    pub from: &'static str,
}

pub(super) const STOCK: &str = "stock-svc";
pub(super) const PAYMENT: &str = "payment-svc";
/// The customer must authenticate, as with 3-D Secure.
pub(super) const CUSTOMER: &str = "customer";
/// Staff must look after a refund that the gateway refused.
pub(super) const STAFF: &str = "staff";

impl Progress {
    /// The next event that the order needs; none once it has ended.
    pub fn waiting_for(&self) -> Option<WaitingFor> {
        let (fact, from) = match self.status {
            Status::Pending if self.facts.stock.is_none() => ("stock.reserved", STOCK),
            Status::Pending if self.facts.payment == Some(PaymentFact::ActionRequired) => {
                ("payment.authorized", CUSTOMER)
            }
            Status::Pending => ("payment.authorized", PAYMENT),
            Status::Confirmed => going_out(&self.facts),
            Status::PartiallyShipped if self.facts.call_off_asked => ("stock.restocked", STOCK),
            Status::PartiallyShipped => ("shipment.dispatched", STOCK),
            Status::Shipped if self.awaits_parcels() => ("shipment.delivered", STOCK),
            Status::Shipped if !self.facts.captured => ("payment.captured", PAYMENT),
            Status::Shipped => ("payment.refunded", refunding(self.facts.an_awaited_refund_was_refused())),
            Status::Cancelling(_) => coming_back(&self.facts),
            Status::Completed | Status::Cancelled(_) => return None,
        };
        Some(WaitingFor { fact, from })
    }
}

fn going_out(facts: &Facts) -> (&'static str, &'static str) {
    if facts.stock != Some(StockFact::Committed) {
        ("stock.committed", STOCK)
    } else if !facts.captured {
        ("payment.captured", PAYMENT)
    } else if facts.shipment == Some(ShipmentFact::Created) {
        ("shipment.dispatched", STOCK)
    } else {
        ("shipment.created", STOCK)
    }
}

/// The stock comes back first, and the money follows.
fn coming_back(facts: &Facts) -> (&'static str, &'static str) {
    match (facts.goods_are_back(), facts.captured) {
        (false, _) if facts.stock == Some(StockFact::Committed) => ("stock.restocked", STOCK),
        (false, _) => ("stock.released", STOCK),
        (true, false) => ("payment.voided", PAYMENT),
        (true, true) => ("payment.refunded", refunding(!facts.refused_refunds.is_empty())),
    }
}

const fn refunding(was_refused: bool) -> &'static str {
    if was_refused { STAFF } else { PAYMENT }
}
