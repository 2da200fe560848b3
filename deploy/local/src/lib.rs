//! The whole shop on one machine, and tools to look into it.

pub mod accept;
pub mod addresses;
pub mod cli;
pub mod dead_letters;
pub mod healthcheck;
pub mod neighbours;
pub mod plan;
pub mod run;
pub mod service;
pub mod tail;
pub mod topics;
pub mod up;
