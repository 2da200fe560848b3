//! Who may do what at this service; docs/SECURITY.md has the whole.

use service_kit::auth::Who::{Customer, Machine, Operator, Staff};
use service_kit::auth::{Access, Rule, Who};

const SEES: &[Who] = &[Customer, Staff, Operator, Machine("notifications.read")];

pub const ACCESS: Access = Access(&[
    Rule { method: "GET", route: "/api/v1/notifications", who: SEES },
    Rule { method: "GET", route: "/api/v1/notifications/{id}", who: SEES },
]);
