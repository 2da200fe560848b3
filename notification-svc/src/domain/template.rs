use std::fmt;

use shared_events::{Language, MessageKind};

/// Declares the texts, each with its name (in the table, in events, in answers, and of its files) and what it is about.
macro_rules! templates {
    ($($template:ident = $name:literal about $kind:ident,)*) => {
        /// The text of a notification. In each language's folder of `templates/` it has two files: HTML, and plain text, which
        /// begins with what is short of it: the subject, the title of a push message, and the text message.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Template { $($template,)* }

        impl Template {
            pub const ALL: &[Template] = &[$(Template::$template,)*];

            pub const fn name(self) -> &'static str {
                match self { $(Template::$template => $name,)* }
            }

            /// Which of the customer's preferences it obeys.
            pub const fn kind(self) -> MessageKind {
                match self { $(Template::$template => MessageKind::$kind,)* }
            }

            pub(super) const fn text(self, language: Language) -> &'static str {
                match (self, language) {
                    $((Template::$template, Language::En) => include_str!(concat!("../../templates/en/", $name, ".txt")),
                    (Template::$template, Language::De) => include_str!(concat!("../../templates/de/", $name, ".txt")),)*
                }
            }

            pub(super) const fn html(self, language: Language) -> &'static str {
                match (self, language) {
                    $((Template::$template, Language::En) => include_str!(concat!("../../templates/en/", $name, ".html")),
                    (Template::$template, Language::De) => include_str!(concat!("../../templates/de/", $name, ".html")),)*
                }
            }
        }
    };
}

templates! {
    OrderPlaced = "order_placed" about Order,
    PaymentActionRequired = "payment_action_required" about Payment,
    OrderConfirmed = "order_confirmed" about Order,
    OrderAddressChanged = "order_address_changed" about Order,
    OrderAddressChangeRefused = "order_address_change_refused" about Order,
    OrderCancelled = "order_cancelled" about Order,
    OrderCancelRefused = "order_cancel_refused" about Order,
    OrderCalledOff = "order_called_off" about Order,
    OrderCallOffRefused = "order_call_off_refused" about Order,
    ShipmentDispatched = "shipment_dispatched" about Shipment,
    ShipmentTrackingCorrected = "shipment_tracking_corrected" about Shipment,
    ShipmentDelivered = "shipment_delivered" about Shipment,
    ShipmentLost = "shipment_lost" about Shipment,
    PaymentRefunded = "payment_refunded" about Payment,
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
