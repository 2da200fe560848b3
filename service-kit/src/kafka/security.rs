use std::fmt;
use std::path::Path;
use std::str::FromStr;

use rdkafka::ClientConfig;
use secrecy::{ExposeSecret, SecretString};

use crate::config::{Reader, Var};

/// The variables that secure the connection to the brokers.
pub mod vars {
    use crate::config::Var;

    /// Whether to use TLS, SASL, both or neither.
    pub static KAFKA_SECURITY_PROTOCOL: Var = Var {
        name: "KAFKA_SECURITY_PROTOCOL",
        what: "How to connect to the brokers: in plaintext or over TLS, with or without a user name.",
        expected: "plaintext, ssl, sasl_plaintext or sasl_ssl",
        example: "sasl_ssl",
        default: Some("plaintext"),
    };
    /// The SASL mechanism.
    pub static KAFKA_SASL_MECHANISM: Var = Var {
        name: "KAFKA_SASL_MECHANISM",
        what: "The SASL mechanism; only with sasl_plaintext and sasl_ssl, which need it.",
        expected: "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
        example: "SCRAM-SHA-512",
        default: None,
    };
    /// The SASL user name.
    pub static KAFKA_SASL_USERNAME: Var = Var {
        name: "KAFKA_SASL_USERNAME",
        what: "The SASL user name; only with sasl_plaintext and sasl_ssl, which need it.",
        expected: "a name that the brokers know",
        example: "order-svc",
        default: None,
    };
    /// The SASL password.
    pub static KAFKA_SASL_PASSWORD: Var = Var {
        name: "KAFKA_SASL_PASSWORD",
        what: "The SASL password; only with sasl_plaintext and sasl_ssl, which need it.",
        expected: "the password of KAFKA_SASL_USERNAME",
        example: "secret",
        default: None,
    };
    /// The trusted certificate authorities.
    pub static KAFKA_SSL_CA: Var = Var {
        name: "KAFKA_SSL_CA",
        what: "The certificate authorities to trust for the brokers; only with ssl and sasl_ssl. If it is not set, those that the system trusts.",
        expected: "a file with certificates in PEM form",
        example: "/run/secrets/kafka-ca.pem",
        default: None,
    };
    /// The client's certificate.
    pub static KAFKA_SSL_CERTIFICATE: Var = Var {
        name: "KAFKA_SSL_CERTIFICATE",
        what: "The client certificate for brokers that ask for one; only with ssl and sasl_ssl, and together with its key.",
        expected: "a file with a certificate in PEM form, followed by those of its issuers",
        example: "/run/secrets/order-svc.pem",
        default: None,
    };
    /// The private key of the client's certificate.
    pub static KAFKA_SSL_KEY: Var = Var {
        name: "KAFKA_SSL_KEY",
        what: "The private key of KAFKA_SSL_CERTIFICATE.",
        expected: "a file with a private key in PEM form",
        example: "/run/secrets/order-svc.key",
        default: None,
    };
    /// The password of the private key.
    pub static KAFKA_SSL_KEY_PASSWORD: Var = Var {
        name: "KAFKA_SSL_KEY_PASSWORD",
        what: "The password of KAFKA_SSL_KEY, if that is encrypted.",
        expected: "the password that the key was encrypted with",
        example: "secret",
        default: None,
    };

    /// All of them, in the order in which they are read.
    pub static ALL: [&Var; 8] = [
        &KAFKA_SECURITY_PROTOCOL,
        &KAFKA_SASL_MECHANISM,
        &KAFKA_SASL_USERNAME,
        &KAFKA_SASL_PASSWORD,
        &KAFKA_SSL_CA,
        &KAFKA_SSL_CERTIFICATE,
        &KAFKA_SSL_KEY,
        &KAFKA_SSL_KEY_PASSWORD,
    ];
}

