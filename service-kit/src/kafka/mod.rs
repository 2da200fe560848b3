//! How to reach the brokers: the same for every Kafka client of a process.

pub mod assignment;
pub mod client_errors;
pub mod client_log;
pub mod principal;
mod security;
#[cfg(test)]
mod tests;

use std::fmt;

use rdkafka::ClientConfig;
use rdkafka::config::FromClientConfig;
use rdkafka::consumer::BaseConsumer;

use crate::config::{Bootstrap, Reader, vars};

pub use principal::Principal;
pub use security::{Security, vars as security_vars};

/// The brokers of one cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct Brokers {
    /// `host:port`, several with commas between.
    pub bootstrap: String,
    security: Security,
}

impl Brokers {
    /// Reads `KAFKA_BOOTSTRAP_SERVERS` and the security settings, and checks the files that they name.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let bootstrap = reader.read::<Bootstrap>(&vars::KAFKA_BOOTSTRAP_SERVERS);
        let security = Security::read(reader);
        let brokers = Self { bootstrap: bootstrap?.0, security: security? };
        (brokers.is_plain() || brokers.is_taken_by_the_client(reader)).then_some(brokers)
    }

    /// The settings that every client needs: the addresses and the security.
    pub fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.bootstrap);
        self.security.set(&mut client);
        client
    }

    /// Whom the brokers take a client with these settings for.
    pub fn principal(&self) -> Principal {
        Principal::of(&self.client())
    }

    /// Whether the connection is neither encrypted nor authenticated.
    pub fn is_plain(&self) -> bool {
        self.security == Security::default()
    }

    /// Creates a client to have librdkafka check certificates and keys, whose faults nothing else finds.
    fn is_taken_by_the_client(&self, reader: &mut Reader) -> bool {
        let Err(error) = BaseConsumer::from_config(&self.client()) else { return true };
        let mut told = error.to_string();
        let variable = client_errors::variable_of_setting(&told);
        if variable.name == security_vars::KAFKA_SSL_KEY.name {
            told += "; it is not the certificate's, or KAFKA_SSL_KEY_PASSWORD is not its password";
        }
        reader.refuse(variable, told);
        false
    }
}

impl From<String> for Brokers {
    /// Brokers without TLS or SASL.
    fn from(bootstrap: String) -> Self {
        Self { bootstrap, security: Security::default() }
    }
}

impl From<&str> for Brokers {
    /// Brokers without TLS or SASL.
    fn from(bootstrap: &str) -> Self {
        bootstrap.to_owned().into()
    }
}

impl From<&Self> for Brokers {
    fn from(brokers: &Self) -> Self {
        brokers.clone()
    }
}

impl fmt::Debug for Brokers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Brokers").field("bootstrap", &self.bootstrap).field("security", &self.security).finish()
    }
}
