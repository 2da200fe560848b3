//! What each principal may do. It follows from the code: a service reads the topics that it subscribes to, as a member of its
//! own group, and its relay writes the topics that the service owns.

use std::collections::BTreeSet;

use shared_events::Topic;

use super::acl::{Acl, CLUSTER_NAME, Operation, Resource};
use crate::service::Service;

/// Whom the tools log in as.
pub const READER: &str = "reader";
/// Whom Kafka takes a client without a name for.
pub const ANONYMOUS: &str = "ANONYMOUS";

/// The topics that a service hears.
pub fn heard(service: Service) -> Vec<String> {
    let subscriptions = match service {
        Service::OrderSvc => order_svc::reactions::subscriptions(),
        Service::StockSvc => stock_svc::reactions::subscriptions(),
        Service::PaymentSvc => payment_svc::reactions::subscriptions(),
        Service::NotificationSvc => notification_svc::reactions::subscriptions(),
        Service::SandboxGateway | Service::SandboxIssuer | Service::OutboxRelay => Vec::new(),
    };
    subscriptions.into_iter().map(|heard| heard.topic).collect()
}

/// The topics that a service's relay writes.
pub fn written(service: Service) -> Vec<String> {
    let own = Topic::ALL.into_iter().filter(|topic| topic.owner() == service.name());
    own.map(|topic| topic.name().to_owned()).chain([format!("{}.dlq", service.name())]).collect()
}

/// The principal of the relay that publishes a service's outbox.
pub fn relay_of(service: Service) -> String {
    service.name().replace("-svc", "-relay")
}

/// Everybody's rights. Where `anonymous_reads`, whoever gives no name may read as the tools may.
pub fn all(anonymous_reads: bool) -> BTreeSet<Acl> {
    let mut rights = BTreeSet::new();
    for service in Service::WITH_OUTBOX {
        let (reader, writer) = (service.name(), relay_of(service));
        rights.insert(Acl::allow(reader, Operation::READ, Resource::GROUP, reader));
        for topic in heard(service) {
            // How long a topic keeps events decides how far back the inbox must reach.
            for operation in [Operation::READ, Operation::DESCRIBE_CONFIGS] {
                rights.insert(Acl::allow(reader, operation, Resource::TOPIC, &topic));
            }
        }
        for topic in written(service) {
            // Before it republishes, the relay looks whether the topic is compacted.
            for operation in [Operation::WRITE, Operation::DESCRIBE_CONFIGS] {
                rights.insert(Acl::allow(&writer, operation, Resource::TOPIC, &topic));
            }
        }
    }
    for tool in [READER].into_iter().chain(anonymous_reads.then_some(ANONYMOUS)) {
        rights.insert(Acl::allow(tool, Operation::READ, Resource::TOPIC, "*"));
        rights.insert(Acl::allow(tool, Operation::DESCRIBE_CONFIGS, Resource::TOPIC, "*"));
        // Describing a group tells its members and offsets; joining it, or moving its offsets, is reading.
        rights.insert(Acl::allow(tool, Operation::DESCRIBE, Resource::GROUP, "*"));
        rights.insert(Acl::allow(tool, Operation::DESCRIBE, Resource::CLUSTER, CLUSTER_NAME));
        rights.insert(Acl::allow(tool, Operation::DESCRIBE_CONFIGS, Resource::CLUSTER, CLUSTER_NAME));
    }
    rights
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who_may(operation: Operation, resource: Resource, name: &str) -> Vec<String> {
        let mut rights: Vec<_> = all(true).into_iter().collect();
        rights.retain(|right| right.operation == operation && right.resource == resource && right.name == name);
        rights.into_iter().map(|right| right.principal).collect()
    }

    #[test]
    fn each_topic_is_written_by_its_owners_relay_alone() {
        for topic in crate::topics::all() {
            let writers = who_may(Operation::WRITE, Resource::TOPIC, &topic.name);
            assert_eq!(writers.len(), 1, "{}: {writers:?}", topic.name);
        }
        assert_eq!(who_may(Operation::WRITE, Resource::TOPIC, "payments.v1"), ["User:payment-relay"]);
        assert_eq!(who_may(Operation::WRITE, Resource::TOPIC, "order-svc.dlq"), ["User:order-relay"]);
        assert!(who_may(Operation::WRITE, Resource::TOPIC, "*").is_empty());
    }

    #[test]
    fn nobody_may_do_more_than_read_write_and_describe() {
        let known = [Operation::READ, Operation::WRITE, Operation::DESCRIBE, Operation::DESCRIBE_CONFIGS];
        for right in all(true) {
            assert!(known.contains(&right.operation), "{right}");
            assert!(right.resource != Resource::CLUSTER || right.operation != Operation::WRITE, "{right}");
        }
        assert!(all(false).iter().all(|right| !right.principal.contains(ANONYMOUS)));
    }

    #[test]
    fn a_group_is_joined_by_its_own_service_alone() {
        for service in Service::WITH_OUTBOX {
            let members = who_may(Operation::READ, Resource::GROUP, service.name());
            assert_eq!(members, [format!("User:{}", service.name())]);
        }
        assert!(who_may(Operation::READ, Resource::GROUP, "*").is_empty());
    }
}