/// How the connection to the brokers is secured. Its secrets are never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Security {
    /// Settings by librdkafka's names.
    settings: Vec<(&'static str, String)>,
    secrets: Vec<(&'static str, Secret)>,
}

#[derive(Clone)]
struct Secret(SecretString);

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.settings.iter().map(|(name, value)| (name, value))).finish_non_exhaustive()
    }
}

impl Security {
    /// Reads and checks all settings together: what the protocol needs is set, what it doesn't use is not set, and
    /// files hold what they should.
    pub(super) fn read(reader: &mut Reader) -> Option<Self> {
        let protocol = reader.read::<Protocol>(&vars::KAFKA_SECURITY_PROTOCOL);
        let given = Given {
            mechanism: reader.optional(&vars::KAFKA_SASL_MECHANISM),
            username: reader.optional(&vars::KAFKA_SASL_USERNAME)?,
            password: reader.optional_secret(&vars::KAFKA_SASL_PASSWORD),
            ca: reader.optional(&vars::KAFKA_SSL_CA)?,
            certificate: reader.optional(&vars::KAFKA_SSL_CERTIFICATE)?,
            key: reader.optional(&vars::KAFKA_SSL_KEY)?,
            key_password: reader.optional_secret(&vars::KAFKA_SSL_KEY_PASSWORD),
        };
        let protocol = protocol?;
        let mut security = Self::default();
        if protocol != Protocol::Plaintext {
            security.settings.push(("security.protocol", protocol.name().to_owned()));
        }
        let sasl = given.sasl(reader, protocol, &mut security);
        let tls = given.tls(reader, protocol, &mut security);
        (sasl && tls).then_some(security)
    }

    /// Sets them on a client.
    pub(super) fn set(&self, client: &mut ClientConfig) {
        for (name, value) in &self.settings {
            client.set(*name, value);
        }
        for (name, Secret(value)) in &self.secrets {
            client.set(*name, value.expose_secret());
        }
    }
}

/// The environment's values; none where a variable is not set.
struct Given {
    /// The outer `None` means that it can't be read.
    mechanism: Option<Option<Mechanism>>,
    username: Option<String>,
    password: Option<SecretString>,
    ca: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
    key_password: Option<SecretString>,
}

impl Given {
    /// Checks the SASL settings and adds them. Returns false, with the problems noted, if they are wrong.
    fn sasl(&self, reader: &mut Reader, protocol: Protocol, security: &mut Security) -> bool {
        let Some(mechanism) = &self.mechanism else { return false };
        let set = [
            (&vars::KAFKA_SASL_MECHANISM, mechanism.is_some()),
            (&vars::KAFKA_SASL_USERNAME, self.username.is_some()),
            (&vars::KAFKA_SASL_PASSWORD, self.password.is_some()),
        ];
        if !protocol.has_sasl() {
            return unused(reader, protocol, &set);
        }
        for (var, _) in set.iter().filter(|(_, set)| !set) {
            reader.lacks(var, &protocol.set());
        }
        let (Some(mechanism), Some(username), Some(password)) = (mechanism, &self.username, &self.password) else {
            return false;
        };
        security.settings.push(("sasl.mechanism", mechanism.0.to_owned()));
        security.settings.push(("sasl.username", username.clone()));
        security.secrets.push(("sasl.password", Secret(password.clone())));
        true
    }

