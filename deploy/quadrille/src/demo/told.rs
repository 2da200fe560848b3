//! What each event means, in a few words; and money.

/// An amount that the gateway moved; the demo sells for euros.
pub(super) fn money(operation: &str, cents: i64) -> String {
    format!("{operation} {}.{:02} EUR", cents / 100, cents % 100)
}

/// What an event means, by its name without version.
pub(super) fn meaning(event: &str) -> &'static str {
    match event {
        "order.placed" => "the order is in, at the shop's own prices",
        "order.confirmed" => "goods are held, money is reserved: the pivot",
        "order.cancel_requested" => "it is to end; stock-svc decides, since a parcel may have left",
        "order.cancel_refused" => "too late: a parcel has left",
        "order.cancelled" => "goods and money are back: it has ended",
        "order.call_off_requested" => "what has not left is not to leave; stock-svc decides",
        "order.call_off_refused" => "too late: all of it has left",
        "order.address_change_requested" => "it is to go elsewhere; stock-svc decides, since a parcel may have left",
        "order.address_change_refused" => "too late: what has left goes where it was sent",
        "order.address_changed" => "the parcel goes elsewhere",
        "order.completed" => "everything has arrived and is paid: it has ended",
        "order.forgotten" => "its customer is forgotten: the order stays, without the person",
        "stock.reserved" => "the goods are held for a while",
        "stock.rejected" => "not enough on the shelf: nothing is held, no money was touched",
        "stock.committed" => "the hold is firm, the goods leave the shelf",
        "stock.released" => "the goods are free again",
        "stock.expired" => "the hold is over",
        "stock.address_decided" => "what has not left takes the new address, what has left does not",
        "stock.restocked" => "the goods are back on the shelf",
        "payment.authorized" => "the bank has set the money aside",
        "payment.declined" => "the bank says no",
        "payment.action_required" => "the customer has to show that it is them (3-D Secure)",
        "payment.captured" => "the money is taken",
        "payment.capture_failed" => "what was set aside can't be taken",
        "payment.voided" => "the money is let go of",
        "payment.refunded" => "the money goes back",
        "payment.refund_failed" => "the bank didn't take it back",
        "payment.unknown" => "the bank hasn't answered: it is asked what happened, never charged again blindly",
        "shipment.created" => "paid, so it may be packed",
        "shipment.dispatched" => "it is on its way",
        "shipment.tracking_corrected" => "it is to be followed elsewhere than was said",
        "shipment.delivered" => "it has arrived",
        "shipment.cancelled" => "it is not sent after all",
        "shipment.returned" => "it came back",
        "shipment.readdressed" => "it has not left yet, and goes elsewhere",
        "shipment.lost" => "the carrier has lost it",
        _ => "",
    }
}
