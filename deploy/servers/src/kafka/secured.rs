//! Listeners that are not in the clear, beside the plain one: what clients are tested against.

use std::path::{Path, PathBuf};

use crate::port;

/// Who may come in, and what the node shows.
#[derive(Debug, Clone)]
pub struct Secured {
    /// PEM: the node's private key (PKCS #8, not encrypted), then its certificate.
    pub identity: PathBuf,
    /// PEM: who vouches for clients that show a certificate.
    pub ca: PathBuf,
    /// A user whom both PLAIN and SCRAM-SHA-512 let in.
    pub user: String,
    /// Of that user; letters and digits.
    pub password: String,
}

/// Where a secured node listens beside its plain port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecuredPorts {
    /// TLS, then PLAIN or SCRAM-SHA-512.
    pub sasl: u16,
    /// TLS, and clients must show a certificate.
    pub mutual: u16,
}

impl SecuredPorts {
    pub(super) fn claim() -> anyhow::Result<Self> {
        Ok(Self { sasl: port::claim(None, "Kafka over SASL")?, mutual: port::claim(None, "Kafka over TLS")? })
    }
}

impl Secured {
    /// What the node's properties say more.
    pub(super) fn properties(&self) -> String {
        let Self { identity, ca, user, password } = self;
        let (identity, ca) = (escaped(identity), escaped(ca));
        format!(
            "\
listener.name.sasl.ssl.keystore.type=PEM
listener.name.sasl.ssl.keystore.location={identity}
listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
             user_{user}=\"{password}\";
listener.name.sasl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.mutual.ssl.keystore.type=PEM
listener.name.mutual.ssl.keystore.location={identity}
listener.name.mutual.ssl.truststore.type=PEM
listener.name.mutual.ssl.truststore.location={ca}
listener.name.mutual.ssl.client.auth=required
"
        )
    }

    /// What the formatting of the node's folder is told of the user.
    pub(super) fn scram(&self) -> String {
        format!("SCRAM-SHA-512=[name={},password={}]", self.user, self.password)
    }
}

/// A backslash starts an escape in a properties file.
pub(super) fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "\\\\")
}
