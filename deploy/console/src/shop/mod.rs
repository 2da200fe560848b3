//! The shop window: what is for sale, a basket, a checkout, the page of an order, and whoever is signed in.

pub mod account;
pub mod address;
pub mod art;
pub mod basket;
pub mod catalogue;
pub mod checkout;
pub mod errors;
pub mod order;
pub mod product;

use actix_web::web::ServiceConfig;

pub fn routes(config: &mut ServiceConfig) {
    config
        .configure(catalogue::routes)
        .configure(basket::routes)
        .configure(checkout::routes)
        .configure(order::routes)
        .configure(account::routes);
}
