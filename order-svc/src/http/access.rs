//! Who may do what at this service; docs/SECURITY.md has the whole.

use service_kit::auth::Who::{Customer, Guest, Machine, Operator, Staff, Visitor};
use service_kit::auth::{Access, Rule, Who};

const PLACES: &[Who] = &[Visitor, Customer, Staff, Machine("orders.write")];
const LISTS: &[Who] = &[Customer, Staff, Operator, Machine("orders.read")];
const LISTS_OVERDUE: &[Who] = &[Staff, Operator, Machine("orders.read")];
const SEES: &[Who] = &[Guest, Customer, Staff, Operator, Machine("orders.read")];
const CANCELS: &[Who] = &[Guest, Customer, Staff, Machine("orders.write")];
const CUSTOMERS: &[Who] = &[Customer];
const READS_PROFILES: &[Who] = &[Customer, Staff, Operator];
const SETS_PROFILES: &[Who] = &[Customer, Staff];
const CHANGES: &[Who] = &[Customer, Staff, Machine("orders.write")];
const FORGETS: &[Who] = &[Operator];

pub const ACCESS: Access = Access(&[
    Rule { method: "POST", route: "/api/v1/orders", who: PLACES },
    Rule { method: "GET", route: "/api/v1/orders", who: LISTS },
    Rule { method: "GET", route: "/api/v1/orders/{id}", who: SEES },
    Rule { method: "GET", route: "/api/v1/orders/{id}/events", who: SEES },
    Rule { method: "GET", route: "/api/v1/orders/{id}/history", who: SEES },
    Rule { method: "PUT", route: "/api/v1/orders/{id}/delivery-address", who: CHANGES },
    Rule { method: "POST", route: "/api/v1/orders/{id}/call-off", who: CHANGES },
    Rule { method: "POST", route: "/api/v1/orders/{id}/cancel", who: CANCELS },
    Rule { method: "GET", route: "/api/v1/overdue-orders", who: LISTS_OVERDUE },
    Rule { method: "GET", route: "/api/v1/customers/me", who: CUSTOMERS },
    Rule { method: "PUT", route: "/api/v1/customers/me", who: CUSTOMERS },
    Rule { method: "GET", route: "/api/v1/customers/{id}", who: READS_PROFILES },
    Rule { method: "PUT", route: "/api/v1/customers/{id}", who: SETS_PROFILES },
    Rule { method: "POST", route: "/api/v1/customers/{id}/forget", who: FORGETS },
]);
