use std::fmt;

/// The text of a notification. Two files in `templates/` each: plain text, which begins with the subject, and HTML.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Template {
    OrderPlaced,
    PaymentActionRequired,
    OrderConfirmed,
    OrderAddressChanged,
    OrderAddressChangeRefused,
    OrderCancelled,
    OrderCancelRefused,
    OrderCalledOff,
    OrderCallOffRefused,
    ShipmentDispatched,
    ShipmentTrackingCorrected,
    ShipmentDelivered,
    ShipmentLost,
    PaymentRefunded,
}

impl Template {
    pub const ALL: [Template; 14] = [
        Template::OrderPlaced,
        Template::PaymentActionRequired,
        Template::OrderConfirmed,
        Template::OrderAddressChanged,
        Template::OrderAddressChangeRefused,
        Template::OrderCancelled,
        Template::OrderCancelRefused,
        Template::OrderCalledOff,
        Template::OrderCallOffRefused,
        Template::ShipmentDispatched,
        Template::ShipmentTrackingCorrected,
        Template::ShipmentDelivered,
        Template::ShipmentLost,
        Template::PaymentRefunded,
    ];

    /// Those that tell of a parcel, or of goods that no parcel will bring: none is sent before the confirmation.
    pub const OF_PARCELS: [Template; 6] = [
        Template::ShipmentDispatched,
        Template::ShipmentTrackingCorrected,
        Template::ShipmentDelivered,
        Template::ShipmentLost,
        Template::OrderCalledOff,
        Template::OrderAddressChangeRefused,
    ];

    /// The name in the table, in events and in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Template::OrderPlaced => "order_placed",
            Template::PaymentActionRequired => "payment_action_required",
            Template::OrderConfirmed => "order_confirmed",
            Template::OrderAddressChanged => "order_address_changed",
            Template::OrderAddressChangeRefused => "order_address_change_refused",
            Template::OrderCancelled => "order_cancelled",
            Template::OrderCancelRefused => "order_cancel_refused",
            Template::OrderCalledOff => "order_called_off",
            Template::OrderCallOffRefused => "order_call_off_refused",
            Template::ShipmentDispatched => "shipment_dispatched",
            Template::ShipmentTrackingCorrected => "shipment_tracking_corrected",
            Template::ShipmentDelivered => "shipment_delivered",
            Template::ShipmentLost => "shipment_lost",
            Template::PaymentRefunded => "payment_refunded",
        }
    }

    pub(super) const fn text(self) -> &'static str {
        match self {
            Template::OrderPlaced => include_str!("../../templates/order_placed.txt"),
            Template::PaymentActionRequired => include_str!("../../templates/payment_action_required.txt"),
            Template::OrderConfirmed => include_str!("../../templates/order_confirmed.txt"),
            Template::OrderAddressChanged => include_str!("../../templates/order_address_changed.txt"),
            Template::OrderAddressChangeRefused => {
                include_str!("../../templates/order_address_change_refused.txt")
            }
            Template::OrderCancelled => include_str!("../../templates/order_cancelled.txt"),
            Template::OrderCancelRefused => include_str!("../../templates/order_cancel_refused.txt"),
            Template::OrderCalledOff => include_str!("../../templates/order_called_off.txt"),
            Template::OrderCallOffRefused => include_str!("../../templates/order_call_off_refused.txt"),
            Template::ShipmentDispatched => include_str!("../../templates/shipment_dispatched.txt"),
            Template::ShipmentTrackingCorrected => {
                include_str!("../../templates/shipment_tracking_corrected.txt")
            }
            Template::ShipmentDelivered => include_str!("../../templates/shipment_delivered.txt"),
            Template::ShipmentLost => include_str!("../../templates/shipment_lost.txt"),
            Template::PaymentRefunded => include_str!("../../templates/payment_refunded.txt"),
        }
    }

    pub(super) const fn html(self) -> &'static str {
        match self {
            Template::OrderPlaced => include_str!("../../templates/order_placed.html"),
            Template::PaymentActionRequired => include_str!("../../templates/payment_action_required.html"),
            Template::OrderConfirmed => include_str!("../../templates/order_confirmed.html"),
            Template::OrderAddressChanged => include_str!("../../templates/order_address_changed.html"),
            Template::OrderAddressChangeRefused => {
                include_str!("../../templates/order_address_change_refused.html")
            }
            Template::OrderCancelled => include_str!("../../templates/order_cancelled.html"),
            Template::OrderCancelRefused => include_str!("../../templates/order_cancel_refused.html"),
            Template::OrderCalledOff => include_str!("../../templates/order_called_off.html"),
            Template::OrderCallOffRefused => include_str!("../../templates/order_call_off_refused.html"),
            Template::ShipmentDispatched => include_str!("../../templates/shipment_dispatched.html"),
            Template::ShipmentTrackingCorrected => {
                include_str!("../../templates/shipment_tracking_corrected.html")
            }
            Template::ShipmentDelivered => include_str!("../../templates/shipment_delivered.html"),
            Template::ShipmentLost => include_str!("../../templates/shipment_lost.html"),
            Template::PaymentRefunded => include_str!("../../templates/payment_refunded.html"),
        }
    }

    /// Those that promise that the order goes on, which is untrue once it is cancelling. What is said of parcels and
    /// money stays true.
    pub const PROGRESS: [Template; 4] = [
        Template::OrderPlaced,
        Template::PaymentActionRequired,
        Template::OrderConfirmed,
        Template::OrderAddressChanged,
    ];
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
