//! SQL, by table.

pub mod notifications;
pub mod roots;
