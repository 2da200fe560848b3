//! Whom the brokers take a client for, and what is said when they refuse it for its rights.

use rdkafka::ClientConfig;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::metadata::Metadata;

use super::security::vars;

/// Whom the brokers take a client for, as far as its settings tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    name: String,
    /// The variable that decides it.
    variable: &'static str,
}

impl Principal {
    /// The principal of a client with these settings.
    pub fn of(client: &ClientConfig) -> Self {
        let (name, variable) = match (client.get("sasl.username"), client.get("ssl.certificate.location")) {
            (Some(user), _) => (user.to_owned(), &vars::KAFKA_SASL_USERNAME),
            (None, Some(file)) => (format!("whom {file} names"), &vars::KAFKA_SSL_CERTIFICATE),
            (None, None) => ("ANONYMOUS, who gave no name,".to_owned(), &vars::KAFKA_SECURITY_PROTOCOL),
        };
        Self { name, variable: variable.name }
    }

    /// A sentence that says what the brokers refuse and what to look at. `what` is a verb and its object.
    pub fn may_not(&self, what: &str) -> String {
        format!(
            "Kafka's principal {} may not {what}: look at {}, and at the principal's ACLs",
            self.name, self.variable
        )
    }
}

/// Whether the brokers refuse something for the client's rights, which they may be given at any time.
pub fn lacks_rights(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
    )
}

/// What the brokers say of a topic that was asked for by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It has so many partitions.
    There(usize),
    /// There is no such topic.
    Missing,
    /// The client's principal may not know whether there is one.
    Forbidden,
}

impl Asked {
    /// What is said of `topic` in an answer to a question for it.
    pub fn of(metadata: &Metadata, topic: &str) -> Self {
        let Some(found) = metadata.topics().iter().find(|known| known.name() == topic) else { return Self::Missing };
        match found.partitions().len() {
            0 if found.error().is_some_and(|error| lacks_rights(error.into())) => Self::Forbidden,
            0 => Self::Missing,
            count => Self::There(count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(settings: &[(&str, &str)]) -> String {
        let mut client = ClientConfig::new();
        for (name, value) in settings {
            client.set(*name, *value);
        }
        Principal::of(&client).may_not("write orders.v1")
    }

    #[test]
    fn a_refusal_names_the_principal_and_the_variable_that_decides_it() {
        let named = of(&[("sasl.username", "stock-relay"), ("ssl.certificate.location", "/x.pem")]);
        assert!(
            named.starts_with("Kafka's principal stock-relay may not write orders.v1: look at KAFKA_SASL_USERNAME")
        );
        let certified = of(&[("ssl.certificate.location", "/x.pem")]);
        assert!(certified.contains("/x.pem") && certified.contains("KAFKA_SSL_CERTIFICATE"), "{certified}");
        let nobody = of(&[]);
        assert!(nobody.contains("ANONYMOUS") && nobody.contains("KAFKA_SECURITY_PROTOCOL"), "{nobody}");
    }

    #[test]
    fn only_what_is_about_rights_is_told_by_its_code() {
        use RDKafkaErrorCode as Code;
        for rights in [Code::TopicAuthorizationFailed, Code::GroupAuthorizationFailed, Code::ClusterAuthorizationFailed]
        {
            assert!(lacks_rights(rights), "{rights}");
        }
        for other in
            [Code::Authentication, Code::SaslAuthenticationFailed, Code::UnknownTopicOrPartition, Code::PurgeQueue]
        {
            assert!(!lacks_rights(other), "{other}");
        }
    }
}
