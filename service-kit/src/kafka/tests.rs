use std::path::PathBuf;

use super::Brokers;
use crate::config::Reader;

fn read(pairs: &[(&str, &str)]) -> Result<Brokers, String> {
    let pairs = [("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")].iter().chain(pairs).copied();
    Reader::from_pairs(pairs).whole(Brokers::read).map_err(|error| error.to_string())
}

const SASL: [(&str, &str); 4] = [
    ("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT"),
    ("KAFKA_SASL_MECHANISM", "scram-sha-512"),
    ("KAFKA_SASL_USERNAME", "shop"),
    ("KAFKA_SASL_PASSWORD", "hunter2"),
];

/// A file of this test's own.
fn file(name: &str, text: &str) -> String {
    let file: PathBuf = std::env::temp_dir().join(format!("quadrille-{}-{name}", std::process::id()));
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

#[test]
fn nothing_said_means_in_the_clear() {
    let brokers = read(&[]).unwrap();
    assert!(brokers.is_plain());
    assert_eq!(brokers, Brokers::from("127.0.0.1:9092"));
    assert_eq!(brokers.client().get("security.protocol"), None);
}

#[test]
fn a_user_is_told_to_the_client_and_the_password_to_nobody_else() {
    let brokers = read(&SASL).unwrap();
    let client = brokers.client();
    let told = ["security.protocol", "sasl.mechanism", "sasl.username", "sasl.password"].map(|name| client.get(name));
    assert_eq!(told, [Some("sasl_plaintext"), Some("SCRAM-SHA-512"), Some("shop"), Some("hunter2")]);
    assert!(!format!("{brokers:?}").contains("hunter2"), "{brokers:?}");
}

#[test]
fn what_the_protocol_needs_and_is_not_there_is_named_all_of_it() {
    let told = read(&[("KAFKA_SECURITY_PROTOCOL", "sasl_ssl"), ("KAFKA_SASL_MECHANISM", "PLAIN")]).unwrap_err();
    for name in ["KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"] {
        assert!(told.contains(&format!("{name} is not set, and KAFKA_SECURITY_PROTOCOL=sasl_ssl")), "{told}");
    }
    assert!(!told.contains("KAFKA_SASL_MECHANISM is"), "{told}");
}

#[test]
fn what_the_protocol_does_not_use_is_refused_since_it_was_meant_for_something() {
    let told = read(&[("KAFKA_SASL_PASSWORD", "hunter2"), ("KAFKA_SSL_CA", "/ca.pem")]).unwrap_err();
    assert!(
        told.contains("KAFKA_SASL_PASSWORD is refused: KAFKA_SECURITY_PROTOCOL=plaintext does not use it"),
        "{told}"
    );
    assert!(told.contains("KAFKA_SSL_CA is refused") && !told.contains("hunter2"), "{told}");
    let told = read(&[("KAFKA_SECURITY_PROTOCOL", "tls"), ("KAFKA_SASL_MECHANISM", "GSSAPI")]).unwrap_err();
    assert!(told.contains("KAFKA_SECURITY_PROTOCOL is \"tls\"") && told.contains("KAFKA_SASL_MECHANISM is"), "{told}");
}

#[test]
fn files_that_are_not_there_or_hold_something_else_are_named() {
    let ssl = ("KAFKA_SECURITY_PROTOCOL", "ssl");
    let told = read(&[ssl, ("KAFKA_SSL_CA", "/no/such/file")]).unwrap_err();
    assert!(told.contains("KAFKA_SSL_CA is refused: /no/such/file can't be read (No such file"), "{told}");
    let der = file("der", "\u{1}\u{2}");
    let told = read(&[ssl, ("KAFKA_SSL_CA", &der)]).unwrap_err();
    assert!(told.contains("has no line \"-----BEGIN ... CERTIFICATE-----\""), "{told}");
    let damaged = file("damaged", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let told = read(&[ssl, ("KAFKA_SSL_CA", &damaged)]).unwrap_err();
    assert!(told.contains("KAFKA_SSL_CA is refused: ") && told.contains("ssl.ca.location"), "{told}");
}

#[test]
fn a_certificate_goes_with_its_key_and_an_encrypted_key_with_its_password() {
    let ssl = ("KAFKA_SECURITY_PROTOCOL", "ssl");
    let certificate = file("certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let told = read(&[ssl, ("KAFKA_SSL_CERTIFICATE", &certificate)]).unwrap_err();
    assert!(told.contains("KAFKA_SSL_KEY is not set, and KAFKA_SSL_CERTIFICATE is set"), "{told}");
    let key = file("key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
    let told = read(&[ssl, ("KAFKA_SSL_CERTIFICATE", &certificate), ("KAFKA_SSL_KEY", &key)]).unwrap_err();
    assert!(told.contains("KAFKA_SSL_KEY_PASSWORD is not set, and the key in "), "{told}");
}
