//! SQL, by table.

pub mod dead_letters;
pub mod notifications;
pub mod roots;
