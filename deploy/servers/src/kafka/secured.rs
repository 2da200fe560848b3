//! Secured listeners beside the plain one, to test clients against.

use std::path::{Path, PathBuf};

use crate::port;

/// Who may connect, and which certificate the node shows.
#[derive(Debug, Clone)]
pub struct Secured {
    /// A PEM file with the node's private key (PKCS #8, not encrypted), followed by its certificate.
    pub identity: PathBuf,
    /// A PEM file with the authorities for clients' certificates.
    pub ca: PathBuf,
    /// A user who can log in with PLAIN and SCRAM-SHA-512.
    pub user: String,
    /// That user's password: letters and digits.
    pub password: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecuredPorts {
    /// TLS with PLAIN or SCRAM-SHA-512.
    pub sasl: u16,
    /// TLS with client certificates.
    pub mutual: u16,
}

impl SecuredPorts {
    pub(super) fn claim() -> anyhow::Result<Self> {
        Ok(Self { sasl: port::claim(None, "Kafka over SASL")?, mutual: port::claim(None, "Kafka over TLS")? })
    }
}

impl Secured {
    /// The additional properties of the node.
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

    /// The user, as an argument for formatting the node's folder.
    pub(super) fn scram(&self) -> String {
        format!("SCRAM-SHA-512=[name={},password={}]", self.user, self.password)
    }
}

/// Escapes backslashes, which start an escape in a properties file.
pub(super) fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "\\\\")
}
