//! What a failure says about a row.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

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

/// What became of a row that the client reports as failed.
///
/// Everything that is not in the list is an outage. It would hit every row, and passes or is mended by somebody:
/// - INVALID_TIMESTAMP: rows are stamped by this machine's clock, which is wrong, or the broker's is.
/// - POLICY_VIOLATION, UNSUPPORTED_COMPRESSION_TYPE, UNSUPPORTED_FOR_MESSAGE_FORMAT, INVALID_REQUIRED_ACKS: the client
///   doesn't suit the cluster or the topic.
/// - CORRUPT_MESSAGE: a checksum was wrong, so something on the way changed bytes. INVALID_FETCH_SIZE is about reading.
/// - UNKNOWN_TOPIC_OR_PARTITION, all that is about authorisation, replicas, leaders, storage, sequences.
/// - Of the client's own: another record of the batch was invalid, the producer was ended or gave up.
pub(super) fn failure(error: &KafkaError) -> Failure {
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
    fn what_is_true_of_a_row_alone_is_held_against_it() {
        for (code, why) in AGAINST_THE_ROW {
            assert!(matches!(outcome(code), Failure::Refused(told) if told.ends_with(why)), "{code}");
        }
    }
}
