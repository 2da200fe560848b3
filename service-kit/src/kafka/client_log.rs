//! Writes librdkafka's log to the process's own log.

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;

/// A client context that only forwards the log.
#[derive(Clone, Copy, Debug, Default)]
pub struct Logged;

impl ClientContext for Logged {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        write(level, facility, message);
    }
}

/// Writes a line of librdkafka's log; called by `ClientContext::log`. Two kinds of lines are demoted to debug:
/// failures that also arrive as errors, and the warning at each start that a setting, which is set on purpose, is
/// experimental.
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
