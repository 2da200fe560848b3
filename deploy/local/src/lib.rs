//! The whole shop on one machine, and tools to look into it.
