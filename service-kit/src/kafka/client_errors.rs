//! Translates the errors of Kafka's client into the variables that fix them.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::metadata::Metadata;
use rdkafka::types::RDKafkaErrorCode;

use super::security::vars;
use crate::config::Var;

/// How long to wait for the client's own error after a request failed.
const COMPLAINT: Duration = Duration::from_millis(200);

/// An error of the client, with advice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientError {
    /// What is wrong, and which variable to look at.
    pub told: String,
    /// Whether waiting can't help.
    pub is_final: bool,
}

/// The last error of a client. The client repeats its errors with each attempt, so the last one is enough.
#[derive(Debug, Default)]
pub struct Last(Mutex<Option<ClientError>>);

impl Last {
    /// Notes an error that the client reports.
    pub fn note(&self, error: &KafkaError, reason: &str) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !says_little(error) || last.is_none() {
            *last = Some(of(error, reason));
        }
    }

    /// Notes what the client logs at level info: it reports no error for a connection that was cut off.
    pub fn note_log(&self, facility: &str, message: &str) {
        let told = message.split_once("]: ").map_or(message, |(_, told)| told);
        let mend = of_the_rest(told);
        if facility == "FAIL" && !mend.is_empty() {
            let told = format!("{told}: {mend}");
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(ClientError { told, is_final: false });
        }
    }

    /// The last error, if there was one.
    pub fn get(&self) -> Option<ClientError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Asks the brokers for their topics, over a consumer that is subscribed to nothing. Blocks.
///
/// # Errors
/// Fails if no broker answers in time, with the last error that the consumer's context noted.
pub fn ask<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    patience: Duration,
    last: impl Fn(&C) -> Option<ClientError>,
) -> Result<Metadata, ClientError> {
    let error = match consumer.fetch_metadata(None, patience) {
        Ok(found) if found.brokers().is_empty() => "no broker is in the cluster yet".to_owned(),
        Ok(found) => return Ok(found),
        Err(error) => error.to_string(),
    };
    // librdkafka delivers errors only through polling.
    let until = Instant::now() + COMPLAINT;
    while Instant::now() < until {
        drop(consumer.poll(Duration::from_millis(10)));
    }
    Err(last(consumer.context()).unwrap_or(ClientError { told: error, is_final: false }))
}

/// Whether the error only says that all brokers are down. The client repeats it many times a second, after the error
/// that tells why.
pub fn says_little(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown)
}

/// What an error of the client means.
pub fn of(error: &KafkaError, reason: &str) -> ClientError {
    let (mend, is_final) = match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed) => (of_sasl(reason), true),
        Some(RDKafkaErrorCode::SSL) => of_tls(reason),
        // A broker judges the client's certificate after the handshake, so its verdict comes without the SSL error
        // code.
        _ if reason.contains("SSL routines") => of_tls(reason),
        // Rights can be given at any time.
        _ if is_about_rights(reason) => ("look at KAFKA_SASL_USERNAME, and at the principal's ACLs", false),
        _ => (of_the_rest(reason), false),
    };
    ClientError { told: if mend.is_empty() { reason.to_owned() } else { format!("{reason}: {mend}") }, is_final }
}

/// Whether an error's text says that the brokers refuse something for the client's rights. Some errors carry the code of what
/// follows from the refusal instead.
pub fn is_about_rights(text: &str) -> bool {
    text.to_lowercase().contains("authorization failed")
}

fn of_sasl(reason: &str) -> &'static str {
    if reason.to_lowercase().contains("mechanism") && !reason.contains("credentials") {
        "look at KAFKA_SASL_MECHANISM"
    } else {
        "look at KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"
    }
}

/// A handshake that is cut off may be due to a broker that stops, which passes. One that fails because of a
/// certificate will fail again.
fn of_tls(reason: &str) -> (&'static str, bool) {
    let said = reason.to_lowercase();
    if said.contains("plaintext listener") || said.contains("wrong version number") {
        ("look at KAFKA_SECURITY_PROTOCOL", true)
    } else if said.contains("certificate required") || said.contains("alert") {
        ("the brokers ask for another certificate: look at KAFKA_SSL_CERTIFICATE and KAFKA_SSL_KEY", true)
    } else if said.contains("certificate") {
        // librdkafka reports an unknown issuer and a wrong host name alike.
        ("look at KAFKA_SSL_CA, and whether the certificate is for the name in KAFKA_BOOTSTRAP_SERVERS", true)
    } else {
        (of_the_rest(reason), false)
    }
}

/// Brokers cut a connection off if it speaks plaintext where TLS is expected, or the other way round.
fn of_the_rest(reason: &str) -> &'static str {
    let at_once = ["APIVERSION_QUERY", "SSL_HANDSHAKE"].iter().any(|state| reason.contains(state));
    if at_once && reason.contains("Disconnected") || reason.contains("security.protocol") {
        "look at KAFKA_SECURITY_PROTOCOL"
    } else {
        ""
    }
}

/// The variable that sets a librdkafka setting which the client refuses.
pub(super) fn variable_of_setting(told: &str) -> &'static Var {
    let settings = [
        ("ssl.key", &vars::KAFKA_SSL_KEY),
        ("ssl.certificate", &vars::KAFKA_SSL_CERTIFICATE),
        ("ssl.ca", &vars::KAFKA_SSL_CA),
        ("sasl", &vars::KAFKA_SASL_MECHANISM),
    ];
    let known = settings.into_iter().find(|(setting, _)| told.contains(setting));
    known.map_or(&vars::KAFKA_SECURITY_PROTOCOL, |(_, var)| var)
}
