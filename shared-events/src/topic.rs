use std::fmt;

/// The topics that the services publish on. The version in the name belongs to the topic, not to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// `orders.v1`, key: order id, written by order-svc.
    Orders,
    /// `stock.v1`, key: order id, written by stock-svc.
    Stock,
    /// `payments.v1`, key: order id, written by payment-svc.
    Payments,
    /// `shipments.v1`, key: order id, written by stock-svc.
    Shipments,
    /// `notifications.v1`, key: order id, written by notification-svc.
    Notifications,
    /// `products.v1`, key: SKU, written by stock-svc, compacted.
    Products,
}

impl Topic {
    /// Every topic of the shop. Dead letter topics belong to consumer groups and are not among them.
    pub const ALL: [Topic; 6] =
        [Topic::Orders, Topic::Stock, Topic::Payments, Topic::Shipments, Topic::Notifications, Topic::Products];

    /// The name in Kafka.
    pub const fn name(self) -> &'static str {
        match self {
            Topic::Orders => "orders.v1",
            Topic::Stock => "stock.v1",
            Topic::Payments => "payments.v1",
            Topic::Shipments => "shipments.v1",
            Topic::Notifications => "notifications.v1",
            Topic::Products => "products.v1",
        }
    }

    /// The topic with this name, if it is one of the shop's.
    pub fn from_name(name: &str) -> Option<Topic> {
        Topic::ALL.into_iter().find(|topic| topic.name() == name)
    }

    /// Whether the topic keeps only the last event of each key, which is its current state, instead of the history.
    pub const fn compacted(self) -> bool {
        matches!(self, Topic::Products)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
