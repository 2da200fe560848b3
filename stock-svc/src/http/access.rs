//! Who may do what at this service; docs/SECURITY.md has the whole.

use service_kit::auth::Who::{Anybody, Machine, Operator, Staff};
use service_kit::auth::{Access, Rule, Who};

const CATALOGUE: &[Who] = &[Anybody];
const SEES: &[Who] = &[Staff, Operator, Machine("stock.read")];
const CHANGES: &[Who] = &[Staff, Machine("stock.write")];

pub const ACCESS: Access = Access(&[
    Rule { method: "GET", route: "/api/v1/categories", who: CATALOGUE },
    Rule { method: "POST", route: "/api/v1/categories", who: CHANGES },
    Rule { method: "GET", route: "/api/v1/products", who: CATALOGUE },
    Rule { method: "POST", route: "/api/v1/products", who: CHANGES },
    Rule { method: "GET", route: "/api/v1/products/{sku}", who: CATALOGUE },
    Rule { method: "PUT", route: "/api/v1/products/{sku}", who: CHANGES },
    Rule { method: "PATCH", route: "/api/v1/products/{sku}", who: CHANGES },
    Rule { method: "DELETE", route: "/api/v1/products/{sku}", who: CHANGES },
    Rule { method: "POST", route: "/api/v1/products/{sku}/relist", who: CHANGES },
    Rule { method: "POST", route: "/api/v1/products/{sku}/adjustments", who: CHANGES },
    Rule { method: "GET", route: "/api/v1/products/{sku}/movements", who: SEES },
    Rule { method: "GET", route: "/api/v1/reservations", who: SEES },
    Rule { method: "GET", route: "/api/v1/shipments", who: SEES },
    Rule { method: "GET", route: "/api/v1/shipments/{id}", who: SEES },
    Rule { method: "POST", route: "/api/v1/shipments/{id}/pack", who: CHANGES },
    Rule { method: "POST", route: "/api/v1/shipments/{id}/split", who: CHANGES },
    Rule { method: "POST", route: "/api/v1/shipments/{id}/call-off", who: CHANGES },
    Rule { method: "POST", route: "/api/v1/shipments/{id}/dispatch", who: CHANGES },
    Rule { method: "POST", route: "/api/v1/shipments/{id}/deliver", who: CHANGES },
    Rule { method: "POST", route: "/api/v1/shipments/{id}/return", who: CHANGES },
    Rule { method: "POST", route: "/api/v1/shipments/{id}/lost", who: CHANGES },
    Rule { method: "PUT", route: "/api/v1/shipments/{id}/tracking", who: CHANGES },
]);
