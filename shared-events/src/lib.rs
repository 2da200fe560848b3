//! The contract between Quadrille's services: events, their headers, value types and topics. No IO.
//!
//! An [`Event`] knows its topic, its key and its type. [`encode`] turns events into [`EncodedEvent`]s with
//! CloudEvents headers, and [`Event::decode`] reads them back. Value types are checked when they are created, also
//! when they are deserialised, so an invalid value can't exist.

#![warn(missing_docs)]

mod envelope;
mod events;
mod named;
#[cfg(feature = "openapi")]
mod openapi;
mod topic;
mod values;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use envelope::{EncodedEvent, EventMetadata, SequenceCounter, encode, header};
pub use events::*;
pub use topic::Topic;
pub use values::*;
