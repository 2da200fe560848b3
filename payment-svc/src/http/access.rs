//! Who may do what at this service; docs/SECURITY.md has the whole.

use service_kit::auth::Who::{Anybody, Customer, Machine, Operator, Staff};
use service_kit::auth::{Access, Rule, Who};

const SEES: &[Who] = &[Customer, Staff, Operator, Machine("payments.read")];
const REFUNDS: &[Who] = &[Staff, Machine("payments.write")];
const SETTLES: &[Who] = &[Operator];
/// The gateway signs its webhooks.
const SIGNED: &[Who] = &[Anybody];

pub const ACCESS: Access = Access(&[
    Rule { method: "GET", route: "/api/v1/payments", who: SEES },
    Rule { method: "GET", route: "/api/v1/payments/{id}", who: SEES },
    Rule { method: "POST", route: "/api/v1/payments/{id}/refunds", who: REFUNDS },
    Rule { method: "POST", route: "/api/v1/payments/{id}/refunds/{refund_id}/settle-outside", who: SETTLES },
    Rule { method: "POST", route: "/api/v1/payments/webhooks/stripe", who: SIGNED },
]);
