//! The whole shop on one machine, and tools to look into it.

pub mod addresses;
pub mod api;
pub mod audit;
pub mod bench;
pub mod broker;
pub mod catalogue;
pub mod cli;
pub mod cluster;
mod databases;
pub mod dead_letters;
pub mod demo;
pub mod forget;
pub mod healthcheck;
pub mod http_client;
pub mod login;
pub mod migrate;
pub mod order;
pub mod plan;
pub mod principals;
pub mod records;
pub mod run;
pub mod service;
pub mod stuck;
pub mod table;
pub mod tail;
pub mod topics;
pub mod up;
