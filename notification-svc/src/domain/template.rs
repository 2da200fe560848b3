use std::fmt;

/// Declares the texts, each with its name: in the table, in events, in answers, and of its two files.
macro_rules! templates {
    ($($template:ident = $name:literal,)*) => {
        /// The text of a notification. Two files in `templates/` each: plain text, which begins with the subject, and HTML.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Template { $($template,)* }

        impl Template {
            pub const ALL: &[Template] = &[$(Template::$template,)*];

            pub const fn name(self) -> &'static str {
                match self { $(Template::$template => $name,)* }
            }

            pub(super) const fn text(self) -> &'static str {
                match self { $(Template::$template => include_str!(concat!("../../templates/", $name, ".txt")),)* }
            }

            pub(super) const fn html(self) -> &'static str {
                match self { $(Template::$template => include_str!(concat!("../../templates/", $name, ".html")),)* }
            }
        }
    };
}

templates! {
    OrderPlaced = "order_placed",
    PaymentActionRequired = "payment_action_required",
    OrderConfirmed = "order_confirmed",
    OrderAddressChanged = "order_address_changed",
    OrderAddressChangeRefused = "order_address_change_refused",
    OrderCancelled = "order_cancelled",
    OrderCancelRefused = "order_cancel_refused",
    OrderCalledOff = "order_called_off",
    OrderCallOffRefused = "order_call_off_refused",
    ShipmentDispatched = "shipment_dispatched",
    ShipmentTrackingCorrected = "shipment_tracking_corrected",
    ShipmentDelivered = "shipment_delivered",
    ShipmentLost = "shipment_lost",
    PaymentRefunded = "payment_refunded",
}

impl Template {
    /// Those that tell of a parcel, or of goods that no parcel will bring: none is sent before the confirmation.
    pub const OF_PARCELS: [Template; 6] = [
        Template::ShipmentDispatched,
        Template::ShipmentTrackingCorrected,
        Template::ShipmentDelivered,
        Template::ShipmentLost,
        Template::OrderCalledOff,
        Template::OrderAddressChangeRefused,
    ];

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
