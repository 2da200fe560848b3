//! What a failure says about a row.

use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use service_kit::kafka::Principal;
use service_kit::kafka::principal::lacks_rights;

use crate::publisher::Failure;

/// The codes that are held against a row, with Kafka's name and why. Each was looked up where the broker decides about a
/// batch (`UnifiedLog`, `LogValidator`): it says something that is true of this row and not of others.
const AGAINST_THE_ROW: [(Code, &str); 4] = [
    // RECORD_TOO_LARGE: more than the topic's max.message.bytes, or than the client sends at all.
    (Code::MessageSizeTooLarge, "the topic takes no row of this size"),
    // RECORD_LIST_TOO_LARGE: more than the topic's segment.bytes.
    (Code::MessageBatchTooLarge, "a segment of the topic is smaller than this row"),
    // INVALID_RECORD: no key on a compacted topic, or a rule about content that a broker was given.
    (Code::InvalidRecord, "the topic takes no row like this one"),
    // INVALID_TOPIC_EXCEPTION: no topic can have such a name, so waiting for it is in vain.
    (Code::InvalidTopic, "no topic can have this name"),
];

/// What a producer may do, as far as it has been told.
#[derive(Debug)]
pub(super) struct Rights {
    principal: Principal,
    /// The client has said that a right is lacking, after which it fails rows for another reason: it purges them.
    lacking: AtomicBool,
}

impl Rights {
    pub const fn of(principal: Principal) -> Self {
        Self { principal, lacking: AtomicBool::new(false) }
    }

    /// Notes that the brokers refused something for the client's rights.
    pub fn note_lacking(&self) {
        self.lacking.store(true, Ordering::Release);
    }

    /// What became of a row of this topic that the client reports as failed.
    pub fn failure(&self, error: &KafkaError, topic: &str) -> Failure {
        let refused = error.rdkafka_error_code().is_some_and(lacks_rights);
        match failure(error) {
            Failure::Outage(_) if refused || self.lacking.load(Ordering::Acquire) => {
                Failure::Outage(self.principal.may_not(&format!("write {topic}")))
            }
            failure => failure,
        }
    }
}

/// What became of a row that the client reports as failed.
///
/// Everything that is not in the list is an outage. It would hit every row, and passes or is mended by somebody:
/// - INVALID_TIMESTAMP: rows are stamped by this machine's clock, which is wrong, or the broker's is.
/// - POLICY_VIOLATION, UNSUPPORTED_COMPRESSION_TYPE, UNSUPPORTED_FOR_MESSAGE_FORMAT, INVALID_REQUIRED_ACKS: the client
///   doesn't suit the cluster or the topic.
/// - CORRUPT_MESSAGE: a checksum was wrong, so something on the way changed bytes. INVALID_FETCH_SIZE is about reading.
/// - UNKNOWN_TOPIC_OR_PARTITION, all that is about authorisation, replicas, leaders, storage, sequences.
/// - Of the client's own: another record of the batch was invalid, the producer was ended or gave up.
fn failure(error: &KafkaError) -> Failure {
    let Some(code) = error.rdkafka_error_code() else { return Failure::Outage(error.to_string()) };
    match AGAINST_THE_ROW.iter().find(|(against, _)| *against == code) {
        Some((_, why)) => Failure::Refused(format!("{code}: {why}")),
        None => Failure::Outage(code.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(code: Code) -> Failure {
        failure(&KafkaError::MessageProduction(code))
    }

    #[test]
    fn what_would_hit_every_row_is_an_outage() {
        for passes in [
            Code::UnknownTopic,
            Code::UnknownTopicOrPartition,
            Code::TopicAuthorizationFailed,
            Code::ClusterAuthorizationFailed,
            Code::InvalidTimestamp,
            Code::PolicyViolation,
            Code::UnsupportedCompressionType,
            Code::UnsupportedForMessageFormat,
            Code::InvalidRequiredAcks,
            Code::InvalidMessage,
            Code::InvalidMessageSize,
            Code::InvalidDifferentRecord,
            Code::KafkaStorageError,
            Code::NotEnoughReplicas,
            Code::OutOfOrderSequenceNumber,
            Code::ThrottlingQuotaExceeded,
            Code::PurgeQueue,
            Code::GaplessGuarantee,
            Code::Fatal,
            Code::Unknown,
        ] {
            assert!(matches!(outcome(passes), Failure::Outage(_)), "{passes}");
        }
    }

    #[test]
    fn a_right_that_is_lacking_is_an_outage_that_names_principal_and_topic_also_where_the_client_only_purges() {
        let mut client = rdkafka::ClientConfig::new();
        let rights = Rights::of(Principal::of(client.set("sasl.username", "stock-relay")));
        let of = |code| rights.failure(&KafkaError::MessageProduction(code), "orders.v1");
        let told = Failure::Outage(rights.principal.may_not("write orders.v1"));
        assert_ne!(of(Code::PurgeQueue), told);
        assert_eq!(of(Code::TopicAuthorizationFailed), told);
        rights.note_lacking();
        assert_eq!(of(Code::PurgeQueue), told);
        assert!(matches!(of(Code::MessageSizeTooLarge), Failure::Refused(_)), "the row stays what it is");
    }

    #[test]
    fn what_is_true_of_a_row_alone_is_held_against_it() {
        for (code, why) in AGAINST_THE_ROW {
            assert!(matches!(outcome(code), Failure::Refused(told) if told.ends_with(why)), "{code}");
        }
    }
}
