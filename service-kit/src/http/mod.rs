//! HTTP of a service: one error shape, checked input, health, metrics, one shutdown.

mod input;
pub mod openapi;
mod page;
mod problem;
mod server;
mod strict;

pub use input::{EmptyBody, IdempotencyKey, Json, Path, Query};
pub use page::{Page, Paged};
pub use problem::{FieldError, Problem};
pub use server::{Check, HttpServer, Readiness, bind};