    /// Checks the TLS settings and adds them. Returns false, with the problems noted, if they are wrong.
    fn tls(&self, reader: &mut Reader, protocol: Protocol, security: &mut Security) -> bool {
        let set = [
            (&vars::KAFKA_SSL_CA, self.ca.is_some()),
            (&vars::KAFKA_SSL_CERTIFICATE, self.certificate.is_some()),
            (&vars::KAFKA_SSL_KEY, self.key.is_some()),
            (&vars::KAFKA_SSL_KEY_PASSWORD, self.key_password.is_some()),
        ];
        if !protocol.has_tls() {
            return unused(reader, protocol, &set);
        }
        // `probe` has librdkafka look for the system's certificates. OpenSSL is linked statically here and doesn't
        // know their place.
        let ca = self.ca.clone().unwrap_or_else(|| "probe".to_owned());
        security.settings.push(("ssl.ca.location", ca));
        let mut well = self.ca.as_ref().is_none_or(|ca| holds(reader, &vars::KAFKA_SSL_CA, ca, CERTIFICATE));
        match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => {
                well &= holds(reader, &vars::KAFKA_SSL_CERTIFICATE, certificate, CERTIFICATE);
                well &= holds(reader, &vars::KAFKA_SSL_KEY, key, PRIVATE_KEY) && self.opens(reader, key);
                security.settings.push(("ssl.certificate.location", certificate.clone()));
                security.settings.push(("ssl.key.location", key.clone()));
            }
            (None, Some(_)) => well = lacks(reader, &vars::KAFKA_SSL_CERTIFICATE, &vars::KAFKA_SSL_KEY),
            (Some(_), None) => well = lacks(reader, &vars::KAFKA_SSL_KEY, &vars::KAFKA_SSL_CERTIFICATE),
            (None, None) if self.key_password.is_some() => {
                well = lacks(reader, &vars::KAFKA_SSL_KEY, &vars::KAFKA_SSL_KEY_PASSWORD);
            }
            (None, None) => {}
        }
        security.secrets.extend(self.key_password.iter().map(|text| ("ssl.key.password", Secret(text.clone()))));
        well
    }

    /// Checks that an encrypted key has a password; without one OpenSSL would prompt on the terminal.
    fn opens(&self, reader: &mut Reader, key: &str) -> bool {
        let encrypted = std::fs::read_to_string(key).is_ok_and(|pem| pem.contains("ENCRYPTED"));
        if encrypted && self.key_password.is_none() {
            reader.lacks(&vars::KAFKA_SSL_KEY_PASSWORD, &format!("the key in {key} is encrypted"));
            return false;
        }
        true
    }
}

/// Refuses settings that the protocol doesn't use: whoever set them meant something by them.
fn unused(reader: &mut Reader, protocol: Protocol, set: &[(&'static Var, bool)]) -> bool {
    for (var, _) in set.iter().filter(|(_, set)| *set) {
        reader.refuse(var, format!("{} does not use it", protocol.set()));
    }
    set.iter().all(|(_, set)| !set)
}

fn lacks(reader: &mut Reader, var: &'static Var, with: &Var) -> bool {
    reader.lacks(var, &format!("{} is set", with.name));
    false
}

const CERTIFICATE: &str = "CERTIFICATE-----";
const PRIVATE_KEY: &str = "PRIVATE KEY-----";

/// Whether the file can be read and has a PEM block of this kind.
fn holds(reader: &mut Reader, var: &'static Var, file: &str, thing: &str) -> bool {
    let wrong = match std::fs::read(Path::new(file)) {
        Err(error) => format!("{file} can't be read ({error})"),
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            if text.lines().any(|line| line.starts_with("-----BEGIN ") && line.trim_end().ends_with(thing)) {
                return true;
            }
            format!("{file} has no line \"-----BEGIN ... {thing}\"")
        }
    };
    reader.refuse(var, wrong);
    false
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

impl Protocol {
    const fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }

    fn has_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }

    fn has_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    fn set(self) -> String {
        format!("{}={}", vars::KAFKA_SECURITY_PROTOCOL.name, self.name())
    }
}

impl FromStr for Protocol {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Plaintext, Self::Ssl, Self::SaslPlaintext, Self::SaslSsl];
        all.into_iter().find(|known| known.name().eq_ignore_ascii_case(text)).ok_or("no such protocol")
    }
}

struct Mechanism(&'static str);

impl FromStr for Mechanism {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];
        all.into_iter().find(|known| known.eq_ignore_ascii_case(text)).map(Self).ok_or("no such mechanism")
    }
}
