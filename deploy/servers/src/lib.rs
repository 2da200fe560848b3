//! PostgreSQL and Apache Kafka as child processes on loopback, for local runs and for tests.
