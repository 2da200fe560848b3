use serde::{Deserialize, Serialize};

shared_events::named! {
    /// Why staff cancel an order. It is for staff, and no customer is told it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum StaffReason: as_str {
        /// The customer wanted it, as by telephone.
        CustomerRequest = "customer_request",
        FraudSuspected = "fraud_suspected",
        PriceError = "price_error",
        CannotDeliver = "cannot_deliver",
        Other = "other",
    }
}
