//! What librdkafka logs, in the process's own log.

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;

/// The context of a client that only asks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Logged;

impl ClientContext for Logged {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        write(level, facility, message);
    }
}

/// Writes a line of librdkafka's to the log, for `ClientContext::log`. What also comes as an error, and its remark at each start
/// that a setting which was chosen on purpose is experimental, are for debugging alone.
pub fn write(level: RDKafkaLogLevel, facility: &str, message: &str) {
    let known = facility == "FAIL" || facility == "CONFWARN" && message.contains("is experimental");
    match level {
        _ if known => tracing::debug!(facility, "librdkafka: {message}"),
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            tracing::warn!(facility, "librdkafka: {message}");
        }
        RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice => tracing::info!(facility, "librdkafka: {message}"),
        RDKafkaLogLevel::Info => tracing::debug!(facility, "librdkafka: {message}"),
        RDKafkaLogLevel::Debug => tracing::trace!(facility, "librdkafka: {message}"),
    }
}
