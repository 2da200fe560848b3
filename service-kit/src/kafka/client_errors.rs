//! What a client of Kafka complains of, told by the variables that mend it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::metadata::Metadata;
use rdkafka::types::RDKafkaErrorCode;

use super::security::vars;
use crate::config::Var;

/// The longest wait for a complaint once a question wasn't answered.
const COMPLAINT: Duration = Duration::from_millis(200);

/// A complaint, as librdkafka words it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientError {
    /// What is wrong, and where to look.
    pub told: String,
    /// Waiting won't mend it.
    pub is_final: bool,
}

/// The last complaint of a client, which would repeat it with each attempt.
#[derive(Debug, Default)]
pub struct Last(Mutex<Option<ClientError>>);

impl Last {
    /// Notes what the client reports.
    pub fn note(&self, error: &KafkaError, reason: &str) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !says_little(error) || last.is_none() {
            *last = Some(of(error, reason));
        }
    }

    /// Notes what the client logs at level info: of a connection that was cut off it reports no error.
    pub fn note_log(&self, facility: &str, message: &str) {
        let told = message.split_once("]: ").map_or(message, |(_, told)| told);
        let mend = of_the_rest(told);
        if facility == "FAIL" && !mend.is_empty() {
            let told = format!("{told}: {mend}");
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(ClientError { told, is_final: false });
        }
    }

    /// The last one; nothing when there was none.
    pub fn get(&self) -> Option<ClientError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Asks the brokers for their topics, over a consumer that is subscribed to nothing. Blocks.
///
/// # Errors
/// None answers in time: the last complaint that the consumer's context noted.
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
    // Complaints are delivered by polling.
    let until = Instant::now() + COMPLAINT;
    while Instant::now() < until {
        drop(consumer.poll(Duration::from_millis(10)));
    }
    Err(last(consumer.context()).unwrap_or(ClientError { told: error, is_final: false }))
}

/// That all brokers are down is said many times a second, after the reason, and says less.
pub fn says_little(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown)
}

/// What an error that the client reports means.
pub fn of(error: &KafkaError, reason: &str) -> ClientError {
    let (mend, is_final) = match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed) => (of_sasl(reason), true),
        Some(RDKafkaErrorCode::SSL) => of_tls(reason),
        // What the brokers think of a client's certificate comes after the handshake.
        _ if reason.contains("SSL routines") => of_tls(reason),
        _ => (of_the_rest(reason), false),
    };
    ClientError { told: if mend.is_empty() { reason.to_owned() } else { format!("{reason}: {mend}") }, is_final }
}

fn of_sasl(reason: &str) -> &'static str {
    if reason.to_lowercase().contains("mechanism") && !reason.contains("credentials") {
        "look at KAFKA_SASL_MECHANISM"
    } else {
        "look at KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"
    }
}

/// A handshake that is cut off may be a broker's end; one that fails for what was shown stays so.
fn of_tls(reason: &str) -> (&'static str, bool) {
    let said = reason.to_lowercase();
    if said.contains("plaintext listener") || said.contains("wrong version number") {
        ("look at KAFKA_SECURITY_PROTOCOL", true)
    } else if said.contains("certificate required") || said.contains("alert") {
        ("the brokers ask for another certificate: look at KAFKA_SSL_CERTIFICATE and KAFKA_SSL_KEY", true)
    } else if said.contains("certificate") {
        // librdkafka doesn't tell a stranger's certificate from one for another name.
        ("look at KAFKA_SSL_CA, and whether the certificate is for the name in KAFKA_BOOTSTRAP_SERVERS", true)
    } else {
        (of_the_rest(reason), false)
    }
}

/// Brokers cut off who speaks in the clear where TLS is spoken, and the other way round.
fn of_the_rest(reason: &str) -> &'static str {
    let at_once = ["APIVERSION_QUERY", "SSL_HANDSHAKE"].iter().any(|state| reason.contains(state));
    if at_once && reason.contains("Disconnected") || reason.contains("security.protocol") {
        "look at KAFKA_SECURITY_PROTOCOL"
    } else {
        ""
    }
}

/// The variable behind a setting that librdkafka refuses.
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
