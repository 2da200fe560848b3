//! The whole shop on one machine, and tools to look into it.

pub mod accept;
pub mod addresses;
mod api;
pub mod audit;
pub mod broker;
pub mod catalogue;
pub mod cli;
pub mod cluster;
pub mod compose_test;
mod databases;
pub mod dead_letters;
pub mod demo;
pub mod healthcheck;
pub mod http_client;
pub mod order;
pub mod plan;
mod records;
mod report;
pub mod run;
pub mod service;
mod table;
pub mod tail;
pub mod topics;
pub mod up;
