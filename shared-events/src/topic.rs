use std::fmt;

crate::named! {
    /// The topics that the services publish on. The version in the name belongs to the topic, not to an event.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Topic: name {
        /// `orders.v1`, key: order id, written by order-svc.
        Orders = "orders.v1",
        /// `stock.v1`, key: order id, written by stock-svc.
        Stock = "stock.v1",
        /// `payments.v1`, key: order id, written by payment-svc.
        Payments = "payments.v1",
        /// `shipments.v1`, key: order id, written by stock-svc.
        Shipments = "shipments.v1",
        /// `notifications.v1`, key: order id, written by notification-svc.
        Notifications = "notifications.v1",
        /// `products.v1`, key: SKU, written by stock-svc, compacted.
        Products = "products.v1",
        /// `customers.v1`, key: customer id, written by order-svc, compacted.
        Customers = "customers.v1",
    }
}

impl Topic {
    /// Whether the topic keeps only the last event of each key, which is its current state, instead of the history.
    pub const fn compacted(self) -> bool {
        matches!(self, Topic::Products | Topic::Customers)
    }

    /// The service that writes the topic. Nobody else may, or an event could be forged.
    pub const fn owner(self) -> &'static str {
        match self {
            Topic::Orders | Topic::Customers => "order-svc",
            Topic::Stock | Topic::Shipments | Topic::Products => "stock-svc",
            Topic::Payments => "payment-svc",
            Topic::Notifications => "notification-svc",
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
