//! HTTP for services: one shape of errors, checked input, health, metrics, one shutdown.

mod body;
mod encoding;
mod fields;
mod input;
mod methods;
mod newline;
pub mod openapi;
mod page;
mod problem;
mod server;

pub use body::Limits;
pub use input::{EmptyBody, IdempotencyKey, Json, MergePatch, Path, Query, the_one};
pub use page::{Cursor, Limit, Page, Paged};
pub use problem::{Code, FieldError, InputCode, Problem, ProblemCode};
pub use server::{Check, HttpServer, Readiness, bind};
