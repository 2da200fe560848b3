//! Where the brokers are and how one speaks with them: the same for every client of Kafka that a process has.

pub mod assignment;
pub mod client_errors;
pub mod client_log;
mod security;
#[cfg(test)]
mod tests;

use std::fmt;

use rdkafka::ClientConfig;
use rdkafka::config::FromClientConfig;
use rdkafka::consumer::BaseConsumer;

use crate::config::{Bootstrap, Reader, vars};

pub use security::{Security, vars as security_vars};

/// The brokers of one cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct Brokers {
    /// `host:port`, several with commas between.
    pub bootstrap: String,
    security: Security,
}

impl Brokers {
    /// Reads `KAFKA_BOOTSTRAP_SERVERS` and what secures the way there; looks into the files that are named.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let bootstrap = reader.read::<Bootstrap>(&vars::KAFKA_BOOTSTRAP_SERVERS);
        let security = Security::read(reader);
        let brokers = Self { bootstrap: bootstrap?.0, security: security? };
        (brokers.is_plain() || brokers.is_taken_by_the_client(reader)).then_some(brokers)
    }

    /// The settings of any client: where and how, nothing else.
    pub fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.bootstrap);
        self.security.set(&mut client);
        client
    }

    /// Whether nothing secures the way there.
    pub fn is_plain(&self) -> bool {
        self.security == Security::default()
    }

    /// Certificates and keys that look well may still not be, which only the client's own library finds.
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
    /// Brokers that are spoken with in the clear.
    fn from(bootstrap: String) -> Self {
        Self { bootstrap, security: Security::default() }
    }
}

impl From<&str> for Brokers {
    /// Brokers that are spoken with in the clear.
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
