//! The outbox table, append, and the relay that polls pending rows into Kafka.
