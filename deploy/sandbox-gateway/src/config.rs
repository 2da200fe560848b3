//! What the gateway reads from its environment.

use service_kit::config::{ConfigError, DatabaseConfig, HttpConfig, Reader, TelemetryConfig, Var};

/// Where the gateway listens.
pub static HTTP_ADDR: Var = Var {
    name: "HTTP_ADDR",
    what: "Where the sandbox gateway listens.",
    expected: "an address and a port",
    example: "127.0.0.1:8090",
    default: Some("127.0.0.1:8090"),
};

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens.
    pub http: HttpConfig,
    /// Where the journal is.
    pub database: DatabaseConfig,
    /// Log.
    pub telemetry: TelemetryConfig,
}

impl Config {
    /// Reads all of it; problems are collected by `reader`.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let http = HttpConfig::read(reader, &HTTP_ADDR);
        let database = DatabaseConfig::read(reader);
        let telemetry = TelemetryConfig::read(reader);
        Some(Self { http: http?, database: database?, telemetry: telemetry? })
    }

    /// Reads the environment.
    ///
    /// # Errors
    /// Everything that is missing or bad.
    pub fn from_env() -> Result<Self, ConfigError> {
        Reader::from_env().whole(Self::read)
    }
}
