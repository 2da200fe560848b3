//! What must hold after anything, and how the shop is held against it.

use crate::pages::context;
use actix_web::HttpResponse;
use actix_web::web::{ServiceConfig, resource};

use crate::http::visit::{Refusal, Visit, shown};

/// The rules of `quadrille audit`, by their numbers, and where their evidence is.
const RULES: [(&str, &str); 13] = [
    ("captured is 0 or the order's total, refunds never exceed it", "orders, payments"),
    ("the gateway's journal equals the ledger; one effect a key", "payments, gateway"),
    ("a cancelled order's net money is 0", "orders, payments, gateway"),
    ("movements add up to what is on hand, live holds to what is held", "orders, stock"),
    ("no hold past its expiry, none of an ended order", "orders, stock"),
    ("every accepted order is there, and every order ends", "every database"),
    ("every committed event is in its topic, and no other", "every database, topics"),
    ("sequences of a key are contiguous and rise", "topics"),
    ("each event was heard, and had its effect once", "every database, topics"),
    ("only legal transitions", "orders, topics"),
    ("one mail a fact and template, none untrue", "every database, topics"),
    ("no dead letters, no parked keys", "every database"),
    ("what is shipped is paid, what is back is refunded, no more", "orders, stock, payments"),
];

pub fn routes(config: &mut ServiceConfig) {
    config.service(resource("/control/holds").get(|visit| shown(page(visit))));
}

async fn page(visit: Visit) -> Result<HttpResponse, Refusal> {
    let visit = visit.for_workers()?;
    Ok(visit.page("control/holds.html", context! { rules => RULES.to_vec() }))
}
