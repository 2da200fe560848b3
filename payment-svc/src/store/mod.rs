//! All SQL of the service.

pub mod calls;
pub mod ledger;
pub mod payments;
pub mod roots;
