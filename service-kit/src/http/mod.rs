//! HTTP for services: one shape of errors, checked input, health, metrics, one shutdown.

mod body;
mod connections;
mod door;
mod encoding;
mod fields;
mod headers;
mod hosts;
mod input;
mod methods;
mod newline;
pub mod openapi;
mod origins;
mod page;
mod problem;
mod rate;
mod readiness;
mod server;
mod versions;

pub use actix_web::web::ServiceConfig;
pub use body::Limits;
pub use hosts::Hosts;
pub use input::{EmptyBody, IdempotencyKey, Json, MergePatch, Path, Query, the_one};
pub use origins::Origins;
pub use page::{Cursor, Limit, Page, Paged};
pub use problem::{Code, FieldError, InputCode, Problem, ProblemCode};
pub(crate) use rate::PerMinute;
pub use rate::{Proxies, RateLimit, RateLimited};
pub use readiness::{Check, Readiness};
pub use server::{HttpServer, bind};
pub use versions::etag;
